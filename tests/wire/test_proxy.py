"""The PROXY header's parser."""

from __future__ import annotations

import itertools
from ipaddress import IPv4Address, IPv6Address

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netservices.wire.proxy import Endpoint, ProxyError, ProxyHeader, ProxyHeaderParser, make_crc32c

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
IPV4_BLOCK = bytes([192, 0, 2, 1, 198, 51, 100, 2]) + b"\xdc\x04\x01\xbb"
IPV4 = ProxyHeader(Endpoint("192.0.2.1", 56324), Endpoint("198.51.100.2", 443))
NOBODY = ProxyHeader(None, None)


def make_v2(block: bytes, *, command: int = 0x21, family: int = 0x11, length: int | None = None) -> bytes:
    """A version 2 header with whatever is to be right or wrong in it."""
    declared = len(block) if length is None else length
    return SIGNATURE + bytes([command, family]) + declared.to_bytes(2) + block


def make_tlv(kind: int, value: bytes) -> bytes:
    """One TLV."""
    return bytes([kind]) + len(value).to_bytes(2) + value


def with_checksum(block: bytes) -> bytes:
    """A TCP4 header whose block is followed by a right checksum."""
    blank = make_v2(block + make_tlv(3, bytes(4)))
    return blank[:-4] + make_crc32c(blank).to_bytes(4)


def parse(*pieces: bytes) -> tuple[ProxyHeader | str | None, bytes]:
    """What comes of feeding ``pieces``: a header, the error's text or None; and what was left over."""
    parser = ProxyHeaderParser()
    for number, piece in enumerate(pieces):
        try:
            header = parser.feed(piece)
        except ProxyError as error:
            return str(error), b""
        if header is not None:
            return header, parser.rest + b"".join(pieces[number + 1 :])
    return None, b""


GOOD = {
    b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n": IPV4,
    b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n": ProxyHeader(
        Endpoint("255.255.255.255", 65535), Endpoint("255.255.255.255", 65535)
    ),
    b"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n": ProxyHeader(Endpoint("0.0.0.0"), Endpoint("0.0.0.0")),
    b"PROXY TCP6 2001:DB8:0::1 ::1 1 2\r\n": ProxyHeader(Endpoint("2001:db8::1", 1), Endpoint("::1", 2)),
    b"PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n": ProxyHeader(
        Endpoint(str(IPv6Address("::ffff:192.0.2.1")), 1), Endpoint("::1", 2)
    ),
    b"PROXY UNKNOWN\r\n": NOBODY,
    b"PROXY UNKNOWN whatever \r \n it says\r\n": NOBODY,
    b"PROXY UNKNOWN " + b"f" * 91 + b"\r\n": NOBODY,
    make_v2(IPV4_BLOCK): IPV4,
    make_v2(IPV4_BLOCK + make_tlv(4, b"") + make_tlv(2, b"mail.example.org") + make_tlv(0xE0, bytes(300))): IPV4,
    make_v2(IPV4_BLOCK + make_tlv(0xE0, bytes(4096 - 12 - 3))): IPV4,
    with_checksum(IPV4_BLOCK): IPV4,
    with_checksum(IPV4_BLOCK + make_tlv(1, b"h2")): IPV4,
    make_v2(
        IPv6Address("2001:db8::1").packed + IPv6Address("2001:db8::2").packed + b"\0\1\xff\xff", family=0x21
    ): ProxyHeader(Endpoint("2001:db8::1", 1), Endpoint("2001:db8::2", 65535)),
    make_v2(b"/run/client".ljust(108, b"\0") + b"/run/server\0junk".ljust(108, b"\0"), family=0x31): ProxyHeader(
        Endpoint("", path="/run/client"), Endpoint("", path="/run/server")
    ),
    make_v2(b"\0hidden".ljust(108, b"\0") + bytes(108), family=0x31): ProxyHeader(
        Endpoint("", path="\0hidden"), Endpoint("")
    ),
    make_v2(b"/\xff".ljust(108, b"\0") + b"x" * 108, family=0x31): ProxyHeader(
        Endpoint("", path="/\udcff"), Endpoint("", path="x" * 108)
    ),
    make_v2(b"", command=0x20, family=0): NOBODY,
    make_v2(IPV4_BLOCK, command=0x20): NOBODY,
    make_v2(b"", command=0x20, family=0xFF): NOBODY,
    make_v2(b"anything at all", command=0x20, family=0): NOBODY,
    make_v2(b"", family=0): NOBODY,
    make_v2(b"anything at all", family=0): NOBODY,
    make_v2(b"", family=0x01): NOBODY,
    make_v2(b"", family=0x10): NOBODY,
}

