"""The daemon: a Twisted service that starts, reloads and stops everything else."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, NoReturn, TypeVar
from xmlrpc.client import Fault

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, DeferredLock
from twisted.internet.task import LoopingCall
from twisted.logger import ILogObserver, LogLevel
from zope.interface import implementer

from netservices import __version__
from netservices.config import ConfigError, Problem
from netservices.daemon.assemble import Services, uses_tls
from netservices.daemon.control import make_control
from netservices.daemon.lock import LockedError, StateLock
from netservices.daemon.shared import Shared
from netservices.daemon.sockets import BindError
from netservices.daemon.state import ListenersFile, StateError, find_state, make_state
from netservices.rpc import Dispatcher, FaultCode
from netservices.runtime import Event, EventLog, Reason
from netservices.runtime.files import FilePool
from netservices.runtime.logs import make_log_observer
from netservices.runtime.tls import CertificateError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from twisted.logger import LogEvent
    from twisted.python.components import Componentized
    from twisted.python.failure import Failure

    from netservices.config import Config, LogOptions
    from netservices.daemon.assemble import Change
    from netservices.daemon.source import Loaded, Source
    from netservices.runtime.logs import LogObserver
    from netservices.runtime.reactor import Reactor

T = TypeVar("T")

_RENEWAL_PERIOD = 86_400.0

STARTED = Event(
    "daemon.process.started",
    LogLevel.info,
    "netservices {version} runs with {source}, state in {state}",
    "Every listener is bound and answers.",
)
START_FAILED = Event(
    "daemon.process.refused",
    LogLevel.critical,
    "netservices did not start: {reason}",
    "Nothing runs and nothing is bound; the exit status is 1. Mend what the reason names and start again.",
)
STOPPING = Event(
    "daemon.process.stopping",
    LogLevel.info,
    "stopping: {sessions} sessions may go on for {patience} s",
    "A signal asked the daemon to end. Nothing new is accepted.",
)
STOPPED = Event("daemon.process.stopped", LogLevel.info, "stopped", "The daemon ended in order.")
AUTHORITY_FOUND = Event(
    "daemon.authority.used",
    LogLevel.info,
    "no certificate is configured, so a local authority signs one; clients check it with {path}",
    "Give this file to the programs that connect with TLS (`curl --cacert`, `openssl -CAfile`, a browser's settings), "
    "or set `[tls] certificate`.",
)
RENEWAL_FAILED = Event(
    "daemon.certificate.failed",
    LogLevel.error,
    "the certificates could not be read or renewed: {reason}",
    "The certificates in use stay in use. They are looked at again tomorrow, and at every reload.",
)
DOUBTED = Event(
    "daemon.configuration.doubted",
    LogLevel.warn,
    "{problem}",
    "It runs, but something in it is probably not meant, or not safe. `netservices check` says the same.",
)
RELOADED = Event(
    "daemon.configuration.reloaded",
    LogLevel.info,
    "{source} was read again: {started} sections are new or changed, {kept} go on as they were",
    "A reload succeeded; certificates were read again too.",
)
RELOAD_REFUSED = Event(
    "daemon.configuration.refused",
    LogLevel.error,
    "{source} was not taken over: {problem}",
    "A reload found a mistake: everything goes on as before. There is one such line for every mistake.",
)


@implementer(ILogObserver)
class LogSwitch:
    """The one observer that Twisted knows; a reload puts another behind it."""

    def __init__(self, current: LogObserver) -> None:
        self.current = current

    def __call__(self, event: LogEvent) -> None:
        """Hand an event to the observer of the day.

        What Twisted tells about its own ports and factories is for developers: ours say the same with names.
        """
        if event.get("log_level") is LogLevel.info and "event" not in event and "printed" not in event:
            event = {**event, "log_level": LogLevel.debug}
        self.current(event)


class StartError(Exception):
    """The daemon can't start; the text says why."""


