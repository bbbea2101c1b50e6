"""One event, made ready once for every place it is written to."""

from __future__ import annotations

import os
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, cast

from twisted.logger import formatEvent
from twisted.python.failure import Failure
from twisted.python.reflect import safe_repr, safe_str

from netservices.wire.escaping import decode_octets, shorten_middle
from netservices.wire.syslog import FACILITIES, SEVERITIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twisted.logger import LogEvent

LARGEST_TEXT = 16_384
"""Characters of a message, of a traceback or of one field that are looked at; what is longer is cut with a mark."""

_SCALARS = (int, str, float, IPv4Address, IPv6Address)
_IDENTITY = ("service", "session", "peer")
_NOT_FIELDS = frozenset({"event", "facility", "syslog_severity"})


class LogRecord:
    """What every format needs of an event. Nothing here is escaped yet.

    ``event`` is the event's name, None for Twisted's own. ``subject`` is the service, or whatever speaks in its place.
    ``severity`` is syslog's number. ``facility`` None is the configured one. ``fields`` are the event's own, octets
    decoded by ``decode_octets``. ``traceback`` is empty or several lines.
    """

    __slots__ = (
        "_texts", "event", "facility", "fields", "level", "message", "severity", "subject", "time", "traceback",
    )  # fmt: skip

    def __init__(
        self, *, time: float, level: str, severity: int, facility: str | None, event: str | None, subject: str,
        message: str, fields: dict[str, object], traceback: str = "",
    ) -> None:  # fmt: skip
        self.time = time
        """Seconds since 1970, UTC."""
        self.level = level
        self.severity = severity
        self.facility = facility
        self.event = event
        self.subject = subject
        self.message = message
        self.fields = fields
        self.traceback = traceback
        self._texts: dict[str, str] | None = None

    @property
    def texts(self) -> dict[str, str]:
        """The fields that are one value each, as text; others and those without a value are left out."""
        if self._texts is None:
            self._texts = {
                name: text for name, value in self.fields.items() if (text := _format_scalar(value)) is not None
            }
        return self._texts


def _format_scalar(value: object) -> str | None:
    # The usual types first, since every field of every event comes by here.
    kind = type(value)
    if kind is str:
        return cast("str", value)
    if kind is float:
        return repr(value)
    if value is None:
        return None
    if kind is bool:
        return "true" if value else "false"
    if isinstance(value, _SCALARS):
        return str(safe_str(value))
    if isinstance(value, os.PathLike):
        try:
            path = os.fspath(value)
        except Exception:  # noqa: BLE001 - a field's own code may raise anything, and the log must go on
            return None
        return decode_octets(path) if isinstance(path, bytes) else path
    return None


def make_record(event: LogEvent) -> LogRecord:
    """What ``twisted.logger`` handed over, ours or Twisted's own. Must be called before a field can change."""
    name = event.get("event")
    level = event.get("log_level")
    level_name = str(level.name) if level is not None else "info"
    severity = SEVERITIES.get(str(event.get("syslog_severity")), SEVERITIES[level_name])
    facility = event.get("facility")
    failure = event.get("log_failure")
    ours = isinstance(name, str)
    if ours:
        fields = _collect_fields(event)
        message = _format_ours(event, fields)
        subject = fields.get("service", str(name).partition(".")[0])
    else:
        fields = {"namespace": safe_str(event.get("log_namespace", "-"))}
        message = formatEvent(event)
        subject = "twisted"
    if len(message) > LARGEST_TEXT:
        message = message[: LARGEST_TEXT - 1] + "…"
    time = event.get("log_time")
    return LogRecord(
        time=time if isinstance(time, float) else 0.0,
        level=level_name,
        severity=severity,
        facility=facility if isinstance(facility, str) and facility in FACILITIES else None,
        event=name if ours else None,
        subject=subject if isinstance(subject, str) else safe_str(subject),
        message=message,
        fields=fields,
        traceback="" if failure is None else format_traceback(failure),
    )


def _collect_fields(event: LogEvent) -> dict[str, object]:
    # Who it was about comes first, so that it is there when a line has no room for everything.
    ordered = {**{name: event[name] for name in _IDENTITY if name in event}, **event}
    return {
        name: decode_octets(value[:LARGEST_TEXT]) if isinstance(value, bytes) else value
        for name, value in ordered.items()
        if not name.startswith("log_") and name not in _NOT_FIELDS
    }


def _format_ours(event: LogEvent, fields: Mapping[str, object]) -> str:
    # Several times faster than formatEvent, which parses the format in Python; it is there for what this can't do.
    try:
        return str(event["log_format"]).format_map({**event, **fields})
    except Exception:  # noqa: BLE001 - a field's own code may raise anything, and the log must go on
        return formatEvent(event)


def format_traceback(failure: object) -> str:
    """The traceback of a ``Failure``, without a newline at its end; whatever else it is, its repr. Never raises."""
    if not isinstance(failure, Failure):
        return str(safe_repr(failure))
    try:
        text = failure.getTraceback()
    except Exception:  # noqa: BLE001 - an exception's own code may raise anything, and the log must go on
        return str(safe_repr(failure))
    return shorten_middle(text.rstrip("\n"), LARGEST_TEXT)
