"""The short pages that say what went wrong."""

from __future__ import annotations

from html import escape
from http import HTTPStatus

from netservices.http.answers import Answer, Fields

_NOSNIFF = (b"X-Content-Type-Options", b"nosniff")


def make_error(status: int, explanation: str = "", *, fields: Fields = (), close: bool = False) -> Answer:
    """An answer with a small HTML body; ``explanation`` is escaped, so it may quote the peer."""
    title = f"{status} {HTTPStatus(status).phrase}"
    text = f"<p>{escape(explanation)}</p>\n" if explanation else ""
    page = f"<!DOCTYPE html>\n<html><head><title>{title}</title></head>\n<body><h1>{title}</h1>\n{text}</body></html>\n"
    content = page.encode("utf-8", "backslashreplace")
    return Answer(
        status, ((b"Content-Type", b"text/html; charset=utf-8"), _NOSNIFF, *fields), content=content, close=close
    )


def make_not_allowed(methods: tuple[bytes, ...]) -> Answer:
    """RFC 9110 15.5.6: 405 says what would be allowed."""
    return make_error(405, fields=((b"Allow", b", ".join(methods)),))


def make_options(methods: tuple[bytes, ...]) -> Answer:
    """The answer to OPTIONS: nothing but Allow."""
    return Answer(204, ((b"Allow", b", ".join(methods)),))


def make_redirect(location: bytes) -> Answer:
    """301, for good; the body names the place for who does not follow."""
    return make_error(
        301, "It is at " + location.decode("ascii", "backslashreplace"), fields=((b"Location", location),)
    )
