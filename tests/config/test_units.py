"""Units as people write them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from twisted.trial.unittest import SynchronousTestCase

from netservices.config.models import Timeouts
from netservices.config.units import (
    Rate,
    format_duration,
    format_size,
    parse_duration,
    parse_rate,
    parse_size,
)

MODEST = settings(deadline=None, max_examples=200)
DURATIONS = st.from_regex(r"[0-9]{1,5}(\.[0-9]{1,5})?(ms|s|m|h)|[0-9]{1,3}(\.[0-9]{1,3})?(d|w)", fullmatch=True)
SIZES = st.from_regex(r"[0-9]{1,6}(\.[0-9]{1,5})?(B|kB|MB|GB|KiB|MiB|GiB)", fullmatch=True)


class DurationTests(SynchronousTestCase):
    """R1: a bad unit is a mistake, a good one the seconds it says."""

    def test_each_unit_is_its_seconds(self) -> None:
        for text, seconds in (
            ("500ms", 0.5), ("10s", 10.0), ("5m", 300.0), ("12h", 43200.0), ("1d", 86400.0), ("2w", 1209600.0),
            ("1.5h", 5400.0), ("0s", 0.0),
        ):  # fmt: skip
            self.assertEqual(parse_duration(text), seconds, text)

    def test_what_is_no_duration_is_refused(self) -> None:
        for text in (
            "",
            "5",
            "5 m",
            "m",
            "-5m",
            "5M",
            "5m5s",
            ".5s",
            "5.s",
            "1e3s",
            "٣s",
            "5m\n",
            5,
            None,
            True,
            ["5m"],
        ):
            with self.assertRaisesRegex(ValueError, "not a duration, wanted a number and a unit"):
                parse_duration(text)

    def test_more_than_a_century_is_refused(self) -> None:
        self.assertEqual(parse_duration("36500d"), 36500 * 86400.0)
        for text in ("36501d", "9" * 400 + "w"):
            with self.assertRaisesRegex(ValueError, "at most 100 years"):
                parse_duration(text)

    def test_format_is_short(self) -> None:
        for seconds, text in ((0.0, "0s"), (0.25, "250ms"), (1.5, "1.5s"), (60, "1m"), (90, "90s"), (604800, "1w")):
            self.assertEqual(format_duration(seconds), text)

    @MODEST
    @given(DURATIONS)
    def test_what_was_parsed_is_read_back(self, text: str) -> None:
        seconds = parse_duration(text)
        self.assertEqual(parse_duration(format_duration(seconds)), seconds)

    @MODEST
    @given(st.floats(0, 1e9))
    def test_any_seconds_are_read_back(self, seconds: float) -> None:
        self.assertEqual(parse_duration(format_duration(seconds)), seconds)

    def test_in_code_seconds_may_be_given_in_a_file_not(self) -> None:
        self.assertEqual(Timeouts(idle=5).idle, 5.0)
        self.assertEqual(Timeouts.model_validate({"idle": "5m"}).idle, 300.0)
        for text in ('{"idle": 5}', '{"idle": 5.0}', '{"idle": true}'):
            with self.assertRaisesRegex(ValidationError, "not a duration"):
                Timeouts.model_validate_json(text)
        with self.assertRaisesRegex(ValidationError, "not a duration"):
            Timeouts.model_validate({"idle": True})

    def test_a_timeout_of_nothing_is_refused(self) -> None:
        with self.assertRaises(ValidationError):
            Timeouts.model_validate_json('{"idle": "0s"}')


class SizeTests(SynchronousTestCase):
    """R1, of sizes."""

    def test_each_unit_is_its_octets(self) -> None:
        for text, octets in (
            ("512B", 512), ("1kB", 1000), ("2MB", 2_000_000), ("1GB", 10**9), ("1TB", 10**12), ("64KiB", 65536),
            ("1.5KiB", 1536), ("1GiB", 2**30), ("2TiB", 2**41), ("9007199254740993B", 9007199254740993),
        ):  # fmt: skip
            self.assertEqual(parse_size(text), octets, text)

    def test_what_is_no_size_is_refused(self) -> None:
        for text in ("", "5", "5 MiB", "5mib", "5M", "-1B", "MiB", 5, None):
            with self.assertRaisesRegex(ValueError, "not a size, wanted a number and a unit"):
                parse_size(text)

    def test_what_no_disk_holds_is_refused(self) -> None:
        self.assertEqual(parse_size(f"{2**63 - 1}B"), 2**63 - 1)
        for text in (f"{2**63}B", "9" * 5000 + "B"):
            with self.assertRaisesRegex(ValueError, "too large"):
                parse_size(text)

    @MODEST
    @given(SIZES)
    def test_what_was_parsed_is_read_back(self, text: str) -> None:
        octets = parse_size(text)
        self.assertEqual(parse_size(format_size(octets)), octets)


class RateTests(SynchronousTestCase):
    """R1, of rates."""

    def test_count_and_duration_are_taken(self) -> None:
        for text, rate in (("30/10s", Rate(30, 10.0)), ("5/s", Rate(5, 1.0)), ("600/1.5m", Rate(600, 90.0))):
            self.assertEqual(parse_rate(text), rate)

    def test_what_is_no_rate_is_refused(self) -> None:
        for text in ("", "5", "0/s", "5/0s", "5/", "/s", "5/10", "5/.5s", "-1/s", "1.5/s", "9" * 5000 + "/s", 5, None):
            with self.assertRaisesRegex(ValueError, "not a rate, wanted a count and a duration"):
                parse_rate(text)

    @MODEST
    @given(st.integers(1, 999_999_999), DURATIONS.filter(lambda text: parse_duration(text) > 0))
    def test_what_was_parsed_is_read_back(self, count: int, per: str) -> None:
        rate = parse_rate(f"{count}/{per}")
        self.assertEqual(parse_rate(str(rate)), rate)
