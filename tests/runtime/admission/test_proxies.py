"""Whose PROXY header is believed."""

from __future__ import annotations

from ipaddress import ip_network

from twisted.trial.unittest import SynchronousTestCase

from netservices.runtime.addresses import Address
from netservices.runtime.admission.proxies import is_proxy, make_proxies, make_true_ends
from netservices.wire.proxy import Endpoint, ProxyHeader

PEER = Address("192.0.2.10", 40000)
LOCAL = Address("192.0.2.20", 25)


class IsProxyTests(SynchronousTestCase):
    """R9, R15: only listed proxies."""

    def test_listed_peers_only(self) -> None:
        """R15: from anybody else a header is never parsed."""
        proxies = make_proxies([ip_network("192.0.2.0/28"), ip_network("2001:db8::1")])
        assert is_proxy(Address("192.0.2.15", 1), proxies)
        assert is_proxy(Address("2001:db8::1", 1), proxies)
        assert not is_proxy(Address("192.0.2.16", 1), proxies)
        assert not is_proxy(Address("2001:db8::2", 1), proxies)

    def test_unix_peer_is_none(self) -> None:
        """R15: it has no address that could be listed."""
        assert not is_proxy(Address("", 0, "/run/haproxy"), make_proxies([ip_network("0.0.0.0/0"), ip_network("::/0")]))

    def test_empty_list_believes_nobody(self) -> None:
        """R15: the default."""
        assert not is_proxy(PEER, make_proxies(()))


class TrueEndsTests(SynchronousTestCase):
    """R9: admission is by the true peer."""

    def test_header_names_both_ends(self) -> None:
        """R9."""
        header = ProxyHeader(Endpoint("198.51.100.1", 5000), Endpoint("2001:db8::25", 25))
        assert make_true_ends(header, PEER, LOCAL) == (Address("198.51.100.1", 5000), Address("2001:db8::25", 25))

    def test_mapped_address_becomes_ipv4(self) -> None:
        """R10: a proxy cannot get a peer past an IPv4 list by its other spelling."""
        header = ProxyHeader(Endpoint("::ffff:c633:6401", 5000), Endpoint("::ffff:192.0.2.20", 25))
        assert make_true_ends(header, PEER, LOCAL) == (Address("198.51.100.1", 5000), Address("192.0.2.20", 25))

    def test_unix_ends_keep_their_paths(self) -> None:
        """R15."""
        header = ProxyHeader(Endpoint("", path="/run/client"), Endpoint("", path="/run/server"))
        assert make_true_ends(header, PEER, LOCAL) == (Address("", 0, "/run/client"), Address("", 0, "/run/server"))

    def test_local_and_unknown_keep_the_socket_s_own(self) -> None:
        """R15: a proxy's health check is the proxy itself."""
        assert make_true_ends(ProxyHeader(), PEER, LOCAL) == (PEER, LOCAL)
