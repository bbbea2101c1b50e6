"""The door of one service."""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from netservices.config import AdmissionOptions, Bans, Limits, Rate
from netservices.runtime.addresses import Address
from netservices.runtime.admission import (
    EVENTS,
    Admission,
    BanRegistry,
    MemoryBanStore,
    Refusal,
    RefusalKind,
    Ticket,
)
from netservices.runtime.events import EventLog
from netservices.runtime.files import ImmediateFiles
from tests.doubles import RecordedEvents

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime
    from twisted.logger import ILogObserver

A = Address("192.0.2.1", 1000)
B = Address("198.51.100.2", 1000)
UNIX = Address("", 0, "/run/client")
LINES = {
    "deny": "netservices.toml:7", "allow": "netservices.toml:6", "limits.per_peer": "netservices.toml:9",
    "bans": "netservices.toml:8",
}  # fmt: skip


def make_options(
    *, deny: str = "", sessions: int = 1000, per_peer: int = 50, rate: Rate = Rate(200, 10.0),  # noqa: B008 - frozen
    total_rate: Rate | None = None, pause: float = 10.0,
) -> AdmissionOptions:  # fmt: skip
    """Options with everybody allowed but ``deny``, and with these limits."""
    limits = Limits(sessions=sessions, per_peer=per_peer, rate=rate, total_rate=total_rate, pause=pause)
    return AdmissionOptions(deny=tuple(ip_network(word) for word in deny.split()), limits=limits)


