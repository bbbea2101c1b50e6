"""What a peer sent becomes one harmless line."""

from __future__ import annotations

import json
import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netservices.wire.escaping import (
    cut_octets,
    decode_octets,
    escape_json,
    escape_line,
    escape_lines,
    escape_surrogates,
    shorten_middle,
)

ANY_TEXT = st.text(st.characters(exclude_categories=()))
REORDERING = {"LRO", "RLO", "LRE", "RLE", "PDF", "LRI", "RLI", "FSI", "PDI"}
FORBIDDEN = {*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0)), "\u2028", "\u2029"}


def is_safe(text: str) -> bool:
    """One line, no control character, valid Unicode, nothing that reorders."""
    text.encode()
    return (
        not FORBIDDEN & set(text)
        and len(text.splitlines()) <= 1
        and not any(unicodedata.bidirectional(character) in REORDERING for character in text)
    )


class EscapeLineTests(SynchronousTestCase):
    """``escape_line``."""

    def test_each_dangerous_octet_is_shown_by_name(self) -> None:
        """R33."""
        self.assertEqual(escape_line("a\r\nb\0c\x1b[2Jd\x7fe\t"), r"a\r\nb\x00c\x1b[2Jd\x7fe\t")

    def test_c1_as_character_and_as_octet_are_told_apart(self) -> None:
        """R33."""
        self.assertEqual(escape_line("\x9b"), r"\u009b")
        self.assertEqual(escape_line(b"\x9b"), r"\x9b")
        self.assertEqual(escape_line(b"\xc2\x9b"), r"\u009b")

    def test_invalid_utf8_is_shown_octet_by_octet(self) -> None:
        """R33."""
        self.assertEqual(escape_line(b"caf\xe9 \xf0\x9f"), r"caf\xe9 \xf0\x9f")

    def test_separators_and_direction_controls_are_shown(self) -> None:
        """R33."""
        self.assertEqual(
            escape_line("a\u2028\u2029\u202e\u2066\ufeff\u200fb"), r"a\u2028\u2029\u202e\u2066\ufeff\u200fb"
        )

    def test_lone_surrogates_are_shown(self) -> None:
        """R33."""
        self.assertEqual(escape_line("\ud800\udcff"), r"\ud800\xff")

    def test_harmless_text_stays_as_it_is(self) -> None:
        text = "Grüße, 世界 \U0001f600 C:\\new \u00a0 אב"
        self.assertEqual(escape_line(text), text)

    @settings(deadline=None, max_examples=200)
    @given(ANY_TEXT)
    def test_any_text_becomes_one_safe_line(self, text: str) -> None:
        """R33."""
        self.assertTrue(is_safe(escape_line(text)))

    @settings(deadline=None, max_examples=200)
    @given(st.binary())
    def test_any_octets_become_one_safe_line(self, octets: bytes) -> None:
        """R33."""
        self.assertTrue(is_safe(escape_line(octets)))
        self.assertEqual(escape_line(octets), escape_line(decode_octets(octets)))

    @settings(deadline=None, max_examples=100)
    @given(ANY_TEXT)
    def test_escaping_twice_changes_nothing_more(self, text: str) -> None:
        once = escape_line(text)
        self.assertEqual(escape_line(once), once)


class EscapeLinesTests(SynchronousTestCase):
    """``escape_lines``."""

    def test_only_a_newline_separates(self) -> None:
        self.assertEqual(escape_lines("a\nb\rc\u2028d\x1b\n"), ["a", r"b\rc\u2028d\x1b"])


class EscapeSurrogatesTests(SynchronousTestCase):
    """``escape_surrogates``."""

    def test_everything_else_is_exact(self) -> None:
        self.assertEqual(escape_surrogates("a\n\x1b\u2028é"), "a\n\x1b\u2028é")
        self.assertEqual(escape_surrogates("a\n\udc9b\ud800"), "a\n\\x9b\\ud800")


class EscapeJsonTests(SynchronousTestCase):
    """``escape_json``."""

    @settings(deadline=None, max_examples=200)
    @given(ANY_TEXT)
    def test_the_reader_gets_the_same_value_from_a_safe_line(self, text: str) -> None:
        """R33, R34: but for lone surrogates, which no UTF-8 can hold."""
        line = escape_json(json.dumps({"x": text}, ensure_ascii=False))
        self.assertTrue(is_safe(line))
        self.assertEqual(json.loads(line)["x"], escape_surrogates(text))


class CutOctetsTests(SynchronousTestCase):
    """``cut_octets``."""

    def test_what_fits_stays(self) -> None:
        self.assertEqual(cut_octets("né", 3), b"n\xc3\xa9")

    def test_a_cut_is_marked_and_never_splits_a_character(self) -> None:
        self.assertEqual(cut_octets("éééé", 6), "é…".encode())

    def test_no_room_for_the_mark_gives_nothing(self) -> None:
        self.assertEqual(cut_octets("abc", 2), b"")

    @settings(deadline=None, max_examples=200)
    @given(st.text(), st.integers(0, 40))
    def test_the_limit_holds_and_the_result_is_utf8(self, text: str, limit: int) -> None:
        octets = cut_octets(text, limit)
        self.assertLessEqual(len(octets), limit)
        shown = octets.decode()
        self.assertTrue(shown == text or text.startswith(shown.removesuffix("…")))


class ShortenMiddleTests(SynchronousTestCase):
    """``shorten_middle``."""

    def test_both_ends_are_kept(self) -> None:
        self.assertEqual(shorten_middle("0123456789", 9), "01…456789")
        self.assertEqual(shorten_middle("0123456789", 10), "0123456789")

    @settings(deadline=None, max_examples=100)
    @given(st.text(), st.integers(1, 50))
    def test_the_limit_holds(self, text: str, limit: int) -> None:
        self.assertLessEqual(len(shorten_middle(text, limit)), limit)
