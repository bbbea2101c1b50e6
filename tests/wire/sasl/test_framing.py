"""SASL messages as lines."""

from __future__ import annotations

from base64 import b64encode

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netservices.wire.sasl import CANCELLED, ResponseError, decode_initial, decode_response, encode_challenge


class FramingTests(SynchronousTestCase):
    """Base64, the star and the equals sign."""

    def test_a_star_cancels(self) -> None:
        self.assertIs(decode_response(b"*"), CANCELLED)

    def test_an_empty_line_is_an_empty_response(self) -> None:
        self.assertEqual(decode_response(b""), b"")

    def test_an_initial_response_may_be_none_or_empty(self) -> None:
        """RFC 4954 4."""
        self.assertIsNone(decode_initial(None))
        self.assertEqual(decode_initial(b"="), b"")
        self.assertEqual(decode_initial(b"AHRpbQB0YW5zdGFhZnRhbnN0YWFm"), b"\0tim\0tanstaaftanstaaf")
        self.assertRaises(ResponseError, decode_initial, b"*")

    def test_what_is_no_base64_is_refused(self) -> None:
        for line in (
            b"=",
            b"dGlt=",
            b"dGl",
            b"dG lt",
            b"dGlt\r",
            b"d-_t",
            b"dGlt!",
            b"dA=",
            b"dA==dA==",
            b"**",
            b"\xff",
        ):
            self.assertRaises(ResponseError, decode_response, line)

    def test_unused_bits_must_be_zero(self) -> None:
        self.assertEqual(decode_response(b"dA=="), b"t")
        self.assertRaises(ResponseError, decode_response, b"dB==")

    @settings(deadline=None, max_examples=100)
    @given(st.binary(max_size=100))
    def test_what_is_encoded_comes_back(self, octets: bytes) -> None:
        self.assertEqual(decode_response(encode_challenge(octets)), octets)

    @settings(deadline=None, max_examples=200)
    @given(st.text("ABab01+/=*- ").map(str.encode))
    def test_no_line_breaks_it_and_none_has_a_twin(self, line: bytes) -> None:
        try:
            decoded = decode_response(line)
        except ResponseError:
            return
        if decoded is not CANCELLED:
            self.assertEqual(b64encode(decoded), line)
