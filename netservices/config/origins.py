"""Where in the file a configuration's settings stand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Mapping


@dataclass(frozen=True)
class Origins:
    """The lines of a file's keys, by dotted path. Two are always equal: where a value stands does not change it."""

    file: str = field(default="", compare=False)
    lines: Mapping[str, int] = field(default_factory=dict, compare=False)

    def describe(self, path: str, *, inherited: Container[str]) -> str:
        """``file:line: path`` of the key that decides the setting at ``path``, or ``built in``.

        ``inherited`` are the keys that a service takes from ``[admission]`` when its own section lacks them.
        """
        decisive = self._decisive(path, inherited)
        return f"{self.file}:{self.lines[decisive]}: {decisive}" if decisive else "built in"

    def find_line(self, path: str, *, inherited: Container[str]) -> int:
        """The line of the key that decides, or of the nearest table around ``path``; 0 where the file has neither."""
        decisive = self._decisive(path, inherited)
        while not decisive and "." in path:
            path = path.rpartition(".")[0]
            decisive = path if path in self.lines else ""
        return self.lines.get(decisive, 0)

    def _decisive(self, path: str, inherited: Container[str]) -> str:
        if path in self.lines:
            return path
        # Names of services have no dots.
        table, _, rest = path.partition(".")
        _, _, option = rest.partition(".")
        fallback = f"admission.{option}"
        if table == "services" and option.partition(".")[0] in inherited and fallback in self.lines:
            return fallback
        return ""
