"""The daemon: a Twisted service that starts, reloads and stops everything else."""

from __future__ import annotations

import gc
import os
import signal
import sys
from typing import TYPE_CHECKING, NoReturn, TypeVar
from xmlrpc.client import Fault

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, DeferredLock
from twisted.internet.task import LoopingCall
from twisted.logger import ILogObserver

from netservices import __version__
from netservices.config import ConfigError, Problem
from netservices.daemon.assemble import Services, uses_tls
from netservices.daemon.bans import BanCommands
from netservices.daemon.commands import DaemonCommands
from netservices.daemon.control import make_control
from netservices.daemon.lock import LockedError, StateLock
from netservices.daemon.logins import Logins
from netservices.daemon.logswitch import LogSwitch
from netservices.daemon.reports import (
    AUTHORITY_FOUND,
    DOUBTED,
    LISTENERS_FAILED,
    LOGINS_FAILED,
    RELOAD_FAILED,
    RELOAD_REFUSED,
    RELOADED,
    RENEWAL_FAILED,
    START_FAILED,
    STARTED,
    STOP_FAILED,
    STOPPED,
    STOPPING,
)
from netservices.daemon.section import WorkerError
from netservices.daemon.shared import Shared
from netservices.daemon.sockets import BindError, raise_descriptor_limit
from netservices.daemon.state import ListenersFile, StateError, find_state, make_state
from netservices.rpc import Dispatcher, FaultCode
from netservices.runtime import EventLog, Reason
from netservices.runtime.accounts import StoreError
from netservices.runtime.admission import BanRegistry, BanStoreError
from netservices.runtime.admission.bansqlite import SqliteBanStore
from netservices.runtime.files import FilePool, PoolFull
from netservices.runtime.logs import make_log_observer
from netservices.runtime.tls import CertificateError, CertificateWatch, list_trusted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from twisted.python.components import Componentized
    from twisted.python.failure import Failure

    from netservices.config import Config
    from netservices.daemon.assemble import Change
    from netservices.daemon.notify import Notifier
    from netservices.daemon.section import Section
    from netservices.daemon.source import Loaded, Source
    from netservices.runtime.logs import LogObserver
    from netservices.runtime.reactor import Reactor

T = TypeVar("T")

_RENEWAL_PERIOD = 86_400.0


class StartError(Exception):
    """The daemon can't start; the text says why."""


class StoppingError(Exception):
    """The daemon is about to end and takes nothing over any more."""


_REFUSALS = (ConfigError, BindError, CertificateError, WorkerError, PoolFull, StoppingError)
"""What a reload may be refused for; the text says why."""


