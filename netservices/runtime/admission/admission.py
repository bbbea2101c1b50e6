"""The door of one service: access, bans, then limits, for a connection or a datagram whose true peer is known.

The listener asks before it makes a session, so that a refused peer costs neither a TLS handshake nor a protocol. What
it does with a ``Refusal``: ``ACCESS``, which a ban is too, is just closed; ``LIMIT`` is sent the protocol's own refusal
first, where the listener is plain and the protocol has one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.logger import LogLevel

from netservices.runtime.admission.access import AccessList
from netservices.runtime.admission.limits import SessionLimits, Ticket, make_peer_key
from netservices.runtime.admission.refusals import MINUTE, Refusal, RefusalKind, RefusalLog
from netservices.runtime.events import Event

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IReactorTime

    from netservices.config import AdmissionOptions
    from netservices.runtime.addresses import Address
    from netservices.runtime.admission.bans import BanRegistry
    from netservices.runtime.admission.banstore import Ban
    from netservices.runtime.events import EventLog

SERVICE_PAUSED = Event(
    "daemon.service.paused",
    LogLevel.warn,
    "{service} takes no new sessions for a while: {rule}",
    "More new sessions came than `limits.total_rate` allows, so everybody is refused for the length of `limits.pause`; "
    "then the service is back by itself. At most one line a minute. If this is ordinary traffic, raise the rate.",
)


def say_built_in(_key: str) -> str:
    """The origin of every option where no file is known."""
    return "built in"


class Admission:
    """Decides who comes in to one service, and says in the log who did not, and why.

    ``log`` has the service bound to it. ``origin`` tells where an option (``limits.per_peer``) is set, such as
    ``netservices.toml:31``; the log line repeats it. ``bans`` is the daemon's registry, None where nobody is ever
    banned; ``service`` is whose failures are counted there. Whoever made it calls ``stop`` when the service ends.
    """

    def __init__(
        self, options: AdmissionOptions, *, clock: IReactorTime, log: EventLog,
        origin: Callable[[str], str] = say_built_in, bans: BanRegistry | None = None, service: str = "",
    ) -> None:  # fmt: skip
        self._clock = clock
        self._log = log
        self._registry = bans
        self._service = service
        self._refusals = RefusalLog(clock, log)
        self._pause_written: float | None = None
        self._limits = SessionLimits(options.limits, clock.seconds, origin=origin, on_pause=self._on_pause)
        self._set_lists(options, origin)

    @property
    def sessions(self) -> int:
        """How many are open."""
        return self._limits.sessions

    def sessions_of(self, peer: Address) -> int:
        """How many of them are counted as ``peer``'s."""
        return self._limits.sessions_of(peer)

    def reconfigure(self, options: AdmissionOptions, *, origin: Callable[[str], str] = say_built_in) -> None:
        """Other options from here on. Open sessions keep their places, whatever the new lists and limits say."""
        self._limits.reconfigure(options.limits, origin=origin)
        self._set_lists(options, origin)

    def admit(self, peer: Address) -> Ticket | Refusal:
        """A place for a session of ``peer``, to be released when the connection is gone; or why there is none."""
        outcome = self._turn_away(peer) or self._limits.admit(peer)
        if isinstance(outcome, Refusal):
            self._refusals.note(make_peer_key(peer.host), peer, outcome.rule)
        return outcome

    def admit_datagram(self, peer: Address) -> bool:
        """Whether one datagram of ``peer`` is taken: ``allow``, ``deny``, bans and ``rate``."""
        refusal = self._turn_away(peer) or self._limits.admit_datagram(peer)
        if refusal is None:
            return True
        self._refusals.note(make_peer_key(peer.host), peer, refusal.rule)
        return False

    def stop(self) -> None:
        """Write what was refused and only counted so far; no timer is left. Tickets can still be released."""
        self._refusals.stop()

    def note_failure(self, peer: Address) -> bool:
        """``peer`` gave wrong credentials; whether it is banned now, so that its session had better end."""
        registry = self._registry
        return registry is not None and registry.note_failure(peer, self._service, self._bans) is not None

    def _set_lists(self, options: AdmissionOptions, origin: Callable[[str], str]) -> None:
        self._access = AccessList(options.allow, options.deny)
        self._bans = options.bans
        self._origins = {key: origin(key) for key in ("allow", "deny", "bans")}

    def _turn_away(self, peer: Address) -> Refusal | None:
        """Why ``peer`` does not come in whatever room there is; None if it may."""
        ip = peer.ip
        decision = self._access.decide(ip)
        if not decision.allowed:
            return Refusal(RefusalKind.ACCESS, f"{decision.rule} ({self._origins[decision.key]})", decision.key)
        registry = self._registry
        if registry is None or not registry.active or ip is None:
            return None
        ban = registry.find(ip, loopback=self._bans.loopback)
        return None if ban is None else self._refuse_banned(ban)

    def _refuse_banned(self, ban: Ban) -> Refusal:
        origin = "netservices ban add" if ban.manual else self._origins["bans"]
        return Refusal(RefusalKind.ACCESS, f"{ban.rule} ({origin})", "bans")

    def _on_pause(self, refusal: Refusal) -> None:
        now = self._clock.seconds()
        if self._pause_written is None or not 0 <= now - self._pause_written < MINUTE:
            self._pause_written = now
            self._log.emit(SERVICE_PAUSED, rule=refusal.rule)


EVENTS = (SERVICE_PAUSED,)
