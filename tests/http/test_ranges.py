"""The Range field and multipart bodies."""

from __future__ import annotations

from email.parser import BytesParser
from email.policy import HTTP
from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netservices.http.ranges import ByteRange, RangeNotSatisfiable, make_multipart, parse_ranges

SIZE = 1000


def spans(value: bytes, size: int = SIZE) -> list[tuple[int, int]] | None:
    """First and last byte of each range."""
    ranges = parse_ranges(value, size)
    return None if ranges is None else [(part.start, part.stop - 1) for part in ranges]


class ParseRangesTests(SynchronousTestCase):
    """``parse_ranges``."""

    def test_one_range_is_found(self) -> None:
        """H12."""
        for value, expected in {
            b"bytes=0-0": (0, 0),
            b"bytes=0-499": (0, 499),
            b"Bytes=500-": (500, 999),
            b"bytes=-1": (999, 999),
            b"bytes=-5000": (0, 999),
            b"bytes=990-5000": (990, 999),
            b"bytes=0-99999999999999999999999999999999": (0, 999),
            b"bytes=-99999999999999999999999999999999": (0, 999),
            b"bytes=0000000000000000000000000000007-8": (7, 8),
            b"bytes= ,1-2, ,": (1, 2),
            b"bytes=0-": (0, 999),
        }.items():
            self.assertEqual(spans(value), [expected], value)

    def test_field_that_does_not_count_is_none(self) -> None:
        """H12."""
        for value in (
            b"",
            b"bytes",
            b"bytes=",
            b"bytes=,",
            b"bytes=-",
            b"bytes=a-b",
            b"bytes=1",
            b"bytes=--1",
            b"bytes=1--2",
            b"bytes=+1-2",
            b"bytes=1 - 2",
            b"bytes=1-2;3-4",
            b"bytes=2-1",
            b"bytes=0-1,2-1",
            b"bytes=0-1,x",
            b"bytes =0-1",
            b" bytes=0-1",
            b"lines=0-1",
            b"bytes:0-1",
            b"bytes=0x1-2",
            b"bytes=1_0-20",
            "bytes=\u0660-\u0669".encode(),
            b"bytes=99999999999999999999999999-1",
        ):
            self.assertIsNone(parse_ranges(value, SIZE), value)

    def test_nothing_of_what_is_there_is_not_satisfiable(self) -> None:
        """H12."""
        for value in (
            b"bytes=1000-",
            b"bytes=1000-2000",
            b"bytes=-0",
            b"bytes=5000-,-0",
            b"bytes=" + b"9" * 5000 + b"-",
        ):
            error = self.assertRaises(RangeNotSatisfiable, parse_ranges, value, SIZE)
            self.assertEqual(error.content_range, b"bytes */1000")

    def test_empty_file_has_no_parts(self) -> None:
        """H12."""
        self.assertRaises(RangeNotSatisfiable, parse_ranges, b"bytes=0-", 0)
        self.assertRaises(RangeNotSatisfiable, parse_ranges, b"bytes=-0", 0)
        self.assertIsNone(parse_ranges(b"bytes=-5", 0))

    def test_several_stay_in_their_order(self) -> None:
        """H12."""
        self.assertEqual(spans(b"bytes=500-509, 0-9,-5"), [(500, 509), (0, 9), (995, 999)])
        self.assertEqual(spans(b"bytes=5000-6000,0-9"), [(0, 9)])

    def test_what_touches_becomes_one(self) -> None:
        """H12."""
        self.assertEqual(spans(b"bytes=0-9,10-19"), [(0, 19)])
        self.assertEqual(spans(b"bytes=10-19,0-9"), [(0, 19)])
        self.assertEqual(spans(b"bytes=0-9,5-15,100-101,12-14"), [(0, 15), (100, 101)])
        self.assertEqual(spans(b"bytes=0-9,11-19"), [(0, 9), (11, 19)])

    def test_more_than_there_is_means_the_whole(self) -> None:
        """H12."""
        self.assertIsNone(parse_ranges(b"bytes=0-,0-", SIZE))
        self.assertIsNone(parse_ranges(b"bytes=0-599,400-", SIZE))
        self.assertEqual(spans(b"bytes=0-499,500-"), [(0, 999)])

    def test_too_many_mean_the_whole(self) -> None:
        """H12."""
        sixteen = b"bytes=" + b",".join(b"%d-%d" % (at, at) for at in range(0, 32, 2))
        self.assertEqual(len(parse_ranges(sixteen, SIZE) or ()), 16)
        self.assertIsNone(parse_ranges(sixteen + b",40-40", SIZE))
        self.assertIsNone(parse_ranges(b"bytes=0-1,4-5", SIZE, most=1))

    @settings(deadline=None, max_examples=400)
    @given(
        st.lists(
            st.tuples(st.integers(0, 30), st.integers(0, 30) | st.none()) | st.integers(0, 30), min_size=1, max_size=6
        ),
        st.integers(0, 25),
    )
    @example([3], 0)
    def test_any_field_gives_the_bytes_that_were_asked_for(
        self, asked: list[tuple[int, int | None] | int], size: int
    ) -> None:
        """H12."""
        specs: list[str] = []
        wanted: list[set[int]] = []
        for item in asked:
            if isinstance(item, int):
                specs.append(f"-{item}")
                wanted.append(set(range(size)[max(0, size - item) :]) if item else set())
            else:
                first, last = item
                specs.append(f"{first}-{'' if last is None else last}")
                wanted.append({at for at in range(size) if at >= first and (last is None or at <= last)})
        value = ("bytes=" + ",".join(specs)).encode()
        try:
            ranges = parse_ranges(value, size)
        except RangeNotSatisfiable:
            self.assertEqual(set().union(*wanted), set())
            return
        backwards = any(isinstance(item, tuple) and item[1] is not None and item[1] < item[0] for item in asked)
        too_much = sum(map(len, wanted)) > size
        end_of_nothing = size == 0 and any(isinstance(item, int) and item for item in asked)
        self.assertEqual(ranges is None, backwards or too_much or end_of_nothing)
        if ranges is not None:
            covered = [at for part in ranges for at in range(part.start, part.stop)]
            self.assertEqual(sorted(covered), sorted(set().union(*wanted)))
            edges = sorted((part.start, part.stop) for part in ranges)
            self.assertTrue(all(before[1] < after[0] for before, after in pairwise(edges)))

    @settings(deadline=None, max_examples=300)
    @given(st.binary(max_size=20) | st.text("0123-, =", max_size=16).map(str.encode), st.integers(0, 100))
    def test_any_bytes_give_parts_inside_or_none(self, text: bytes, size: int) -> None:
        """H12."""
        try:
            ranges = parse_ranges(b"bytes=" + text, size) or ()
        except RangeNotSatisfiable:
            return
        for part in ranges:
            self.assertTrue(0 <= part.start < part.stop <= size)


