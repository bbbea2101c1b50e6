"""From a configuration to running services, the same way at start and at every reload.

``prepare`` makes what is new and binds it, ``start`` starts what works behind it: neither changes anything that runs,
and if one raises, nothing has happened. ``apply`` then cannot fail: it opens, swaps and retires.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import LogLevel

from netservices.config import Config, ConfigError, InetListen, Problem, UnixListen
from netservices.daemon.gate import Door
from netservices.daemon.listener import Listener
from netservices.daemon.section import Section, WorkerError
from netservices.daemon.sockets import BindError, open_sockets
from netservices.runtime import Event, Runtime
from netservices.runtime.admission import Admission, make_proxies
from netservices.runtime.metrics import SectionMetrics
from netservices.runtime.tls import make_client_demand

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from netservices.catalog import Catalogue
    from netservices.config import Listen, ServiceOptions
    from netservices.daemon.shared import Shared
    from netservices.daemon.sockets import BoundSocket
    from netservices.kind import Parts, ServiceKind
    from netservices.runtime import Address, EventLog

SECTION_FAILED = Event(
    "daemon.section.failed",
    LogLevel.critical,
    "{service} could not be set up: {log_failure.value}",
    "The kind's code raised while it was given the section's options, so that the daemon did not start, or the reload "
    "changed nothing; please report it with the traceback.",
)

Key = tuple[object, ...]
"""What makes two listen entries the same socket."""


@dataclass(frozen=True)
class Want:
    """One entry of a section's listen options."""

    key: Key
    section: Section
    option: str
    entry: Listen


@dataclass
class Change:
    """What ``apply`` will do: nothing of it is visible yet."""

    config: Config
    sections: dict[str, Section]
    fresh: list[Section]
    wants: list[Want]
    bound: dict[Key, list[BoundSocket]] = field(default_factory=dict)
    started: list[Section] = field(default_factory=list)

    def discard(self) -> None:
        """It is not to happen after all."""
        for section in self.started:
            section.stop()
        for sockets in self.bound.values():
            for socket in sockets:
                socket.close()
        self.started.clear()
        self.bound.clear()


