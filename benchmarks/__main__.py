"""``python -m benchmarks [NAME ...]``: measures side by side with whatever peers are installed.

A benchmark is a module of this package that has ``run_benchmark``, ``TITLE`` and ``NOTE``; its name is the module's.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

import benchmarks
from benchmarks.measure import Settings
from benchmarks.peers import AbsentError
from benchmarks.report import PAGE, Chapter, make_json, make_markdown, print_outcome

if TYPE_CHECKING:
    from types import ModuleType


def find_benchmarks() -> dict[str, ModuleType]:
    """Every module of this package that is a benchmark, by name."""
    names = [module.name for module in pkgutil.iter_modules(benchmarks.__path__) if not module.name.startswith("_")]
    modules = {name: importlib.import_module(f"benchmarks.{name}") for name in names}
    return {name: module for name, module in modules.items() if hasattr(module, "run_benchmark")}


def run_chapter(module: ModuleType, rounds: int, seconds: float, console: Console) -> Chapter:
    """Run one benchmark, printing each outcome when it is there."""
    chapter = Chapter(module.TITLE, module.NOTE)
    with tempfile.TemporaryDirectory(prefix="netservices-bench-") as directory:
        try:
            for outcome, versions in module.run_benchmark(Settings(rounds, seconds, Path(directory))):
                chapter.outcomes.append(outcome)
                chapter.versions.update(versions)
                print_outcome(console, outcome)
        except AbsentError as error:
            chapter.absent = str(error)
            console.print(f"{chapter.title}: not measured: {error}", markup=False)
    return chapter


def main() -> int:
    """Run what the command line names; 2 for a name that is no benchmark."""
    known = find_benchmarks()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure side by side with installed peers."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"left out: all of {', '.join(known)}")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured (%(default)s)")
    parser.add_argument("--seconds", type=float, default=5, help="how long each time (%(default)s)")
    parser.add_argument("--markdown", action="store_true", help="write docs/benchmarks.md")
    parser.add_argument("--json", action="store_true", help="print JSON, every round in it; tables go to stderr")
    options = parser.parse_args()
    for name in options.names:
        if name not in known:
            parser.error(f"{name} is no benchmark; there are {', '.join(known)}")
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("there must be a round, and it must last")
    console = Console(stderr=options.json)
    names = options.names or list(known)
    chapters = [run_chapter(known[name], options.rounds, options.seconds, console) for name in names]
    settings = Settings(options.rounds, options.seconds, Path())
    if options.markdown:
        PAGE.write_text(make_markdown(chapters, settings))
        console.print(f"Written: {PAGE}")
    if options.json:
        print(make_json(chapters, settings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
