"""One HTTP connection: framing, limits, order, deadlines and ends."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from netservices.http.answers import Answer
from netservices.http.site import HttpLimits
from tests.http.doubles import Connection, PlainTransport, StubHandler, TlsTransport, body_of, head_of, status_of

GET = b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"


@dataclass
class Sink:
    """A body reader with a limit."""

    limit: int = 10
    data: bytes = b""
    abandoned: bool = False

    def write(self, data: bytes) -> None:
        self.data += data

    def abandon(self) -> None:
        self.abandoned = True


def ask(head: bytes, *more: bytes) -> bytes:
    """A request of these lines and a Host."""
    return b"\r\n".join([head, b"Host: example.org", *more, b"", b""])


class FramingTests(SynchronousTestCase):
    """What is no request, or could be read as two."""

    def assert_refused(self, data: bytes, status: int = 400) -> None:
        connection = Connection()
        answer = connection.send(data)
        self.assertEqual(status_of(answer), status, data)
        self.assertIn(b"Connection: close", head_of(answer))
        self.assertIn(b"Content-Length: %d" % len(body_of(answer)), head_of(answer))
        self.assertEqual(connection.handler.seen, [])  # type: ignore[attr-defined]
        connection.send(GET)
        self.assertEqual(connection.take(), b"")

    def test_ambiguous_lengths_are_refused(self) -> None:
        """H1, H3: two readers must never see the end of a body in two places."""
        for fields in (
            [b"Content-Length: 3", b"Transfer-Encoding: chunked"],
            [b"Transfer-Encoding: chunked", b"Content-Length: 3"],
            [b"Content-Length: 3", b"Content-Length: 4"],
            [b"Content-Length: 3", b"Content-Length: 3"],
            [b"Content-Length: 3, 3"],
            [b"Content-Length: +3"],
            [b"Content-Length: -3"],
            [b"Content-Length: 0x3"],
            [b"Content-Length: 3 3"],
            [b"Content-Length:"],
            [b"Content-Length: " + b"9" * 5000],
            [b"Transfer-Encoding: chunked, chunked"],
            [b"Transfer-Encoding: xchunked"],
            [b"Transfer-Encoding: identity"],
            [b"Transfer-Encoding: gzip, chunked"],
            [b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"],
            [b"Transfer-Encoding: \x0bchunked"],
        ):
            self.assert_refused(ask(b"POST / HTTP/1.1", *fields) + b"abc")

    def test_odd_fields_are_refused(self) -> None:
        """H1, H3: a space before the colon, obs-fold, NUL, a bare CR, a bare LF, no colon, no name."""
        for line in (
            b"Name : x",
            b"Name: x\r\n folded",
            b"Name: x\r\n\tfolded",
            b"Name: a\0b",
            b"Name: a\rb",
            b"Name: a\nb",
            b"no colon",
            b": nothing",
            b"Na(me: x",
        ):
            self.assert_refused(ask(b"GET / HTTP/1.1", line))

    def test_fold_before_any_field_is_refused(self) -> None:
        """H3: also as the first line, where a lenient reader would take it for part of the request line."""
        self.assert_refused(b"GET / HTTP/1.1\r\n Host: example.org\r\n\r\n")

    def test_bad_chunks_are_refused(self) -> None:
        """H1: chunk sizes are hexadecimal digits and nothing else."""
        for body in (
            b"-1\r\nx\r\n",
            b"0x1\r\nx\r\n",
            b"+1\r\nx\r\n",
            b"1_0\r\nx\r\n",
            b"zz\r\n",
            b"1\r\nxy\r\n0\r\n\r\n",
        ):
            self.assert_refused(ask(b"POST / HTTP/1.1", b"Transfer-Encoding: chunked") + body)

    def test_transfer_coding_in_an_old_request_is_refused(self) -> None:
        """H3."""
        self.assert_refused(ask(b"POST / HTTP/1.0", b"Transfer-Encoding: chunked") + b"0\r\n\r\n")

    def test_bad_request_lines_are_refused(self) -> None:
        """H1, H8: exactly three parts, one space between, and a target that is one."""
        for line in (
            b"GET /",
            b"GET  / HTTP/1.1",
            b"GET / HTTP/1.1 ",
            b" GET / HTTP/1.1",
            b"GET\t/ HTTP/1.1",
            b"G(T / HTTP/1.1",
            b"GET / http/1.1",
            b"GET /%00 HTTP/1.1",
            b"GET /%zz HTTP/1.1",
            b"GET /\xe4 HTTP/1.1",
            b"GET example.org:80 HTTP/1.1",
            b"GET * HTTP/1.1",
        ):
            self.assert_refused(ask(line))

    def test_host_is_asked_for_exactly_once(self) -> None:
        """H2."""
        for fields in (
            b"",
            b"Host: a\r\nHost: a\r\n",
            b"Host: a, b\r\n",
            b"Host: a b\r\n",
            b"Host: \r\n",
            b"Host: a/b\r\n",
            b"Host: a@b\r\n",
        ):
            self.assert_refused(b"GET / HTTP/1.1\r\n" + fields + b"\r\n")

    def test_other_versions_are_refused_by_name(self) -> None:
        """RFC 9110 15.6.6: 505 for a version that is not spoken here."""
        for version in (b"HTTP/2.0", b"HTTP/1.2", b"HTTP/0.9"):
            self.assert_refused(ask(b"GET / " + version), 505)
        self.assert_refused(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505)

    def test_underscores_never_alias(self) -> None:
        """H3: Content_Length is a field of its own."""
        answer = Connection().send(ask(b"GET / HTTP/1.1", b"Content_Length: 5", b"Transfer_Encoding: chunked"))
        self.assertEqual(status_of(answer), 200)

    @given(st.binary(max_size=200))
    @settings(deadline=None, max_examples=150)
    def test_any_bytes_get_an_answer_or_wait(self, data: bytes) -> None:
        """Whatever comes, nothing is raised, and a timeout ends it."""
        connection = Connection()
        connection.send(data)
        connection.clock.advance(11)
        connection.lose()
        self.assertEqual(connection.clock.getDelayedCalls(), [])

    @given(st.lists(st.integers(1, 12), max_size=40), st.booleans())
    @settings(deadline=None, max_examples=60)
    def test_any_split_gives_the_same_answers(self, sizes: list[int], chunked: bool) -> None:  # noqa: FBT001 - drawn
        """H15: three requests, one with a body, in pieces of any size."""
        body = [b"Transfer-Encoding: chunked"] if chunked else [b"Content-Length: 4"]
        text = b"2\r\nab\r\n2;x=y\r\ncd\r\n0\r\n\r\n" if chunked else b"abcd"
        data = GET + ask(b"POST /b HTTP/1.1", *body) + text + ask(b"GET /c HTTP/1.1", b"Connection: close")
        whole = Connection().send(data)
        self.assertEqual(whole.count(b"HTTP/1.1 200"), 3)
        connection = Connection()
        for size in sizes:
            connection.send_only(data[:size])
            data = data[size:]
        connection.send_only(data)
        self.assertEqual(connection.take(), whole)


class MethodTests(SynchronousTestCase):
    """Methods, targets and what comes with them."""

    def test_unknown_method_is_not_implemented(self) -> None:
        """H7, H4: 501, for a token too long as well; the connection stays for the former."""
        connection = Connection()
        self.assertEqual(status_of(connection.send(ask(b"BREW / HTTP/1.1"))), 501)
        self.assertEqual(status_of(connection.send(GET)), 200)
        self.assertEqual(status_of(connection.send(ask(b"A" * 33 + b" / HTTP/1.1"))), 501)
        self.assertEqual(connection.send(GET), b"")

    def test_empty_line_before_a_request_is_passed_over(self) -> None:
        """RFC 9112 2.2: old clients end a body with one."""
        connection = Connection()
        self.assertEqual(status_of(connection.send(b"\r\n" + GET)), 200)
        self.assertEqual(connection.send(b"\r\n"), b"")
        self.assertEqual(status_of(connection.send(GET)), 200)

    def test_absolute_form_names_the_host(self) -> None:
        """H2: a whole address as target counts before the Host field."""
        connection = Connection()
        self.assertEqual(status_of(connection.send(ask(b"GET http://Other.example:81/x?y HTTP/1.1"))), 200)
        request = connection.handler.seen[0]  # type: ignore[attr-defined]
        self.assertEqual((request.host, request.port), (b"other.example", 81))
        self.assertEqual((request.target.segments, request.target.query), ((b"x",), b"y"))

    def test_head_has_no_body(self) -> None:
        """H7: nor has the refusal of one."""
        connection = Connection()
        answer = connection.send(ask(b"HEAD / HTTP/1.1"))
        self.assertIn(b"Content-Length: 5", head_of(answer))
        self.assertEqual(body_of(answer), b"")
        refused = connection.send(ask(b"HEAD / HTTP/1.1", b" fold"))
        self.assertEqual((status_of(refused), body_of(refused)), (400, b""))

    def test_old_client_gets_what_it_can_read(self) -> None:
        """RFC 9112 9.3: HTTP/1.0 closes, unless it asks not to; no Host is needed."""
        connection = Connection()
        answer = connection.send(b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
        self.assertIn(b"Connection: keep-alive", head_of(answer))
        answer = connection.send(b"GET / HTTP/1.0\r\n\r\n")
        self.assertIn(b"Connection: close", head_of(answer))
        self.assertTrue(connection.transport.disconnecting)

    def test_close_among_options_is_heeded(self) -> None:
        """RFC 9110 7.6.1: Connection is a list."""
        connection = Connection()
        self.assertIn(b"Connection: close", head_of(connection.send(ask(b"GET / HTTP/1.1", b"Connection: x, Close"))))
        self.assertTrue(connection.transport.disconnecting)


class LimitTests(SynchronousTestCase):
    """H4: every limit is answered."""

    def test_long_request_line_is_refused(self) -> None:
        """H4: 414, with the line ended or not."""
        for end in (b"", b" HTTP/1.1\r\nHost: a\r\n\r\n"):
            answer = Connection().send(b"GET /" + b"x" * 8200 + end)
            self.assertEqual(status_of(answer), 414)

    def test_long_field_is_refused(self) -> None:
        """H4: 431."""
        for end in (b"", b"\r\n\r\n"):
            answer = Connection().send(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 8200 + end)
            self.assertEqual(status_of(answer), 431)

    def test_long_head_is_refused(self) -> None:
        """H4: 431 for all fields together."""
        line = b"X: " + b"x" * 8000
        self.assertEqual(status_of(Connection().send(ask(b"GET / HTTP/1.1", *[line] * 4))), 200)
        self.assertEqual(status_of(Connection().send(ask(b"GET / HTTP/1.1", *[line] * 5))), 431)

    def test_many_fields_are_refused(self) -> None:
        """H4: 431 from the 101st on; the Host is one."""
        self.assertEqual(status_of(Connection().send(ask(b"GET / HTTP/1.1", *[b"X: y"] * 99))), 200)
        self.assertEqual(status_of(Connection().send(ask(b"GET / HTTP/1.1", *[b"X: y"] * 100))), 431)

    def test_last_request_closes(self) -> None:
        """H5: so many requests, and the last says so."""
        connection = Connection(limits=HttpLimits(requests=2))
        self.assertNotIn(b"Connection: close", connection.send(GET))
        self.assertIn(b"Connection: close", connection.send(GET))
        self.assertTrue(connection.transport.disconnecting)


class BodyTests(SynchronousTestCase):
    """Who reads a body, and how much of it."""

    def test_unread_body_is_passed_over(self) -> None:
        """H15: the next request begins after it."""
        connection = Connection()
        answer = connection.send(ask(b"POST / HTTP/1.1", b"Content-Length: 3") + b"abc" + GET)
        self.assertEqual(answer.count(b"HTTP/1.1 200"), 2)

    def test_large_unread_body_is_refused_before_it_comes(self) -> None:
        """H4: 413 for what was announced, and for chunks when they add up to it."""
        connection = Connection()
        answer = connection.send(ask(b"POST / HTTP/1.1", b"Content-Length: 65537"))
        self.assertEqual(status_of(answer), 413)
        self.assertIn(b"Connection: close", head_of(answer))
        connection = Connection()
        self.assertEqual(connection.send(ask(b"POST / HTTP/1.1", b"Transfer-Encoding: chunked")), b"")
        answer = connection.send(b"10001\r\n" + b"x" * 65537 + b"\r\n0\r\n\r\n")
        self.assertEqual(status_of(answer), 413)
        self.assertEqual(answer.count(b"HTTP/1.1"), 1)

    def test_read_body_comes_before_the_answer(self) -> None:
        """The handler's sink gets the bytes, and its own limit holds."""
        sink = Sink()
        connection = Connection(StubHandler(sink=sink))
        self.assertEqual(connection.send(ask(b"POST / HTTP/1.1", b"Content-Length: 4") + b"ab"), b"")
        self.assertEqual(status_of(connection.send(b"cd")), 200)
        self.assertEqual((sink.data, sink.abandoned), (b"abcd", False))
        self.assertEqual(status_of(connection.send(ask(b"POST / HTTP/1.1", b"Content-Length: 11"))), 413)
        self.assertTrue(sink.abandoned)

    def test_sink_is_told_that_the_rest_will_not_come(self) -> None:
        """A client that goes away, and chunks beyond the limit."""
        sink = Sink()
        connection = Connection(StubHandler(sink=sink))
        connection.send(ask(b"POST / HTTP/1.1", b"Content-Length: 4") + b"ab")
        connection.lose()
        self.assertTrue(sink.abandoned)
        sink = Sink()
        connection = Connection(StubHandler(sink=sink))
        answer = connection.send(ask(b"POST / HTTP/1.1", b"Transfer-Encoding: chunked") + b"b\r\n12345678901\r\n")
        self.assertEqual((status_of(answer), sink.abandoned), (413, True))

    def test_continue_only_when_it_will_be_read(self) -> None:
        """H6: 100 for a wanted body; a final answer, and the end, for one that nobody reads; 417 for other wishes."""
        head = ask(b"POST / HTTP/1.1", b"Content-Length: 4", b"Expect: 100-continue")
        connection = Connection(StubHandler(sink=Sink()))
        self.assertEqual(connection.send(head), b"HTTP/1.1 100 Continue\r\n\r\n")
        self.assertEqual(status_of(connection.send(b"abcd")), 200)
        answer = Connection().send(head)
        self.assertEqual(status_of(answer), 200)
        self.assertIn(b"Connection: close", head_of(answer))
        answer = Connection(StubHandler(sink=Sink(limit=3))).send(head)
        self.assertEqual(status_of(answer), 413)
        self.assertEqual(status_of(Connection().send(ask(b"GET / HTTP/1.1", b"Expect: tea"))), 417)