BAD = {
    b"GET / HTTP/1.1\r\n": "not a PROXY header",
    b"PROXX": "not a PROXY header",
    b"proxy TCP4": "not a PROXY header",
    b"\r\n\r\n\0\r\nQUIX": "not a PROXY header",
    b"\x16\x03\x01": "not a PROXY header",
    b"PROXY\r\n": "not a PROXY header",
    b"PROXY \r\n": "for ''",
    b"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n": "wanted TCP4, TCP6 or UNKNOWN",
    b"PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n": "wanted TCP4, TCP6 or UNKNOWN",
    b"PROXY TCP4\r\n": "0 fields",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n": "3 fields",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n": "5 fields",
    b"PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n": "5 fields",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n": "5 fields",
    b"PROXY TCP4 192.0.02.1 192.0.2.2 1 2\r\n": "not an address of TCP4",
    b"PROXY TCP4 256.0.2.1 192.0.2.2 1 2\r\n": "not an address of TCP4",
    b"PROXY TCP4 2001:db8::1 192.0.2.2 1 2\r\n": "not an address of TCP4",
    b"PROXY TCP4 192.0.2.1 \xb2.0.2.2 1 2\r\n": "not an address of TCP4",
    b"PROXY TCP4 localhost 192.0.2.2 1 2\r\n": "not an address of TCP4",
    b"PROXY TCP6 192.0.2.1 ::1 1 2\r\n": "not an address of TCP6",
    b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n": "not an address of TCP6",
    b"PROXY TCP6 1::2::3 ::1 1 2\r\n": "not an address of TCP6",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n": "not a port",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n": "not a port",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n": "not a port",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 1 \xb2\r\n": "not a port",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\nGET / HTTP/1.1\r\n": "fields",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n\r\n": "not a port",
    b"PROXY UNKNOWN " + b"f" * 92 + b"\r\n": "first 107 octets",
    b"PROXY TCP4 " + b"1" * 200: "first 107 octets",
    SIGNATURE + b"\x11": "version 1, command 1",
    SIGNATURE + b"\x31": "version 3, command 1",
    SIGNATURE + b"\x22": "version 2, command 2",
    SIGNATURE + b"\x21\x41": "which do not exist",
    SIGNATURE + b"\x21\x13": "which do not exist",
    SIGNATURE + b"\x21\x12": "for datagrams",
    SIGNATURE + b"\x21\x22": "for datagrams",
    SIGNATURE + b"\x21\x32": "for datagrams",
    make_v2(b"", length=4097): "at most 4096",
    make_v2(b"", command=0x20, length=65535): "at most 4096",
    make_v2(b"", length=11): "this family has 12",
    make_v2(b"", family=0x21, length=35): "this family has 36",
    make_v2(b"", family=0x31, length=215): "this family has 216",
    make_v2(IPV4_BLOCK + b"\4"): "cut short",
    make_v2(IPV4_BLOCK + b"\4\0"): "cut short",
    make_v2(IPV4_BLOCK + b"\4\0\1"): "cut short",
    make_v2(IPV4_BLOCK + make_tlv(4, b"") + b"\4\xff\xff"): "cut short",
    make_v2(IPV4_BLOCK + make_tlv(3, bytes(3))): "not one of 4 octets",
    make_v2(IPV4_BLOCK + make_tlv(3, bytes(4)) + make_tlv(3, bytes(4))): "not one of 4 octets",
    make_v2(IPV4_BLOCK + make_tlv(3, bytes(4))): "checksum is wrong",
    with_checksum(IPV4_BLOCK).replace(b"\xdc\x04", b"\xdc\x05"): "checksum is wrong",
}


class GoodHeaderTests(SynchronousTestCase):
    """R15: every header a proxy may send."""

    def test_whole_header_gives_both_ends_and_the_rest(self) -> None:
        """R15."""
        for wire, header in GOOD.items():
            assert parse(wire) == (header, b""), wire
            assert parse(wire + b"PROXY TCP4 \r\n\x00") == (header, b"PROXY TCP4 \r\n\x00"), wire

    def test_split_at_every_byte_is_the_same(self) -> None:
        """R15."""
        for wire, header in GOOD.items():
            for at in range(len(wire) + 1):
                assert parse(wire[:at], wire[at:] + b"more") == (header, b"more"), (wire, at)

    def test_byte_by_byte_ends_with_the_last_byte_and_not_before(self) -> None:
        """R15."""
        for wire, header in GOOD.items():
            parser = ProxyHeaderParser()
            for at in range(len(wire) - 1):
                assert parser.feed(wire[at : at + 1]) is None, wire
            assert (parser.feed(wire[-1:]), parser.rest) == (header, b""), wire

    def test_line_of_107_octets_is_the_longest_taken(self) -> None:
        """R15."""
        longest = [wire for wire in GOOD if wire.startswith(b"PROXY UNKNOWN f")]
        assert [len(wire) for wire in longest] == [107]

    def test_cut_short_is_waited_for(self) -> None:
        """R15: the deadline of the handshake ends it, not the parser."""
        for wire in GOOD:
            assert parse(wire[:-1]) == (None, b"")
        assert parse(b"", b"") == (None, b"")


