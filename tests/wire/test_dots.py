"""The dots before lines, put there and taken off."""

from __future__ import annotations

import itertools
import re
from time import process_time
from typing import TYPE_CHECKING

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netservices.wire.dots import BareNewline, BareNewlines, DotStuffer, DotUnstuffer, End, LongLine, Text
from netservices.wire.lines import Line, LinesState, Octets

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from netservices.wire.dots import DotEvent

PARTS = st.sampled_from([b"\r\n", b".", b"\r\n.", b"\r\n.\r\n", b"\r", b"\n", b"a", b"bc", b"x" * 8, b"..", b"\0"])
ANYTHING = st.lists(PARTS, max_size=20).map(b"".join)
CLEAN = st.lists(st.sampled_from([b"\r\n", b".", b"a", b"bc", b"\r\n.", b".."]), max_size=20).map(b"".join)
PLACES = st.lists(st.integers(min_value=0), max_size=6)


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """``data`` cut at ``places``, each taken modulo its length."""
    borders = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[start:stop] for start, stop in itertools.pairwise(borders)]


def every_cut(data: bytes, places: Iterable[int]) -> list[list[bytes]]:
    """Whole, at ``places``, and byte by byte."""
    return [[data], cut(data, places), cut(data, range(len(data)))]


def stuff(pieces: Iterable[bytes]) -> bytes:
    """What is sent for a text."""
    stuffer = DotStuffer()
    return b"".join([stuffer.feed(piece) for piece in pieces]) + stuffer.finish()


def unstuff(
    pieces: Sequence[bytes], bare: BareNewlines = BareNewlines.REJECT, longest_line: int | None = None
) -> tuple[bytes, set[DotEvent], bytes | None]:
    """The text, what was told of it, and what came after it; None while it has not ended."""
    unstuffer = DotUnstuffer(bare, longest_line=longest_line)
    text = b""
    told: set[DotEvent] = set()
    for number, piece in enumerate(pieces):
        for event in unstuffer.feed(piece):
            match event:
                case Text(data):
                    text += data
                case End(rest):
                    return text, told, rest + b"".join(pieces[number + 1 :])
                case _:
                    assert event not in told, "told twice"
                    told.add(event)
    return text, told, None


def unstuff_slowly(data: bytes, bare: BareNewlines) -> tuple[bytes, bytes | None]:
    """The text of ``data`` found another way: line by line, with the line's end in hand."""
    found = re.search(rb"(?:\A|\r\n)\.\r\n", data)
    body, rest = (data[: found.start()], data[found.end() :]) if found else (data, None)
    if found and found[0].startswith(b"\r\n"):
        body += b"\r\n"
    ends = rb"(\r\n|\r|\n)" if bare is BareNewlines.NORMALISE else rb"(\r\n)"
    pieces = re.split(ends, body)
    text = b""
    for line, end in zip(pieces[::2], [*pieces[1::2], b""], strict=True):
        lone = bare is BareNewlines.NORMALISE and line == b"."
        text += line if lone else line.removeprefix(b".")
        text += b"\r\n" if end else b""
    return text, rest


class StufferTests(SynchronousTestCase):
    """What is sent."""

    def test_texts_and_what_is_sent_for_them(self) -> None:
        for text, sent in {
            b"": b".\r\n",
            b"a\r\n": b"a\r\n.\r\n",
            b"a": b"a\r\n.\r\n",
            b"\r\n": b"\r\n.\r\n",
            b".": b"..\r\n.\r\n",
            b".\r\n": b"..\r\n.\r\n",
            b"a\r\n.\r\n..b\r\n": b"a\r\n..\r\n...b\r\n.\r\n",
            b"a.\r\nb.c\r\n": b"a.\r\nb.c\r\n.\r\n",
            b"a\n.b\r.c\r\n": b"a\n.b\r.c\r\n.\r\n",
            b"a\r": b"a\r\r\n.\r\n",
        }.items():
            for pieces in every_cut(text, ()):
                self.assertEqual(stuff(pieces), sent)

    @settings(deadline=None, max_examples=300)
    @given(ANYTHING, PLACES)
    def test_any_split_is_sent_alike(self, text: bytes, places: list[int]) -> None:
        """M27: byte-exact for every split."""
        lines = text.split(b"\r\n")
        expected = b"\r\n".join(b"." + line if line.startswith(b".") else line for line in lines)
        expected += (b"" if text.endswith(b"\r\n") or not text else b"\r\n") + b".\r\n"
        for pieces in every_cut(text, places):
            self.assertEqual(stuff(pieces), expected)

    def test_a_finished_text_takes_no_more(self) -> None:
        stuffer = DotStuffer()
        stuffer.finish()
        self.assertRaises(RuntimeError, stuffer.feed, b"x")
        self.assertRaises(RuntimeError, stuffer.finish)

    def test_a_text_without_dots_is_not_copied(self) -> None:
        chunk = b"line of text\r\n" * 4000
        self.assertIs(DotStuffer().feed(chunk), chunk)