class Daemon(Service):
    """Everything, from a loaded configuration on.

    ``environment`` is the process's; ``inherited`` are the service manager's sockets by name; ``interactive`` says that
    the process stays in the foreground (``twistd -n``).
    """

    name = "netservices"

    def __init__(
        self, source: Source, loaded: Loaded, *, reactor: Reactor, environment: Mapping[str, str],
        inherited: Mapping[str, Sequence[int]], interactive: bool,
    ) -> None:  # fmt: skip
        self._source = source
        self._config = config = loaded.config
        self._warnings = loaded.warnings
        self._reactor = reactor
        self._environment = environment
        self._interactive = interactive
        self._state = find_state(config.daemon, environment, root=os.geteuid() == 0)
        self._lock = StateLock(self._state)
        self._listeners_file = ListenersFile(self._state)
        self._observer = LogSwitch(self._make_observer(config.log))
        self._log = EventLog()
        self._shared = Shared(
            reactor=reactor,
            hostname=os.uname().nodename,
            state=self._state,
            log=self._log,
            files=FilePool(reactor=reactor),
            catalog=source.catalog,
            inherited=inherited,
        )
        self._services = Services(self._shared)
        self._change: Change | None = None
        self._stopping: Deferred[None] | None = None
        self._reloading = DeferredLock()
        self._renewal = LoopingCall(lambda: Deferred.fromCoroutine(self._renew()))

    # Start.

    def setServiceParent(self, parent: Componentized) -> None:
        # The parent is the application itself; logging has not begun, and takes this observer when it does.
        parent.setComponent(ILogObserver, self._observer)
        super().setServiceParent(parent)

    def privilegedStartService(self) -> None:
        """Bind everything, or end the process with status 1 and the reason."""
        try:
            make_state(self._state)
            self._lock.acquire()
            self._listeners_file.remove()
            self._observer.current.start()
            self._change = self._services.prepare(self._config)
            self._control = make_control(self._make_dispatcher(), self._shared)
        except (StateError, LockedError, BindError, ConfigError, CertificateError) as error:
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
        self._services.apply(self._change)
        self._control.start(self._reactor)
        self._listeners_file.write(self._services.listeners.values())
        # A handler set any earlier is replaced when the reactor starts.
        self._reactor.callWhenRunning(self._handle_signals)
        self._look_after_certificates()
        self._warn(self._warnings)
        self._log.emit(STARTED, version=__version__, source=self._source.name, state=str(self._state))

    def _make_dispatcher(self) -> Dispatcher:
        dispatcher = Dispatcher()
        dispatcher.add("netservices.reload", self._reload_for_control)
        return dispatcher

    def _warn(self, warnings: Sequence[Problem]) -> None:
        for problem in warnings:
            self._log.emit(DOUBTED, problem=str(problem))

    def _refuse(self, reason: str) -> NoReturn:
        self._log.emit(START_FAILED, reason=reason)
        self._observer.current.finish()
        # The reactor will never run: give the log the turns it needs to write what it has, for two seconds at most.
        written = self._observer.current.stop()
        while not written.called:
            self._reactor.iterate(0.05)
        if self._interactive:
            # twistd has put the log in sys.stderr's place.
            if sys.__stderr__ is not None and "stderr" not in (self._config.log.to or ("stderr",)):
                sys.__stderr__.write(f"netservices: {reason}\n")
            raise SystemExit(1)
        # Without a terminal, twistd hands an exception's text to the process that waits in front of it.
        raise StartError(reason)

    def _make_observer(self, options: LogOptions) -> LogObserver:
        return make_log_observer(
            options,
            hostname=self._config.daemon.hostname or os.uname().nodename,
            state=self._state,
            interactive=self._interactive,
            reactor=self._reactor,
            environment=self._environment,
        )

    def _look_after_certificates(self) -> None:
        """Tell how ours is checked, and renew it in time, also in a process that runs for years."""
        tls = self._shared.tls
        if tls is not None and tls.authority is not None:
            self._log.emit(AUTHORITY_FOUND, path=str(tls.authority))
        self._renewal.clock = self._reactor
        self._renewal.start(_RENEWAL_PERIOD, now=False)

    async def _renew(self) -> None:
        tls = self._shared.tls
        if tls is not None:
            try:
                tls.use(await self._shared.files.run(tls.load))
            except (CertificateError, OSError) as error:
                self._log.emit(RENEWAL_FAILED, reason=str(error))

    def _handle_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._reactor.callFromThread(self._terminate))
        signal.signal(signal.SIGHUP, lambda *_: self._reactor.callFromThread(self._hang_up))

    # Reload.

    def _hang_up(self) -> None:
        self._observer.current.reopen()
        for section in self._services.everything():
            section.reopen()
        self.reload().addErrback(lambda _refused: None)

    def reload(self) -> Deferred[None]:
        """Read the configuration again and take it over whole, or not at all; one reload at a time.

        Fails with ``ConfigError``, ``BindError`` or ``CertificateError``, whose text has been logged.
        """
        return self._reloading.run(lambda: Deferred.fromCoroutine(self._reload()))

    def _reload_for_control(self) -> Deferred[str]:
        """What the command prints; a refusal is a fault with the mistakes, a line each."""

        def say(failure: Failure) -> NoReturn:
            wrong = failure.trap(ConfigError, BindError, CertificateError)
            code = FaultCode.BAD_CONFIGURATION if wrong is ConfigError else FaultCode.FAILED
            raise Fault(code, str(failure.value)) from None

        return self.reload().addCallbacks(lambda _none: f"{self._source.name} was read again", say)

    async def _reload(self) -> None:
        try:
            loaded = await self._shared.files.run(self._source.load)
            config = loaded.config
            self._check_lasting(config)
            if uses_tls(config):
                # Made here, if this is the first listener that needs it, since it takes the disk a while.
                await self._shared.files.run(self._shared.make_tls, config)
            tls = self._shared.tls
            material = await self._shared.files.run(tls.load, config.tls) if tls else None
            change = self._services.prepare(config)
        except (ConfigError, BindError, CertificateError) as error:
            for line in str(error).splitlines():
                self._log.emit(RELOAD_REFUSED, source=self._source.name, problem=line)
            raise
        if config.log != self._config.log:
            await self._change_log(config.log)
        self._config = config
        if tls is not None and material is not None:
            tls.use(material, config.tls)
        self._services.apply(change)
        self._listeners_file.write(self._services.listeners.values())
        fresh = len(change.fresh)
        self._warn(loaded.warnings)
        self._log.emit(RELOADED, source=self._source.name, started=fresh, kept=len(change.sections) - fresh)

    def _check_lasting(self, config: Config) -> None:
        if find_state(config.daemon, self._environment, root=os.geteuid() == 0) != self._state:
            path = "daemon.state"
            text = "can't change while the daemon runs; wanted a restart"
            raise ConfigError([Problem(config.file, config.line(path), path, text)])

    async def _change_log(self, options: LogOptions) -> None:
        before, after = self._observer.current, self._make_observer(options)
        after.start()
        self._observer.current = after
        await before.stop()

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
        patience = self._config.daemon.shutdown
        if self._renewal.running:
            self._renewal.stop()
        await self._control.stop()
        await self._services.stop_listening()
        sections = self._services.everything()
        self._log.emit(STOPPING, sessions=len(self._shared.sessions), patience=patience)
        hurry = self._reactor.callLater(patience, self._close_sessions)
        await DeferredList([section.drain() for section in sections])
        if hurry.active():
            hurry.cancel()
        await self._services.stop()
        await self._shared.files.stop()
        self._listeners_file.remove()
        self._log.emit(STOPPED)
        await self._observer.current.stop()
        self._lock.release()

    def _close_sessions(self) -> None:
        for section in self._services.everything():
            section.close(Reason.SHUTDOWN)


EVENTS = (STARTED, START_FAILED, STOPPING, STOPPED, AUTHORITY_FOUND, RENEWAL_FAILED, DOUBTED, RELOADED, RELOAD_REFUSED)