class Daemon(Service):
    """Everything, from a loaded configuration on.

    ``environment`` is the process's; ``inherited`` are the service manager's sockets by name, and ``notifier`` tells it
    how it goes; ``interactive`` says that the process stays in the foreground (``twistd -n``).
    """

    name = "netservices"

    def __init__(
        self, source: Source, loaded: Loaded, *, reactor: Reactor, environment: Mapping[str, str],
        inherited: Mapping[str, Sequence[int]], notifier: Notifier, interactive: bool,
    ) -> None:  # fmt: skip
        self._source = source
        self._config = config = loaded.config
        self._warnings = loaded.warnings
        self._reactor = reactor
        self._environment = environment
        self._interactive = interactive
        self._notifier = notifier
        self._state = find_state(config.daemon, environment, root=os.geteuid() == 0)
        self._lock = StateLock(self._state)
        self._listeners_file = ListenersFile(self._state)
        self._observer = LogSwitch(self._make_observer(config), reactor.seconds)
        self._log = EventLog()
        self._logins = Logins(config.accounts, self._state, reactor=reactor, log=self._log)
        self._shared = Shared(
            reactor=reactor,
            hostname=os.uname().nodename,
            state=self._state,
            log=self._log,
            files=FilePool(reactor=reactor),
            catalog=source.catalog,
            inherited=inherited,
            accounts=self._logins.accounts,
            portal=self._logins.portal,
        )
        self._bans = BanRegistry(
            SqliteBanStore(self._state / "accounts.db"),
            FilePool(reactor=reactor, size=1, name="bans"),
            clock=self._shared.clock,
            log=self._log,
        )
        self._shared.bans = self._bans
        self._services = Services(self._shared)
        self._change: Change | None = None
        self._started = reactor.seconds()
        self._stopping: Deferred[None] | None = None
        self._reloading = DeferredLock()
        self._renewal = LoopingCall(lambda: Deferred.fromCoroutine(self._renew()))
        self._watch = CertificateWatch(
            reactor, self._shared.files, self._list_certificate_files, lambda: Deferred.fromCoroutine(self._renew())
        )

    # Start.

    def setServiceParent(self, parent: Componentized) -> None:
        # The parent is the application itself; logging has not begun, and takes this observer when it does.
        parent.setComponent(ILogObserver, self._observer)
        super().setServiceParent(parent)

    def privilegedStartService(self) -> None:
        """Bind everything, or end the process with status 1 and the reason."""
        raise_descriptor_limit()
        try:
            make_state(self._state)
            self._lock.acquire()
            self._listeners_file.remove()
            self._observer.current.start()
            self._logins.check(demo=self._source.path is None)
            self._change = self._services.prepare(self._config)
            self._control = make_control(self._make_dispatcher(), self._shared)
        except (StateError, LockedError, StoreError, BindError, ConfigError, CertificateError) as error:
            if self._change is not None:
                self._change.discard()
            self._lock.release()
            self._refuse(str(error))
        super().privilegedStartService()

    def startService(self) -> None:
        """Start what works behind the listeners, then the listeners."""
        super().startService()
        assert self._change is not None, "privilegedStartService comes first"  # noqa: S101 - twistd's order
        self._shared.files.start()
        try:
            self._bans.start()
            self._services.start(self._change)
        except (WorkerError, BanStoreError) as error:
            self._control.discard()
            self._shared.files.stop()
            self._lock.release()
            self._refuse(str(error))
        self._logins.start().addErrback(lambda failure: self._log.failure(LOGINS_FAILED, failure))
        self._services.apply(self._change)
        self._control.start(self._reactor)
        # A handler set any earlier is replaced when the reactor starts.
        self._reactor.callWhenRunning(self._handle_signals)
        # What the start has made stays: to look through it all for garbage would stop the reactor for 50 ms each time.
        self._reactor.callWhenRunning(gc.freeze)
        self._tell_authority()
        self._renewal.clock = self._reactor
        self._renewal.start(_RENEWAL_PERIOD, now=False)
        self._watch.start()
        self._warn(self._warnings)
        # Whoever waits for it may send a signal at once, so the handlers come first.
        self._reactor.callWhenRunning(self._tell_ready)

    def _tell_ready(self) -> None:
        self._tell_listeners()
        self._log.emit(STARTED, version=__version__, source=self._source.name, state=str(self._state))
        self._notifier.ready(self._say_status())

    def _make_dispatcher(self) -> Dispatcher:
        dispatcher = Dispatcher()
        dispatcher.add("netservices.reload", self._reload_for_control)
        BanCommands(self._bans).register(dispatcher)
        self._logins.register(dispatcher)
        DaemonCommands(self._services, self._shared, self._observer, self._tell_facts).register(dispatcher)
        return dispatcher

    def _say_status(self) -> str:
        """What ``systemctl status`` shows."""
        sections, listeners = len(self._services.sections), len(self._services.listeners)
        return f"{sections} services at {listeners} addresses"

    def _tell_facts(self) -> dict[str, object]:
        return {
            "pid": os.getpid(),
            "source": self._source.name,
            "started": self._started,
            "uptime": self._reactor.seconds() - self._started,
        }

    def _tell_listeners(self) -> None:
        try:
            self._listeners_file.write(self._services.listeners.values())
        except StateError as error:
            self._log.emit(LISTENERS_FAILED, reason=str(error))

    def _warn(self, warnings: Sequence[Problem]) -> None:
        for problem in warnings:
            self._log.emit(DOUBTED, problem=str(problem))

    def _refuse(self, reason: str) -> NoReturn:
        self._log.emit(START_FAILED, reason=reason)
        self._observer.current.finish()
        if self._interactive:
            # twistd has put the log in sys.stderr's place.
            if sys.__stderr__ is not None and "stderr" not in (self._config.log.to or ("stderr",)):
                sys.__stderr__.write(f"netservices: {reason}\n")
            raise SystemExit(1)
        # Without a terminal, twistd hands an exception's text to the process that waits in front of it.
        raise StartError(reason)

    def _make_observer(self, config: Config) -> LogObserver:
        return make_log_observer(
            config.log,
            hostname=config.daemon.hostname or os.uname().nodename,
            state=self._state,
            interactive=self._interactive,
            reactor=self._reactor,
            environment=self._environment,
        )

    def _tell_authority(self) -> None:
        tls = self._shared.tls
        if tls is not None and tls.authority is not None:
            self._log.emit(AUTHORITY_FOUND, path=str(tls.authority))

    def _list_certificate_files(self) -> tuple[Path, ...]:
        return self._shared.tls.files if self._shared.tls is not None else ()

    async def _renew(self) -> None:
        """Once a day, since a process may run for years."""
        tls = self._shared.tls
        if tls is not None:
            try:
                tls.use(await self._shared.files.run(tls.load))
            except (CertificateError, PoolFull, OSError) as error:
                self._log.emit(RENEWAL_FAILED, reason=str(error))

    def _handle_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._reactor.callFromThread(self._terminate))
        signal.signal(signal.SIGHUP, lambda *_: self._reactor.callFromThread(self._hang_up))

    # Reload.

    def _hang_up(self) -> None:
        if self._stopping is not None:
            return
        self._observer.current.reopen()
        for section in self._services.everything():
            section.reopen()
        # One that waits already will read what is there now; signals may come faster than files are read.
        if not self._reloading.waiting:
            self.reload().addErrback(lambda _told: None)

    def reload(self) -> Deferred[None]:
        """Read the configuration again and take it over whole, or not at all; one reload at a time.

        Fails with ``ConfigError``, ``BindError``, ``CertificateError``, ``WorkerError`` or ``PoolFull``, or with a bug;
        whatever it is, it has been logged. Fails with ``StoppingError`` while the daemon ends, which is not.
        """
        return self._reloading.run(lambda: Deferred.fromCoroutine(self._reload()))

    def _reload_for_control(self) -> Deferred[str]:
        """What the command prints; a refusal is a fault with the mistakes, a line each."""

        def say(failure: Failure) -> NoReturn:
            if failure.check(*_REFUSALS) is None:
                raise Fault(FaultCode.FAILED, "the daemon met a bug; its log has the traceback") from None
            code = FaultCode.BAD_CONFIGURATION if failure.check(ConfigError) else FaultCode.FAILED
            raise Fault(code, str(failure.value)) from None

        return self.reload().addCallbacks(lambda _none: f"{self._source.name} was read again", say)

    async def _reload(self) -> None:
        self._notifier.reloading()
        try:
            await self._reload_all()
        finally:
            # Refused or not, the daemon serves; while it ends, it has said so already.
            if self._stopping is None:
                self._notifier.ready(self._say_status())

    async def _reload_all(self) -> None:
        try:
            loaded, change, before = await self._take_over()
        except Exception as error:
            self._shared.metrics.reloads.labels("refused").inc()
            if self._stopping is not None:
                # What it waited for was cancelled, or nothing was left to work with.
                raise StoppingError("the daemon is about to end") from error
            if not isinstance(error, _REFUSALS):
                self._log.failure(RELOAD_FAILED, source=self._source.name)
                raise
            for line in str(error).splitlines():
                self._log.emit(RELOAD_REFUSED, source=self._source.name, problem=line)
            raise
        self._tell_listeners()
        self._warn(loaded.warnings)
        fresh = len(change.fresh)
        self._log.emit(RELOADED, source=self._source.name, started=fresh, kept=len(change.sections) - fresh)
        if before is not None:
            await before.stop()

    async def _take_over(self) -> tuple[Loaded, Change, LogObserver | None]:
        """What was loaded, what it changed, and the log observer that is to be stopped, if there is another now."""
        self._check_running()
        loaded = await self._shared.files.run(self._source.load)
        config = loaded.config
        self._check_lasting(config)
        had_tls = self._shared.tls is not None
        if uses_tls(config, self._shared.catalog):
            # Made here, if this is the first listener that needs it, since it takes the disk a while.
            await self._shared.files.run(self._shared.make_tls, config)
        tls = self._shared.tls
        material = await self._shared.files.run(tls.load, config.tls, list_trusted(config)) if tls else None
        observer = self._make_observer(config) if config.log != self._config.log else None
        # From here on nothing waits, so that nothing comes between: first what can fail, and then what can't.
        self._check_running()
        if tls is not None and material is not None:
            tls.expect(material)
        change = self._services.prepare(config)
        self._services.start(change)
        try:
            if tls is not None and material is not None:
                tls.use(material, config.tls)
        except BaseException:
            change.discard()
            raise
        self._config = config
        before = self._change_log(observer) if observer is not None else None
        self._services.apply(change)
        if not had_tls:
            self._tell_authority()
        self._shared.metrics.reloads.labels("done").inc()
        return loaded, change, before

    def _check_running(self) -> None:
        if self._stopping is not None:
            raise StoppingError("the daemon is about to end")

    def _check_lasting(self, config: Config) -> None:
        moved = find_state(config.daemon, self._environment, root=os.geteuid() == 0) != self._state
        # The certificate that a local authority has signed is for the name at the start.
        own = self._shared.tls is not None and self._shared.tls.authority is not None
        renamed = own and config.daemon.hostname != self._config.daemon.hostname
        hashing = config.accounts != self._config.accounts
        checks = (("daemon.state", moved), ("daemon.hostname", renamed), ("accounts", hashing))
        lasting = [path for path, changed in checks if changed]
        if lasting:
            text = "can't change while the daemon runs, wanted a restart"
            raise ConfigError([Problem(config.file, config.line(path), path, text) for path in lasting])

    def _change_log(self, after: LogObserver) -> LogObserver:
        before, self._observer.current = self._observer.current, after
        after.start()
        return before

    # Stop.

    def _terminate(self) -> None:
        if self._stopping is None:
            self.stopService().addBoth(lambda _result: self._reactor.stop())
        else:
            # Asked twice: whoever asks is in a hurry.
            self._close_sessions()

    def stopService(self) -> Deferred[None]:
        """Stop accepting, let sessions finish, close the rest, stop the workers, flush the log."""
        if self._stopping is None:
            super().stopService()
            self._stopping = Deferred.fromCoroutine(self._stop())
        waiting: Deferred[None] = Deferred()

        def stopped(result: T) -> T:
            waiting.callback(None)
            return result

        self._stopping.addBoth(stopped)
        return waiting

    async def _stop(self) -> None:
        self._notifier.stopping(self._config.daemon.shutdown)
        try:
            await self._stop_all()
        except Exception:  # noqa: BLE001 - the daemon ends all the same, and says so
            self._log.failure(STOP_FAILED)
        self._log.emit(STOPPED)
        await self._observer.current.stop()
        self._lock.release()
        self._notifier.close()

    async def _stop_all(self) -> None:
        patience = self._config.daemon.shutdown
        if self._renewal.running:
            self._renewal.stop()
        self._watch.stop()
        await self._control.stop()
        await self._services.stop_listening()
        sections = self._list_sections()
        self._log.emit(STOPPING, sessions=len(self._shared.sessions), patience=patience)
        hurry = self._reactor.callLater(patience, self._close_sessions)
        for section in sections:
            section.turn_away()
        await DeferredList([section.drain() for section in sections])
        if hurry.active():
            hurry.cancel()
        self._control.door.section.admission.stop()
        # A worker that takes longer is cancelled, which is logged.
        await self._services.stop().addTimeout(patience, self._reactor)
        await self._bans.stop()
        await self._logins.stop()
        await self._shared.files.stop()
        self._listeners_file.remove()

    def _list_sections(self) -> list[Section]:
        return [*self._services.everything(), self._control.door.section]

    def _close_sessions(self) -> None:
        for section in self._list_sections():
            section.close(Reason.SHUTDOWN)