class OrderTests(SynchronousTestCase):
    """H15: one answer after the other, and no more of them than the peer takes."""

    def test_answers_keep_the_order_of_requests(self) -> None:
        """H15: the second request is looked at when the first is answered."""
        waiting: Deferred[Answer] = Deferred()
        handler = StubHandler(answer=waiting)
        connection = Connection(handler)
        self.assertEqual(connection.send(GET + ask(b"GET /second HTTP/1.1")), b"")
        self.assertEqual(len(handler.seen), 1)
        handler.answer = Answer(200, (), b"second")
        waiting.callback(Answer(200, (), b"first"))
        answers = connection.take()
        self.assertEqual((body_of(answers)[:5], answers[-6:]), (b"first", b"second"))

    def test_peer_that_takes_nothing_gets_no_more(self) -> None:
        """R14: with the buffer full, one more request is begun at most, and all go on when it is taken."""
        for transport in (PlainTransport(), TlsTransport()):
            handler = StubHandler()
            connection = Connection(handler, transport=transport)
            self.assertEqual((transport.producer, transport.streaming), (connection.protocol, True))
            connection.protocol.pauseProducing()
            connection.send(GET * 50)
            self.assertEqual(len(handler.seen), 1)
            self.assertEqual(transport.producerState, "paused")
            transport.clear_producer()
            self.assertEqual(len(handler.seen), 50)
            self.assertEqual(transport.producerState, "producing")

    def test_reading_goes_on_after_a_pause_between_requests(self) -> None:
        """The buffer emptied while nothing was under way."""
        connection = Connection()
        connection.send(GET)
        connection.protocol.pauseProducing()
        self.assertEqual(connection.transport.producerState, "paused")
        connection.transport.clear_producer()
        self.assertEqual(connection.transport.producerState, "producing")
        self.assertEqual(status_of(connection.send(GET)), 200)

    def test_much_read_ahead_stops_reading(self) -> None:
        """R14: a request under way, and a peer that goes on sending."""
        connection = Connection(StubHandler(answer=Deferred()))
        connection.send(GET)
        connection.send(b"x" * 20000)
        self.assertEqual(connection.transport.producerState, "paused")

    def test_answer_after_the_connection_is_dropped(self) -> None:
        """An answer that comes too late goes nowhere."""
        waiting: Deferred[Answer] = Deferred()
        connection = Connection(StubHandler(answer=waiting))
        connection.send(GET)
        connection.lose()
        waiting.callback(Answer(200))
        self.assertEqual(connection.take(), b"")
        self.assertEqual(connection.events[-1]["event"], "daemon.session.closed")


