"""Answers and their heads."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from netservices.http.answers import Answer, FileContent, Span, make_head
from netservices.runtime.confined import Opened

DATE = b"Thu, 01 Jan 1970 00:00:00 GMT"


class HeadTests(SynchronousTestCase):
    """The bytes before a body."""

    def test_head_is_what_every_answer_has(self) -> None:
        """Status, Server, Date, the answer's own fields, its length, and how the connection goes on."""
        answer = Answer(413, ((b"A", b"b"),), b"body")
        self.assertEqual(
            make_head(answer, DATE, b"close"),
            b"HTTP/1.1 413 Content Too Large\r\nServer: netservices\r\nDate: "
            + DATE
            + b"\r\nA: b\r\nContent-Length: 4\r\n"
            b"Connection: close\r\n\r\n",
        )

    def test_length_is_said_where_it_may_be(self) -> None:
        """RFC 9110 8.6: never with 204; with 304 only where the answer says which."""
        for answer, expected in (
            (Answer(200), b"Content-Length: 0\r\n"),
            (Answer(200, length=7), b"Content-Length: 7\r\n"),
            (Answer(204), None),
            (Answer(304), None),
            (Answer(304, length=7), b"Content-Length: 7\r\n"),
        ):
            head = make_head(answer, DATE)
            self.assertEqual(expected in head if expected else b"Content-Length" not in head, True)

    def test_unknown_status_has_words_too(self) -> None:
        """A status that a script made up is still a status line."""
        self.assertTrue(make_head(Answer(299), DATE).startswith(b"HTTP/1.1 299 Unknown\r\n"))

    def test_value_that_splits_the_head_is_refused(self) -> None:
        """H14: in names and in values."""
        for field in ((b"A", b"b\r\nC: d"), (b"A\n", b"b"), (b"A", b"\0")):
            self.assertRaises(ValueError, make_head, Answer(200, (field,)), DATE)


class ContentTests(SynchronousTestCase):
    """A body in a file."""

    def test_pieces_add_up_and_the_file_is_closed(self) -> None:
        """An answer that is not sent gives its descriptor back, and may be told so twice."""
        path = Path(self.mktemp())
        path.write_bytes(b"0123456789")
        fd = os.open(path, os.O_RDONLY)
        answer = Answer(206, content=FileContent(Opened(fd, os.fstat(fd)), (b"ab", Span(2, 5))))
        self.assertEqual(answer.said_length, 7)
        answer.discard()
        answer.discard()
        self.assertRaises(OSError, os.fstat, fd)
