"""The bounded lines."""

from __future__ import annotations

import itertools
from time import process_time
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netservices.wire.lines import Line, LineEnds, LinesState, NotEmptyError, Octets, Overflow, TooLong

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netservices.wire.lines import Event

LIMIT = 12

STREAMS = st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a", b"bcd", b"x" * 9, b"x" * 10, b"x" * 11, b"."])).map(
    b"".join
)


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """``data`` cut at ``places``, each taken modulo its length."""
    borders = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[start:stop] for start, stop in itertools.pairwise(borders)]


def read(lines: LinesState, pieces: Iterable[bytes]) -> list[Event]:
    """All events of ``pieces``."""
    return [event for piece in pieces for event in lines.feed(piece)]


def split_slowly(data: bytes, ends: LineEnds) -> list[Event]:
    """What the lines of ``data`` are, found another way: every octet looked at, one by one."""
    events: list[Event] = []
    line = b""
    told = False
    for octet in (data[place : place + 1] for place in range(len(data))):
        line += octet
        ended = line.endswith(b"\r\n") or (ends is LineEnds.CRLF_OR_LF and octet == b"\n")
        least = len(line) if ended else len(line) + (1 if octet == b"\r" or ends is LineEnds.CRLF_OR_LF else 2)
        if least > LIMIT and not told:
            told = True
            events.append(TooLong(line[: LIMIT - 2]))
        if ended:
            whole = line.endswith(b"\r\n")
            content = line[: -2 if whole else -1]
            if not told:
                bare_lf = not whole or (ends is LineEnds.CRLF and b"\n" in content)
                events.append(Line(content, b"\r" in content, bare_lf))
            line, told = b"", False
    return events


class LineTests(SynchronousTestCase):
    """Lines and their ends."""

    def test_several_lines_in_one_piece_come_one_by_one(self) -> None:
        self.assertEqual(
            read(LinesState(LIMIT), [b"one\r\n\r\nthree\r\nfo"]), [Line(b"one"), Line(b""), Line(b"three")]
        )

    def test_an_end_cut_in_two_is_one_end(self) -> None:
        self.assertEqual(read(LinesState(LIMIT), [b"a\r", b"\nb\r\n"]), [Line(b"a"), Line(b"b")])

    def test_lf_alone_ends_a_line_only_where_asked_for(self) -> None:
        self.assertEqual(read(LinesState(LIMIT), [b"a\nb\r\n"]), [Line(b"a\nb")])
        either = LinesState(LIMIT, ends=LineEnds.CRLF_OR_LF)
        self.assertEqual(read(either, [b"a\nb\r\nc\r\r\n"]), [Line(b"a"), Line(b"b"), Line(b"c\r")])

    def test_bare_octets_are_told_where_asked_for(self) -> None:
        """M24: what stands alone is never a line's end unseen."""
        strict = LinesState(LIMIT, report_bare=True)
        self.assertEqual(
            read(strict, [b"a\nb\r\nc\r\r\n\rd\n\r\ne\r\n"]),
            [
                Line(b"a\nb", bare_lf=True),
                Line(b"c\r", bare_cr=True),
                Line(b"\rd\n", bare_cr=True, bare_lf=True),
                Line(b"e"),
            ],
        )
        either = LinesState(LIMIT, ends=LineEnds.CRLF_OR_LF, report_bare=True)
        self.assertEqual(
            read(either, [b"a\nb\r\nc\r\r\n"]), [Line(b"a", bare_lf=True), Line(b"b"), Line(b"c\r", bare_cr=True)]
        )

    @settings(deadline=None, max_examples=300)
    @given(STREAMS, st.lists(st.integers(min_value=0), max_size=8), st.sampled_from(LineEnds))
    def test_any_split_gives_the_same_events(self, data: bytes, places: list[int], ends: LineEnds) -> None:
        expected = split_slowly(data, ends)
        for pieces in ([data], cut(data, places), cut(data, range(len(data)))):
            self.assertEqual(read(LinesState(LIMIT, ends=ends, report_bare=True), pieces), expected)

    def test_a_long_line_byte_by_byte_takes_linear_time(self) -> None:
        def measure(size: int) -> float:
            lines = LinesState(2 * size, waiting_limit=2 * size)
            begin = process_time()
            for _ in range(size):
                for _ in lines.feed(b"x"):
                    self.fail("no line has ended")
            return process_time() - begin

        small = min(measure(2**14) for _ in range(3))
        # Sixteen times as much, and quadratic time would be 256 times as long.
        self.assertLess(measure(2**18), 80 * small)