class AdmissionTests(SynchronousTestCase):
    """R9 to R12."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.events: list[dict[str, Any]] = []

    def make(self, options: AdmissionOptions) -> Admission:
        """A door whose options come from a file where ``LINES`` says so."""
        log = EventLog(cast("ILogObserver", self.events.append), service="www")
        admission = Admission(
            options, clock=self.clock, log=log, origin=lambda key: LINES.get(key, "built in")
        )  # fmt: skip
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))
        self.addCleanup(admission.stop)
        return admission

    def lines(self) -> list[tuple[str, str, int]]:
        """Event, rule and count of every line since the last look."""
        lines = [(event["event"], event["rule"], event.get("count", 0)) for event in self.events]
        self.events.clear()
        return lines

    def admit(self, admission: Admission, peer: Address = A) -> Ticket:
        """A ticket; it must be given."""
        ticket = admission.admit(peer)
        assert isinstance(ticket, Ticket), ticket
        return ticket

    def refuse(self, admission: Admission, peer: Address = A) -> Refusal:
        """A refusal; it must be one."""
        refusal = admission.admit(peer)
        assert isinstance(refusal, Refusal)
        return refusal

    def test_default_options_let_everybody_in(self) -> None:
        """R11: and each ticket gives its place back."""
        admission = self.make(AdmissionOptions())
        tickets = [self.admit(admission, peer) for peer in (A, B, UNIX, Address("2001:db8::1"))]
        assert admission.sessions == 4
        assert admission.sessions_of(A) == 1
        for ticket in tickets:
            ticket.release()
        assert admission.sessions == admission.sessions_of(A) == 0
        assert self.lines() == []

    def test_denied_peer_is_refused_for_access_and_costs_no_place(self) -> None:
        """R10, R12: it is told nothing; the log names the line."""
        admission = self.make(make_options(deny="192.0.2.0/24", sessions=1, rate=Rate(1, 10.0)))
        expected = Refusal(RefusalKind.ACCESS, "deny 192.0.2.0/24 (netservices.toml:7)", "deny")
        assert self.refuse(admission) == expected
        assert self.lines() == [("daemon.peer.refused", expected.rule, 1)]
        self.admit(admission, B)

    def test_access_comes_before_limits(self) -> None:
        """R9: who is not let in at all is not told that the service is full."""
        admission = self.make(make_options(deny="192.0.2.0/24", sessions=1))
        self.admit(admission, B)
        assert self.refuse(admission).kind is RefusalKind.ACCESS
        assert self.refuse(admission, B).kind is RefusalKind.LIMIT

    def test_peer_in_no_network_is_refused_by_allow(self) -> None:
        """R10."""
        admission = self.make(AdmissionOptions(allow=(ip_network("198.51.100.0/24"),)))
        refusal = self.refuse(admission)
        assert (refusal.kind, refusal.key) == (RefusalKind.ACCESS, "allow")
        assert refusal.rule == "no network of allow matches (netservices.toml:6)"

    def test_peer_over_a_limit_is_refused_with_the_rule_and_its_place(self) -> None:
        """R12."""
        admission = self.make(make_options(per_peer=1))
        self.admit(admission)
        refusal = self.refuse(admission)
        assert refusal.kind is RefusalKind.LIMIT
        assert refusal.rule == "limits.per_peer = 1 (netservices.toml:9)"
        assert self.lines() == [("daemon.peer.refused", refusal.rule, 1)]

    def test_rule_without_a_file_is_built_in(self) -> None:
        """R12."""
        admission = Admission(
            make_options(sessions=1), clock=self.clock, log=EventLog(cast("ILogObserver", self.events.append))
        )
        self.addCleanup(admission.stop)
        self.admit(admission)
        assert self.refuse(admission).rule == "limits.sessions = 1 (built in)"

    def test_flood_is_one_line_a_minute(self) -> None:
        """R12: the peer is its address, or its /64, whatever port it comes from."""
        admission = self.make(make_options(per_peer=1))
        for number in range(1000):
            admission.admit(Address("192.0.2.1", number))
            admission.admit(Address(f"2001:db8::{number:x}", number))
        rule = "limits.per_peer = 1 (netservices.toml:9)"
        assert self.lines() == [("daemon.peer.refused", rule, 1)] * 2
        self.clock.advance(60)
        assert self.lines() == [("daemon.peer.refused", rule, 998)] * 2

    def test_unix_peer_is_let_in_whatever_the_lists_say(self) -> None:
        """R10: but not beyond the limits of the service."""
        admission = self.make(make_options(deny="0.0.0.0/0 ::/0", sessions=1))
        self.admit(admission, UNIX)
        assert self.refuse(admission, UNIX).key == "limits.sessions"

    def test_pause_is_said_once_a_minute(self) -> None:
        """S1: with the rule; each refused peer has its own line besides."""
        admission = self.make(make_options(total_rate=Rate(1, 1.0), pause=2.0))
        for _ in range(45):
            admission.admit(A)
            self.clock.advance(0.5)
            admission.admit(A)
            self.clock.advance(1.5)
        said = [line for line in self.lines() if line[0] == "daemon.service.paused"]
        assert said == [("daemon.service.paused", "limits.total_rate = 1/1s, pause 2s (built in)", 0)] * 2

    def test_datagrams_are_held_to_access_and_rate_only(self) -> None:
        """R11."""
        admission = self.make(make_options(deny="192.0.2.0/24", sessions=1, per_peer=1, rate=Rate(2, 10.0)))
        self.admit(admission, B)
        assert [admission.admit_datagram(peer) for peer in (A, B, B, B, UNIX)] == [False, True, True, False, True]
        assert self.lines() == [
            ("daemon.peer.refused", "deny 192.0.2.0/24 (netservices.toml:7)", 1),
            ("daemon.peer.refused", "limits.rate = 2/10s (built in)", 1),
        ]
        self.clock.advance(10)
        assert admission.admit_datagram(B)

    def test_every_event_is_declared(self) -> None:
        """R35: what this package emits is in its EVENTS."""
        admission = self.make(make_options(total_rate=Rate(1, 10.0)))
        self.admit(admission)
        self.refuse(admission)
        assert {event["event"] for event in self.events} <= {event.name for event in EVENTS}


class ReconfigureTests(AdmissionTests):
    """R5: a reload keeps the counters; every case above holds for a door that had other options first."""

    def make(self, options: AdmissionOptions) -> Admission:
        admission = super().make(AdmissionOptions(allow=(), limits=Limits(sessions=1)))
        admission.reconfigure(options, origin=lambda key: LINES.get(key, "built in"))
        return admission

    def test_open_sessions_count_and_their_tickets_stay_good(self) -> None:
        """R5."""
        admission = self.make(make_options(per_peer=2))
        first, second = self.admit(admission), self.admit(admission)
        admission.reconfigure(make_options(per_peer=1))
        first.release()
        assert self.refuse(admission).rule == "limits.per_peer = 1 (built in)"
        second.release()
        self.admit(admission)

    def test_new_lists_hold_for_new_peers_only(self) -> None:
        """R5: an open session is not closed by them."""
        admission = self.make(make_options())
        self.admit(admission)
        admission.reconfigure(make_options(deny="192.0.2.1"))
        assert admission.sessions == 1
        assert self.refuse(admission).rule == "deny 192.0.2.1/32 (built in)"


class BannedTests(AdmissionTests):
    """R13: bans, beside which every case above holds as before."""

    def setUp(self) -> None:
        super().setUp()
        self.bans = BanRegistry(
            MemoryBanStore(), ImmediateFiles(), clock=cast("IReactorTime", self.clock), log=EventLog(RecordedEvents())
        )
        self.bans.start()
        self.addCleanup(self.bans.stop)

    def make(self, options: AdmissionOptions, service: str = "www") -> Admission:
        log = EventLog(cast("ILogObserver", self.events.append), service=service)
        admission = Admission(
            options, clock=self.clock, log=log, origin=lambda key: LINES.get(key, "built in"), bans=self.bans,
            service=service,
        )  # fmt: skip
        self.addCleanup(admission.stop)
        return admission

    def ban(self, network: str, seconds: float | None = None) -> None:
        """The operator's."""
        self.successResultOf(self.bans.add(ip_network(network), seconds=seconds, reason="spam"))

    def test_failures_ban_from_every_service(self) -> None:
        """R13: the log names when, why, until when and the line; the peer is just closed."""
        bans = Bans.model_validate({"failures": 2, "within": 60.0, "for": 600.0})
        www, mail = self.make(AdmissionOptions(bans=bans)), self.make(AdmissionOptions(), "mail")
        assert not www.note_failure(A)
        self.admit(mail)
        assert www.note_failure(A)
        for admission in (www, mail):
            rule = (
                "banned since 1970-01-01T00:00:00Z, until 1970-01-01T00:10:00Z: 2 failed logins within 1m (by www) "
                "(netservices.toml:8)"
            )
            assert self.refuse(admission) == Refusal(RefusalKind.ACCESS, rule, "bans")
            assert self.lines() == [("daemon.peer.refused", rule, 1)]
            self.admit(admission, B)
        self.clock.advance(600.0)
        self.admit(www)
        www.stop()
        mail.stop()

    def test_operators_ban_names_the_command(self) -> None:
        """R12: no line of the file brought it."""
        admission = self.make(AdmissionOptions())
        self.ban("192.0.2.0/24")
        rule = "banned since 1970-01-01T00:00:00Z, until it is removed: spam (by operator) (netservices ban add)"
        assert self.refuse(admission).rule == rule
        self.admit(admission, UNIX)
        self.admit(admission, B)

    def test_access_comes_before_bans_and_bans_before_limits(self) -> None:
        """R9."""
        admission = self.make(make_options(deny="192.0.2.0/24", sessions=1))
        self.admit(admission, Address("203.0.113.1"))
        self.ban("192.0.2.1")
        self.ban("198.51.100.2")
        assert (self.refuse(admission).key, self.refuse(admission, B).key) == ("deny", "bans")

    def test_ban_takes_no_place_and_holds_for_datagrams(self) -> None:
        """R11."""
        admission = self.make(AdmissionOptions())
        self.ban("192.0.2.1")
        self.refuse(admission)
        assert (admission.sessions, admission.sessions_of(A)) == (0, 0)
        assert not admission.admit_datagram(A)
        assert admission.admit_datagram(B)

    def test_loopback_is_exempt_where_the_service_says_so(self) -> None:
        """R13."""
        exempt = self.make(AdmissionOptions())
        strict = self.make(AdmissionOptions(bans=Bans(loopback=True)), "strict")
        self.ban("127.0.0.0/8")
        peer = Address("127.0.0.1", 1)
        self.admit(exempt, peer)
        assert self.refuse(strict, peer).key == "bans"
        exempt.reconfigure(AdmissionOptions(bans=Bans(loopback=True)))
        assert self.refuse(exempt, peer).key == "bans"

    def test_without_a_registry_nobody_is_banned(self) -> None:
        """The control socket's door."""
        admission = super().make(AdmissionOptions())
        assert not any(admission.note_failure(A) for _ in range(100))
        self.admit(admission)
