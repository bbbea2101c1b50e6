"""Tells what becomes of one target: into its own line of lines, to the other targets, and to the console."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netservices.runtime.logs.reports import LOG_DROPPED, LOG_FAILED, LOG_RECOVERED, make_report

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from netservices.runtime.logs.record import LogRecord

    Tell = Callable[[str, LogRecord], None]
    """Puts a record to every target but the named one."""


class Watch:
    """The watcher of the target called ``name``. It never writes to that target itself."""

    def __init__(
        self, name: str, render: Callable[[LogRecord], bytes], tell: Tell,
        on_failed: Callable[[Sequence[bytes]], None] | None = None,
    ) -> None:  # fmt: skip
        """``on_failed`` gets the lines that wait when the target goes away."""
        self._name = name
        self._render = render
        self._tell = tell
        self._on_failed = on_failed

    def dropped(self, count: int) -> bytes:
        """The target's own line about what is missing."""
        return self._render(make_report(LOG_DROPPED, target=self._name, count=count))

    def failed(self, reason: str, lines: Sequence[bytes]) -> None:
        """The target went away."""
        if self._on_failed is not None:
            self._on_failed(lines)
        self._tell(self._name, make_report(LOG_FAILED, target=self._name, reason=reason))

    def recovered(self) -> None:
        """The target is back."""
        self._tell(self._name, make_report(LOG_RECOVERED, target=self._name))