class LimitTests(SynchronousTestCase):
    """The longest line."""

    def test_a_line_of_just_the_limit_is_taken(self) -> None:
        for ends, end in ((LineEnds.CRLF, b"\r\n"), (LineEnds.CRLF_OR_LF, b"\r\n"), (LineEnds.CRLF_OR_LF, b"\n")):
            content = b"x" * (LIMIT - len(end))
            self.assertEqual(read(LinesState(LIMIT, ends=ends), [content + end]), [Line(content)])
            events = read(LinesState(LIMIT, ends=ends), [b"x" + content + end])
            self.assertEqual(events, [TooLong(b"x" * (LIMIT - 2))])

    def test_discard_throws_away_up_to_the_end_and_goes_on(self) -> None:
        lines = LinesState(LIMIT)
        self.assertEqual(read(lines, [b"x" * 50]), [TooLong(b"x" * 10)])
        for _ in range(1000):
            self.assertEqual(read(lines, [b"\r" + b"x" * 1000 + b"\r"]), [])
            self.assertLessEqual(lines.waiting, 1)
        self.assertEqual(read(lines, [b"\nnext\r\n"]), [Line(b"next")])

    def test_close_reads_nothing_more(self) -> None:
        """F17: the session ends with one answer."""
        lines = LinesState(LIMIT, overflow=Overflow.CLOSE)
        self.assertEqual(read(lines, [b"a\r\n" + b"x" * 11 + b"\r\nb\r\n", b"c\r\n"]), [Line(b"a"), TooLong(b"x" * 10)])
        self.assertEqual((lines.waiting, lines.wants_more), (0, False))

    def test_a_new_limit_holds_for_the_next_line(self) -> None:
        lines = LinesState(LIMIT)
        events = []
        for event in lines.feed(b"short\r\n" + b"x" * 20 + b"\r\n"):
            events.append(event)
            lines.limit = 22
        self.assertEqual(events, [Line(b"short"), Line(b"x" * 20)])
        self.assertEqual(lines.limit, 22)

    def test_limits_that_cannot_work_are_refused(self) -> None:
        self.assertRaises(ValueError, LinesState, 2)
        self.assertRaises(ValueError, LinesState, 100, waiting_limit=99)
        lines = LinesState(10, waiting_limit=20)
        self.assertRaises(ValueError, setattr, lines, "limit", 21)
        self.assertEqual(lines.limit, 10)


class PauseTests(SynchronousTestCase):
    """Pipelined commands wait for the one at work."""

    def test_events_wait_while_paused(self) -> None:
        """M29: what follows a command is not looked at before its answer."""
        lines = LinesState(LIMIT)
        seen = []
        for event in lines.feed(b"one\r\ntwo\r\nthree\r\n"):
            seen.append(event)
            lines.pause()
        self.assertEqual((seen, lines.paused), ([Line(b"one")], True))
        self.assertEqual(read(lines, [b"four\r\n"]), [])
        lines.resume()
        self.assertEqual(list(lines.events()), [Line(b"two"), Line(b"three"), Line(b"four")])

    def test_the_cap_says_when_to_stop_reading(self) -> None:
        """M37: memory is bounded by the cap and one piece of the transport's."""
        lines = LinesState(LIMIT, waiting_limit=20)
        lines.pause()
        lines.feed(b"x\r\n" * 6)
        self.assertTrue(lines.wants_more)
        lines.feed(b"x\r")
        self.assertFalse(lines.wants_more)
        lines.resume()
        self.assertEqual(len(list(lines.events())), 6)
        self.assertTrue(lines.wants_more)

    def test_the_longest_line_fits_below_the_cap(self) -> None:
        lines = LinesState(LIMIT, waiting_limit=LIMIT)
        for octet in b"x" * (LIMIT - 2) + b"\r":
            self.assertTrue(lines.wants_more)
            self.assertEqual(list(lines.feed(bytes([octet]))), [])
        self.assertTrue(lines.wants_more)
        self.assertEqual(list(lines.feed(b"\n")), [Line(b"x" * (LIMIT - 2))])

    def test_answers_ready_at_once_do_not_nest(self) -> None:
        lines = LinesState(LIMIT)
        seen = []
        for event in lines.feed(b"x\r\n" * 5000):
            lines.pause()
            lines.resume()
            self.assertEqual(list(lines.events()), [])
            seen.append(event)
        self.assertEqual(len(seen), 5000)

    def test_a_loop_left_early_can_be_taken_up(self) -> None:
        lines = LinesState(LIMIT)
        for event in lines.feed(b"a\r\nb\r\n"):
            self.assertEqual(event, Line(b"a"))
            break
        self.assertEqual(list(lines.events()), [Line(b"b")])


