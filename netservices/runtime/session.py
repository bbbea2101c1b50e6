"""One accepted connection, from admission to its ``closed`` event."""

from __future__ import annotations

import itertools
import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from twisted.logger import LogLevel
from twisted.python.failure import Failure

from netservices.runtime.deadlines import Deadlines
from netservices.runtime.events import Event
from netservices.runtime.transport import BackPressure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from twisted.internet.interfaces import IProtocol, IReactorTime

    from netservices.config import Timeouts
    from netservices.runtime.addresses import Address
    from netservices.runtime.events import EventLog
    from netservices.runtime.tls.identity import ClientCertificate
    from netservices.runtime.tls.upgrade import SessionUpgrade
    from netservices.runtime.transport import StreamTransport

SESSION_CLOSED = Event(
    "daemon.session.closed",
    LogLevel.info,
    "{service} session {session} from {peer} closed: {reason} after {duration:.3f}s, {bytes_in} bytes in, "
    "{bytes_out} bytes out",
    "A session ended; every session has exactly one such line. `reason` says why, `tls` the TLS version if there was "
    "one, `account` who was logged in.",
)
SESSION_FAILED = Event(
    "daemon.session.failed",
    LogLevel.critical,
    "{service} session {session} from {peer} met a bug and was closed: {log_failure.value}",
    "The service's code raised what it should have handled. The session was closed and the daemon goes on; please "
    "report it with the traceback.",
)


class Reason(StrEnum):
    """Why a session ended; what an operator reads in its ``closed`` event."""

    PEER = "closed by the peer"
    SERVICE = "done"
    LOST = "connection lost"
    HANDSHAKE = "handshake timeout"
    LOGIN = "login timeout"
    IDLE = "idle timeout"
    SESSION = "session timeout"
    WRITE = "the peer stopped reading"
    SHUTDOWN = "shutdown"
    TLS = "TLS failed"
    PROXY = "bad PROXY header"
    BUG = "bug"


_EXPIRED = {
    "handshake": Reason.HANDSHAKE,
    "login": Reason.LOGIN,
    "idle": Reason.IDLE,
    "session": Reason.SESSION,
    "write": Reason.WRITE,
}


@dataclass(frozen=True, slots=True)
class TlsState:
    """What the handshake agreed on."""

    version: str
    """As OpenSSL names it: ``TLSv1.3``."""
    cipher: str
    resumed: bool = False
    server_name: str | None = None
    protocol: bytes | None = None
    """What ALPN chose, if anything."""
    client: ClientCertificate | None = None
    """Who the client is, where the listener asks for certificates and it had one that was verified."""