class Services:
    """The running sections and their listeners."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._config: Config | None = None
        self.sections: dict[str, Section] = {}
        self.listeners: dict[Key, Listener] = {}
        self.retired: set[Section] = set()
        self.paused: set[str] = set()

    def prepare(self, config: Config) -> Change:
        """Make and bind what ``config`` has and we have not. Raises ``ConfigError`` or ``BindError``."""
        change = Change(config, {}, [], [])
        for name, options in config.services.items():
            if not options.enabled:
                continue
            section = self.sections.get(name)
            if section is None or not self._is_current(section, config):
                section = self._make_section(name, options, config)
                change.fresh.append(section)
            change.sections[name] = section
        change.wants.extend(want for section in change.sections.values() for want in _wants(section, config))
        try:
            for want in change.wants:
                listener = self.listeners.get(want.key)
                if listener is None:
                    change.bound[want.key] = self._open(want)
                else:
                    _check_served(want, listener.sockets)
        except BaseException:
            change.discard()
            raise
        return change

    def start(self, change: Change) -> None:
        """Start the workers of what is new. Raises ``WorkerError``; then the change is discarded."""
        try:
            for section in change.fresh:
                if section not in change.started:
                    section.start()
                    change.started.append(section)
        except WorkerError:
            change.discard()
            raise

    def apply(self, change: Change) -> None:
        """Make it so: listeners of what is new open or change hands, what is gone drains."""
        self.start(change)
        shared, fresh = self._shared, set(change.fresh)
        for section in change.fresh:
            section.admission.reconfigure(section.options, origin=partial(_origin, change.config, section.name))
        for want in change.wants:
            listener = self.listeners.get(want.key)
            if listener is None:
                door = Door(want.section, want.option, want.entry, shared.sessions, shared.clock)
                listener = self.listeners[want.key] = Listener(door, change.bound[want.key])
                listener.start(shared.reactor)
            elif want.section in fresh:
                listener.swap(want.section, want.option, want.entry)
        if shared.bans is not None:
            shared.bans.configure(section.options for section in change.sections.values())
        self.paused &= change.sections.keys()
        for want in change.wants:
            if want.section.name in self.paused:
                self.listeners[want.key].pause()
        wanted = {want.key for want in change.wants}
        for key in [key for key in self.listeners if key not in wanted]:
            self.listeners.pop(key).stop()
        gone = [section for section in self.sections.values() if section not in change.sections.values()]
        self.sections, self._config = change.sections, change.config
        for section in gone:
            self._retire(section)

    def pause(self, name: str) -> None:
        """The section takes nothing new; what is open goes on. Raises ``KeyError`` if there is none."""
        self.sections[name]
        self.paused.add(name)
        for listener in self._listeners_of(name):
            listener.pause()

    def resume(self, name: str) -> None:
        """It takes again what comes. Raises ``KeyError`` if there is none."""
        self.sections[name]
        self.paused.discard(name)
        for listener in self._listeners_of(name):
            listener.resume()

    def list_unready(self) -> list[str]:
        """The sections that take no new sessions now; all of them, while the daemon ends."""
        listening = {listener.door.section.name for listener in self.listeners.values()}
        return [name for name in self.sections if name in self.paused or name not in listening]

    def _listeners_of(self, name: str) -> list[Listener]:
        return [listener for listener in self.listeners.values() if listener.door.section.name == name]

    def stop_listening(self) -> Deferred[list[tuple[bool, None]]]:
        """Accept nothing more."""
        listeners, self.listeners = list(self.listeners.values()), {}
        return DeferredList([listener.stop() for listener in listeners])

    def stop(self) -> Deferred[list[tuple[bool, None]]]:
        """Stop the workers of every section, whose sessions have ended."""
        stopping = [section.stop() for section in self.everything()]
        for section in self.everything():
            section.admission.stop()
        return DeferredList(stopping)

    def everything(self) -> list[Section]:
        """Every section that has a session or a worker left, retired ones too."""
        return [*self.sections.values(), *self.retired]

    def _is_current(self, section: Section, config: Config) -> bool:
        old = self._config
        return (
            old is not None
            and section.options == config.services[section.name]
            and (old.daemon, old.log.level, old.log.facility) == (config.daemon, config.log.level, config.log.facility)
        )

    def _make_section(self, name: str, options: ServiceOptions, config: Config) -> Section:
        shared = self._shared
        kind = shared.catalog.find(options.kind)
        log = shared.log.bind(service=name, facility=options.facility or config.log.facility)
        if options.log_level is not None:
            log = log.at_level(options.log_level)
        hostname = config.daemon.hostname or shared.hostname
        runtime = Runtime(
            service=name,
            hostname=hostname,
            state=shared.state,
            clock=shared.clock,
            log=log,
            files=shared.files,
            datagram_addresses=self._list_datagram_addresses,
            metrics=shared.metrics,
            accounts=shared.accounts,
            portal=shared.portal,
            list_unready=self.list_unready,
            connect=shared.connect,
        )
        parts = _make_parts(kind, options, runtime, config)
        running = self.sections.get(name)
        # What a peer has used up stays used up over a reload.
        admission = running.admission if running else self._make_admission(name, options, log)
        metrics = running.metrics if running else SectionMetrics(shared.metrics, name, shared.clock.seconds)
        section = Section(name, options, parts, admission, log, make_proxies(options.proxies), metrics)
        if kind.starts_tls or any(want.entry.tls for want in _wants(section, config)):
            section.tls = shared.make_tls(config).creator(options.tls_minimum, parts.alpn, make_client_demand(options))
        return section

    def _make_admission(self, name: str, options: ServiceOptions, log: EventLog) -> Admission:
        return Admission(options, clock=self._shared.clock, log=log, bans=self._shared.bans, service=name)

    def _list_datagram_addresses(self) -> list[Address]:
        sockets = (bound for listener in self.listeners.values() for bound in listener.sockets)
        return [bound.address for bound in sockets if not bound.is_stream]

    def _open(self, want: Want) -> list[BoundSocket]:
        try:
            opened = open_sockets(want.entry, device=want.section.options.device, inherited=self._shared.inherited)
        except BindError as error:
            ours = "; it is this daemon itself, so only a restart can change that" if self._holds(want.entry) else ""
            raise BindError(f"section {want.section.name}: {error}{ours}") from error
        try:
            _check_served(want, opened)
        except BindError:
            for bound in opened:
                bound.close()
            raise
        return opened

    def _holds(self, entry: Listen) -> bool:
        """Whether a listener of ours has the port, on whichever address."""
        held = (listener.door.entry for listener in self.listeners.values())
        return isinstance(entry, InetListen) and any(
            isinstance(other, InetListen) and (other.transport, other.port) == (entry.transport, entry.port)
            for other in held
        )

    def _retire(self, section: Section) -> None:
        self.retired.add(section)

        def stopped(_result: object) -> None:
            self.retired.discard(section)
            if all(section.admission is not running.admission for running in self.sections.values()):
                section.admission.stop()

        section.drain().addCallback(lambda _none: section.stop()).addBoth(stopped)


def uses_tls(config: Config, catalog: Catalogue) -> bool:
    """Whether any listener speaks TLS from its first byte, or can begin it later."""
    if any(options.enabled and catalog.find(options.kind).starts_tls for options in config.services.values()):
        return True
    values = (value for options in config.services.values() for _, value in options if isinstance(value, tuple))
    return any(getattr(entry, "tls", False) for value in values for entry in value)


def _make_parts(kind: ServiceKind[Any], options: ServiceOptions, runtime: Runtime, config: Config) -> Parts:
    try:
        return kind.make(options, runtime)
    except ConfigError:
        raise
    except Exception as error:
        # Whatever it is, it must name its section, at start as at a reload.
        runtime.log.failure(SECTION_FAILED)
        path = f"services.{runtime.service}"
        text = f"the kind {kind.name} could not be set up: {type(error).__name__}: {error}"
        raise ConfigError([Problem(config.file, config.line(path), path, text)]) from error


def _check_served(want: Want, sockets: Iterable[BoundSocket]) -> None:
    """Whether a socket is a stream's is known of the service manager's only when it is there. Raises ``BindError``."""
    parts = want.section.parts
    for bound in sockets:
        if want.option not in (parts.streams if bound.is_stream else parts.datagrams):
            raise BindError(f"section {want.section.name}: {want.entry} is of a type that the kind does not serve")


def _origin(config: Config, section: str, key: str) -> str:
    return config.origin(f"services.{section}.{key}")


def _wants(section: Section, config: Config) -> Iterator[Want]:
    """What a section listens on. Raises ``ConfigError`` for an entry that the kind does not serve."""
    parts, options = section.parts, section.options
    for option in dict.fromkeys([*parts.streams, *parts.datagrams]):
        for number, entry in enumerate(getattr(options, option)):
            served = parts.datagrams if entry.transport == "udp" else parts.streams
            if option not in served and entry.transport != "systemd":
                path = f"services.{section.name}.{option}"
                text = f'"{entry}" is no way to reach the kind {options.kind}'
                raise ConfigError([Problem(config.file, config.line(path), path, text)])
            yield Want(_key(section.name, option, number, entry, options.device), section, option, entry)


def _key(section: str, option: str, number: int, entry: Listen, device: str | None) -> Key:
    if isinstance(entry, InetListen):
        if entry.port == 0:
            return ("free", section, option, number, entry.transport, entry.interface, device)
        return (entry.transport, entry.port, entry.interface, device)
    # Whether TLS is spoken there is not the socket's, and a file's mode can be changed.
    return (entry.transport, entry.path if isinstance(entry, UnixListen) else entry.name)


EVENTS = (SECTION_FAILED,)
