"""Dates as HTTP writes them, to and from seconds since 1970."""

from __future__ import annotations

import calendar
import functools
import re

_DAYS = (b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun")
_LONG_DAYS = (b"Monday", b"Tuesday", b"Wednesday", b"Thursday", b"Friday", b"Saturday", b"Sunday")
_MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
_MONTH = b"(" + b"|".join(_MONTHS) + b")"
_TIME = rb"([0-9]{2}):([0-9]{2}):([0-9]{2})"

# RFC 9110 5.6.7: HTTP-date is case sensitive, and its spaces are exact.
_IMF = re.compile(b"(" + b"|".join(_DAYS) + b"), ([0-9]{2}) " + _MONTH + b" ([0-9]{4}) " + _TIME + b" GMT")
_RFC850 = re.compile(b"(" + b"|".join(_LONG_DAYS) + b"), ([0-9]{2})-" + _MONTH + b"-([0-9]{2}) " + _TIME + b" GMT")
_ASCTIME = re.compile(b"(" + b"|".join(_DAYS) + b") " + _MONTH + b" ([0-9]{2}| [0-9]) " + _TIME + b" ([0-9]{4})")

# The first second of the year 1 and the last of the year 9999: all that four digits can say.
_FIRST = -62135596800
_LAST = 253402300799

_DAY = 86400


@functools.lru_cache(maxsize=256)
def format_date(seconds: int) -> bytes:
    """An IMF-fixdate, RFC 9110 5.6.7: ``Sun, 06 Nov 1994 08:49:37 GMT``.

    A time outside the years 1 to 9999 becomes the nearest one inside. The last few are remembered: ``Date`` asks once
    a second, and files that are in demand always have the same.
    """
    seconds = min(max(seconds, _FIRST), _LAST)
    days, rest = divmod(seconds, _DAY)
    year, month, day = _civil(days)
    hour, rest = divmod(rest, 3600)
    minute, second = divmod(rest, 60)
    return b"%s, %02d %s %04d %02d:%02d:%02d GMT" % (
        _DAYS[(days + 3) % 7], day, _MONTHS[month - 1], year, hour, minute, second
    )  # fmt: skip


def parse_date(value: bytes, *, now: int | None = None) -> int | None:
    """Seconds since 1970, or None for anything that is no HTTP-date: RFC 9110 5.6.7, all three forms.

    The name of the day must be right. ``now`` places the two-digit years of the RFC 850 form; without it 69 to 99 are
    of the 20th century.
    """
    if match := _IMF.fullmatch(value):
        name, day, month, year, *clock = match.groups()
        return _seconds(_DAYS.index(name), int(year), month, int(day), clock)
    if match := _RFC850.fullmatch(value):
        name, day, month, year, *clock = match.groups()
        full_year = _full_year(int(year), now)
        return _seconds(_LONG_DAYS.index(name), full_year, month, int(day), clock)
    if match := _ASCTIME.fullmatch(value):
        name, month, day, *clock, year = match.groups()
        return _seconds(_DAYS.index(name), int(year), month, int(day), clock)
    return None


def _civil(days: int) -> tuple[int, int, int]:
    """Year, month and day of a number of days since 1970."""
    # Counted from 1 March of the year 0, so that the leap day is the last of its year.
    era, of_era = divmod(days + 719468, 146097)
    of_year_era = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    of_year = of_era - (365 * of_year_era + of_year_era // 4 - of_year_era // 100)
    shifted = (5 * of_year + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9
    return of_year_era + era * 400 + (month <= 2), month, of_year - (153 * shifted + 2) // 5 + 1


def _full_year(short: int, now: int | None) -> int:
    if now is None:
        return short + (1900 if short >= 69 else 2000)
    # RFC 9110 5.6.7: a year more than 50 years in the future is the most recent past one with the same digits.
    this_year = _civil(now // _DAY)[0]
    year = this_year - this_year % 100 + short
    if year > this_year + 50:
        return year - 100
    return year + 100 if year + 100 <= this_year + 50 else year


def _seconds(weekday: int, year: int, month: bytes, day: int, clock: list[bytes]) -> int | None:
    month_number = _MONTHS.index(month) + 1
    hour, minute, second = (int(part) for part in clock)
    if year < 1 or not 1 <= day <= calendar.monthrange(year, month_number)[1]:
        return None
    if calendar.weekday(year, month_number, day) != weekday:
        return None
    # A leap second is the 61st of the last minute of a day; it counts as the first of the next.
    if hour > 23 or minute > 59 or second > 60 or (second == 60 and (hour, minute) != (23, 59)):
        return None
    return calendar.timegm((year, month_number, day, hour, minute, second, 0, 0, 0))
