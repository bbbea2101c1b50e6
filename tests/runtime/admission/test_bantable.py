"""Bans found by address."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netservices.runtime.admission.banstore import Ban
from netservices.runtime.admission.bantable import BanTable

ADDRESSES = tuple(
    map(ip_address, ("192.0.2.1", "192.0.2.2", "192.0.3.1", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "::1"))
)
NETWORKS = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/0", "192.0.2.0/23", "192.0.2.0/24", "192.0.2.1/32", "192.0.2.2/32", "::/0", "2001:db8::/32",
        "2001:db8::/64", "2001:db8::1/128",
    )
)  # fmt: skip
DO = st.one_of(
    st.tuples(st.just("put"), st.sampled_from(NETWORKS), st.none() | st.integers(1, 30), st.booleans()),
    st.tuples(st.just("take"), st.sampled_from(NETWORKS), st.none(), st.booleans()),
    st.tuples(st.just("wait"), st.sampled_from(NETWORKS), st.integers(0, 10), st.booleans()),
    st.tuples(st.just("end"), st.sampled_from(NETWORKS), st.none(), st.booleans()),
)
"""What can be done to a table: word, network, seconds, whether an operator asked."""


def make_ban(network: str, *, manual: bool = False) -> Ban:
    """A ban of ``network``."""
    return Ban(ip_network(network), 0.0, None, "test", "www", manual)


class BanTableTests(SynchronousTestCase):
    """R13: a ban is found for exactly the addresses in its network, for as long as it lasts."""

    def test_longest_prefix_is_found(self) -> None:
        table = BanTable()
        for network in ("192.0.2.0/24", "192.0.0.0/16", "192.0.2.1/32"):
            table.put(make_ban(network), None)
        found = [table.find(ip_address(text), 0.0) for text in ("192.0.2.1", "192.0.2.2", "192.0.3.1", "10.0.0.1")]
        self.assertEqual(
            [ban and str(ban.network) for ban in found], ["192.0.2.1/32", "192.0.2.0/24", "192.0.0.0/16", None]
        )

    def test_mapped_address_is_found_as_the_ipv4_address(self) -> None:
        """R10."""
        table = BanTable()
        table.put(make_ban("192.0.2.0/24"), None)
        self.assertIsNotNone(table.find(ip_address("::ffff:192.0.2.1"), 0.0))
        self.assertIsNone(table.find(ip_address("::192.0.2.1"), 0.0))

    def test_ban_ends_by_itself_and_the_wider_one_shows(self) -> None:
        table = BanTable()
        table.put(make_ban("192.0.2.1/32"), 10.0)
        table.put(make_ban("192.0.2.0/24"), 20.0)
        address = ip_address("192.0.2.1")
        prefixes = [getattr(table.find(address, now), "network", None) for now in (9.9, 10.0, 19.9, 20.0)]
        self.assertEqual(
            prefixes, [ip_network("192.0.2.1/32"), ip_network("192.0.2.0/24"), ip_network("192.0.2.0/24"), None]
        )

    def test_oldest_that_nobody_asked_for_is_taken_out(self) -> None:
        table = BanTable()
        table.put(make_ban("192.0.2.0/24", manual=True), None)
        table.put(make_ban("192.0.2.1/32"), None)
        table.put(make_ban("192.0.2.2/32"), None)
        table.put(make_ban("192.0.2.1/32"), None)
        self.assertEqual(table.automatic, 2)
        taken = [table.take_oldest() for _ in range(3)]
        self.assertEqual([ban and str(ban.network) for ban in taken], ["192.0.2.2/32", "192.0.2.1/32", None])
        self.assertEqual(len(table), 1)

    def test_bans_taken_out_early_leave_nothing_behind(self) -> None:
        table = BanTable()
        for _ in range(1000):
            table.put(make_ban("192.0.2.1/32"), 10.0)
        self.assertLess(len(table._ends), 100)
        table.take(ip_network("192.0.2.1/32"))
        self.assertIsNone(table.next_end())
        self.assertIsNone(table.take_ended(100.0))
        self.assertEqual((table._tables, table._shifts), ({}, {4: [], 6: []}))

    @given(st.lists(DO, max_size=60))
    @settings(deadline=None, max_examples=200)
    def test_every_answer_is_that_of_a_plain_list(self, deeds: list[tuple[str, object, int | None, bool]]) -> None:
        """R13: property."""
        table, plain, now = BanTable(), dict[object, tuple[Ban, float | None]](), 0.0
        for word, network, seconds, manual in deeds:
            if word == "put":
                ban = make_ban(str(network), manual=manual)
                ends = None if seconds is None else now + seconds
                table.put(ban, ends)
                plain[network] = (ban, ends)
            elif word == "take":
                taken = table.take(ip_network(str(network)))
                self.assertIs(taken, plain.pop(network, (None, None))[0])
            elif word == "wait":
                now += seconds or 0
            else:
                while (ended := table.take_ended(now)) is not None:
                    ends = plain.pop(ended.network)[1]
                    self.assertTrue(ends is not None and ends <= now)
            self.assertEqual(len(table), len(plain))
            self.assertEqual(table.automatic, sum(not ban.manual for ban, _ in plain.values()))
            self.assertEqual(
                table.next_end(), min((ends for _, ends in plain.values() if ends is not None), default=None)
            )
            for address in ADDRESSES:
                holding = [
                    ban for ban, ends in plain.values() if address in ban.network and (ends is None or now < ends)
                ]
                longest = max(holding, key=lambda ban: ban.network.prefixlen, default=None)
                self.assertIs(table.find(address, now), longest)