class RawTests(SynchronousTestCase):
    """Octets between the lines."""

    def test_counted_octets_begin_and_end_in_the_middle_of_a_piece(self) -> None:
        """M30: a chunk is not looked into."""
        lines = LinesState(LIMIT)
        seen: list[Event] = []
        for event in lines.feed(b"BDAT 5\r\na\r\nb\rNOOP\r\nBDAT 0\r\nQUIT\r\n"):
            seen.append(event)
            if isinstance(event, Line) and event.content.startswith(b"BDAT "):
                lines.read_octets(int(event.content[5:]))
        self.assertEqual(
            seen,
            [Line(b"BDAT 5"), Octets(b"a\r\nb\r", 0), Line(b"NOOP"), Line(b"BDAT 0"), Octets(b"", 0), Line(b"QUIT")],
        )

    def test_counted_octets_come_as_they_arrive(self) -> None:
        lines = LinesState(LIMIT)
        lines.read_octets(100_000)
        self.assertEqual(read(lines, [b""]), [])
        sizes = [
            (len(event.data), event.left)
            for event in read(lines, [b"x" * 70_000, b"x" * 30_000])
            if isinstance(event, Octets)
        ]
        self.assertEqual(sizes, [(65536, 34464), (4464, 30000), (30000, 0)])

    @settings(deadline=None, max_examples=100)
    @given(st.binary(max_size=60), st.lists(st.integers(min_value=0), max_size=8))
    def test_counted_octets_are_exact_at_any_split(self, octets: bytes, places: list[int]) -> None:
        lines = LinesState(LIMIT)
        data = b"%d\r\n%bend\r\n" % (len(octets), octets)
        got = b""
        others = []
        for piece in cut(data, places):
            for event in lines.feed(piece):
                if isinstance(event, Octets):
                    got += event.data
                else:
                    others.append(event)
                    if len(others) == 1 and isinstance(event, Line):
                        lines.read_octets(int(event.content))
        self.assertEqual((got, others), (octets, [Line(b"%d" % len(octets)), Line(b"end")]))

    def test_a_stream_gives_back_what_it_did_not_use(self) -> None:
        lines = LinesState(LIMIT)
        seen: list[Event] = []
        for event in lines.feed(b"DATA\r\ntext.QUIT\r\n"):
            seen.append(event)
            if event == Line(b"DATA"):
                lines.read_stream()
            elif isinstance(event, Octets):
                lines.end_stream(unused=len(event.data) - event.data.index(b".") - 1)
        self.assertEqual(seen, [Line(b"DATA"), Octets(b"text.QUIT\r\n", None), Line(b"QUIT")])

    def test_a_stream_gives_back_while_paused_and_after_more_came(self) -> None:
        lines = LinesState(LIMIT)
        lines.read_stream()
        for event in lines.feed(b"text.QU"):
            self.assertEqual(event, Octets(b"text.QU", None))
            lines.pause()
        lines.feed(b"IT\r\n")
        lines.end_stream(unused=2)
        lines.resume()
        self.assertEqual(list(lines.events()), [Line(b"QUIT")])

    def test_a_stream_goes_on_over_many_pieces_in_growing_chunks(self) -> None:
        lines = LinesState(LIMIT)
        lines.read_stream()
        sizes = [len(event.data) for event in lines.feed(b"x" * 300_000) if isinstance(event, Octets)]
        self.assertEqual(sizes[:6], [4096, 8192, 16384, 32768, 65536, 65536])
        self.assertEqual(sum(sizes), 300_000)
        self.assertEqual(lines.waiting, 0)
        lines.end_stream()
        self.assertEqual(read(lines, [b"a\r\n"]), [Line(b"a")])

    def test_calls_out_of_turn_are_refused(self) -> None:
        lines = LinesState(LIMIT)
        self.assertRaises(RuntimeError, lines.end_stream)
        self.assertRaises(ValueError, lines.read_octets, -1)
        lines.read_stream()
        self.assertRaises(RuntimeError, lines.read_octets, 1)
        self.assertEqual(read(lines, [b"abc"]), [Octets(b"abc", None)])
        self.assertRaises(ValueError, lines.end_stream, 4)
        self.assertRaises(ValueError, lines.end_stream, -1)
        lines = LinesState(LIMIT)
        read(lines, [b"x" * 20])
        self.assertRaises(RuntimeError, lines.read_stream)


class UpgradeTests(SynchronousTestCase):
    """TLS begins on an empty buffer."""

    def test_nothing_left_is_fine(self) -> None:
        lines = LinesState(LIMIT)
        for event in lines.feed(b"STARTTLS\r\n"):
            self.assertEqual(event, Line(b"STARTTLS"))
            lines.require_empty()

    def test_whatever_came_with_the_command_is_refused_and_dropped(self) -> None:
        """R22, M28: an injected command, a half one, and one that came while the answer was made."""
        for later, count in ((b"NOOP\r\n", 6), (b"N", 1), (b"\r", 1)):
            for pieces in ([b"STARTTLS\r\n" + later], [b"STARTTLS\r\n", later]):
                lines = LinesState(LIMIT)
                for piece in pieces:
                    for _ in lines.feed(piece):
                        lines.pause()
                error = self.assertRaises(NotEmptyError, lines.require_empty)
                self.assertEqual(error.count, count)
                self.assertIn(str(count), str(error))
                lines.resume()
                self.assertEqual(list(lines.events()), [])
                lines.require_empty()

    def test_the_rest_is_taken_once(self) -> None:
        lines = LinesState(LIMIT)
        for _ in lines.feed(b"CONNECT\r\n\x16\x03\x01"):
            lines.pause()
        self.assertEqual(lines.waiting, 3)
        self.assertEqual(lines.take_rest(), b"\x16\x03\x01")
        self.assertEqual(lines.take_rest(), b"")
