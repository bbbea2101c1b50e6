"""The strict little reader, and the answers that are ready."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netservices.http.answers import Answer, FileContent
from netservices.http.fastpath import FastTable, Prepared, parse_block
from tests.http.doubles import Connection, StubHandler, body_of, status_of

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def make_prepared(content: bytes = b"hello") -> Prepared:
    """Fresh for a second from the start of a test's clock."""
    prepared = Prepared(Answer(200, ((b"X", b"y"),), content), lambda: None)
    prepared.confirm(0.0)
    return prepared


class BlockTests(SynchronousTestCase):
    """Which fields the fast path may see."""

    def test_usual_fields_are_harmless(self) -> None:
        """A browser's fields pass; referer and agent are what the log gets."""
        block = parse_block(
            b'\r\nHost: example.org:8080\r\nUser-Agent: \xc3\xa4 "x"\r\nAccept: */*\r\nCookie:\r\n'
            b"Referer:\thttp://b/ \r\nconnection: Keep-Alive\r\nSec-Fetch-Mode: navigate"
        )
        assert block is not None
        self.assertEqual(block.tail, b'http://b/" "\\xC3\\xA4 \\x22x\\x22"\n')

    def test_anything_else_is_left_to_the_full_path(self) -> None:
        """H2, H3: what could change the answer, and what is refused."""
        for block in (
            b"",
            b"\r\nAccept: x",
            b"\r\nHost: a\r\nHost: a",
            b"\r\nHost: a\r\nhost: a",
            b"\r\nHost: a, b",
            b"\r\nHost:",
            b"\r\nHost: a\r\nRange: bytes=0-1",
            b"\r\nHost: a\r\nIf-None-Match: *",
            b"\r\nHost: a\r\nExpect: 100-continue",
            b"\r\nHost: a\r\nContent-Length: 0",
            b"\r\nHost: a\r\nTransfer-Encoding: chunked",
            b"\r\nHost: a\r\nUpgrade: x",
            b"\r\nHost: a\r\nAuthorization: x",
            b"\r\nHost: a\r\nConnection: close",
            b"\r\nHost: a\r\nConnection: keep-alive, x",
            b"\r\nHost: a\r\nUnheard-Of: x",
            b"\r\nHost: a\r\n Accept: x",
            b"\r\nHost: a\r\nAccept: x\r\n y",
            b"\r\nHost : a",
            b"\r\nHost: a\nAccept: x",
            b"\r\nHost: a\rAccept: x",
            b"\r\nHost: a\r\nAccept: \0",
            b"\r\nHost: a\r\nAccept: \x7f",
            b"\r\nHost: a\r\nAccept",
            b"\nHost: a",
        ):
            self.assertIsNone(parse_block(block), block)

    def test_what_was_met_is_remembered_within_limits(self) -> None:
        """The table of blocks has an end, and so has a block."""
        table = FastTable()
        for number in range(3000):
            self.assertIsNotNone(table.find_block(b"\r\nHost: a\r\nCookie: %d" % number))
            self.assertLessEqual(len(table.blocks), 1024)
        self.assertIsNone(table.find_block(b"\r\nHost: a\r\nCookie: " + b"x" * 2048))


class PreparedTests(SynchronousTestCase):
    """One answer kept ready."""

    def test_parts_are_made_once_a_date(self) -> None:
        """The same objects go out until the second is over; large bodies are not copied."""
        date = b"Thu, 01 Jan 1970 00:00:00 GMT"
        for size, count in ((5, 1), (20000, 2)):
            prepared = make_prepared(b"x" * size)
            parts = prepared.parts(date, head_only=False)
            self.assertEqual(len(parts), count)
            self.assertIs(prepared.parts(date, head_only=False), parts)
            whole = b"".join(parts)
            self.assertEqual(body_of(whole), b"x" * size)
            self.assertEqual(b"".join(prepared.parts(date, head_only=True)), whole[:-size])
            other = bytes(bytearray(date.replace(b"00 GMT", b"01 GMT")))
            self.assertIn(other, b"".join(prepared.parts(other, head_only=False)))

    def test_freshness_has_two_ends(self) -> None:
        """Not before it was looked at, as when a clock is set back, and not a second after."""
        prepared = make_prepared()
        prepared.confirm(10.0)
        self.assertEqual([prepared.fresh(now) for now in (9.9, 10.0, 10.99, 11.0)], [False, True, True, False])
        prepared.expire()
        self.assertFalse(prepared.fresh(10.0))

    def test_body_must_be_in_memory(self) -> None:
        """A file is never kept ready."""
        self.assertRaises(TypeError, Prepared, Answer(200, (), FileContent(None, ())), lambda: None)  # type: ignore[arg-type]


