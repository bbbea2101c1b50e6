"""An entry of systemd's journal, in its native protocol.

Source: systemd.io/JOURNAL_NATIVE_PROTOCOL, systemd.journal-fields(7).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from netservices.runtime.logs.formats import APP_NAME
from netservices.runtime.logs.record import LARGEST_TEXT
from netservices.wire.escaping import escape_line, escape_lines, escape_surrogates
from netservices.wire.syslog import FACILITIES

if TYPE_CHECKING:
    from netservices.runtime.logs.record import LogRecord

_MOST_FIELDS = 64


@lru_cache(maxsize=1024)
def format_field_name(name: str) -> str:
    """``NETSERVICES_<NAME>``: capitals, digits and underscores, at most 64 characters."""
    return ("NETSERVICES_" + re.sub(r"[^A-Z0-9]", "_", name.upper()))[:64]


def format_field(name: str, value: str) -> bytes:
    """One field; a value with a newline has its length before it instead of a newline behind its name."""
    octets = escape_surrogates(value).encode()
    if b"\n" in octets:
        return b"%b\n%b%b\n" % (name.encode(), len(octets).to_bytes(8, "little"), octets)
    return b"%b=%b\n" % (name.encode(), octets)


def format_journal(record: LogRecord, facility: str) -> bytes:
    """A whole entry. MESSAGE is one escaped line, and a traceback below it, indented; fields hold exact values."""
    message = escape_line(record.message)
    if record.traceback:
        message = "\n    ".join([message, *escape_lines(record.traceback)])
    fields = {
        "MESSAGE": message,
        "PRIORITY": str(record.severity),
        "SYSLOG_IDENTIFIER": APP_NAME,
        "SYSLOG_FACILITY": str(FACILITIES[record.facility or facility]),
    }
    if record.event is not None:
        fields["NETSERVICES_EVENT"] = record.event
    for name, value in record.texts.items():
        if len(fields) >= _MOST_FIELDS:
            break
        fields.setdefault(format_field_name(name), value[:LARGEST_TEXT])
    return b"".join([format_field(name, value) for name, value in fields.items()])
