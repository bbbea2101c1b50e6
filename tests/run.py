"""Runs the suite: trial, a few processes at once, every warning an error; ends with one line of counts.

``python -m tests.run [--coverage] [NAME ...]``: without a name everything but ``tests.soak``. Trial's own ``-j`` would
do but for two things: its workers cannot be given ``-bb``, and what they write to stderr is lost, where a warning
raised in a destructor shows up and nowhere else.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

STRICT = ("-P", "-bb", "-X", "faulthandler", "-W", "error", str(ROOT / "tests" / "strict.py"))
"""Between Python and the path of a Python program: every warning is an error there. See ``tests/strict.py``."""

RAN = re.compile(r"^Ran (\d+) tests? in [\d.]+s$", re.MULTILINE)
CLOSING = re.compile(r"^(PASSED|FAILED)(?: \(([a-zA-Z]+=\d+(?:, [a-zA-Z]+=\d+)*)\))?$", re.MULTILINE)
SECTION = re.compile(r"^=+\n\[(?:ERROR|FAIL|SUCCESS!\?!)\]$(.*?)(?=^=+$|^-+$)", re.MULTILINE | re.DOTALL)
TEST = re.compile(r"^tests(?:\.\w+)+$", re.MULTILINE)
UNRAISABLE = re.compile(r"Exception ignored in")


@dataclass(frozen=True)
class Counts:
    """How many tests passed, failed and were skipped; what is not a test but went wrong counts as failed."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def say(text: object) -> None:
    """Print a line, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def parse_counts(output: str, errors: str, status: int) -> Counts:
    """What one trial process wrote to stdout and stderr, and its exit status, to counts.

    A process that did not come to its closing line, or ended otherwise than that line says, counts as one failure.
    Trial counts a test that gave three warnings as a success and three errors, so a test that is named more than once
    below the errors counts once, and what passed is what is left over.
    """
    ran = [int(number) for number in RAN.findall(output)]
    closings = CLOSING.findall(output)
    if not ran or not closings:
        return Counts(failed=1)
    named = {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", closings[-1][1])}
    skipped = named.get("skips", 0)
    failed = named.get("failures", 0) + named.get("errors", 0) + named.get("unexpectedSuccesses", 0)
    tests = {test for section in SECTION.findall(output) for test in TEST.findall(section)}
    failed = min(failed, len(tests)) if tests else failed
    failed += len(UNRAISABLE.findall(errors))
    if failed == 0 and status != 0:
        failed = 1
    return Counts(max(0, ran[-1] - skipped - failed), failed, skipped)


def find_modules(names: list[str]) -> list[str]:
    """The test modules that the names stand for; a module, class or method is taken as it is."""
    modules: list[str] = []
    for name in names or ["tests"]:
        folder = ROOT.joinpath(*name.split("."))
        if not folder.is_dir():
            modules.append(name)
            continue
        for path in sorted(folder.rglob("test_*.py")):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            if names or not module.startswith("tests.soak."):
                modules.append(module)
    return modules


def make_batches(modules: list[str], jobs: int) -> list[list[str]]:
    """Which modules share a process: live ones, which take longest, go first and alone; the others are dealt out."""
    alone = [module for module in modules if module.startswith(("tests.live.", "tests.soak."))]
    others = [module for module in modules if module not in alone]
    hands = 3 * jobs if len(others) > 3 * jobs else 1
    return [[module] for module in alone] + [others[i::hands] for i in range(hands) if others[i::hands]]


def end_session(session: int) -> None:
    """End every process of the session: what a test left behind, and what one that took too long had started."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        # proc(5): the session is field 6, behind a name that may hold anything. A process may end meanwhile.
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[3]) == session:
                os.kill(int(stat.parent.name), signal.SIGKILL)


def run_batch(batch: list[str], directory: Path, timeout: float) -> tuple[str, str, int]:
    """Run one trial process: stdout, stderr, exit status. One that takes too long is shown where it stands."""
    trial = str(Path(sysconfig.get_path("scripts")) / "trial")
    command = [sys.executable, *STRICT, trial, "--reporter=verbose", f"--temp-directory={directory}"]
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [*command, *batch], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, start_new_session=True
        )
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            # The fault handler answers with every thread's stack.
            process.send_signal(signal.SIGABRT)
            process.wait()
        finally:
            end_session(process.pid)
            process.wait()
        output.seek(0)
        errors.seek(0)
        return output.read().decode(errors="replace"), errors.read().decode(errors="replace"), process.returncode


def run_batches(batches: list[list[str]], jobs: int, timeout: float) -> Counts:
    """Run all, ``jobs`` at once; prints a line for each, and below it whatever was not plain success."""
    total = Counts()
    with tempfile.TemporaryDirectory(prefix="netservices-tests-") as top, ThreadPoolExecutor(jobs) as pool:

        def run_timed(number: int, batch: list[str]) -> tuple[str, str, int, float]:
            began = time.monotonic()
            return *run_batch(batch, Path(top) / str(number), timeout), time.monotonic() - began

        futures = [pool.submit(run_timed, number, batch) for number, batch in enumerate(batches)]
        for batch, future in zip(batches, futures, strict=True):
            output, errors, status, seconds = future.result()
            counts = parse_counts(output, errors, status)
            total += counts
            say(f"{counts}, {seconds:.1f} s: {' '.join(batch)}")
            details = output.find("\n=====")
            if counts.failed:
                say(f"{errors}{output}\nTrial ended with status {status}.")
            elif counts.skipped and details >= 0:
                say(output[details:])
    return total


def measure(arguments: list[str]) -> int:
    """Run the coverage command; its exit status."""
    return subprocess.run([sys.executable, "-m", "coverage", *arguments], cwd=ROOT, check=False).returncode


def main() -> int:
    """Run what the command line names; 0 when all passed and there was something to pass."""
    parser = argparse.ArgumentParser(prog="python -m tests.run", description="Run the tests, every warning an error.")
    parser.add_argument("names", nargs="*", help="modules or packages; left out: everything but tests.soak")
    parser.add_argument("--coverage", action="store_true", help="measure branches; when all is run, check the gate too")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at once (%(default)s)")
    parser.add_argument("--timeout", type=float, default=600, help="seconds a process may take (%(default)s)")
    options = parser.parse_args()
    if options.coverage:
        measure(["erase"])
        # Coverage starts itself in every Python process that finds this, so the daemons of live tests are measured too.
        os.environ["COVERAGE_PROCESS_START"] = str(ROOT / "pyproject.toml")
        os.environ["COVERAGE_FILE"] = str(ROOT / ".coverage")
    batches = make_batches(find_modules(options.names), options.jobs)
    total = run_batches(batches, options.jobs, options.timeout)
    good = total.failed == 0 and total.passed > 0
    if options.coverage:
        del os.environ["COVERAGE_PROCESS_START"]
        measure(["combine", "--quiet"])
        # What a part of the suite covers is in .coverage for whoever wants to see it; the gate is for the whole.
        if not options.names and measure(["report"]) != 0:
            say("The coverage gate does not hold.")
            good = False
    if total.passed == 0:
        say("No test passed.")
    say(total)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
