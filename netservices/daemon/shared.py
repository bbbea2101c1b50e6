"""What all sections share, from the daemon's start to its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from netservices.daemon.interfaces import list_addresses
from netservices.runtime import Sessions
from netservices.runtime.connect import Connector
from netservices.runtime.metrics import Metrics
from netservices.runtime.tls import ServerTls, make_server_tls

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from twisted.cred.portal import Portal
    from twisted.internet.interfaces import IReactorTime

    from netservices.catalog import Catalogue
    from netservices.config import Config
    from netservices.runtime import EventLog
    from netservices.runtime.accounts import Accounts
    from netservices.runtime.admission import BanRegistry
    from netservices.runtime.files import FilePool
    from netservices.runtime.reactor import Reactor


@dataclass
class Shared:
    """``reactor`` is also the clock. ``inherited`` are the service manager's sockets by name."""

    reactor: Reactor
    hostname: str
    state: Path
    log: EventLog
    files: FilePool
    catalog: Catalogue
    inherited: Mapping[str, Sequence[int]] = field(default_factory=dict)
    sessions: Sessions = field(default_factory=Sessions)
    metrics: Metrics = field(default_factory=Metrics)
    bans: BanRegistry | None = None
    accounts: Accounts = field(kw_only=True)
    portal: Portal = field(kw_only=True)
    tls: ServerTls | None = None
    connect: Connector = field(init=False)

    def __post_init__(self) -> None:
        self.connect = Connector(self.reactor, self.files)

    @property
    def clock(self) -> IReactorTime:
        """The reactor, as what tells the time."""
        return cast("IReactorTime", self.reactor)

    def make_tls(self, config: Config) -> ServerTls:
        """The one TLS setup, made when the first listener needs it."""
        if self.tls is None:
            hostname = config.daemon.hostname or self.hostname
            self.tls = make_server_tls(config.tls, state=self.state, hostname=hostname, addresses=list_addresses())
        return self.tls