class DeadlineTests(SynchronousTestCase):
    """H5: how long a client may take."""

    def test_slow_head_is_ended_by_the_clock(self) -> None:
        """H5: ten seconds from its first byte, however many come meanwhile; the answer is 408."""
        connection = Connection()
        connection.send(b"GET / HTTP/1.1\r\n")
        for _ in range(4):
            connection.clock.advance(2.4)
            self.assertEqual(connection.send(b"X: y\r\n"), b"")
        connection.clock.advance(0.5)
        self.assertEqual(status_of(connection.take()), 408)

    def test_slow_unread_body_is_ended_too(self) -> None:
        """H5: a body that nobody reads does not hold a connection."""
        connection = Connection()
        connection.send(ask(b"POST / HTTP/1.1", b"Content-Length: 4"))
        connection.clock.advance(9)
        connection.send(b"a")
        connection.clock.advance(1.5)
        self.assertEqual(status_of(connection.take()), 408)

    def test_deadline_begins_anew_with_each_request(self) -> None:
        """H5: the time of one request is not taken from the next."""
        connection = Connection()
        connection.send(b"GET / HTTP/1.1\r\n")
        connection.clock.advance(8)
        connection.send(b"Host: a\r\n\r\nGET / ")
        connection.clock.advance(8)
        self.assertEqual(status_of(connection.send(b"HTTP/1.1\r\nHost: a\r\n\r\n")), 200)

    def test_idle_connection_closes_without_a_word(self) -> None:
        """H5, R14: between requests there is nothing to answer; the reason is logged."""
        connection = Connection()
        connection.send(GET)
        connection.clock.pump([5] * 4)
        self.assertEqual(connection.take(), b"")
        self.assertTrue(connection.transport.disconnecting)
        connection.lose()
        self.assertEqual(connection.events[-1]["reason"], "idle timeout")

    def test_idle_in_the_middle_of_a_head_is_told(self) -> None:
        """H5: where the head may take longer than a pause."""
        connection = Connection(limits=HttpLimits(head_seconds=100))
        connection.send(b"GET / HTTP/1.1\r\n")
        connection.clock.pump([5] * 4)
        self.assertEqual(status_of(connection.take()), 408)
        connection.lose()
        self.assertEqual(connection.events[-1]["reason"], "idle timeout")


