"""The daemon's account database: opened before anything listens, the only way in for every service."""

from __future__ import annotations

import os
import secrets
import time
from typing import TYPE_CHECKING
from xmlrpc.client import Fault

from twisted.logger import LogLevel

from netservices.rpc import FaultCode
from netservices.runtime import Event
from netservices.runtime.accounts import (
    AccountCommands,
    AccountControl,
    Hasher,
    UnknownAccountError,
    make_accounts,
    make_portal,
    make_store,
)

if TYPE_CHECKING:
    from pathlib import Path

    from twisted.internet.defer import Deferred

    from netservices.config import AccountsOptions
    from netservices.rpc import Dispatcher
    from netservices.runtime import EventLog
    from netservices.runtime.reactor import Reactor

DEMO_MADE = Event(
    "daemon.demo.made",
    LogLevel.info,
    "the try-out has an account `demo`; its password is in {path}",
    "The first start of the try-out makes one account, so that there is something to log in with.",
)

_DEMO = "demo"


class Logins:
    """``accounts`` and ``portal`` are lent to the services. Whoever makes it calls ``check``, ``start``, ``stop``."""

    def __init__(self, options: AccountsOptions, state: Path, *, reactor: Reactor, log: EventLog) -> None:
        self._state = state
        self._log = log
        self._store = make_store(state)
        hasher = Hasher(memory=options.memory, passes=options.passes, scram_iterations=options.scram_iterations)
        self.accounts = make_accounts(
            self._store, hasher, reactor=reactor, log=log, queue=options.queue, cache=options.cache
        )
        self.portal = make_portal(self.accounts)
        self._commands = AccountCommands(self._store, hasher, time.time)

    def check(self, *, demo: bool) -> None:
        """Open the database, and make the try-out's account if it is not there. Blocks. Raises ``StoreError``."""
        self._store.prepare()
        if demo and not self._has_demo():
            password = secrets.token_urlsafe(12)
            path = self._state / "demo-password"
            # The file first: an account whose password nobody knows would stay for ever.
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                os.fchmod(file.fileno(), 0o600)
                file.write(f"{password}\n")
            self._commands.add(_DEMO, password, {})
            self._log.emit(DEMO_MADE, path=str(path))

    def _has_demo(self) -> bool:
        try:
            self._commands.show(_DEMO)
        except UnknownAccountError:
            return False
        return True

    def start(self) -> Deferred[None]:
        """From here on logins are looked at. Fails with ``StoreError``, though ``check`` has found nothing wrong."""
        return self.accounts.start()

    def stop(self) -> Deferred[None]:
        """Let go of the database."""
        return self.accounts.stop()

    def register(self, dispatcher: Dispatcher) -> None:
        """Offer the methods behind ``netservices user``."""
        control = AccountControl(self.accounts, self._commands, lambda text: Fault(int(FaultCode.FAILED), text))
        for name, method in control.list_methods().items():
            dispatcher.add(name, method)


EVENTS = (DEMO_MADE,)
