"""Exact sliding windows in bounded memory."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from netservices.config.units import Rate
from netservices.runtime.admission.rates import PeerRates, SteadyClock, Window

STEPS = st.lists(st.sampled_from([0.0, 0.25, 1.0, 2.75, 3.0, 3.25, 10.0]), max_size=60)


class WindowTests(SynchronousTestCase):
    """R11: in any window of ``per`` seconds at most ``count``."""

    def test_boundary_is_exact(self) -> None:
        """R11: the one place comes free when the oldest is exactly ``per`` seconds old."""
        rate, window = Rate(2, 10.0), Window()
        for now in (0.0, 4.0):
            assert window.has_room(rate, now)
            window.add(rate, now)
        assert not window.has_room(rate, 4.0)
        assert not window.has_room(rate, 9.75)
        assert window.has_room(rate, 10.0)
        window.add(rate, 10.0)
        assert not window.has_room(rate, 13.75)
        assert window.has_room(rate, 14.0)

    @given(STEPS, st.integers(1, 4))
    @settings(deadline=None, max_examples=200)
    def test_any_moments_are_judged_as_a_plain_list_would(self, steps: list[float], count: int) -> None:
        """R11: neither one more nor one fewer than the rule allows."""
        rate, window = Rate(count, 3.0), Window()
        let_in: list[float] = []
        now = 0.0
        for step in steps:
            now += step
            room = sum(now - moment < rate.per for moment in let_in) < count
            assert window.has_room(rate, now) is room
            if room:
                window.add(rate, now)
                let_in.append(now)
                assert window.latest == now

    @given(STEPS, st.lists(st.sampled_from([Rate(1, 3.0), Rate(3, 3.0), Rate(5, 3.0)]), min_size=60, max_size=60))
    @settings(deadline=None, max_examples=200)
    def test_rate_changed_on_the_way_holds_at_once(self, steps: list[float], rates: list[Rate]) -> None:
        """R5, R11: after a reload what was let in before still counts."""
        window = Window()
        let_in: list[float] = []
        now = 0.0
        for step, rate in zip(steps, rates, strict=False):
            now += step
            room = sum(now - moment < rate.per for moment in let_in) < rate.count
            assert window.has_room(rate, now) is room
            if room:
                window.add(rate, now)
                let_in.append(now)

    def test_memory_is_what_one_window_had(self) -> None:
        """R16: moments gone by are written over."""
        rate, window = Rate(100, 10.0), Window()
        kept = sum(window.add(rate, float(now)) for now in range(1000))
        assert kept == len(window) == 10


class PeerRatesTests(SynchronousTestCase):
    """R11, R16: bounded, whatever comes."""

    def test_peers_have_windows_of_their_own(self) -> None:
        """R11."""
        rates, rate = PeerRates(), Rate(1, 10.0)
        rates.add("a", rate, 0.0)
        assert not rates.has_room("a", rate, 1.0)
        assert rates.has_room("b", rate, 1.0)

    def test_stale_peers_are_dropped(self) -> None:
        """R16: the table is as large as one window's peers, not as all that ever came."""
        rates, rate = PeerRates(), Rate(5, 10.0)
        for now in range(1000):
            rates.add(f"peer {now}", rate, float(now))
        assert len(rates) == 10
        rates.add("late", rate, 2000.0)
        rates.add("later", rate, 2000.0)
        for _ in range(4):
            rates.add("later", rate, 2000.0)
        assert len(rates) == 2

    def test_beyond_the_cap_the_one_let_in_longest_ago_is_forgotten(self) -> None:
        """R16."""
        rates, rate = PeerRates(peers=3), Rate(2, 10.0)
        for peer in ("a", "b", "c", "a", "d"):
            rates.add(peer, rate, 1.0)
        assert len(rates) == 3
        assert not rates.has_room("a", rate, 1.0)
        rates.add("b", rate, 1.0)
        assert rates.has_room("b", rate, 1.0)

    def test_moments_of_all_peers_together_are_bounded(self) -> None:
        """R16: a large rate with many peers; the peer at hand is never the one forgotten."""
        rates, rate = PeerRates(moments=10), Rate(100, 10.0)
        for peer in range(50):
            for _ in range(4):
                rates.add(str(peer), rate, 1.0)
        assert len(rates) <= 3
        for _ in range(96):
            rates.add("49", rate, 1.0)
        assert len(rates) == 1
        assert not rates.has_room("49", rate, 1.0)

    def test_count_of_moments_stays_true(self) -> None:
        """R16: what is dropped is taken off the sum."""
        rates, rate = PeerRates(peers=4, moments=12), Rate(6, 5.0)
        for turn in range(500):
            peer = str(turn * 7 % 9)
            if rates.has_room(peer, rate, turn / 4):
                rates.add(peer, rate, turn / 4)
            assert rates._moments == sum(len(window) for window in rates._windows.values()) <= 12


class SteadyClockTests(SynchronousTestCase):
    """R11: a machine's clock set back is no reason to refuse."""

    def test_clock_set_back_goes_on_from_where_it_was(self) -> None:
        """R11."""
        clock = Clock()
        clock.advance(10_000)
        steady = SteadyClock(clock.seconds)
        assert steady() == 10_000
        clock.rightNow -= 3600
        assert steady() == 10_000
        clock.advance(5)
        assert steady() == 10_005
        clock.rightNow -= 100
        clock.advance(3)
        assert steady() == 10_005
        clock.advance(3)
        assert steady() == 10_008
