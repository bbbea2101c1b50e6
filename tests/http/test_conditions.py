"""Conditional requests, against the steps of RFC 9110 written down once more."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netservices.http.conditions import (
    Outcome,
    Validators,
    evaluate,
    last_modified,
    make_etag,
    make_validators,
    range_applies,
)
from netservices.http.dates import format_date

if TYPE_CHECKING:
    from collections.abc import Mapping

NOW = 1_795_000_000
MODIFIED = NOW - 1000
OURS = Validators(b'"abc"', MODIFIED)
WEAK = Validators(b'W/"abc"', MODIFIED)
SAME = format_date(MODIFIED)
BEFORE = format_date(MODIFIED - 1)
AFTER = format_date(MODIFIED + 1)
FUTURE = format_date(NOW + 1)

GO = Outcome.PROCEED
SAME_304 = Outcome.NOT_MODIFIED
FAILED_412 = Outcome.PRECONDITION_FAILED


def outcome(method: bytes = b"GET", validators: Validators | None = OURS, /, **fields: bytes) -> Outcome:
    """What a request with these fields gets; an underscore stands for the hyphen."""
    named = {name.replace("_", "-").encode("ascii"): value for name, value in fields.items()}
    return evaluate(method, named.get, validators, NOW)


def file_stat(**changes: int) -> os.stat_result:
    """The status of a made-up file."""
    values = {"st_ino": 2, "st_dev": 3, "st_size": 4, "st_mtime_ns": 5_999_999_999, **changes}
    return os.stat_result((0o100644, values["st_ino"], values["st_dev"], 1, 0, 0, values["st_size"], 0, 0, 0), values)


def naive(
    method: bytes, fields: Mapping[bytes, list[str]], dates: Mapping[bytes, int], ours: Validators | None
) -> Outcome:
    """RFC 9110 13.2.2, step by step, over fields that are taken apart already."""
    # Step 1
    if b"if-match" in fields:
        tags = fields[b"if-match"]
        if ours is None or not (tags == ["*"] or (not ours.etag.startswith(b"W/") and ours.etag.decode() in tags)):
            return FAILED_412
    # Step 2
    elif b"if-unmodified-since" in dates and ours is not None and not ours.modified <= dates[b"if-unmodified-since"]:
        return FAILED_412
    # Step 3
    if b"if-none-match" in fields:
        tags = fields[b"if-none-match"]
        if ours is not None and (tags == ["*"] or ours.etag.decode()[-5:] in [tag[-5:] for tag in tags]):
            return SAME_304 if method in {b"GET", b"HEAD"} else FAILED_412
    # Step 4
    elif (
        method in {b"GET", b"HEAD"}
        and b"if-modified-since" in dates
        and ours is not None
        and dates[b"if-modified-since"] <= NOW
        and ours.modified <= dates[b"if-modified-since"]
    ):
        return SAME_304
    return GO


tags = st.sampled_from(['"abc"', 'W/"abc"', '"abd"', 'W/"abd"'])
tag_lists = st.just(["*"]) | st.lists(tags, max_size=4)
moments = st.sampled_from([0, MODIFIED - 1, MODIFIED, MODIFIED + 1, NOW, NOW + 1])


class EvaluateTests(SynchronousTestCase):
    """``evaluate``."""

    def test_request_without_conditions_proceeds(self) -> None:
        """H11."""
        self.assertIs(outcome(), GO)
        self.assertIs(outcome(b"PUT", None), GO)

    def test_if_match_is_compared_strongly(self) -> None:
        """H11."""
        for value, expected in {
            b'"abc"': GO,
            b'"x", "abc"': GO,
            b"*": GO,
            b'W/"abc"': FAILED_412,
            b'"x"': FAILED_412,
            b"": FAILED_412,
        }.items():
            self.assertIs(outcome(if_match=value), expected, value)
            self.assertIs(outcome(b"PUT", if_match=value), expected, value)
        self.assertIs(outcome(b"GET", WEAK, if_match=b'W/"abc"'), FAILED_412)
        self.assertIs(outcome(b"GET", WEAK, if_match=b'"abc"'), FAILED_412)

    def test_if_none_match_is_compared_weakly(self) -> None:
        """H11."""
        for value in (b'"abc"', b'W/"abc"', b'"x",W/"abc"', b"*", b', ,"abc",', b'"a,b" ,\t"abc"'):
            for ours in (OURS, WEAK):
                self.assertIs(outcome(b"GET", ours, if_none_match=value), SAME_304, value)
                self.assertIs(outcome(b"HEAD", ours, if_none_match=value), SAME_304, value)
                self.assertIs(outcome(b"DELETE", ours, if_none_match=value), FAILED_412, value)
        for value in (b'"x"', b'w/"abc"', b"abc", b'"abc', b'"ab c"', b'"abc" "abc"', b'*, "abc"', b""):
            self.assertIs(outcome(if_none_match=value), GO, value)

    def test_list_that_cannot_be_read_lets_nothing_be_written(self) -> None:
        """H11."""
        for value in (b"abc", b'"abc', b'"x" "y"', b'"x";q=1', b'"a\x00"'):
            self.assertIs(outcome(b"PUT", if_match=value), FAILED_412, value)
            self.assertIs(outcome(b"PUT", if_none_match=value), FAILED_412, value)
            self.assertIs(outcome(b"GET", if_none_match=value), GO, value)

    def test_star_asks_whether_there_is_anything(self) -> None:
        """H11."""
        self.assertIs(outcome(b"PUT", None, if_match=b"*"), FAILED_412)
        self.assertIs(outcome(b"PUT", OURS, if_match=b"*"), GO)
        self.assertIs(outcome(b"PUT", None, if_none_match=b"*"), GO)
        self.assertIs(outcome(b"PUT", OURS, if_none_match=b"*"), FAILED_412)
        self.assertIs(outcome(b"PUT", None, if_none_match=b'"abc"'), GO)
        self.assertIs(outcome(b"PUT", None, if_match=b'"abc"'), FAILED_412)

    def test_if_modified_since_is_for_reading_only(self) -> None:
        """H11."""
        self.assertIs(outcome(if_modified_since=SAME), SAME_304)
        self.assertIs(outcome(b"HEAD", if_modified_since=AFTER), SAME_304)
        self.assertIs(outcome(if_modified_since=BEFORE), GO)
        self.assertIs(outcome(b"POST", if_modified_since=SAME), GO)
        self.assertIs(outcome(b"GET", None, if_modified_since=SAME), GO)

    def test_bad_and_future_dates_do_not_count(self) -> None:
        """H11."""
        for value in (FUTURE, b"yesterday", b"", SAME + b", " + SAME, b"%d" % MODIFIED):
            self.assertIs(outcome(if_modified_since=value), GO, value)
        for value in (b"yesterday", b"", BEFORE + b", " + BEFORE):
            self.assertIs(outcome(if_unmodified_since=value), GO, value)

    def test_if_unmodified_since_fails_for_what_is_newer(self) -> None:
        """H11."""
        for method in (b"GET", b"PUT"):
            self.assertIs(outcome(method, if_unmodified_since=BEFORE), FAILED_412)
            self.assertIs(outcome(method, if_unmodified_since=SAME), GO)
            self.assertIs(outcome(method, if_unmodified_since=FUTURE), GO)
        self.assertIs(outcome(b"PUT", None, if_unmodified_since=BEFORE), GO)

    def test_tags_beat_dates(self) -> None:
        """H11."""
        self.assertIs(outcome(if_none_match=b'"x"', if_modified_since=SAME), GO)
        self.assertIs(outcome(if_none_match=b'"abc"', if_modified_since=BEFORE), SAME_304)
        self.assertIs(outcome(if_match=b'"abc"', if_unmodified_since=BEFORE), GO)
        self.assertIs(outcome(if_match=b'"x"', if_none_match=b'"abc"'), FAILED_412)
        self.assertIs(outcome(if_match=b'"abc"', if_none_match=b'"abc"'), SAME_304)
        self.assertIs(outcome(if_unmodified_since=BEFORE, if_none_match=b'"abc"'), FAILED_412)

    def test_methods_that_choose_nothing_have_no_conditions(self) -> None:
        for method in (b"OPTIONS", b"TRACE", b"CONNECT"):
            self.assertIs(outcome(method, if_match=b'"x"'), GO)

    @settings(deadline=None, max_examples=500)
    @given(
        st.sampled_from([b"GET", b"HEAD", b"PUT", b"POST"]),
        st.dictionaries(st.sampled_from([b"if-match", b"if-none-match"]), tag_lists),
        st.dictionaries(st.sampled_from([b"if-modified-since", b"if-unmodified-since"]), moments),
        st.sampled_from([None, OURS, WEAK]),
        st.sampled_from([", ", ",", " ,\t", ",,"]),
    )
    def test_any_request_gets_what_the_steps_of_the_rfc_give(
        self,
        method: bytes,
        lists: dict[bytes, list[str]],
        dates: dict[bytes, int],
        ours: Validators | None,
        comma: str,
    ) -> None:
        """H11."""
        fields = {name: comma.join(values).encode() for name, values in lists.items()}
        fields.update((name, format_date(value)) for name, value in dates.items())
        self.assertIs(evaluate(method, fields.get, ours, NOW), naive(method, lists, dates, ours))

    @settings(deadline=None, max_examples=300)
    @given(st.binary(max_size=30) | st.text('W/"abc*, ', max_size=20).map(str.encode))
    def test_any_bytes_get_an_outcome(self, value: bytes) -> None:
        for method in (b"GET", b"PUT"):
            self.assertIsInstance(outcome(method, if_none_match=value, if_modified_since=value), Outcome)
            self.assertIsInstance(outcome(method, if_match=value, if_unmodified_since=value), Outcome)

    def test_long_list_takes_no_long_time(self) -> None:
        """A list of many commas is read once, not once for each comma."""
        self.assertIs(outcome(if_none_match=b'"x"' + b" ," * 50_000 + b'"abc"'), SAME_304)
        self.assertIs(outcome(if_none_match=b'"x"' + b" ," * 50_000 + b"abc"), GO)


class IfRangeTests(SynchronousTestCase):
    """``range_applies``."""

    def applies(self, value: bytes | None, validators: Validators = OURS, now: int = NOW) -> bool:
        """Whether the range counts."""
        fields = {} if value is None else {b"if-range": value}
        return range_applies(fields.get, validators, now)

    def test_without_the_field_the_range_counts(self) -> None:
        """H12."""
        self.assertTrue(self.applies(None))

    def test_tag_is_compared_strongly(self) -> None:
        """H11."""
        self.assertTrue(self.applies(b'"abc"'))
        for value in (b'W/"abc"', b'"x"', b'"abc", "abc"', b"*", b"abc", b""):
            self.assertFalse(self.applies(value), value)
        self.assertFalse(self.applies(b'W/"abc"', WEAK))
        self.assertFalse(self.applies(b'"abc"', WEAK))

    def test_date_must_be_exactly_the_same(self) -> None:
        """H11."""
        self.assertTrue(self.applies(SAME))
        for value in (BEFORE, AFTER, FUTURE, b"soon"):
            self.assertFalse(self.applies(value), value)

    def test_date_of_a_file_just_changed_does_not_count(self) -> None:
        """RFC 9110 8.8.2.2: it may have changed twice in that second."""
        self.assertFalse(self.applies(SAME, now=MODIFIED))
        self.assertFalse(self.applies(SAME, now=MODIFIED + 59))
        self.assertTrue(self.applies(SAME, now=MODIFIED + 60))
        self.assertFalse(self.applies(SAME, now=MODIFIED - 1))


class ValidatorsTests(SynchronousTestCase):
    """Those of a file."""

    def test_tag_is_strong_and_quoted(self) -> None:
        """H11."""
        self.assertRegex(make_etag(file_stat()), rb'^"[0-9a-f]{24}"$')

    def test_tag_changes_with_each_of_its_parts(self) -> None:
        """H11."""
        made = [
            make_etag(file_stat(**change))
            for change in ({}, {"st_dev": 9}, {"st_ino": 9}, {"st_size": 9}, {"st_mtime_ns": 5_999_999_998})
        ]
        self.assertEqual(len(set(made)), 5)
        self.assertEqual(make_etag(file_stat()), made[0])

    def test_time_of_change_is_rounded_down(self) -> None:
        self.assertEqual(make_validators(file_stat()).modified, 5)
        self.assertEqual(make_validators(file_stat(st_mtime_ns=-1)).modified, -1)

    def test_last_modified_is_never_later_than_now(self) -> None:
        """RFC 9110 8.8.2.1."""
        self.assertEqual(last_modified(Validators(b'"a"', NOW + 5), NOW), NOW)
        self.assertEqual(last_modified(OURS, NOW), MODIFIED)
