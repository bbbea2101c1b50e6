"""How often a peer failed lately."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netservices.runtime.admission.failures import MOST_FAILURES, FailureCounts

FAILURE = st.tuples(
    st.sampled_from("ab"), st.integers(1, 5), st.integers(1, 20), st.integers(0, 6)
)  # peer, failures, within, seconds since the failure before
"""One failure."""


class FailureCountsTests(SynchronousTestCase):
    """R13: never a ban below the count, always one at it."""

    def note(self, counts: FailureCounts, now: float, peer: str = "a", failures: int = 3, within: float = 10.0) -> bool:
        """One failure."""
        return counts.note(peer, failures=failures, within=within, now=now)

    def test_only_the_last_of_enough_failures_counts_as_enough(self) -> None:
        """R13: and the peer begins anew after it."""
        counts = FailureCounts()
        self.assertEqual([self.note(counts, 1.0) for _ in range(6)], [False, False, True] * 2)
        self.assertEqual(len(counts), 0)

    def test_failure_as_old_as_the_stretch_does_not_count(self) -> None:
        """R13: the stretch is half open."""
        counts = FailureCounts()
        self.assertEqual([self.note(counts, now) for now in (0.0, 5.0, 10.0, 14.0)], [False, False, False, True])

    def test_peers_are_counted_apart(self) -> None:
        counts = FailureCounts()
        self.assertEqual([self.note(counts, 1.0, peer) for peer in "ababa"], [False] * 4 + [True])

    def test_each_failure_may_ask_for_another_count_and_stretch(self) -> None:
        """R13: each service has options of its own, and they count together."""
        counts = FailureCounts()
        self.assertFalse(self.note(counts, 0.0, failures=1000, within=100.0))
        self.assertFalse(self.note(counts, 50.0, failures=2, within=10.0))
        self.assertFalse(self.note(counts, 61.0, failures=2, within=10.0))
        self.assertTrue(self.note(counts, 99.0, failures=4, within=100.0))

    def test_failures_are_kept_for_a_service_with_a_longer_stretch(self) -> None:
        """R13: though it has had none itself so far."""
        counts = FailureCounts()
        counts.keep(100.0)
        for now in (0.0, 30.0, 60.0):
            self.assertFalse(self.note(counts, now, failures=2, within=10.0))
        self.assertTrue(self.note(counts, 99.0, failures=4, within=100.0))

    def test_forgotten_peer_begins_anew(self) -> None:
        counts = FailureCounts()
        self.note(counts, 1.0)
        self.note(counts, 1.0)
        counts.forget("a")
        counts.forget("a")
        self.assertEqual([self.note(counts, 1.0) for _ in range(3)], [False, False, True])

    def test_memory_of_one_peer_is_bounded(self) -> None:
        """The moments that no options can ask for any more are dropped."""
        counts = FailureCounts()
        for number in range(3 * MOST_FAILURES):
            # Far enough apart that two thousand of them never stand within one stretch.
            self.note(counts, float(number), failures=MOST_FAILURES, within=MOST_FAILURES - 1.0)
        self.assertLessEqual(counts._moments, MOST_FAILURES)

    def test_peer_that_failed_longest_ago_is_forgotten_beyond_the_caps(self) -> None:
        counts = FailureCounts(peers=2)
        for peer in "aabbac":
            self.note(counts, 1.0, peer, failures=9)
        self.assertEqual(len(counts), 2)
        self.assertFalse(self.note(counts, 1.0, "b", failures=2))
        counts = FailureCounts(moments=4)
        for peer in "aaabbb":
            self.note(counts, 1.0, peer, failures=9)
        self.assertEqual(len(counts), 1)

    def test_peers_are_dropped_when_nothing_of_theirs_counts_any_more(self) -> None:
        counts = FailureCounts()
        for peer in "abcd":
            self.note(counts, 0.0, peer)
        self.note(counts, 10.0, "e")
        self.note(counts, 10.0, "e")
        self.assertEqual(len(counts), 1)

    @given(st.lists(FAILURE, max_size=60))
    @settings(deadline=None, max_examples=200)
    def test_every_answer_is_that_of_a_list_of_all_failures(self, failures: list[tuple[str, int, int, int]]) -> None:
        """R13: property."""
        counts, all_moments, now = FailureCounts(), dict[str, list[int]](), 0
        counts.keep(20.0)
        for peer, count, within, passed in failures:
            now += passed
            moments = all_moments.setdefault(peer, [])
            moments.append(now)
            enough = sum(now - moment < within for moment in moments) >= count
            self.assertEqual(self.note(counts, float(now), peer, count, float(within)), enough)
            if enough:
                moments.clear()
