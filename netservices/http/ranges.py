"""Parts of a file: the Range field and what answers it, RFC 9110 14 and 15.3.7."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass


class RangeNotSatisfiable(ValueError):  # noqa: N818 - named as the status it is answered with
    """Nothing that was asked for is there: answer 416 with ``content_range``."""

    def __init__(self, size: int) -> None:
        super().__init__(f"no part of {size} bytes was asked for")
        self.content_range = b"bytes */%d" % size


@dataclass(frozen=True, slots=True)
class ByteRange:
    """The bytes from ``start`` up to, but not with, ``stop``; never empty."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        """How many bytes."""
        return self.stop - self.start

    def content_range(self, size: int) -> bytes:
        """The value of Content-Range: ``bytes 0-499/1234``."""
        return b"bytes %d-%d/%d" % (self.start, self.stop - 1, size)


_SPEC = re.compile(rb"([0-9]*)-([0-9]*)")
_BEYOND_ANY_FILE = 10**20


def parse_ranges(value: bytes, size: int, *, most: int = 16) -> tuple[ByteRange, ...] | None:
    """What a Range field asks of ``size`` bytes, or None when the field does not count and the whole is the answer.

    It does not count when its unit is not bytes, when it is malformed, when it has more than ``most`` ranges, and when
    several of them add up to more than there is. Ranges that touch become one; the others stay in their order. Raises
    ``RangeNotSatisfiable``.
    """
    unit, equals, text = value.partition(b"=")
    # RFC 9110 14.1: the names of units are case insensitive.
    if not equals or unit.lower() != b"bytes":
        return None
    # RFC 9110 5.6.1.2: empty members of a list are skipped.
    specs = [spec for spec in (spec.strip(b" \t") for spec in text.split(b",")) if spec]
    if not specs or len(specs) > most:
        return None
    bounds = [_bounds(spec) for spec in specs]
    if None in bounds:
        return None
    found = [part for bound in bounds if bound is not None and (part := _within(bound, size)) is not None]
    if not found:
        # RFC 9110 14.1.2: the last bytes of nothing can be had, but no Content-Range can say so.
        if size == 0 and any(bound is not None and bound[0] is None and bound[1] for bound in bounds):
            return None
        raise RangeNotSatisfiable(size)
    # RFC 9110 14.2: many small or overlapping ranges are a fault or an attack. One range cannot be more than the whole.
    if sum(part.length for part in found) > size:
        return None
    return _coalesce(found)


def _bounds(spec: bytes) -> tuple[int | None, int | None] | None:
    """The two numbers of one range as they are written, or None if it is none."""
    match = _SPEC.fullmatch(spec)
    if match is None or spec == b"-":
        return None
    first, last = _number(match[1]), _number(match[2])
    # RFC 9110 14.1.2: an end before the start makes the whole set invalid.
    if first is not None and last is not None and last < first:
        return None
    return first, last


def _within(bound: tuple[int | None, int | None], size: int) -> ByteRange | None:
    """What there is of a range, or None if nothing."""
    first, last = bound
    if first is None:
        start, stop = max(0, size - (last or 0)), size
    else:
        start, stop = first, size if last is None else min(size, last + 1)
    return ByteRange(start, stop) if start < stop else None


def _number(digits: bytes) -> int | None:
    if not digits:
        return None
    # No file is that long, and turning thousands of digits into a number takes its time.
    return int(digits) if len(digits.lstrip(b"0")) <= 20 else _BEYOND_ANY_FILE


def _coalesce(parts: list[ByteRange]) -> tuple[ByteRange, ...]:
    """Join what overlaps or touches; each joined range stands where the first of its own stood."""
    joined: list[tuple[int, ByteRange]] = []
    for place, part in sorted(enumerate(parts), key=lambda item: item[1].start):
        if joined and part.start <= joined[-1][1].stop:
            before, other = joined[-1]
            joined[-1] = (min(before, place), ByteRange(other.start, max(other.stop, part.stop)))
        else:
            joined.append((place, part))
    return tuple(part for _, part in sorted(joined, key=lambda item: item[0]))


@dataclass(frozen=True, slots=True)
class MultipartPlan:
    """The body of a 206 with several ranges: each of ``parts`` is a head to send and the bytes to send after it.

    ``tail`` ends the body. ``length`` is the exact Content-Length, ``content_type`` the value of Content-Type.
    """

    parts: tuple[tuple[bytes, ByteRange], ...]
    tail: bytes
    content_type: bytes

    @property
    def length(self) -> int:
        """How many bytes the whole body has."""
        return sum(len(head) + part.length for head, part in self.parts) + len(self.tail)


def make_multipart(ranges: tuple[ByteRange, ...], size: int, content_type: bytes) -> MultipartPlan:
    """Plan a multipart/byteranges body, RFC 9110 14.6; ``content_type`` is that of the file.

    The boundary is drawn by lot from 2 to the 128: nobody can put it into a file beforehand.
    """
    boundary = secrets.token_hex(16).encode("ascii")
    heads = [
        b"\r\n--%s\r\nContent-Type: %s\r\nContent-Range: %s\r\n\r\n"
        % (boundary, content_type, part.content_range(size))
        for part in ranges
    ]
    heads[0] = heads[0].removeprefix(b"\r\n")
    return MultipartPlan(
        parts=tuple(zip(heads, ranges, strict=True)),
        tail=b"\r\n--%s--\r\n" % boundary,
        content_type=b"multipart/byteranges; boundary=" + boundary,
    )
