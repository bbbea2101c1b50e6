"""Addresses in one form."""

from __future__ import annotations

from ipaddress import ip_address

from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address, UNIXAddress
from twisted.trial.unittest import SynchronousTestCase

from netservices.runtime.addresses import Address, make_address, parse_host


class AddressTests(SynchronousTestCase):
    """R10: IPv4-mapped IPv6 is IPv4 from the first line on."""

    def test_ipv4_is_kept(self) -> None:
        address = make_address(IPv4Address("TCP", "192.0.2.1", 25))
        self.assertEqual(address, Address("192.0.2.1", 25))
        self.assertEqual(str(address), "192.0.2.1:25")
        self.assertEqual(address.ip, ip_address("192.0.2.1"))

    def test_ipv4_mapped_becomes_ipv4(self) -> None:
        self.assertEqual(make_address(IPv6Address("TCP", "::ffff:192.0.2.1", 25)), Address("192.0.2.1", 25))

    def test_ipv6_zone_is_left_out(self) -> None:
        self.assertEqual(make_address(IPv6Address("UDP", "fe80::1%eth0", 7)), Address("fe80::1", 7))

    def test_ipv6_is_bracketed(self) -> None:
        self.assertEqual(str(Address("2001:db8::1", 80)), "[2001:db8::1]:80")

    def test_unix_peer_has_no_number(self) -> None:
        address = make_address(UNIXAddress(b"/run/x"))
        self.assertEqual(address, Address("", 0, "/run/x"))
        self.assertIsNone(address.ip)
        self.assertEqual(str(address), "unix:/run/x")

    def test_unnamed_unix_peer_is_empty(self) -> None:
        self.assertEqual(make_address(UNIXAddress(None)), Address(""))

    def test_name_is_no_peer(self) -> None:
        self.assertRaises(TypeError, make_address, HostnameAddress(b"localhost", 1))

    def test_host_that_is_no_number_is_refused(self) -> None:
        self.assertRaises(ValueError, parse_host, "localhost")
