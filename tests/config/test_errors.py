"""What is wrong with a configuration, in one line."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from netservices.config import ConfigError, Problem, Severity


class ProblemTests(SynchronousTestCase):
    """R1: ``file:line: section.key: what is wrong, what was wanted``."""

    def test_parts_that_are_missing_leave_no_trace(self) -> None:
        self.assertEqual(str(Problem("f", 3, "a.b", "is bad")), "f:3: a.b: is bad")
        self.assertEqual(str(Problem("f", 0, "a.b", "is bad")), "f: a.b: is bad")
        self.assertEqual(str(Problem("f", 0, "", "is bad")), "f: is bad")
        self.assertEqual(str(Problem("f", 3, "a", "is bad", Severity.WARNING)), "f:3: warning: a: is bad")

    def test_whatever_a_value_holds_it_is_one_plain_line(self) -> None:
        problem = Problem("f", 1, "a", '"\n\t\x1b[31m\x9b\u202e\U000e0001ü" is bad')
        self.assertEqual(str(problem), 'f:1: a: "\\n\\t\\u001B[31m\\u009B\\u202E\\U000E0001ü" is bad')

    def test_error_has_a_line_for_each_problem(self) -> None:
        error = ConfigError([Problem("f", 1, "a", "is bad"), Problem("f", 2, "b", "is\nworse")])
        self.assertEqual(str(error), "f:1: a: is bad\nf:2: b: is\\nworse")
        self.assertEqual(len(error.problems), 2)