class EndTests(SynchronousTestCase):
    """How a connection ends."""

    def test_refusal_waits_for_what_is_still_sent(self) -> None:
        """RFC 9112 9.6: half-closed, then closed when the peer closes, in time or at a limit."""
        connection = Connection()
        connection.send(b"nonsense\r\n\r\n")
        self.assertTrue(connection.transport.half_closed)
        self.assertFalse(connection.transport.disconnecting)
        connection.end_input()
        self.assertTrue(connection.transport.disconnecting)
        connection = Connection()
        connection.send(b"nonsense\r\n\r\n")
        connection.clock.advance(2.1)
        self.assertTrue(connection.transport.disconnecting)
        connection = Connection()
        connection.send(b"nonsense\r\n\r\n")
        for _ in range(5):
            connection.send(b"x" * 65536)
        self.assertTrue(connection.transport.disconnecting)

    def test_refusal_under_tls_closes(self) -> None:
        """TLS's own goodbye waits for the peer's."""
        connection = Connection(transport=TlsTransport())
        self.assertEqual(status_of(connection.send(b"nonsense\r\n\r\n")), 400)
        self.assertTrue(connection.transport.disconnecting)

    def test_half_closed_peer_is_answered(self) -> None:
        """What was asked whole is answered after the peer's end, and then the connection closes (``nc -N``)."""
        waiting: Deferred[Answer] = Deferred()
        connection = Connection(StubHandler(answer=waiting))
        connection.send(GET)
        connection.end_input()
        self.assertFalse(connection.transport.disconnecting)
        waiting.callback(Answer(200, (), b"late"))
        self.assertEqual(body_of(connection.take()), b"late")
        self.assertTrue(connection.transport.disconnecting)

    def test_end_between_requests_closes(self) -> None:
        """So does an end in the middle of a head."""
        for begun in (b"", GET, b"GET / HT"):
            connection = Connection()
            connection.send(begun)
            connection.end_input()
            self.assertTrue(connection.transport.disconnecting)
            connection.lose()
            self.assertEqual(connection.events[-1]["reason"], "closed by the peer")

    def test_drained_idle_connection_closes_at_once(self) -> None:
        """R4: nothing is under way."""
        connection = Connection()
        connection.send(GET)
        connection.session.drain()
        self.assertTrue(connection.transport.disconnecting)
        connection.lose()
        self.assertEqual(connection.events[-1]["reason"], "shutdown")

    def test_drained_request_is_answered_and_closes(self) -> None:
        """R4: whether it was being answered or still came in."""
        waiting: Deferred[Answer] = Deferred()
        connection = Connection(StubHandler(answer=waiting))
        connection.send(GET)
        connection.session.drain()
        waiting.callback(Answer(200))
        self.assertIn(b"Connection: close", head_of(connection.take()))
        self.assertTrue(connection.transport.disconnecting)
        for begun in (b"GET /", b"GET / HTTP/1.1\r\n"):
            connection = Connection()
            connection.send(begun)
            connection.session.drain()
            answer = connection.send(GET[len(begun) :])
            self.assertEqual(status_of(answer), 200)
            self.assertIn(b"Connection: close", head_of(answer))

    def test_drained_before_its_first_request_is_answered_and_closes(self) -> None:
        """R5: a client that has connected during a reload is not turned away."""
        connection = Connection()
        connection.session.drain()
        self.assertFalse(connection.transport.disconnecting)
        connection.clock.advance(0.9)
        answer = connection.send(GET)
        self.assertEqual(status_of(answer), 200)
        self.assertIn(b"Connection: close", head_of(answer))
        self.assertTrue(connection.transport.disconnecting)

    def test_drained_and_silent_closes_soon(self) -> None:
        """R4: who connects and asks nothing does not hold up the end."""
        connection = Connection()
        connection.session.drain()
        connection.clock.advance(1.0)
        self.assertTrue(connection.transport.disconnecting)

    def test_stock_close_is_ours(self) -> None:
        """Whatever of Twisted's closes the channel goes through the session."""
        connection = Connection()
        connection.protocol.loseConnection()
        self.assertTrue(connection.transport.disconnecting)
        self.assertIsNone(connection.transport.producer)


