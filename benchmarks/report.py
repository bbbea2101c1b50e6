"""Prints outcomes: a table in the terminal, the page of the manual, JSON."""

from __future__ import annotations

import json
import os
import platform
import re
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from benchmarks.measure import OURS, Outcome, find_cores

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from benchmarks.measure import Settings

PAGE = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"

COLUMNS = ("server", "median", "spread", f"{OURS} is", "rounds")


@dataclass
class Chapter:
    """What one script measured."""

    title: str
    note: str
    outcomes: list[Outcome] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    absent: str | None = None


def describe_machine() -> dict[str, str]:
    """What the numbers depend on."""
    model = "unknown"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists() and (found := re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(), re.MULTILINE)):
        model = found[1]
    cores = find_cores()
    return {
        "Date": datetime.now(UTC).date().isoformat(),
        "Processor": f"{model}, {len(os.sched_getaffinity(0))} cores",
        "Placement": "not pinned" if cores is None else "client and server pinned to a core each",
        "Kernel": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
    }


def format_number(value: float) -> str:
    """Three digits that matter, or all before the point."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def make_rows(outcome: Outcome) -> Iterator[tuple[str, ...]]:
    """One row for each contestant, as the columns say; those absent last, with the reason."""
    for name, series in outcome.series.items():
        rounds = len(series.values) + len(series.voids)
        counted = f"{len(series.values)} of {rounds}"
        if series.median is None or series.spread is None:
            yield name, "void", "", "", f"{counted}: {series.voids[0] if series.voids else 'not run'}"
            continue
        ratio = outcome.find_ratio(name)
        compared = "" if name == OURS or ratio is None else f"{ratio:.2f} of it"
        void = f": {series.voids[0]}" if series.voids else ""
        yield name, f"{format_number(series.median)} {outcome.unit}", f"{series.spread:.0%}", compared, counted + void
    for name, reason in outcome.absent.items():
        yield name, "absent", "", "", reason


def print_outcome(console: Console, outcome: Outcome) -> None:
    """One table in the terminal."""
    table = Table(title=outcome.title, title_justify="left")
    for number, column in enumerate(COLUMNS):
        table.add_column(column, justify="right" if number in {1, 2} else "left", overflow="fold")
    for row in make_rows(outcome):
        table.add_row(*row)
    console.print(table)


def make_markdown(chapters: list[Chapter], settings: Settings) -> str:
    """The page of the manual."""
    lines = ["# Benchmarks", ""]
    lines += ["Made by `python -m benchmarks --markdown`; nothing here is asserted by a test.", ""]
    lines += [f"- {name}: {value}" for name, value in describe_machine().items()]
    lines += [f"- Rounds: {settings.rounds} of {settings.seconds:g} s, interleaved; the median counts, the spread is"]
    lines += ["  (best - worst) / median. A round with a wrong answer or a broken connection is void.", ""]
    for chapter in chapters:
        lines += [f"## {chapter.title}", "", chapter.note, ""]
        if chapter.absent is not None:
            lines += [f"Not measured: {chapter.absent}", ""]
        if chapter.versions:
            lines += [f"- {name}: {version}" for name, version in chapter.versions.items()]
            lines.append("")
        for outcome in chapter.outcomes:
            lines += [f"### {outcome.title}", "", f"| {' | '.join(COLUMNS)} |", "| --- | ---: | ---: | --- | --- |"]
            lines += [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in make_rows(outcome)]
            lines.append("")
    return "\n".join(lines)


def make_json(chapters: list[Chapter], settings: Settings) -> str:
    """Everything, each round's value too."""
    settled = {"rounds": settings.rounds, "seconds": settings.seconds}
    return json.dumps(
        {"machine": describe_machine(), "settings": settled, "chapters": [asdict(chapter) for chapter in chapters]},
        indent=2,
    )