class TableTests(SynchronousTestCase):
    """Which request lines have their answer ready."""

    def test_spellings_of_a_target_are_limited(self) -> None:
        """Queries that nobody can foresee do not fill the memory."""
        table, prepared = FastTable(), make_prepared()
        for number in range(100):
            table.put(b"GET", b"/?%d" % number, prepared)
        self.assertEqual(len(table.lines), 8)
        table.drop(prepared)
        self.assertEqual(len(table.lines), 0)
        self.assertFalse(prepared.fresh(0.0))
        table.put(b"GET", b"/" + b"x" * 2048, prepared)
        self.assertEqual(len(table.lines), 0)

    def test_newer_answer_takes_the_line_over(self) -> None:
        """And the older one forgets it."""
        table, older, newer = FastTable(), make_prepared(), make_prepared(b"new")
        table.put(b"GET", b"/", older)
        table.put(b"GET", b"/", newer)
        table.put(b"GET", b"/", newer)
        self.assertEqual((older.lines, len(newer.lines)), ([], 1))
        table.drop(older)
        self.assertIs(table.lines[b"GET / HTTP/1.1"].prepared, newer)


class FastAnswerTests(SynchronousTestCase):
    """When the connection answers by itself."""

    def setUp(self) -> None:
        self.table = FastTable()
        self.renewed: list[int] = []
        self.prepared = Prepared(Answer(200, (), b"ready"), lambda: self.renewed.append(1))
        self.prepared.confirm(0.0)
        self.table.put(b"GET", b"/", self.prepared)
        self.handler = StubHandler()
        self.connection = Connection(self.handler, fast=self.table)

    def test_ready_answer_needs_no_handler(self) -> None:
        """One request or many at once."""
        self.assertEqual(body_of(self.connection.send(GET)), b"ready")
        self.assertEqual(self.connection.send(GET * 3).count(b"ready"), 3)
        self.assertEqual(self.handler.seen, [])

    def test_rest_of_a_segment_takes_the_full_path(self) -> None:
        """From the first request on that is not ready; what follows keeps its place."""
        answers = self.connection.send(GET + GET.replace(b"/ ", b"/x ") + GET[:20])
        self.assertEqual([answers.count(b"ready"), answers.count(b"hello")], [1, 1])
        answers = self.connection.send(GET[20:] + GET)
        self.assertEqual([answers.count(b"ready"), answers.count(b"hello")], [0, 2])
        self.assertEqual(self.connection.send(GET).count(b"ready"), 1)

    def test_stale_answer_is_not_given(self) -> None:
        """After a second without a look at the disk, the handler decides; after half of one it is asked to look."""
        self.connection.clock.advance(0.4)
        self.connection.send(GET)
        self.assertEqual(self.renewed, [])
        self.connection.clock.advance(0.2)
        self.assertEqual(self.connection.send(GET * 2).count(b"ready"), 2)
        self.assertEqual(self.renewed, [1])
        self.connection.clock.advance(0.5)
        self.assertEqual(body_of(self.connection.send(GET)), b"hello")

    def test_last_request_of_a_connection_is_not_fast(self) -> None:
        """H5: its answer says so, which a ready one can't."""
        connection = Connection(self.handler, fast=self.table)
        connection.protocol._left = 2
        self.assertEqual(body_of(connection.send(GET)), b"ready")
        answer = connection.send(GET)
        self.assertEqual(body_of(answer), b"hello")
        self.assertIn(b"Connection: close", answer)

    def test_full_peer_gets_no_more(self) -> None:
        """R14: many requests at once, and a peer that takes nothing."""
        transport = self.connection.transport
        sent: list[int] = []

        def send(parts: object) -> None:  # noqa: ARG001 - stands in for write_now
            sent.append(1)
            self.connection.protocol.pauseProducing()

        self.connection.protocol._send = send
        self.connection.protocol.dataReceived(GET * 1000)
        self.assertLessEqual(len(sent) + len(self.handler.seen), 3)
        self.assertEqual(transport.producerState, "paused")

    def test_drained_connection_is_not_fast(self) -> None:
        """R4."""
        self.connection.send(GET)
        self.connection.session.drain()
        self.assertEqual(self.connection.send(GET), b"")

    @given(st.lists(st.integers(1, 30), max_size=30))
    @settings(deadline=None, max_examples=60)
    def test_any_split_gives_as_many_answers(self, sizes: list[int]) -> None:
        """H15: fast and full in any mixture, in order."""
        self.setUp()
        data = (GET + GET.replace(b"/ ", b"/x ")) * 3
        for size in sizes:
            self.connection.send_only(data[:size])
            data = data[size:]
        self.connection.send_only(data)
        answers = self.connection.take()
        self.assertEqual(answers.count(b"HTTP/1.1 200"), 6)
        self.assertEqual(status_of(answers), 200)
