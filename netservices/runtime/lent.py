"""The one object a service is lent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from twisted.cred.portal import Portal
    from twisted.internet.interfaces import IReactorTime

    from netservices.runtime.accounts import Accounts
    from netservices.runtime.addresses import Address
    from netservices.runtime.connect import Connector
    from netservices.runtime.events import EventLog
    from netservices.runtime.files import FilePool
    from netservices.runtime.metrics import Metrics


@dataclass(frozen=True)
class Runtime:
    """What one section may use.

    ``service`` is the section's name; ``log`` is bound to it, with its facility and level. ``state`` is the state
    directory, which exists. ``files`` runs what blocks on the disk. ``datagram_addresses`` tells where this daemon
    receives datagrams, so that no service answers another one of ours. ``metrics`` is what the daemon counts.
    ``portal`` is the only way to log in, and ``accounts`` knows who is who. ``list_unready`` names the sections that
    take no new sessions. ``connect`` opens connections to elsewhere.
    """

    service: str
    hostname: str
    state: Path
    clock: IReactorTime
    log: EventLog
    files: FilePool
    datagram_addresses: Callable[[], Collection[Address]]
    metrics: Metrics
    accounts: Accounts
    portal: Portal
    list_unready: Callable[[], Sequence[str]]
    connect: Connector
