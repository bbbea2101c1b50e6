"""Dates as HTTP writes them."""

from __future__ import annotations

from email.utils import formatdate

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netservices.http.dates import format_date, parse_date

EXAMPLE = 784111777
NOW = 1_795_000_000  # November 2026


class FormatDateTests(SynchronousTestCase):
    """``format_date``."""

    def test_example_of_the_rfc_is_written_as_there(self) -> None:
        self.assertEqual(format_date(EXAMPLE), b"Sun, 06 Nov 1994 08:49:37 GMT")

    def test_times_no_year_can_say_become_the_nearest(self) -> None:
        self.assertEqual(format_date(10**15), b"Fri, 31 Dec 9999 23:59:59 GMT")
        self.assertEqual(format_date(-(10**15)), b"Mon, 01 Jan 0001 00:00:00 GMT")

    @settings(deadline=None, max_examples=200)
    @given(st.integers(min_value=-(10**10), max_value=10**11))
    def test_any_time_is_written_as_the_library_writes_it(self, seconds: int) -> None:
        self.assertEqual(format_date(seconds), formatdate(seconds, usegmt=True).encode("ascii"))

    @settings(deadline=None, max_examples=200)
    @given(st.integers(min_value=-62135596800, max_value=253402300799))
    def test_any_time_is_read_as_it_was_written(self, seconds: int) -> None:
        self.assertEqual(parse_date(format_date(seconds)), seconds)


class ParseDateTests(SynchronousTestCase):
    """``parse_date``."""

    def test_three_forms_of_the_rfc_are_the_same_moment(self) -> None:
        for value in (
            b"Sun, 06 Nov 1994 08:49:37 GMT",
            b"Sunday, 06-Nov-94 08:49:37 GMT",
            b"Sun Nov  6 08:49:37 1994",
        ):
            self.assertEqual(parse_date(value), EXAMPLE, value)

    def test_asctime_with_two_digits_is_read(self) -> None:
        self.assertEqual(parse_date(b"Wed Nov 16 08:49:37 1994"), EXAMPLE + 10 * 86400)

    def test_leap_second_is_the_first_of_the_next_minute(self) -> None:
        self.assertEqual(parse_date(b"Sat, 31 Dec 2016 23:59:60 GMT"), parse_date(b"Sun, 01 Jan 2017 00:00:00 GMT"))

    def test_two_digit_years_are_of_the_century_around_now(self) -> None:
        # 6 November 2026 is a Friday; 2076 a Friday; 1977 a Sunday.
        self.assertEqual(parse_date(b"Friday, 06-Nov-26 00:00:00 GMT", now=NOW), 1793923200)
        self.assertEqual(parse_date(b"Friday, 06-Nov-76 00:00:00 GMT", now=NOW), 3371846400)
        self.assertEqual(parse_date(b"Sunday, 06-Nov-77 00:00:00 GMT", now=NOW), 247622400)
        # In 1990, 26 is a year to come: a Friday in 2026, a Saturday in 1926.
        self.assertEqual(parse_date(b"Friday, 06-Nov-26 00:00:00 GMT", now=631152000), 1793923200)
        # At the end of a century, 05 is in the next.
        self.assertEqual(parse_date(b"Sunday, 06-Nov-05 00:00:00 GMT", now=915148800), 1131235200)

    def test_what_is_no_date_is_none(self) -> None:
        for value in (
            b"",
            b"now",
            b"0",
            b"784111777",
            b"Mon, 06 Nov 1994 08:49:37 GMT",  # it was a Sunday
            b"sun, 06 Nov 1994 08:49:37 GMT",
            b"Sun, 6 Nov 1994 08:49:37 GMT",
            b"Sun, 06 Nov 1994 08:49:37 UTC",
            b"Sun, 06 Nov 1994 08:49:37 +0000",
            b"Sun, 06 Nov 1994 08:49:37",
            b" Sun, 06 Nov 1994 08:49:37 GMT",
            b"Sun, 06 Nov 1994 08:49:37 GMT\n",
            b"Sun,  06 Nov 1994 08:49:37 GMT",
            b"Sun, 06 Nov 1994 24:00:00 GMT",
            b"Sun, 06 Nov 1994 08:60:00 GMT",
            b"Sun, 06 Nov 1994 08:49:61 GMT",
            b"Sun, 06 Nov 1994 08:49:60 GMT",
            b"Wed, 31 Nov 1994 08:49:37 GMT",
            b"Wed, 29 Feb 1995 08:49:37 GMT",
            b"Tue, 00 Nov 1994 08:49:37 GMT",
            b"Sat, 01 Jan 0000 00:00:00 GMT",
            b"Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
            b"Sunday, 06-Nov-1994 08:49:37 GMT",
            "Sun, \u0660\u0666 Nov 1994 08:49:37 GMT".encode(),
        ):
            self.assertIsNone(parse_date(value), value)

    @settings(deadline=None, max_examples=200)
    @given(st.binary(max_size=40) | st.from_regex(rb"(Sun|Sunday),? [0-9 -]{2,9}(Nov|Feb)[0-9: -]{4,16}( GMT)?"))
    def test_any_bytes_are_a_number_or_none(self, value: bytes) -> None:
        self.assertIsInstance(parse_date(value, now=NOW), int | None)