class UnstufferTests(SynchronousTestCase):
    """What is received."""

    def test_texts_of_what_is_received(self) -> None:
        for received, (text, rest) in {
            b".\r\n": (b"", b""),
            b"..\r\n.\r\nQUIT\r\n": (b".\r\n", b"QUIT\r\n"),
            b"a\r\n.\r\n.\r\n": (b"a\r\n", b".\r\n"),
            b"a\r\n..b\r\n.c\r\n.\r\n": (b"a\r\n.b\r\nc\r\n", b""),
            b"\r\n.\r\n": (b"\r\n", b""),
        }.items():
            for pieces in every_cut(received, ()):
                for bare in BareNewlines:
                    self.assertEqual(unstuff(pieces, bare), (text, set(), rest))

    @settings(deadline=None, max_examples=200)
    @given(CLEAN, PLACES, st.sampled_from(BareNewlines))
    def test_a_stuffed_text_comes_back(self, text: bytes, places: list[int], bare: BareNewlines) -> None:
        """M27."""
        whole = text if text.endswith(b"\r\n") or not text else text + b"\r\n"
        for pieces in every_cut(stuff([text]) + b"rest", places):
            self.assertEqual(unstuff(pieces, bare), (whole, set(), b"rest"))

    @settings(deadline=None, max_examples=500)
    @given(ANYTHING, PLACES, st.sampled_from(BareNewlines))
    @example(b"\n.\r\n.\r\n", [], BareNewlines.NORMALISE)
    @example(b"\r\n.\n.", [], BareNewlines.NORMALISE)
    @example(b"a\n.\r\r\n\n..", [], BareNewlines.NORMALISE)
    def test_any_split_is_received_alike(self, data: bytes, places: list[int], bare: BareNewlines) -> None:
        """M24."""
        # An end makes all before it certain; without one, what is held back differs from split to split.
        ended = data + b"\r\n.\r\nrest"
        expected, rest = unstuff_slowly(ended, bare)
        results = [unstuff(pieces, bare, longest_line=8) for pieces in every_cut(ended, places)]
        for text, told, left in results:
            self.assertEqual((text, left), (expected, rest))
            self.assertEqual(told, results[0][1])
        told = results[0][1]
        self.assertEqual(LongLine() in told, any(len(line) > 6 for line in expected.split(b"\r\n")))
        received = ended[: len(ended) - len(rest or b"")]
        found = re.search(rb"\r(?!\n)|(?<!\r)\n", received) if bare is BareNewlines.REJECT else None
        self.assertEqual(told - {LongLine()}, {BareNewline(found[0])} if found else set())
        if bare is BareNewlines.NORMALISE:
            self.assertNotRegex(expected, rb"\r(?!\n)|(?<!\r)\n")

    def test_nothing_but_the_true_terminator_ends_the_text(self) -> None:
        """M24: none of the known look-alikes ends it, whole or byte by byte; with REJECT each bare octet is told."""
        for fake in (
            b"\n.\n", b"\n.\r", b"\r.\n", b"\r.\r", b"\n.\r\n", b"\r.\r\n", b"\r\n.\n", b"\r\n.\r", b"\r\n.\r\r\n",
            b"\r\r\n.\r\r\n", b"\r\n\0.\r\n", b"\r\n.\0\r\n",
        ):  # fmt: skip
            data = b"one" + fake + b"MAIL FROM:<two>\r\n.\r\nrest"
            for bare in BareNewlines:
                for pieces in every_cut(data, ()):
                    text, told, rest = unstuff(pieces, bare)
                    self.assertEqual(rest, b"rest", fake)
                    self.assertTrue(text.endswith(b"MAIL FROM:<two>\r\n"), fake)
                    self.assertEqual(bool(told), bare is BareNewlines.REJECT and b"\0" not in fake, fake)

    def test_a_normalised_text_sent_on_ends_where_it_should(self) -> None:
        """M25: neither a bare octet nor an early end leaves again."""
        for fake in (b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\n", b"\r\n.\r\r\n"):
            text, _, _ = unstuff([b"one" + fake + b"two\r\n.\r\n"], BareNewlines.NORMALISE)
            self.assertEqual(text.replace(b"\r\n", b"").strip(b"."), b"one.two")
            self.assertEqual(unstuff([stuff([text])]), (text, set(), b""))

    def test_dots_after_a_bare_newline_are_taken_off_when_it_ends_a_line(self) -> None:
        self.assertEqual(unstuff([b"a\n..b\n.c\r\n.\r\n"], BareNewlines.NORMALISE)[0], b"a\r\n.b\r\nc\r\n")
        self.assertEqual(unstuff([b"a\n..b\n.c\r\n.\r\n"], BareNewlines.KEEP)[0], b"a\n..b\n.c\r\n")

    def test_the_line_limit_counts_the_end_and_not_the_added_dot(self) -> None:
        """M26: a long line is told once, and the text goes on."""
        for line, long in ((b"x" * 6, False), (b"x" * 7, True), (b"." * 7, False), (b"." * 8, True)):
            for pieces in every_cut(line + b"\r\n" + line + b"\r\n.\r\n", ()):
                text, told, rest = unstuff(pieces, longest_line=8)
                self.assertEqual(told, {LongLine()} if long else set(), line)
                self.assertEqual((len(text), rest), (2 * len(line.removeprefix(b".")) + 4, b""))

    def test_a_long_line_is_told_before_it_ends(self) -> None:
        unstuffer = DotUnstuffer(longest_line=1000)
        self.assertEqual(unstuffer.feed(b"x" * 998), [Text(b"x" * 998)])
        self.assertEqual(unstuffer.feed(b"x"), [LongLine(), Text(b"x")])
        self.assertEqual(unstuffer.feed(b"x" * 5000), [Text(b"x" * 5000)])

    def test_an_ended_text_takes_no_more(self) -> None:
        unstuffer = DotUnstuffer()
        self.assertEqual(unstuffer.feed(b".\r\n"), [End(b"")])
        self.assertRaises(RuntimeError, unstuffer.feed, b"")

    def test_a_limit_without_room_for_an_end_is_refused(self) -> None:
        self.assertRaises(ValueError, DotUnstuffer, longest_line=1)

    def test_large_chunks_cost_no_step_for_each_octet(self) -> None:
        chunk = (b"x" * 76 + b"\r\n") * 840
        stuffer, unstuffer = DotStuffer(), DotUnstuffer(longest_line=1000)
        begin = process_time()
        for _ in range(160):
            stuffer.feed(chunk)
            unstuffer.feed(chunk)
        # Ten megabytes each way take some 40 ms; a loop over the octets takes more than a second.
        self.assertLess(process_time() - begin, 0.6)


class BetweenLinesTests(SynchronousTestCase):
    """A text between commands: the lines' stream feeds the un-stuffer, and takes back what follows the text."""

    @settings(deadline=None, max_examples=150)
    @given(st.lists(CLEAN, max_size=4), PLACES)
    def test_texts_and_commands_are_told_apart_at_any_split(self, texts: list[bytes], places: list[int]) -> None:
        """M24, M27."""
        wanted = [text if text.endswith(b"\r\n") or not text else text + b"\r\n" for text in texts]
        data = b"".join(b"DATA\r\n" + stuff([text]) + b"NOOP\r\n" for text in texts)
        for pieces in every_cut(data, places):
            lines, unstuffer = LinesState(20), DotUnstuffer()
            received: list[bytes] = []
            commands: list[bytes] = []
            for piece in pieces:
                for event in lines.feed(piece):
                    match event:
                        case Line(content):
                            commands.append(content)
                            if content == b"DATA":
                                unstuffer = DotUnstuffer()
                                received.append(b"")
                                lines.read_stream()
                        case Octets(octets):
                            for found in unstuffer.feed(octets):
                                match found:
                                    case Text(text):
                                        received[-1] += text
                                    case End(rest):
                                        lines.end_stream(unused=len(rest))
                                    case _:
                                        self.fail(f"{found} in a clean text")
                        case _:
                            self.fail(f"{event} in short lines")
            self.assertEqual((received, commands), (wanted, [b"DATA", b"NOOP"] * len(texts)))
