"""``twistd netservices``: the one place that knows the global reactor."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, cast

from twisted.python import usage

from netservices.catalog import Catalogue
from netservices.config import ConfigError
from netservices.config.finding import find_path
from netservices.daemon.notify import Notifier, take_environment
from netservices.daemon.service import Daemon
from netservices.daemon.sockets import has_ipv6, load_inherited
from netservices.daemon.source import Source

if TYPE_CHECKING:
    from twisted.application.service import IService
    from twisted.internet.interfaces import IReactorTime


class Options(usage.Options):
    """What stands after ``twistd netservices``."""

    optParameters = [  # noqa: RUF012 - Twisted's way to declare options
        ["config", "c", None, "The configuration file; left out: as `netservices --help` says."],
    ]


def makeService(options: Options) -> IService:
    """Load the configuration, or say everything that is wrong with it and end with status 2."""
    from twisted.internet import reactor  # noqa: PLC0415 - twistd may have been told to install another one first

    # A reload may be asked for before there is anything to reload; it must not end the process.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    catalog = Catalogue()
    try:
        source = Source(find_path(options["config"], os.environ), catalog, ipv6=has_ipv6("::1"))
        loaded = source.load()
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        # The only way to another exit status than 1.
        raise SystemExit(2) from None
    return Daemon(
        source,
        loaded,
        reactor=reactor,
        notifier=Notifier(take_environment(os.environ), clock=cast("IReactorTime", reactor), pid=os.getpid()),
        environment=dict(os.environ),
        inherited=load_inherited(),
        interactive=bool(options.parent and options.parent["nodaemon"]),
    )
