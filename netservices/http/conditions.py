"""Conditional requests: RFC 9110 13, for an origin server."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from netservices.http.dates import parse_date

if TYPE_CHECKING:
    import os

Field = Callable[[bytes], bytes | None]
"""Gives the value of a request's field by its name in lower case, several joined by a comma; None if there is none."""


class Outcome(Enum):
    """What the preconditions of a request say."""

    PROCEED = "proceed"
    NOT_MODIFIED = "304"
    PRECONDITION_FAILED = "412"


@dataclass(frozen=True, slots=True)
class Validators:
    """What tells one state of a resource from another.

    ``etag`` is a whole entity tag with its quotes; ``modified`` is in seconds since 1970, without any fraction.
    """

    etag: bytes
    modified: int


# RFC 9110 8.8.3: the mark of a weak tag is case sensitive; a comma may be inside the quotes.
_TAG = re.compile(rb'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_SEPARATOR = re.compile(rb"[ \t]*(?:,[ \t]*)+")

# RFC 9110 13.2.1: they choose no representation, so there is nothing to compare with.
_WITHOUT_REPRESENTATION = frozenset({b"CONNECT", b"OPTIONS", b"TRACE"})
_READING = frozenset({b"GET", b"HEAD"})

_SURELY_PAST = 60


def make_etag(stat: os.stat_result) -> bytes:
    """A strong entity tag of a file: another when the file is another, or its size or time of change.

    The numbers are hashed, since an inode's number is nobody's business.
    """
    state = b"%d %d %d %d" % (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)
    return b'"' + hashlib.blake2b(state, digest_size=12).hexdigest().encode("ascii") + b'"'


def make_validators(stat: os.stat_result) -> Validators:
    """Those of a file. The time of change is rounded down: a date must not be later than what it dates."""
    return Validators(make_etag(stat), stat.st_mtime_ns // 1_000_000_000)


def last_modified(validators: Validators, now: int) -> int:
    """What to say in Last-Modified. RFC 9110 8.8.2.1: never later than Date."""
    return min(validators.modified, now)


def evaluate(method: bytes, field: Field, validators: Validators | None, now: int) -> Outcome:
    """What a request's preconditions say, in the order of RFC 9110 13.2.2; Range is left to ``range_applies``.

    ``validators`` is None when there is no representation. Call this only for what would otherwise be answered with
    2xx (13.2.1).
    """
    if method in _WITHOUT_REPRESENTATION:
        return Outcome.PROCEED
    if (value := field(b"if-match")) is not None:
        if not _if_match(value, validators):
            return Outcome.PRECONDITION_FAILED
    elif (value := field(b"if-unmodified-since")) is not None and validators is not None:
        date = parse_date(value, now=now)
        if date is not None and validators.modified > date:
            return Outcome.PRECONDITION_FAILED
    reading = method in _READING
    if (value := field(b"if-none-match")) is not None:
        if not _if_none_match(value, validators, reading=reading):
            return Outcome.NOT_MODIFIED if reading else Outcome.PRECONDITION_FAILED
    elif reading and validators is not None and (value := field(b"if-modified-since")) is not None:
        date = parse_date(value, now=now)
        # A date that has not been yet was not taken from an answer of ours.
        if date is not None and validators.modified <= date <= now:
            return Outcome.NOT_MODIFIED
    return Outcome.PROCEED


def range_applies(field: Field, validators: Validators, now: int) -> bool:
    """Whether If-Range, RFC 9110 13.1.5, lets a Range field count; it does when there is no If-Range."""
    value = field(b"if-range")
    if value is None:
        return True
    if match := _TAG.fullmatch(value):
        return match[1] is None and value == validators.etag
    # RFC 9110 8.8.2.2: a date tells two states apart only if nothing changed twice in its second. We cannot know that
    # of a second just gone, and a client with our tag has no reason to send a date; one minute keeps resumed
    # downloads of settled files working and declines the rest, which costs no more than the whole file.
    date = parse_date(value, now=now)
    return date is not None and date == validators.modified and date + _SURELY_PAST <= now


def _if_match(value: bytes, validators: Validators | None) -> bool:
    # A list that cannot be read names no tag: what was asked is not done.
    if validators is None:
        return False
    if value == b"*":
        return True
    tags = _parse_tags(value) or ()
    # RFC 9110 13.1.1: strong comparison; a weak tag never matches.
    return validators.etag in tags and not validators.etag.startswith(b"W/")


def _if_none_match(value: bytes, validators: Validators | None, *, reading: bool) -> bool:
    if value == b"*":
        return validators is None
    tags = _parse_tags(value)
    if tags is None:
        # Unreadable: whoever reads gets the whole, and whoever writes must say it again.
        return reading
    if validators is None:
        return True
    # RFC 9110 13.1.2: weak comparison.
    ours = validators.etag.removeprefix(b"W/")
    return all(tag.removeprefix(b"W/") != ours for tag in tags)


def _parse_tags(value: bytes) -> list[bytes] | None:
    """The entity tags of a list, RFC 9110 5.6.1, with empty members skipped; None if it is malformed."""
    value = value.strip(b" \t,")
    tags: list[bytes] = []
    at = 0
    while at < len(value):
        tag = _TAG.match(value, at)
        if tag is None:
            return None
        tags.append(tag[0])
        at = tag.end()
        if at < len(value):
            separator = _SEPARATOR.match(value, at)
            if separator is None:
                return None
            at = separator.end()
    return tags
