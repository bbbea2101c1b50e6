"""The suite's runner counts what trial wrote, and takes nothing unclear for success."""

from __future__ import annotations

import os
import select
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from tests.run import Counts, end_session, find_modules, make_batches, parse_counts

RULE = "-" * 79


class ParseCountsTests(SynchronousTestCase):
    """What a trial process wrote, to counts."""

    def test_passed_alone_counts_all_that_ran(self) -> None:
        self.assertEqual(parse_counts(f"{RULE}\nRan 7 tests in 0.008s\n\nPASSED (successes=7)\n", "", 0), Counts(7))

    def test_one_test_counts_one(self) -> None:
        self.assertEqual(parse_counts("Ran 1 tests in 1.000s\n\nPASSED (successes=1)\n", "", 0), Counts(1))

    def test_skips_are_neither_passed_nor_failed(self) -> None:
        output = "Ran 5 tests in 0.1s\n\nPASSED (skips=2, expectedFailures=1, successes=2)\n"
        self.assertEqual(parse_counts(output, "", 0), Counts(3, 0, 2))

    def test_warning_that_trial_counts_as_success_too_is_a_failure_only(self) -> None:
        self.assertEqual(parse_counts("Ran 7 tests in 0.1s\n\nFAILED (errors=4, successes=7)\n", "", 1), Counts(3, 4))

    def test_test_with_several_warnings_is_one_failure(self) -> None:
        name = "tests.wire.test_lines.LineTests.test_long"
        error = f"{'=' * 79}\n[ERROR]\nTraceback (most recent call last):\nbuiltins.BytesWarning: str()\n\n"
        skip = f"{'=' * 79}\n[SKIPPED]\nnc is not installed\n\ntests.live.test_echo.EchoTests.test_nc\n"
        closing = f"{RULE}\nRan 5 tests in 0.1s\n\nFAILED (skips=1, errors=3, successes=4)\n"
        output = f"\n{skip}{error}{name}\n{name}\n{error}{name}\n{closing}"
        self.assertEqual(parse_counts(output, "", 1), Counts(3, 1, 1))

    def test_every_way_to_fail_is_counted(self) -> None:
        output = "Ran 6 tests in 0.1s\n\nFAILED (failures=1, errors=2, unexpectedSuccesses=1, successes=2)\n"
        self.assertEqual(parse_counts(output, "", 1), Counts(2, 4))

    def test_no_closing_line_is_a_failure(self) -> None:
        self.assertEqual(parse_counts("Fatal Python error: Segmentation fault\n", "", -11), Counts(failed=1))

    def test_success_with_an_exit_status_is_a_failure(self) -> None:
        self.assertEqual(parse_counts("Ran 3 tests in 0.1s\n\nPASSED (successes=3)\n", "", 1), Counts(2, 1))

    def test_ignored_exception_is_a_failure(self) -> None:
        output, errors = "Ran 3 tests in 0.1s\n\nPASSED (successes=3)\n", "Exception ignored in: <socket.socket fd=4>\n"
        self.assertEqual(parse_counts(output, errors, 0), Counts(2, 1))

    def test_no_test_counts_nothing(self) -> None:
        self.assertEqual(parse_counts("Ran 0 tests in 0.000s\n\nPASSED\n", "", 0), Counts())


class FindModulesTests(SynchronousTestCase):
    """Which modules the names on the command line stand for."""

    def test_no_name_is_everything_but_soak(self) -> None:
        modules = find_modules([])
        self.assertIn("tests.test_run", modules)
        self.assertIn("tests.live.test_harness", modules)
        self.assertEqual([module for module in modules if module.startswith("tests.soak")], [])

    def test_module_and_deeper_are_taken_as_they_are(self) -> None:
        names = ["tests.test_run", "tests.test_run.FindModulesTests"]
        self.assertEqual(find_modules(names), names)

    def test_batches_hold_every_module_once(self) -> None:
        modules = [f"tests.wire.test_{number}" for number in range(20)] + [
            "tests.live.test_web",
            "tests.live.test_echo",
        ]
        batches = make_batches(modules, 2)
        self.assertEqual(batches[:2], [["tests.live.test_web"], ["tests.live.test_echo"]])
        self.assertEqual(sorted(module for batch in batches for module in batch), sorted(modules))


class EndSessionTests(SynchronousTestCase):
    """What a test leaves behind is ended."""

    def test_child_in_a_group_of_its_own_ends_too(self) -> None:
        sleep = "import signal; signal.pause()"
        start = (
            "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', sys.argv[1]], process_group=0).pid)"
        )
        command = [sys.executable, "-c", f"{start}; sys.stdout.flush(); {sleep}", sleep]
        with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as leader:
            assert leader.stdout is not None
            descriptor = os.pidfd_open(int(leader.stdout.readline()))
            self.addCleanup(os.close, descriptor)
            end_session(leader.pid)
        # pidfd_open(2): readable once the process has ended.
        self.assertEqual(select.select([descriptor], [], [], 10.0)[0], [descriptor])
