"""The two forms of a syslog line, RFC 5424 and RFC 3164: values in, octets out.

Nothing here fails for what a field holds: text is escaped to one line, names are made valid, sizes are bounded.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from netservices.wire.escaping import cut_octets, escape_line

if TYPE_CHECKING:
    from collections.abc import Mapping

# RFC 5424 6.2.1, table 1.
FACILITIES: Mapping[str, int] = {
    "kern": 0, "user": 1, "mail": 2, "daemon": 3, "auth": 4, "syslog": 5, "lpr": 6, "news": 7, "uucp": 8, "cron": 9,
    "authpriv": 10, "ftp": 11, "local0": 16, "local1": 17, "local2": 18, "local3": 19, "local4": 20, "local5": 21,
    "local6": 22, "local7": 23,
}  # fmt: skip
"""Numbers of the facilities by the name that the configuration uses."""

# RFC 5424 6.2.1, table 2.
SEVERITIES: Mapping[str, int] = {
    "emerg": 0, "alert": 1, "crit": 2, "err": 3, "warning": 4, "notice": 5, "info": 6, "debug": 7,
    "critical": 2, "error": 3, "warn": 4,
}  # fmt: skip
"""Numbers of the severities, by syslog's names and by ours where they differ."""

# RFC 5424 6.3.2: an SD-ID of one's own is name@enterprise-number. The project has no number assigned; 32473 is the one
# that RFC 5612 keeps for examples, so it can never mean somebody else's data.
SD_ID = "netservices@32473"

LARGEST_STREAM = 8192
"""Octets of a line over a stream or a local socket; rsyslog's own default limit."""
# RFC 5424 6.1: receivers SHOULD take 2048 octets.
LARGEST_DATAGRAM = 2048
# RFC 3164 4.1: the total length of the packet MUST be 1024 octets or less.
LARGEST_RFC3164 = 1024

_MOST_PARAMETERS = 32
_LARGEST_VALUE = 512
_NOT_PRINTABLE = re.compile(r"[^\x21-\x7e]")
_NOT_IN_NAMES = re.compile(r"[^\x21-\x7e]|[=\]\"]")
_NOT_IN_TAGS = re.compile(r"[^A-Za-z0-9_.-]")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def priority(facility: str, severity: int) -> int:
    """RFC 5424 6.2.1: PRIVAL is the facility times 8, plus the severity."""
    return FACILITIES[facility] * 8 + severity


@lru_cache(maxsize=1024)
def format_header_field(text: str | None, limit: int) -> str:
    """One of HOSTNAME, APP-NAME, PROCID and MSGID: printable ASCII, at most ``limit`` octets, ``-`` for none."""
    return _NOT_PRINTABLE.sub("_", text)[:limit] if text else "-"


def format_timestamp(moment: datetime) -> str:
    """RFC 5424 6.2.3: the time in UTC with microseconds, of an aware ``moment``."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


@lru_cache(maxsize=1024)
def _format_name(name: str) -> str:
    # RFC 5424 6.3.3: SD-NAME is 1 to 32 printable ASCII characters except "=", SP, "]" and DQUOTE.
    return _NOT_IN_NAMES.sub("_", name)[:32] or "_"


def format_structured_data(fields: Mapping[str, str], limit: int = 4096) -> str:
    """RFC 5424 6.3: one element that holds ``fields``, or ``-``.

    Values are escaped to one line first. At most 32 parameters, each value of at most 512 octets before it is quoted,
    ``limit`` octets in all: what is longer is cut with a mark, what does not fit is left out. Names that fall together
    after being made valid keep the first.
    """
    parts = [f"[{SD_ID}"]
    seen: set[str] = set()
    left = limit - len(parts[0]) - 1
    for name, value in fields.items():
        valid = _format_name(name)
        if valid in seen:
            continue
        text = escape_line(value)
        if not text.isascii() or len(text) > _LARGEST_VALUE:
            text = cut_octets(text, _LARGEST_VALUE).decode()
        # RFC 5424 6.3.3: DQUOTE, backslash and "]" in PARAM-VALUE MUST be escaped by a backslash.
        if "\\" in text or '"' in text or "]" in text:
            text = text.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")
        part = f' {valid}="{text}"'
        size = len(part) if part.isascii() else len(part.encode())
        if len(seen) == _MOST_PARAMETERS:
            break
        if size > left:
            continue
        left -= size
        seen.add(valid)
        parts.append(part)
    return "".join([*parts, "]"]) if seen else "-"


def format_rfc5424(
    message: str, *, pri: int, moment: datetime, hostname: str, app_name: str, process: str | None,
    message_id: str | None, fields: Mapping[str, str], limit: int = LARGEST_STREAM,
) -> bytes:  # fmt: skip
    """A line of RFC 5424 without any framing, at most ``limit`` octets (1024 or more), half of it for ``fields``.

    ``process`` is the process's number, or None to leave it out. An ASCII control character is never in the result.
    """
    # RFC 5424 6.2: HOSTNAME up to 255 characters, APP-NAME 48, PROCID 128, MSGID 32.
    header = (
        f"<{pri}>1 {format_timestamp(moment)} {format_header_field(hostname, 255)} {format_header_field(app_name, 48)} "
        f"{format_header_field(process, 128)} {format_header_field(message_id, 32)}"
    )
    # RFC 5424 6.4: MSG may be any octets unless it starts with a byte order mark. None is written: collectors keep it
    # as part of the text.
    line = f"{header} {format_structured_data(fields, limit // 2)} {escape_line(message)}"
    return cut_octets(line, limit)


def format_rfc3164(
    message: str, *, pri: int, moment: datetime, hostname: str | None, app_name: str, process: str | None,
    limit: int = LARGEST_RFC3164,
) -> bytes:  # fmt: skip
    """A line of RFC 3164 without any framing, at most ``limit`` octets.

    ``moment`` is in the zone that shall be shown, which is the machine's own. ``hostname`` None leaves it out, as
    syslog(3) does on the local socket, where the reader knows it.
    """
    # RFC 3164 4.1.2: the day of the month is padded with a space; HOSTNAME has no domain.
    stamp = f"{_MONTHS[moment.month - 1]} {moment.day:2d} {moment:%H:%M:%S}"
    host = "" if hostname is None else f"{_short_name(hostname)} "
    # RFC 3164 4.1.3: TAG is at most 32 alphanumeric characters.
    tag = _NOT_IN_TAGS.sub("_", app_name)[:32]
    number = f"[{format_header_field(process, 128)}]" if process else ""
    return cut_octets(f"<{pri}>{stamp} {host}{tag}{number}: {escape_line(message)}", limit)


def _short_name(hostname: str) -> str:
    is_address = ":" in hostname or hostname.replace(".", "").isdigit()
    return format_header_field(hostname if is_address else hostname.partition(".")[0], 255)


def frame_octets(line: bytes) -> bytes:
    """RFC 6587 3.4.1, RFC 5425 4.3: octet counting, for TCP and TLS."""
    return b"%d %b" % (len(line), line)