class BadHeaderTests(SynchronousTestCase):
    """R15: garbage and overlong headers are refused, with what is wrong with them."""

    def test_whole_garbage_is_refused_with_a_reason(self) -> None:
        """R15."""
        for wire, words in BAD.items():
            outcome, _ = parse(wire)
            assert words in str(outcome), wire

    def test_garbage_byte_by_byte_is_refused_for_the_same_reason(self) -> None:
        """R15."""
        for wire in BAD:
            assert parse(*(wire[at : at + 1] for at in range(len(wire)))) == parse(wire)

    def test_another_protocol_is_refused_with_its_first_byte(self) -> None:
        """R15."""
        assert "not a PROXY header" in str(parse(b"G")[0])

    def test_line_without_its_end_is_refused_with_the_107th_octet(self) -> None:
        """R15: exactly at the boundary."""
        line = b"PROXY UNKNOWN ".ljust(107, b"f")
        assert parse(line[:106]) == (None, b"")
        assert "first 107 octets" in str(parse(line)[0])
        assert "first 107 octets" in str(parse(line[:106] + b"\r", b"\n")[0])

    def test_overlong_declaration_is_refused_before_it_is_buffered(self) -> None:
        """R15."""
        assert "at most 4096" in str(parse(SIGNATURE + b"!\x11\xff\xff")[0])

    def test_error_repeats_peer_data_escaped(self) -> None:
        """R33: a control character of the peer does not reach the text raw."""
        outcome, _ = parse(b"PROXY \x1b[2J\r\n")
        assert "\x1b" not in str(outcome)

    def test_feeding_after_the_end_is_our_own_mistake(self) -> None:
        """R15."""
        for wire in (b"PROXY UNKNOWN\r\n", b"G"):
            parser = ProxyHeaderParser()
            try:
                parser.feed(wire)
            except ProxyError:
                assert wire == b"G"
            try:
                parser.feed(b"more")
            except RuntimeError:
                continue
            self.fail("it was fed again")


class AnyBytesTests(SynchronousTestCase):
    """R15: what comes of the bytes does not hang on how they were cut."""

    @given(
        st.one_of(
            st.binary(max_size=200),
            st.sampled_from([*GOOD, *BAD]),
            st.binary(max_size=120).map(lambda tail: b"PROXY TCP4 " + tail),
            st.tuples(st.sampled_from([0x20, 0x21]), st.integers(0, 255), st.binary(max_size=300)).map(
                lambda made: make_v2(made[2], command=made[0], family=made[1])
            ),
            st.binary(max_size=40).map(lambda tail: make_v2(IPV4_BLOCK + tail)),
        ),
        st.lists(st.integers(0, 400), max_size=6),
        st.binary(max_size=8),
    )
    @settings(deadline=None, max_examples=300)
    def test_any_split_is_the_same(self, wire: bytes, cuts: list[int], tail: bytes) -> None:
        """R15."""
        whole = wire + tail
        edges = sorted({0, len(whole), *(min(cut, len(whole)) for cut in cuts)})
        pieces = [whole[left:right] for left, right in itertools.pairwise(edges)]
        assert parse(*pieces) == parse(whole)

    @given(st.ip_addresses(v=4), st.ip_addresses(v=6), st.integers(0, 65535), st.integers(0, 65535))
    @example(IPv4Address(0), IPv6Address(0), 0, 65535)
    @settings(deadline=None, max_examples=100)
    def test_any_ends_are_read_back(self, v4: IPv4Address, v6: IPv6Address, one: int, two: int) -> None:
        """R15: both versions say the same of the same connection."""
        for ip, name, family in ((v4, "TCP4", 0x11), (v6, "TCP6", 0x21)):
            header = ProxyHeader(Endpoint(str(ip), one), Endpoint(str(ip), two))
            assert parse(f"PROXY {name} {ip} {ip} {one} {two}\r\n".encode())[0] == header
            block = ip.packed * 2 + one.to_bytes(2) + two.to_bytes(2)
            assert parse(make_v2(block, family=family))[0] == header


class ChecksumTests(SynchronousTestCase):
    """PROXY 2.2.3 by way of RFC 3720 B.4, which has examples of this checksum."""

    def test_known_answers(self) -> None:
        """RFC 3720 B.4 (its octets are in the order of the wire there)."""
        assert make_crc32c(bytes(32)) == 0x8A9136AA
        assert make_crc32c(b"\xff" * 32) == 0x62A8AB43
        assert make_crc32c(bytes(range(32))) == 0x46DD794E
        assert make_crc32c(b"123456789") == 0xE3069283
