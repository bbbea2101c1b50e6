"""What a request asks for: its target and its Host field, taken apart once and for all."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Literal

Form = Literal["origin", "absolute", "asterisk", "authority"]


class BadTarget(ValueError):  # noqa: N818 - says what the request has, not what the program did
    """The target or the Host field cannot be served: answer 400. The text is for the log."""


@dataclass(frozen=True, slots=True)
class Target:
    """A request target, RFC 9112 3.2.

    ``segments`` are percent-decoded once, have no dot segments and no empty ones, and no slash or NUL in them;
    ``directory`` says that the path ended with a slash. ``query`` is as it was sent, None without a question mark.
    ``authority`` is as it was sent, and is set in absolute-form and authority-form only.
    """

    segments: tuple[bytes, ...]
    directory: bool
    query: bytes | None = None
    authority: bytes | None = None
    form: Form = "origin"


# RFC 3986 2: all a URI is written in is visible ASCII. A fragment is never sent: RFC 9110 7.1.
_NOT_ALLOWED = re.compile(rb"[^\x21-\x7e]|#")
_ABSOLUTE = re.compile(rb"(?i:https?)://([^/?]*)(.*)", re.DOTALL)
_ESCAPE = re.compile(rb"%(..?)?", re.DOTALL)
_HEX = re.compile(rb"[0-9A-Fa-f]{2}")

# RFC 3629 3: the forms that are longer than they need to be, by which a careless decoder is talked into a slash or a
# dot that nobody has looked at. Other bytes that are no UTF-8 pass: file names may have them.
_OVERLONG = re.compile(
    rb"[\xc0\xc1][\x80-\xbf]|\xe0[\x80-\x9f][\x80-\xbf]|\xf0[\x80-\x8f][\x80-\xbf]{2}|\xf8[\x80-\x87]|\xfc[\x80-\x83]"
)

# RFC 3986 2.3 unreserved, and those of 3.3 pchar that mean nothing to HTML, to a header field or to a relative
# reference. A colon does: `javascript:` is a fine file name.
_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$()*+,;=@")
_QUOTED = tuple(bytes([byte]) if byte in _SAFE else b"%%%02X" % byte for byte in range(256))

_LABEL = re.compile(rb"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_PORT = re.compile(rb"[0-9]{1,5}")


def parse_target(raw: bytes) -> Target:
    """Take a request target apart; ``BadTarget`` if it is none, or one that nothing good would send."""
    if not raw or _NOT_ALLOWED.search(raw):
        raise BadTarget("empty, or with bytes that no target has")
    if raw.startswith(b"/"):
        return _with_path(raw, None, "origin")
    if raw == b"*":
        return Target((), directory=False, form="asterisk")
    if match := _ABSOLUTE.fullmatch(raw):
        authority, rest = match.groups()
        parse_host(authority)
        # RFC 9110 4.2.3: an empty path is the same as a slash.
        return _with_path(rest if rest.startswith(b"/") else b"/" + rest, authority, "absolute")
    # RFC 9112 3.2.3: authority-form always has the port.
    if parse_host(raw)[1] is None:
        raise BadTarget("neither a path nor a whole address")
    return Target((), directory=False, authority=raw, form="authority")


def parse_host(value: bytes) -> tuple[bytes, int | None]:
    """The name and the port of a Host field or an authority, RFC 9110 7.2; ``BadTarget`` if it is not exactly that.

    The name is in lower case, without a dot at its end; an IPv6 address is in its shortest form, in brackets.
    """
    name, colon, port = value.rpartition(b":")
    if not colon or value.endswith(b"]"):
        name, port = value, b""
    number = None
    if port:
        number = int(port) if _PORT.fullmatch(port) else 0
        if not 1 <= number <= 65535:
            raise BadTarget("a port that is none")
    if name.startswith(b"[") and name.endswith(b"]"):
        return _ipv6(name[1:-1]), number
    name = name.removesuffix(b".").lower()
    labels = name.split(b".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise BadTarget("a host name that is none")
    if labels[-1].isdigit():
        # No name of a host ends in a number, so this is an address, or nothing.
        try:
            ipaddress.IPv4Address(name.decode("ascii"))
        except ValueError:
            raise BadTarget("an IPv4 address that is none") from None
    return name, number


def quote_segment(segment: bytes) -> bytes:
    """One path segment, percent-encoded so that it is safe in a header field, an attribute and a relative reference."""
    return b"".join([_QUOTED[byte] for byte in segment])


def quote_path(segments: tuple[bytes, ...], *, directory: bool) -> bytes:
    """An absolute path of these segments. It begins with exactly one slash, so it never names another host."""
    path = b"/" + b"/".join([quote_segment(segment) for segment in segments if segment])
    return path + b"/" if directory and not path.endswith(b"/") else path


def redirect_location(target: Target) -> bytes:
    """Where the directory is that was asked for without its slash: the path with one, and the query as it was."""
    path = quote_path(target.segments, directory=True)
    return path if target.query is None else path + b"?" + target.query


def _with_path(rest: bytes, authority: bytes | None, form: Form) -> Target:
    path, mark, query = rest.partition(b"?")
    segments: list[bytes] = []
    for part in path.split(b"/"):
        segment = _unquote(part) if b"%" in part else part
        # RFC 3986 5.2.4: dot segments, which never lead above the root. 6.2.2.2: %2e is a dot.
        if segment == b"..":
            del segments[-1:]
        elif segment not in {b"", b"."}:
            segments.append(segment)
        last = segment
    directory = last in {b"", b".", b".."}
    return Target(tuple(segments), directory, query if mark else None, authority, form)


def _unquote(part: bytes) -> bytes:
    segment = _ESCAPE.sub(_decode, part)
    if b"/" in segment or b"\0" in segment or _OVERLONG.search(segment):
        raise BadTarget("an escape that hides a slash, a NUL or an overlong form")
    return segment


def _decode(match: re.Match[bytes]) -> bytes:
    digits = match[1]
    if digits is None or not _HEX.fullmatch(digits):
        raise BadTarget("a percent sign without two hexadecimal digits")
    return bytes([int(digits, 16)])


def _ipv6(text: bytes) -> bytes:
    try:
        address = ipaddress.IPv6Address(text.decode("ascii"))
    except ValueError:
        raise BadTarget("an IPv6 address that is none") from None
    if address.scope_id is not None:
        # RFC 6874 4: a zone means something on the peer's machine only.
        raise BadTarget("an IPv6 address with a zone")
    return b"[" + str(address).encode("ascii") + b"]"
