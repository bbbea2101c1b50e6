"""A record as text for stderr, as a line of JSON and as a line of syslog."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from twisted.python.reflect import safe_repr

from netservices.runtime.logs.record import LARGEST_TEXT
from netservices.wire.escaping import escape_json, escape_line, escape_lines, shorten_middle
from netservices.wire.syslog import (
    LARGEST_RFC3164,
    format_rfc3164,
    format_rfc5424,
    format_timestamp,
    priority,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from netservices.runtime.logs.record import LogRecord

APP_NAME = "netservices"


def format_moment(seconds: float) -> str:
    """RFC 3339 in UTC with microseconds."""
    return format_timestamp(datetime.fromtimestamp(seconds, UTC))


def format_text(record: LogRecord) -> bytes:
    """``TIME level service: message``, and a traceback below it, each of its lines indented by four spaces."""
    head = f"{format_moment(record.time)} {record.level} {escape_line(record.subject)}: {escape_line(record.message)}\n"
    if record.traceback:
        head += "".join(f"    {line}\n" for line in escape_lines(record.traceback))
    return head.encode()


def format_prefixed(record: LogRecord) -> bytes:
    """As ``format_text``, for a reader that stamps lines itself and takes ``<N>`` as the severity (sd-daemon(3))."""
    lines = [f"{escape_line(record.subject)}: {escape_line(record.message)}"]
    if record.traceback:
        lines += [f"    {line}" for line in escape_lines(record.traceback)]
    return "".join(f"<{record.severity}>{line}\n" for line in lines).encode()


def format_perror(record: LogRecord, process: str | None = None) -> bytes:
    """As syslog(3) writes with LOG_PERROR: ``netservices[PID]: message``."""
    number = f"[{process}]" if process else ""
    return f"{APP_NAME}{number}: {escape_line(record.message)}\n".encode()


def _plain(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or isinstance(value, str) or (isinstance(value, int) and value.bit_length() <= 64):
        return value
    if isinstance(value, bytes):
        return escape_line(value)
    return safe_repr(value)


def _bounded(value: object) -> object:
    return value[: LARGEST_TEXT - 1] + "…" if isinstance(value, str) and len(value) > LARGEST_TEXT else value


def format_json(record: LogRecord) -> bytes:
    """One object on one line: ``time``, ``level``, ``event``, ``message``, the event's fields, ``traceback`` if any.

    A field with one of these names gets an underscore behind it. What JSON can't hold is there as text.
    """
    document: dict[str, object] = {
        "time": format_moment(record.time),
        "level": record.level,
        "event": record.event,
        "message": record.message,
    }
    if record.traceback:
        document["traceback"] = record.traceback
    texts = record.texts
    for name, value in record.fields.items():
        plain = texts[name] if name in texts and not isinstance(value, bool | int | float) else value
        document[f"{name}_" if name in document else name] = _bounded(plain)
    try:
        line = json.dumps(document, ensure_ascii=False, allow_nan=False, default=safe_repr)
        # A container can hold endless text; a scalar was bounded above.
        if len(line) > LARGEST_TEXT * 4:
            raise ValueError("too long")
    except (TypeError, ValueError, RecursionError):
        plain_document = {str(name): _bounded(_plain(value)) for name, value in document.items()}
        line = json.dumps(plain_document, ensure_ascii=False, allow_nan=False)
    return escape_json(line).encode() + b"\n"


def _local_moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds).astimezone()


def make_syslog_format(
    form: str, *, hostname: str, facility: str, process: Callable[[], str | None], limit: int, local: bool,
    to_local: Callable[[float], datetime] = _local_moment,
) -> Callable[[LogRecord], bytes]:  # fmt: skip
    """How one collector is written to: ``form`` is ``rfc5424`` or ``rfc3164``, ``limit`` the octets of a line.

    ``local`` is a socket of this machine. ``process`` gives the process's number or None; it is asked each time,
    because a daemon forks. A traceback follows the message in
    the same line, its newlines escaped as any other.
    """

    def message_of(record: LogRecord) -> str:
        if not record.traceback:
            return record.message
        return f"{record.message}\n{shorten_middle(record.traceback, limit // 2)}"

    def rfc5424(record: LogRecord) -> bytes:
        texts = record.texts
        if record.event is not None and len(record.event) > 32:
            texts = {"event": record.event, **texts}
        return format_rfc5424(
            message_of(record),
            pri=priority(record.facility or facility, record.severity),
            moment=datetime.fromtimestamp(record.time, UTC),
            hostname=hostname,
            app_name=APP_NAME,
            process=process(),
            message_id=record.event,
            fields=texts,
            limit=limit,
        )

    def rfc3164(record: LogRecord) -> bytes:
        return format_rfc3164(
            message_of(record),
            pri=priority(record.facility or facility, record.severity),
            moment=to_local(record.time),
            hostname=None if local else hostname,
            app_name=APP_NAME,
            process=process(),
            limit=min(limit, LARGEST_RFC3164),
        )

    return rfc5424 if form == "rfc5424" else rfc3164
