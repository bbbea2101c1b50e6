"""What the suite starts takes no warning, but for those that are excepted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.run import STRICT


class StrictTests(SynchronousTestCase):
    """A program that is run strictly."""

    def run_strictly(self, code: str, name: str = "program.py") -> subprocess.CompletedProcess[str]:
        program = Path(self.mktemp()) / name
        program.parent.mkdir(parents=True)
        program.write_text(code)
        command = [sys.executable, *STRICT, str(program), "argument"]
        return subprocess.run(command, capture_output=True, check=False, text=True)

    def test_program_runs_with_its_arguments(self) -> None:
        ended = self.run_strictly("import sys; print(__name__, *sys.argv[1:])")
        self.assertEqual((ended.returncode, ended.stdout, ended.stderr), (0, "__main__ argument\n", ""))

    def test_deprecation_ends_the_program(self) -> None:
        ended = self.run_strictly("import warnings; warnings.warn('old', DeprecationWarning)")
        self.assertEqual(ended.returncode, 1)
        self.assertIn("DeprecationWarning: old", ended.stderr)

    def test_bytes_taken_for_text_end_the_program(self) -> None:
        ended = self.run_strictly("b'a' == 'a'")
        self.assertEqual(ended.returncode, 1)
        self.assertIn("BytesWarning: Comparison", ended.stderr)

    def test_excepted_warning_passes(self) -> None:
        code = "from twisted.internet.unix import _inFilesystemNamespace as find; print(find('/a'), find(b'\\0a'))"
        ended = self.run_strictly(code)
        self.assertEqual((ended.returncode, ended.stdout, ended.stderr), (0, "True False\n", ""))