class MultipartTests(SynchronousTestCase):
    """``make_multipart``."""

    data = bytes(range(256)) * 4
    ranges = (ByteRange(700, 710), ByteRange(0, 1))

    def body(self) -> tuple[bytes, bytes]:
        """Content-Type and body of the same plan."""
        plan = make_multipart(self.ranges, len(self.data), b"text/plain; charset=utf-8")
        body = b"".join(head + self.data[part.start : part.stop] for head, part in plan.parts) + plan.tail
        self.assertEqual(plan.length, len(body))
        return plan.content_type, body

    def test_body_is_what_a_parser_of_mail_takes_apart(self) -> None:
        """H12."""
        content_type, body = self.body()
        message = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + content_type + b"\r\n\r\n" + body)
        self.assertEqual(message.get_content_type(), "multipart/byteranges")
        parts = list(message.iter_parts())
        self.assertEqual([part["Content-Range"] for part in parts], ["bytes 700-709/1024", "bytes 0-0/1024"])
        self.assertEqual([part.get_content_type() for part in parts], ["text/plain"] * 2)
        self.assertEqual(parts[1].get_payload(decode=True), b"\0")

    def test_body_is_exact(self) -> None:
        """H12."""
        content_type, body = self.body()
        boundary = content_type.removeprefix(b"multipart/byteranges; boundary=")
        self.assertEqual(
            body,
            b"--%b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes 700-709/1024\r\n\r\n%b\r\n"
            b"--%b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes 0-0/1024\r\n\r\n\0\r\n--%b--\r\n"
            % (boundary, self.data[700:710], boundary, boundary),
        )

    def test_boundary_cannot_be_guessed(self) -> None:
        """H12."""
        self.assertNotEqual(self.body()[0], self.body()[0])
        self.assertRegex(self.body()[0], rb"boundary=[0-9a-f]{32}$")

    def test_range_says_itself(self) -> None:
        self.assertEqual(ByteRange(0, 500).content_range(1234), b"bytes 0-499/1234")
        self.assertEqual(ByteRange(3, 5).length, 2)
