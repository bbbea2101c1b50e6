"""Rounds, medians and ratios: how contestants are measured fairly side by side."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

OURS = "netservices"
"""The contestant that the others are compared with."""


class VoidError(Exception):
    """A sample that says nothing: an answer was wrong, a connection broke."""


@dataclass(frozen=True)
class Settings:
    """How long and how often to measure; ``directory`` is empty and removed afterwards."""

    rounds: int
    seconds: float
    directory: Path


@dataclass
class Series:
    """What one contestant reached; ``voids`` tells why the missing rounds are missing."""

    values: list[float] = field(default_factory=list)
    voids: list[str] = field(default_factory=list)

    @property
    def median(self) -> float | None:
        """The middle value; none if every round was void."""
        return statistics.median(self.values) if self.values else None

    @property
    def spread(self) -> float | None:
        """The distance between the best and the worst round, as a part of the median."""
        median = self.median
        return (max(self.values) - min(self.values)) / median if median else None


@dataclass
class Outcome:
    """One measurement of all contestants; ``absent`` tells why one did not take part."""

    title: str
    unit: str
    series: dict[str, Series]
    absent: dict[str, str] = field(default_factory=dict)

    def find_ratio(self, name: str) -> float | None:
        """Our median as a part of ``name``'s; none where either has none."""
        ours = self.series.get(OURS, Series()).median
        theirs = self.series[name].median
        return ours / theirs if ours is not None and theirs else None


def measure(
    title: str,
    unit: str,
    samplers: Mapping[str, Callable[[], float]],
    rounds: int,
    absent: Mapping[str, str] | None = None,
) -> Outcome:
    """Measure all contestants once a round, so that what the machine does meanwhile troubles each alike.

    Every second round goes backwards, so that nobody always follows the same neighbour.
    """
    series = {name: Series() for name in samplers}
    for number in range(rounds):
        order = list(samplers) if number % 2 == 0 else list(samplers)[::-1]
        for name in order:
            try:
                series[name].values.append(samplers[name]())
            except VoidError as error:
                series[name].voids.append(str(error))
    return Outcome(title, unit, series, dict(absent or {}))


def find_cores() -> tuple[int, int] | None:
    """The client's core and the server's; none where there are not two, or no taskset(1) to keep them apart."""
    cores = sorted(os.sched_getaffinity(0))
    return (cores[0], cores[1]) if len(cores) > 1 and shutil.which("taskset") else None


def pin_client(argv: list[str]) -> list[str]:
    """The command, kept to the client's core."""
    cores = find_cores()
    return argv if cores is None else ["taskset", "-c", str(cores[0]), *argv]


def pin_server(argv: list[str]) -> list[str]:
    """The command, kept to the server's core."""
    cores = find_cores()
    return argv if cores is None else ["taskset", "-c", str(cores[1]), *argv]


def run_client(argv: list[str], timeout: float) -> str:
    """Run a client to its end on its core; its stdout. Raises ``VoidError`` when it fails."""
    try:
        ended = subprocess.run(pin_client(argv), capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        raise VoidError(f"{argv[0]} took more than {timeout} s") from None
    if ended.returncode != 0:
        raise VoidError(f"{argv[0]} ended with status {ended.returncode}: {ended.stderr.strip()[-200:]}")
    return ended.stdout
