"""Lines of the access log."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netservices.http.logline import make_line, make_peer, quote


class LineTests(SynchronousTestCase):
    """The combined form."""

    def test_line_is_combined(self) -> None:
        """As other servers write it, so that every analyser reads it."""
        line = make_line(
            make_peer("192.0.2.1"), b"20/Nov/2026:09:43:25 +0000", b"GET / HTTP/1.1", status=200, length=5,
            referer=b"", agent=b'a "b"',
        )  # fmt: skip
        self.assertEqual(
            line,
            b'192.0.2.1 - - [20/Nov/2026:09:43:25 +0000] "GET / HTTP/1.1" 200 5 "-" "a \\x22b\\x22"\n',
        )

    def test_unix_peer_has_a_name(self) -> None:
        """There is no address to write."""
        self.assertEqual(make_peer(""), b"unix:")

    @given(st.binary(max_size=100))
    def test_any_bytes_stay_on_one_line(self, value: bytes) -> None:
        """R33: no control character, no quote and no backslash of a peer's; and the bytes can be had back."""
        quoted = quote(value)
        self.assertEqual(quoted.translate(None, bytes(range(32)) + b'"\x7f' + bytes(range(128, 256))), quoted)
        self.assertEqual(quoted.decode("unicode_escape").encode("latin-1"), value or b"-")

    def test_long_value_is_cut(self) -> None:
        """R14: a line has a limit."""
        self.assertEqual(len(quote(b"\0" * 10000)), 4 * 2048)
