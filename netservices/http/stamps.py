"""The moment as text, made once a second: formatting a date costs more than answering a request."""

from __future__ import annotations

import time

from netservices.http.dates import format_date

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def format_log_time(seconds: float) -> bytes:
    """``20/Nov/2026:09:43:25 +0000``, in local time and without the process's locale."""
    local = time.localtime(seconds)
    offset = local.tm_gmtoff // 60
    sign = "-" if offset < 0 else "+"
    hours, minutes = divmod(abs(offset), 60)
    return (
        f"{local.tm_mday:02}/{_MONTHS[local.tm_mon - 1]}/{local.tm_year:04}:"
        f"{local.tm_hour:02}:{local.tm_min:02}:{local.tm_sec:02} {sign}{hours:02}{minutes:02}"
    ).encode("ascii")


class Stamps:
    """``date`` for the Date field and ``log_time`` for the access log, right as of the last ``at``.

    They hold from ``since`` until before ``until``, in seconds of the epoch; the fast path looks at these two itself.
    """

    __slots__ = ("date", "log_time", "since", "until")

    def __init__(self) -> None:
        self.since = self.until = 0.0
        self.date = b""
        self.log_time = b""

    def at(self, now: float) -> Stamps:
        """Itself, brought up to ``now``; a clock that was set back is followed too."""
        if not self.since <= now < self.until:
            second = int(now)
            self.since, self.until = float(second), second + 1.0
            self.date = format_date(second)
            self.log_time = format_log_time(second)
        return self
