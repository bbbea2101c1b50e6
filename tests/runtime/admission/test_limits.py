"""Counters: exact at the boundary, and nothing leaks."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from netservices.config import Limits, Rate
from netservices.runtime.addresses import Address
from netservices.runtime.admission.limits import SessionLimits, Ticket, make_peer_key
from netservices.runtime.admission.refusals import Refusal, RefusalKind

A = Address("192.0.2.1", 1000)
B = Address("192.0.2.2", 1000)
UNIX = Address("", 0, "/run/client")
PEERS = (
    A, B, UNIX, Address("192.0.2.1", 2000), Address("2001:db8::1", 1), Address("2001:db8::ffff", 2),
    Address("2001:db8:0:1::1", 3),
)  # fmt: skip
PLENTY = Rate(10_000, 1.0)


def make_limits(limits: Limits, clock: Clock | None = None, pauses: list[Refusal] | None = None) -> SessionLimits:
    """Counters at a clock that stands still unless it is given."""
    seconds = (clock or Clock()).seconds
    noted = [] if pauses is None else pauses
    return SessionLimits(limits, seconds, origin=lambda key: f"here: {key}", on_pause=noted.append)


def admit(limits: SessionLimits, peer: Address = A) -> Ticket:
    """A ticket; it must be given."""
    ticket = limits.admit(peer)
    assert isinstance(ticket, Ticket), ticket
    return ticket


def refuse(limits: SessionLimits, peer: Address = A) -> str:
    """The key that refuses; it must."""
    refusal = limits.admit(peer)
    assert isinstance(refusal, Refusal)
    assert refusal.kind is RefusalKind.LIMIT
    return refusal.key


class PeerKeyTests(SynchronousTestCase):
    """R10: who is counted together."""

    def test_ipv4_by_address_ipv6_by_its_64(self) -> None:
        """R10."""
        assert make_peer_key("192.0.2.1") == "192.0.2.1"
        assert make_peer_key("::ffff:192.0.2.1") == "192.0.2.1"
        assert make_peer_key("2001:db8:0:1:ffff::1") == make_peer_key("2001:db8:0:1::2") == "2001:db8:0:1::/64"
        assert make_peer_key("2001:db8:0:2::1") != make_peer_key("2001:db8:0:1::1")
        assert not make_peer_key("")


class SessionLimitsTests(SynchronousTestCase):
    """R11: each limit exactly at its boundary."""

    def test_sessions_are_let_in_up_to_the_last_place(self) -> None:
        """R11."""
        limits = make_limits(Limits(sessions=3, per_peer=9, rate=PLENTY))
        tickets = [admit(limits, peer) for peer in (A, B, UNIX)]
        assert refuse(limits) == refuse(limits, UNIX) == "limits.sessions"
        tickets[1].release()
        admit(limits, UNIX)
        assert refuse(limits) == "limits.sessions"
        assert limits.sessions == 3

    def test_per_peer_counts_one_peer_whatever_its_port(self) -> None:
        """R10, R11."""
        limits = make_limits(Limits(per_peer=2, rate=PLENTY))
        first = admit(limits)
        admit(limits, Address("192.0.2.1", 4711))
        assert refuse(limits) == "limits.per_peer"
        admit(limits, B)
        first.release()
        admit(limits)
        assert refuse(limits) == "limits.per_peer"
        assert limits.sessions_of(A) == 2

    def test_ipv6_is_counted_by_64(self) -> None:
        """R10."""
        limits = make_limits(Limits(per_peer=1, rate=Rate(1, 10.0)))
        admit(limits, Address("2001:db8::1"))
        assert refuse(limits, Address("2001:db8::2")) == "limits.per_peer"
        admit(limits, Address("2001:db8:0:1::2"))

    def test_unix_peers_are_not_counted_by_peer(self) -> None:
        """R11: they have no address; the common limits hold for them."""
        limits = make_limits(Limits(sessions=5, per_peer=1, rate=Rate(1, 10.0)))
        for _ in range(5):
            admit(limits, UNIX)
        assert refuse(limits, UNIX) == "limits.sessions"
        assert limits.sessions_of(UNIX) == 0

    def test_rate_comes_free_exactly_when_the_window_has_passed(self) -> None:
        """R11."""
        clock = Clock()
        limits = make_limits(Limits(rate=Rate(2, 10.0)), clock)
        admit(limits).release()
        clock.advance(1)
        admit(limits).release()
        clock.advance(8.75)
        assert refuse(limits) == "limits.rate"
        clock.advance(0.25)
        admit(limits)
        assert refuse(limits) == "limits.rate"
        admit(limits, B)

    def test_refused_connections_count_for_nothing(self) -> None:
        """R11: a peer that hammers is let in again as soon as one that waited would be."""
        clock = Clock()
        limits = make_limits(Limits(per_peer=1, rate=Rate(2, 10.0), total_rate=Rate(3, 10.0)), clock)
        ticket = admit(limits)
        for _ in range(20):
            assert refuse(limits) == "limits.per_peer"
        ticket.release()
        admit(limits).release()
        for _ in range(20):
            assert refuse(limits) == "limits.rate"
        assert limits.sessions == 0
        admit(limits, B)
        clock.advance(10)
        admit(limits)

    def test_release_again_does_nothing(self) -> None:
        """R11: every way a connection can end may say so."""
        limits = make_limits(Limits(sessions=2, per_peer=2))
        first, second = admit(limits), admit(limits)
        first.release()
        first.release()
        assert limits.sessions == limits.sessions_of(A) == 1
        second.release()
        assert limits.sessions == limits.sessions_of(A) == 0
        assert not limits._open_by_peer

    def test_rule_says_the_value_and_where_it_is_set(self) -> None:
        """R12."""
        limits = make_limits(Limits(per_peer=1, rate=Rate(30, 10.0)))
        admit(limits)
        refusal = limits.admit(A)
        assert refusal == Refusal(
            RefusalKind.LIMIT, "limits.per_peer = 1 (here: limits.per_peer)", "limits.per_peer"
        )  # fmt: skip

    def test_clock_set_back_refuses_nobody_longer(self) -> None:
        """R11: neither a rate nor a pause outlives its own length by more than the step took."""
        clock = Clock()
        clock.advance(100_000)
        limits = make_limits(Limits(rate=Rate(1, 10.0), total_rate=Rate(1, 1.0), pause=5.0), clock)
        admit(limits)
        assert refuse(limits, B) == "limits.total_rate"
        clock.rightNow -= 86_400
        assert refuse(limits, B) == "limits.total_rate"
        clock.advance(5)
        admit(limits, B)
        clock.advance(5)
        admit(limits)


class TotalRateTests(SynchronousTestCase):
    """R11, S1: over the common rate everybody waits; then the service is back by itself."""

    def test_pause_refuses_everybody_and_ends_by_itself(self) -> None:
        """S1: exactly ``pause`` seconds, however many knock meanwhile."""
        clock, pauses = Clock(), list[Refusal]()
        limits = make_limits(Limits(total_rate=Rate(2, 1.0), pause=10.0), clock, pauses)
        admit(limits, A)
        admit(limits, UNIX)
        assert not pauses
        for _ in range(39):
            for peer in (A, B, UNIX):
                assert refuse(limits, peer) == "limits.total_rate"
            clock.advance(0.25)
        clock.advance(0.125)
        assert refuse(limits, B) == "limits.total_rate"
        clock.advance(0.125)
        admit(limits, B)
        assert [refusal.rule for refusal in pauses] == [
            "limits.total_rate = 2/1s, pause 10s (here: limits.total_rate)"
        ]  # fmt: skip

    def test_pause_shorter_than_the_window_begins_again(self) -> None:
        """R11: in no window more than the rate says, whatever the pause."""
        clock, pauses = Clock(), list[Refusal]()
        limits = make_limits(Limits(total_rate=Rate(1, 60.0), pause=1.0), clock, pauses)
        admit(limits)
        for _ in range(60):
            refuse(limits, B)
            clock.advance(1)
        admit(limits, B)
        assert len(pauses) == 60

    def test_peer_over_its_own_limits_does_not_pause_the_service(self) -> None:
        """R11: one peer cannot shut the door for the others."""
        pauses = list[Refusal]()
        limits = make_limits(Limits(sessions=9, rate=Rate(2, 10.0), total_rate=Rate(3, 10.0)), None, pauses)
        admit(limits)
        admit(limits)
        for _ in range(100):
            assert refuse(limits) == "limits.rate"
        admit(limits, B)
        assert not pauses

    def test_unset_holds_nobody_up(self) -> None:
        """S1: the default."""
        limits = make_limits(Limits(sessions=500))
        for _ in range(500):
            admit(limits, UNIX)


class DatagramTests(SynchronousTestCase):
    """R11: for datagrams ``rate`` counts datagrams."""

    def test_rate_holds_for_each_peer(self) -> None:
        """R11."""
        clock = Clock()
        limits = make_limits(Limits(sessions=1, per_peer=1, rate=Rate(3, 10.0)), clock)
        for _ in range(3):
            assert limits.admit_datagram(A) is None
        refusal = limits.admit_datagram(A)
        assert refusal is not None
        assert refusal.key == "limits.rate"
        assert limits.admit_datagram(B) is None
        clock.advance(10)
        assert limits.admit_datagram(A) is None

    def test_forged_datagrams_do_not_spend_the_rate_of_sessions(self) -> None:
        """R11: nor do sessions that of datagrams."""
        limits = make_limits(Limits(rate=Rate(1, 10.0), total_rate=Rate(1, 10.0)))
        assert limits.admit_datagram(A) is None
        admit(limits)

    def test_unix_peers_are_not_counted(self) -> None:
        """R11."""
        limits = make_limits(Limits(rate=Rate(1, 10.0)))
        assert [limits.admit_datagram(UNIX) for _ in range(5)] == [None] * 5


class ReconfigureTests(SynchronousTestCase):
    """R5: other limits, the same counters."""

    def test_open_sessions_keep_their_places(self) -> None:
        """R5: nobody is closed by a smaller limit, and nobody comes in above it."""
        limits = make_limits(Limits(sessions=3, rate=PLENTY))
        tickets = [admit(limits) for _ in range(3)]
        limits.reconfigure(Limits(sessions=2, rate=PLENTY), origin=str)
        tickets.pop().release()
        assert refuse(limits) == "limits.sessions"
        tickets.pop().release()
        tickets.append(admit(limits))
        limits.reconfigure(Limits(per_peer=2, rate=PLENTY), origin=str)
        assert refuse(limits) == "limits.per_peer"
        for ticket in tickets:
            ticket.release()
        assert limits.sessions == limits.sessions_of(A) == 0

    def test_rate_goes_on_counting(self) -> None:
        """R5."""
        limits = make_limits(Limits(rate=Rate(2, 10.0)))
        admit(limits)
        limits.reconfigure(Limits(rate=Rate(1, 10.0)), origin=str)
        assert refuse(limits) == "limits.rate"
        limits.reconfigure(Limits(rate=Rate(3, 10.0)), origin=str)
        admit(limits)
        admit(limits)
        assert refuse(limits) == "limits.rate"

    def test_pause_ends_when_its_settings_change_only(self) -> None:
        """R5: the operator who raises the rate need not wait for the pause to end."""
        paused = Limits(total_rate=Rate(1, 10.0), pause=100.0)
        limits = make_limits(paused)
        admit(limits)
        refuse(limits)
        limits.reconfigure(paused.model_copy(update={"sessions": 5}), origin=str)
        assert refuse(limits) == "limits.total_rate"
        limits.reconfigure(paused.model_copy(update={"total_rate": Rate(2, 10.0)}), origin=str)
        admit(limits)
        refuse(limits)
        limits.reconfigure(Limits(), origin=str)
        admit(limits)


@dataclass
class Model:
    """The same rules, as naively as they can be written."""

    limits: Limits
    open: list[str] = field(default_factory=list)
    let_in: list[tuple[float, str]] = field(default_factory=list)
    paused_until: float = -1.0

    def admit(self, peer: Address, now: float) -> str:
        """The key that refuses, or nothing."""
        limits, key = self.limits, make_peer_key(peer.host)
        recent = [who for when, who in self.let_in if now - when < limits.rate.per]
        if now < self.paused_until:
            return "limits.total_rate"
        if len(self.open) >= limits.sessions:
            return "limits.sessions"
        if key and self.open.count(key) >= limits.per_peer:
            return "limits.per_peer"
        if key and recent.count(key) >= limits.rate.count:
            return "limits.rate"
        total = limits.total_rate
        if total is not None and sum(now - when < total.per for when, _ in self.let_in) >= total.count:
            self.paused_until = now + limits.pause
            return "limits.total_rate"
        self.open.append(key)
        self.let_in.append((now, key))
        return ""

    def check(self) -> None:
        """Never more than allowed, by the words of the rule."""
        limits = self.limits
        assert len(self.open) <= limits.sessions
        for key in set(self.open) - {""}:
            assert self.open.count(key) <= limits.per_peer
        for start, who in self.let_in[-20:]:
            window = [name for when, name in self.let_in if start <= when < start + limits.rate.per]
            assert not who or window.count(who) <= limits.rate.count


class Sides:
    """The counters and the model, driven together."""

    def __init__(self, limits: Limits) -> None:
        self.clock = Clock()
        self.limits = make_limits(limits, self.clock)
        self.model = Model(limits)
        self.tickets: list[tuple[Ticket, str]] = []

    def open(self, peer: Address) -> None:
        """A connection comes; both must say the same."""
        expected = self.model.admit(peer, self.clock.seconds())
        outcome = self.limits.admit(peer)
        if isinstance(outcome, Ticket):
            assert not expected
            self.tickets.append((outcome, make_peer_key(peer.host)))
        else:
            assert outcome.key == expected

    def close(self, index: int, times: int) -> None:
        """A connection ends, and ``times`` say so."""
        if self.tickets:
            ticket, key = self.tickets.pop(index % len(self.tickets))
            for _ in range(times):
                ticket.release()
            self.model.open.remove(key)

    def check(self) -> None:
        """They agree, and no place is leaked."""
        assert self.limits.sessions == len(self.model.open) == len(self.tickets)
        held = {key for key in self.model.open if key}
        assert self.limits._open_by_peer == {key: self.model.open.count(key) for key in held}

    def finish(self) -> None:
        """Everybody goes; nothing is left."""
        while self.tickets:
            self.close(0, 1)
        self.check()
        assert self.limits.sessions == 0
        assert not self.limits._open_by_peer


class Machine(RuleBasedStateMachine):
    """Any order of openings, endings and waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.sides = Sides(
            Limits(sessions=5, per_peer=2, rate=Rate(3, 4.0), total_rate=Rate(6, 2.0), pause=3.0),
        )

    @rule(peer=st.sampled_from(PEERS))
    def open(self, peer: Address) -> None:
        """A connection comes."""
        self.sides.open(peer)

    @rule(index=st.integers(0, 10), times=st.integers(1, 3))
    def close(self, index: int, times: int) -> None:
        """A connection ends."""
        self.sides.close(index, times)

    @rule(step=st.sampled_from([0.25, 0.5, 1.0, 1.75, 2.0, 3.0, 4.0]))
    def wait(self, step: float) -> None:
        """Time goes by; the steps hit every boundary exactly."""
        self.sides.clock.advance(step)

    @invariant()
    def agree(self) -> None:
        """R11."""
        self.sides.check()
        self.sides.model.check()

    def teardown(self) -> None:
        self.sides.finish()


class PropertyTests(SynchronousTestCase):
    """R11: never more admitted than allowed, never a leaked ticket."""

    def test_any_order_agrees_with_the_model(self) -> None:
        """R11."""
        run_state_machine_as_test(Machine, settings=settings(deadline=None, max_examples=40, stateful_step_count=40))

    def test_ten_thousand_random_events_agree_and_leak_nothing(self) -> None:
        """R11."""
        chance = random.Random(20)  # noqa: S311 - a test repeats itself
        sides = Sides(Limits(sessions=12, per_peer=3, rate=Rate(5, 4.0), total_rate=Rate(15, 2.0), pause=1.0))
        for _ in range(10_000):
            draw = chance.random()
            if draw < 0.5:
                sides.open(chance.choice(PEERS))
            elif draw < 0.8:
                sides.close(chance.randrange(100), chance.randint(1, 3))
            else:
                sides.clock.advance(chance.choice([0.0625, 0.25, 0.5, 1.0, 2.0]))
            sides.check()
            now = sides.clock.seconds()
            # The longest window is 4 s; what is older than two of them the model need not go through again.
            sides.model.let_in = [entry for entry in sides.model.let_in if now - entry[0] < 8]
        sides.model.check()
        sides.finish()
