"""What is wrong with a configuration, said so that an operator can mend it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Severity(Enum):
    """Whether the daemon would refuse to start for it."""

    MISTAKE = "mistake"
    WARNING = "warning"


@dataclass(frozen=True)
class Problem:
    """One thing wrong in one place of the file.

    ``path`` is the dotted key (``services.www.listen``), ``line`` counts from 1; 0 means that the file as a whole is
    meant. ``text`` says what is wrong and what was wanted, in one line.
    """

    file: str
    line: int
    path: str
    text: str
    severity: Severity = Severity.MISTAKE

    def __str__(self) -> str:
        """``file:line: section.key: what is wrong, what was wanted``, always one line; a warning says so."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        subject = f"{self.path}: " if self.path else ""
        kind = "warning: " if self.severity is Severity.WARNING else ""
        return "".join(map(_show, f"{place}: {kind}{subject}{self.text}"))


def _show(char: str) -> str:
    """What a value from the file must not do to the terminal or the log it is shown in."""
    if char.isprintable():
        return char
    code = f"\\u{ord(char):04X}" if ord(char) < 0x10000 else f"\\U{ord(char):08X}"
    return {"\n": "\\n", "\t": "\\t"}.get(char, code)


class ConfigError(Exception):
    """The operator's fault: every mistake found, in the order of the file. Ends a start with exit status 2."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))