class HandlerTests(SynchronousTestCase):
    """What becomes of a bug in a handler."""

    def test_bug_is_answered_and_logged(self) -> None:
        """An exception, at once or later, is a 500 and an event, and the end of its connection only."""

        @dataclass
        class Raising(StubHandler):
            later: list[Deferred[Answer]] = field(default_factory=list)

            def handle(self, request: object) -> Answer | Deferred[Answer]:
                if self.later:
                    return self.later[0]
                raise ZeroDivisionError

        waiting: Deferred[Answer] = Deferred()
        for later in ([], [waiting]):
            connection = Connection(Raising(later=later))
            answer = connection.send(GET)
            if later:
                waiting.errback(ZeroDivisionError())
                answer = connection.take()
            self.assertEqual(status_of(answer), 500)
            self.assertIn(b"Connection: close", head_of(answer))
            self.assertEqual(connection.events[0]["event"], "http.request.failed")

    def test_bug_in_the_middle_of_an_answer_cuts_it(self) -> None:
        """H15: never a clean end of an answer that is not whole."""
        connection = Connection()

        def send(_parts: object) -> None:
            raise ZeroDivisionError

        connection.protocol._send = send
        connection.send(GET)
        self.assertTrue(connection.transport.aborted)
        self.assertEqual(connection.events[0]["event"], "http.request.failed")

    def test_split_field_is_never_sent(self) -> None:
        """H14: an answer with CR, LF or NUL in a field is a bug, and becomes a 500."""
        for value in (b"a\r\nX: y", b"a\n", b"a\0"):
            connection = Connection(StubHandler(answer=Answer(200, ((b"X", value),))))
            self.assertEqual(status_of(connection.send(GET)), 500)

    def test_plain_answers_go_out_at_once(self) -> None:
        """The plain transport's short way is used where there is one."""
        transport = PlainTransport()
        Connection(transport=transport).send(GET)
        self.assertEqual(transport.now, 1)
