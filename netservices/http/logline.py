"""A line of the access log, in the combined form."""

from __future__ import annotations

import re

_LONGEST = 2048
_ODD = re.compile(rb"[^ !#-\[\]-~]")


def _escape(found: re.Match[bytes]) -> bytes:
    return b"\\x%02X" % found.group()[0]


def quote(value: bytes) -> bytes:
    r"""The inside of a quoted item: a quote, a backslash and whatever is not printable ASCII become ``\xNN``.

    Nothing becomes ``-``; what is longer than 2 KiB is cut there, so that lines have a limit.
    """
    return _ODD.sub(_escape, value[:_LONGEST]) if value else b"-"


def make_peer(host: str) -> bytes:
    """How the peer is named; one on a unix socket has no host."""
    return (host or "unix:").encode("ascii")


def make_line(
    peer: bytes, when: bytes, request_line: bytes, *, status: int, length: int, referer: bytes, agent: bytes,
) -> bytes:  # fmt: skip
    """``peer - - [when] "request line" status bytes "referer" "agent"`` and a newline."""
    return b'%b - - [%b] "%b" %d %d "%b" "%b"\n' % (
        peer, when, quote(request_line), status, length, quote(referer), quote(agent),
    )  # fmt: skip
