"""Access lists: the longest prefix decides."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netservices.runtime.admission.access import AccessList, Networks, unmap_ip, unmap_network

Network = IPv4Network | IPv6Network
IP = IPv4Address | IPv6Address


def make_list(allow: str = "0.0.0.0/0 ::/0", deny: str = "") -> AccessList:
    """An access list from networks in words."""
    return AccessList(*([ip_network(word) for word in words.split()] for words in (allow, deny)))


def decide(access: AccessList, host: str) -> tuple[bool, str]:
    """What ``access`` says of ``host``, and by which rule."""
    decision = access.decide(ip_address(host))
    return decision.allowed, decision.rule


def decide_naively(allow: list[Network], deny: list[Network], ip: IP) -> bool:
    """The rule in its own words: of the networks that ``ip`` is in, the longest prefix; deny on a tie."""
    address = unmap_ip(ip)
    best = (-1, False)
    for allowed, networks in ((True, allow), (False, deny)):
        for given_network in networks:
            network = unmap_network(given_network)
            if network.version == address.version and address in network:
                # Among equal prefixes False sorts last, so negate: the larger tuple wins.
                best = max(best, (network.prefixlen, not allowed))
    return best[0] >= 0 and not best[1]


class AccessListTests(SynchronousTestCase):
    """R10: allow and deny."""

    def test_longest_prefix_wins_in_either_list(self) -> None:
        """R10."""
        access = make_list("0.0.0.0/0 192.168.7.0/24", "192.168.0.0/16 192.168.7.9")
        assert decide(access, "192.0.2.1") == (True, "allow 0.0.0.0/0")
        assert decide(access, "192.168.8.1") == (False, "deny 192.168.0.0/16")
        assert decide(access, "192.168.7.1") == (True, "allow 192.168.7.0/24")
        assert decide(access, "192.168.7.9") == (False, "deny 192.168.7.9/32")

    def test_tie_is_denied(self) -> None:
        """R10."""
        access = make_list("192.0.2.0/24 2001:db8::/32", "192.0.2.0/24 2001:db8::/32")
        assert decide(access, "192.0.2.1") == (False, "deny 192.0.2.0/24")
        assert decide(access, "2001:db8::1") == (False, "deny 2001:db8::/32")

    def test_both_ends_of_a_network_are_in_it_and_their_neighbours_are_not(self) -> None:
        """R10: exactly at the boundary."""
        access = make_list("10.1.16.0/20 2001:db8:8000::/33")
        for host, allowed in {
            "10.1.15.255": False,
            "10.1.16.0": True,
            "10.1.31.255": True,
            "10.1.32.0": False,
            "2001:db8:7fff:ffff:ffff:ffff:ffff:ffff": False,
            "2001:db8:8000::": True,
            "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff": True,
            "2001:db9::": False,
        }.items():
            assert decide(access, host)[0] is allowed, host

    def test_nothing_matching_is_denied(self) -> None:
        """R10."""
        for access in (make_list("192.0.2.0/24"), make_list("")):
            assert decide(access, "198.51.100.1") == (False, "no network of allow matches")
            assert decide(access, "2001:db8::1") == (False, "no network of allow matches")

    def test_families_do_not_mix(self) -> None:
        """R10: ::/0 says nothing of IPv4, nor does a short IPv4 prefix of IPv6."""
        assert not decide(make_list("::/0"), "192.0.2.1")[0]
        assert not decide(make_list("0.0.0.0/0"), "2001:db8::1")[0]

    def test_mapped_address_is_matched_as_ipv4(self) -> None:
        """R10."""
        access = make_list("::/0", "192.0.2.0/24")
        assert decide(access, "::ffff:192.0.2.1") == (False, "deny 192.0.2.0/24")
        assert decide(make_list("0.0.0.0/0"), "::ffff:192.0.2.1") == (True, "allow 0.0.0.0/0")
        assert not decide(make_list("::/0"), "::ffff:192.0.2.1")[0]

    def test_mapped_network_is_matched_as_ipv4(self) -> None:
        """R10: the rule is named as the file has it."""
        access = make_list("0.0.0.0/0", "::ffff:192.0.2.0/120")
        allowed, rule = decide(access, "192.0.2.1")
        assert not allowed
        assert rule == f"deny {ip_network('::ffff:192.0.2.0/120')}"
        assert decide(access, "192.0.3.1") == (True, "allow 0.0.0.0/0")

    def test_unix_peer_is_always_allowed(self) -> None:
        """R10: the permissions of the socket's file decide."""
        assert make_list("", "0.0.0.0/0 ::/0").decide(None).allowed

    def test_key_names_the_list_that_decided(self) -> None:
        """R12: the log can say where it is set."""
        access = make_list("192.0.0.0/8", "192.0.2.0/24")
        keys = [access.decide(ip_address(host)).key for host in ("192.1.1.1", "192.0.2.1", "10.0.0.1")]
        assert keys == ["allow", "deny", "allow"]

    def test_decisions_remembered_are_bounded(self) -> None:
        """R16: a flood of addresses does not fill the memory, and forgetting changes no answer."""
        access = make_list("10.0.0.0/8", "10.1.0.0/16")
        for number in range(5000):
            access.decide(IPv4Address(0x0A000000 + number * 4096))
        assert access._decide.cache_info().currsize == 4096
        assert decide(access, "10.1.0.0") == (False, "deny 10.1.0.0/16")

    @given(
        allow=st.lists(st.tuples(st.integers(0, 15), st.integers(0, 4)), max_size=6),
        deny=st.lists(st.tuples(st.integers(0, 15), st.integers(0, 4)), max_size=6),
        six=st.booleans(),
        mapped=st.booleans(),
    )
    @settings(deadline=None, max_examples=200)
    def test_any_lists_decide_as_the_rule_says(
        self, allow: list[tuple[int, int]], deny: list[tuple[int, int]], *, six: bool, mapped: bool
    ) -> None:
        """R10: against a linear scan, over every address of a space of sixteen."""
        base = int(ip_address("::ffff:192.0.2.0")) if mapped else int(ip_address("2001:db8::"))
        if not six:
            base = int(ip_address("192.0.2.0"))
        kind: type[IP] = IPv6Address if six else IPv4Address
        width = 128 if six else 32

        def make(entries: list[tuple[int, int]]) -> list[Network]:
            return [ip_network((kind(base + (number >> bits << bits)), width - bits)) for number, bits in entries]

        access = AccessList(make(allow), make(deny))
        for number in range(16):
            ip = kind(base + number)
            assert access.decide(ip).allowed is decide_naively(make(allow), make(deny), ip), ip


class NetworksTests(SynchronousTestCase):
    """The table behind access lists and proxies."""

    def test_empty_finds_nothing(self) -> None:
        """R10."""
        empty: Networks[str] = Networks([])
        assert empty.find(ip_address("192.0.2.1")) is None
        assert empty.find(ip_address("::1")) is None

    def test_same_network_twice_has_its_last_value(self) -> None:
        """R10: what makes deny win a tie."""
        network = ip_network("192.0.2.0/24")
        assert Networks([(network, "first"), (network, "last")]).find(ip_address("192.0.2.7")) == "last"

    def test_network_wider_than_the_mapped_ones_stays_ipv6(self) -> None:
        """R10."""
        wide = ip_network("::/90")
        assert unmap_network(wide) == wide
        assert unmap_network(ip_network("2001:db8::/96")) == ip_network("2001:db8::/96")
        assert unmap_network(ip_network("::ffff:0:0/96")) == ip_network("0.0.0.0/0")