class Session:
    """One accepted connection of one service.

    A service reads its attributes, calls ``close`` or ``abort``, and may set the two hooks; everything else is the
    listener's. The counts are of what the service read and wrote, before encryption.
    """

    def __init__(
        self, session_id: str, service: str, *, peer: Address, local: Address, clock: IReactorTime, timeouts: Timeouts,
        log: EventLog,
    ) -> None:  # fmt: skip
        self.id = session_id
        self.service = service
        self.peer = peer
        """The true one, behind a PROXY header too."""
        self.local = local
        self.log = log.bind(service=service, session=session_id, peer=str(peer))
        self.tls: TlsState | None = None
        """None on a plain connection, and until the handshake is done."""
        self.account: str | None = None
        self.bytes_in = 0
        self.bytes_out = 0
        self.opened = clock.seconds()
        self.transport: StreamTransport | None = None
        self.on_expired: Callable[[str], object] | None = None
        """Called with the key under ``timeouts`` that ran out, before the session closes: the place for a farewell.
        Not for ``handshake`` and ``write``, at which the session is aborted."""
        self.on_drain: Callable[[], object] | None = None
        """Called when the service goes away: finish what is under way, then close. Left None, the session may go on
        until the time for shutting down is over."""
        self.upgrade: SessionUpgrade | None = None
        """What ``start_tls`` does, where the listener has TLS to offer and the session is plain."""
        self.deadlines = Deadlines(clock, timeouts, self._on_deadline)
        self.note_failure: Callable[[Address], bool] | None = None
        """How admission is told of a failed login; set by the gate."""
        self._clock = clock
        self._reason: str | None = None
        self._pressure: BackPressure | None = None
        self._ended = False

    @property
    def age(self) -> float:
        """Seconds since it was opened."""
        return self._clock.seconds() - self.opened

    @property
    def closing(self) -> bool:
        """Whether ``close`` or ``abort`` was called, or the connection is gone."""
        return self._ended or self._reason is not None

    def couple(self) -> None:
        """Read no more from the peer than it takes of our answers, until ``close``.

        For services whose every answer is caused by what they read. What is queued for a peer that never reads is then
        bounded by the transport's own buffer and one read. Takes the transport's one place for a producer.
        """
        if self.transport is not None:
            self._pressure = BackPressure(self.transport)
            self._pressure.begin()

    def uncouple(self) -> None:
        """Read what comes; the transport has a place for a producer again."""
        pressure, self._pressure = self._pressure, None
        if pressure is not None and self.transport is not None:
            pressure.end()

    def failed_login(self) -> bool:
        """A login of the peer failed; True: it is banned by now, so refuse it and close."""
        return self.note_failure is not None and self.note_failure(self.peer)

    @property
    def can_start_tls(self) -> bool:
        """Whether to offer STARTTLS, STLS or AUTH TLS."""
        return self.upgrade is not None

    def start_tls(
        self,
        make_protocol: Callable[[Session], IProtocol],
        *,
        go_ahead: bytes,
        refusal: bytes,
        require_empty: Callable[[], None],
    ) -> bool:
        """Answer the command that asks for TLS, and begin it; False: the session was refused and closes.

        ``require_empty`` raises ``NotEmptyError`` if octets came with the command: the peer, or somebody between,
        has sent in plain text what is meant to be taken for encrypted. It is then sent ``refusal`` and closed, without
        a handshake. Otherwise it is sent ``go_ahead``, and the present protocol is told ``connectionLost`` with
        ``TlsStarted``: nothing it knows may live on (RFC 3207 4.2), and nothing it still writes is sent. The account,
        the hooks and the coupling are undone. ``make_protocol`` is called when both sides have agreed and ``tls`` is
        set; what it makes must not greet. Only for a session that ``can_start_tls``; raises ``RuntimeError``.
        """
        if self.upgrade is None:
            raise RuntimeError("this session can't start TLS; offer it only where can_start_tls says so")
        return self.upgrade.start(make_protocol, go_ahead=go_ahead, refusal=refusal, require_empty=require_empty)

    def forget(self) -> None:
        """What the service has set is undone: the session begins anew, with its peer and its counts."""
        self.uncouple()
        self.account = None
        self.on_expired = self.on_drain = None

    def close(self, reason: str = Reason.SERVICE) -> None:
        """Send what was written, then close. The first reason given is the one that is logged."""
        self._reason = self._reason or reason
        if self.transport is not None and not self._ended:
            self.uncouple()
            self.deadlines.closing()
            self.transport.loseConnection()

    def abort(self, reason: str) -> None:
        """Close now; what was not sent is lost."""
        self._reason = self._reason or reason
        if self.transport is not None and not self._ended:
            self.transport.abortConnection()

    def drain(self) -> None:
        """The service goes away."""
        if self.on_drain is not None:
            self._guard(self.on_drain)

    def failed(self, failure: Failure) -> None:
        """The service's code raised: log it, and end this session only."""
        self.log.failure(SESSION_FAILED, failure)
        self.abort(Reason.BUG)

    def end(self, reason: str) -> None:
        """The connection is gone, for ``reason`` unless one was given before. Emits the one ``closed`` event."""
        if self._ended:
            return
        self._ended = True
        self.deadlines.cancel()
        self.transport = self.upgrade = None
        self.on_expired = self.on_drain = None
        self.log.emit(
            SESSION_CLOSED,
            reason=str(self._reason or reason),
            account=self.account,
            tls=self.tls.version if self.tls else None,
            duration=self._clock.seconds() - self.opened,
            bytes_in=self.bytes_in,
            bytes_out=self.bytes_out,
        )

    def _on_deadline(self, name: str) -> None:
        if name in {"write", "handshake"}:
            # A peer that takes nothing, or with which no keys were agreed on, can't be told anything.
            self.abort(_EXPIRED[name])
            return
        if self.on_expired is not None:
            self._guard(self.on_expired, name)
        self.close(_EXPIRED[name])

    def _guard(self, hook: Callable[..., object], *arguments: object) -> None:
        try:
            hook(*arguments)
        except Exception:  # noqa: BLE001 - whatever a service raises ends its session only
            self.failed(Failure())


class Sessions:
    """Every open session of the daemon, by id; ids are unique over restarts without any state kept."""

    def __init__(self) -> None:
        self._ids = (f"{prefix}-{count:x}" for prefix in [secrets.token_hex(4)] for count in itertools.count(1))
        self._open: dict[str, Session] = {}

    def next_id(self) -> str:
        """A new session's id: a random start of this process, then a count."""
        return next(self._ids)

    def add(self, session: Session) -> None:
        """It was admitted."""
        self._open[session.id] = session

    def remove(self, session: Session) -> None:
        """It has ended."""
        self._open.pop(session.id, None)

    def find(self, session_id: str) -> Session:
        """Raises ``KeyError``."""
        return self._open[session_id]

    def __len__(self) -> int:
        """How many are open."""
        return len(self._open)

    def __iter__(self) -> Iterator[Session]:
        """In the order they were opened; a copy, so that closing them while looking is safe."""
        return iter(list(self._open.values()))


EVENTS = (SESSION_CLOSED, SESSION_FAILED)
