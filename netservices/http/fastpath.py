"""Answers that are ready before they are asked for, and the strict little reader that finds them.

A request is answered from here when its request line is, byte for byte, one that the full path answered a moment ago,
and its header fields are all of those that cannot change the answer. Whatever else comes, odd bytes included, is left
to the full path, which knows how to refuse it. See docs/decisions/hot-path.md.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from netservices.http.answers import Answer, make_lead, make_rest
from netservices.http.logline import quote
from netservices.http.targets import BadTarget, parse_host

if TYPE_CHECKING:
    from collections.abc import Callable

FRESH = 1.0
"""For how long after a look at the disk an answer may be given, in seconds: a change is noticed within it."""
RENEW = 0.5
"""After how long an answer still in use is looked after again; the gap to FRESH is the time the look may take."""

_JOINED = 16 * 1024
"""Up to this many bytes head and body are kept as one; above, copying costs more than a second buffer to send."""
_LINES_PER_ANSWER = 8
"""Spellings of one target (queries, escapes) that are kept."""
_BLOCKS = 1024
"""Blocks of header fields that are remembered; clients repeat theirs byte for byte."""
_BLOCK_LENGTH = 2048
"""The longest that is read here, in bytes."""

# The fields that no static answer depends on; Host and Connection are looked at. Each name once in a block.
_HARMLESS = (
    b"Host|Connection|User-Agent|Accept|Accept-Encoding|Accept-Language|Accept-Charset|Referer|Cookie|Cache-Control|Pragma|"
    b"Origin|DNT|Priority|Upgrade-Insecure-Requests|Sec-Fetch-(?:Site|Mode|Dest|User)|Sec-CH-UA(?:-Mobile|-Platform)?|"
    b"Sec-GPC|Save-Data"
)
_FIELD = re.compile(
    rb"\r\n(" + _HARMLESS + rb"):[ \t]*([!-~\x80-\xff](?:[ -~\t\x80-\xff]*[!-~\x80-\xff])?)?[ \t]*", re.IGNORECASE
)
_BLOCK = re.compile(rb"(?:" + _FIELD.pattern + rb")+", re.IGNORECASE)


class Block(NamedTuple):
    """A harmless block of header fields."""

    tail: bytes
    """What the access log's line ends with: referer and agent, quoted, and the newline."""


def parse_block(block: bytes) -> Block | None:
    """The fields of an HTTP/1.1 request, each after its CRLF, or None if the full path must look at them."""
    if _BLOCK.fullmatch(block) is None:
        return None
    found = [(name.lower(), value) for name, value in _FIELD.findall(block)]
    fields = dict(found)
    if len(fields) != len(found) or fields.get(b"connection", b"keep-alive").lower() != b"keep-alive":
        return None
    try:
        # RFC 9112 3.2: exactly one Host, and a valid one.
        parse_host(fields[b"host"])
    except (KeyError, BadTarget):
        return None
    return Block(b'" "'.join((quote(fields.get(b"referer", b"")), quote(fields.get(b"user-agent", b"")))) + b'"\n')


class Prepared:
    """An answer to GET that may be given again from ``fresh_from`` until ``fresh_until``, in seconds of the clock.

    After ``renew_at`` the owner's ``renew`` is called once, and the answer goes on being given meanwhile.
    """

    __slots__ = ("_get", "_head", "_lead", "_rest", "_second", "content", "fresh_from", "fresh_until", "lines", "renew",
                 "renew_at")  # fmt: skip

    def __init__(self, answer: Answer, renew: Callable[[], object]) -> None:
        """``answer`` has its whole body in memory."""
        if not isinstance(answer.content, bytes):
            raise TypeError("an answer kept ready has its body in memory")
        self.content = answer.content
        self.renew = renew
        self.lines: list[bytes] = []
        self.fresh_from = self.fresh_until = self.renew_at = 0.0
        self._lead = make_lead(answer.status)
        self._rest = make_rest(answer)
        self._second = b""
        self._get: tuple[bytes, ...] = ()
        self._head: tuple[bytes, ...] = ()

    def confirm(self, seen: float) -> None:
        """The disk was looked at, at ``seen`` or later, and the answer is right."""
        self.fresh_from = seen
        self.fresh_until = seen + FRESH
        self.renew_at = seen + RENEW

    def expire(self) -> None:
        """Do not give it any more."""
        self.fresh_until = self.renew_at = 0.0

    def fresh(self, now: float) -> bool:
        """Whether it may be given at ``now``; not if the clock was set back."""
        return self.fresh_from <= now < self.fresh_until

    def parts(self, date: bytes, *, head_only: bool) -> tuple[bytes, ...]:
        """What goes to the wire; made anew only when ``date`` is another than last time."""
        if self._second is not date:
            self._second = date
            head = self._lead + date + self._rest
            self._head = (head,)
            whole = len(head) + len(self.content) <= _JOINED
            self._get = (head + self.content,) if whole else (head, self.content)
        return self._head if head_only else self._get


class Line(NamedTuple):
    """A request line that has its answer ready."""

    prepared: Prepared
    head_only: bool
    said: bytes
    """The middle of the access log's line: the request line, status and length."""


class FastTable:
    """The ready answers of one site by request line, and the harmless blocks of fields met before."""

    def __init__(self) -> None:
        self.lines: dict[bytes, Line] = {}
        self.blocks: dict[bytes, Block] = {}

    def put(self, method: bytes, target: bytes, prepared: Prepared) -> None:
        """``prepared`` answers GET or HEAD of ``target`` in HTTP/1.1; a ninth spelling of it is not kept."""
        line = b"%b %b HTTP/1.1" % (method, target)
        known = self.lines.get(line)
        if known is not None and known.prepared is prepared:
            return
        if len(prepared.lines) >= _LINES_PER_ANSWER or len(line) > _BLOCK_LENGTH:
            return
        if known is not None:
            known.prepared.lines.remove(line)
        head_only = method == b"HEAD"
        said = b'%b" 200 %d "' % (quote(line), 0 if head_only else len(prepared.content))
        self.lines[line] = Line(prepared, head_only, said)
        prepared.lines.append(line)

    def drop(self, prepared: Prepared) -> None:
        """Forget every request line that it answers."""
        prepared.expire()
        for line in prepared.lines:
            del self.lines[line]
        prepared.lines.clear()

    def find_block(self, block: bytes) -> Block | None:
        """What ``parse_block`` says, remembered."""
        if len(block) > _BLOCK_LENGTH:
            return None
        known = parse_block(block)
        if known is not None:
            if len(self.blocks) >= _BLOCKS:
                self.blocks.clear()
            self.blocks[block] = known
        return known
