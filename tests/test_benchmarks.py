"""What the benchmarks compute from what they measured; the speeds themselves are never asserted."""

from __future__ import annotations

import platform
import sys
from functools import partial

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.__main__ import find_benchmarks
from benchmarks.measure import OURS, Outcome, Series, VoidError, measure
from benchmarks.peers import find_end, find_version
from benchmarks.report import make_rows
from benchmarks.web import parse_wrk


class MeasureTests(SynchronousTestCase):
    """Rounds, medians and ratios."""

    def test_rounds_are_interleaved_and_turned_round(self) -> None:
        order: list[str] = []

        def sample(name: str) -> float:
            order.append(name)
            return float(len(order))

        measure("a file", "answers/s", {name: partial(sample, name) for name in "abc"}, 2)
        self.assertEqual("".join(order), "abccba")

    def test_void_round_leaves_no_value(self) -> None:
        values = iter([1.0, 0.0, 3.0])

        def sample() -> float:
            value = next(values)
            if not value:
                raise VoidError("status 503")
            return value

        series = measure("a file", "answers/s", {OURS: sample}, 3).series[OURS]
        self.assertEqual((series.values, series.voids, series.median), ([1.0, 3.0], ["status 503"], 2.0))

    def test_ratio_is_ours_to_theirs(self) -> None:
        outcome = Outcome(
            "a file", "answers/s", {OURS: Series([8.0, 9.0, 10.0]), "nginx": Series([10.0]), "none": Series()}
        )
        self.assertEqual(outcome.find_ratio("nginx"), 0.9)
        self.assertIsNone(outcome.find_ratio("none"))

    def test_rows_tell_ratio_spread_void_and_absent(self) -> None:
        series = {OURS: Series([9.0, 11.0]), "nginx": Series([20.0]), "lighttpd": Series([], ["status 403"])}
        rows = list(make_rows(Outcome("a file", "answers/s", series, {"h2o": "not installed"})))
        self.assertEqual(
            rows,
            [
                (OURS, "10 answers/s", "20%", "", "2 of 2"),
                ("nginx", "20 answers/s", "0%", "0.50 of it", "1 of 1"),
                ("lighttpd", "void", "", "", "0 of 1: status 403"),
                ("h2o", "absent", "", "", "not installed"),
            ],
        )


class ParseWrkTests(SynchronousTestCase):
    """wrk's numbers: microseconds, answers, bytes, socket errors, answers that are refusals."""

    def test_answers_and_bytes_a_second(self) -> None:
        output = "Running 2s test\nsum 2000000 1000 4194304 0 0\n"
        self.assertEqual(parse_wrk(output, whole=True), 500.0)
        self.assertEqual(parse_wrk(output, whole=False), 2.0)

    def test_errors_refusals_and_silence_void_the_round(self) -> None:
        for line in ("sum 1 9 9 1 0", "sum 1 9 9 0 1", "sum 1 0 0 0 0", "unable to connect"):
            self.assertRaises(VoidError, parse_wrk, line, whole=True)


class FindTests(SynchronousTestCase):
    """What is found by looking."""

    def test_every_module_with_run_benchmark_is_one(self) -> None:
        self.assertLessEqual({"echo", "start", "web"}, set(find_benchmarks()))
        self.assertNotIn("measure", find_benchmarks())

    def test_end_of_a_log_is_its_last_line_with_words(self) -> None:
        self.assertEqual(find_end("a\nbind: address in use\n\n"), "bind: address in use")
        self.assertEqual(find_end(""), "said nothing")

    def test_version_is_the_first_number_with_a_point(self) -> None:
        self.assertEqual(find_version("Python", sys.executable, "--version"), f"Python {platform.python_version()}")
