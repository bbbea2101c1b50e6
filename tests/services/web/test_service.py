"""The section as it runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from netservices.runtime import EventLog
from netservices.services.web import KIND
from tests.doubles import make_runtime
from tests.http.doubles import Connection, body_of, head_of, status_of

if TYPE_CHECKING:
    from netservices.http.channel import HttpProtocol
    from netservices.kind import Parts


class WebTests(SynchronousTestCase):
    """One section, made from its options."""

    def setUp(self) -> None:
        self.state = Path(self.mktemp())
        self.state.mkdir()
        self.clock = Clock()
        self.events: list[dict[str, Any]] = []

    def start(self, **more: object) -> Parts:
        """The section with these keys, its workers running."""
        options = KIND.options.model_validate({"kind": "web", "listen": ["tcp:80"], **more})
        log = EventLog(cast("Any", self.events.append))
        runtime = make_runtime(service="web", state=self.state, clock=self.clock, log=log)
        parts = KIND.make(options, runtime)
        for worker in parts.workers:
            worker.startService()
            self.addCleanup(worker.stopService)
        return parts

    def ask(self, parts: Parts, data: bytes) -> bytes:
        """What a client gets for ``data``."""
        made: list[HttpProtocol] = []

        class Listener:
            """Stands for the site."""

            def make_protocol(self, session: Any) -> HttpProtocol:  # noqa: ANN401 - handed on
                made.append(cast("HttpProtocol", parts.streams["listen"](session)))
                return made[0]

        return Connection(site=cast("Any", Listener()), clock=self.clock).send(data)

    def test_first_start_makes_a_page(self) -> None:
        """Without a root there is something to see; a page of the operator's is left alone."""
        parts = self.start()
        answer = self.ask(parts, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertEqual(status_of(answer), 200)
        self.assertIn(b"It works", body_of(answer))
        (self.state / "www" / "index.html").write_bytes(b"mine")
        parts = self.start()
        self.assertEqual(body_of(self.ask(parts, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")), b"mine")
        self.assertEqual(self.events, [])

    def test_missing_root_is_told_and_may_come(self) -> None:
        """R3: a warning, and 404 until it is there."""
        root = self.state / "later"
        parts = self.start(root=str(root))
        self.assertEqual(self.events[0]["event"], "web.root.missed")
        self.assertFalse(root.exists())
        request = b"GET /f HTTP/1.1\r\nHost: a\r\n\r\n"
        self.assertEqual(status_of(self.ask(parts, request)), 404)
        root.mkdir()
        (root / "f").write_bytes(b"x")
        self.assertEqual(status_of(self.ask(parts, request)), 200)

    def test_options_are_heeded(self) -> None:
        """Each limit is the section's."""
        parts = self.start(request_line="300B", request_head="400B", requests=1, head_timeout="1s", index=["x"])
        for request, status in (
            (b"GET /" + b"x" * 400 + b" HTTP/1.1\r\n", 414),
            (b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"x" * 250 + b"\r\nB: " + b"x" * 250 + b"\r\n\r\n", 431),
        ):
            self.assertEqual(status_of(self.ask(parts, request)), status)
        answer = self.ask(parts, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertEqual(status_of(answer), 403)
        self.assertIn(b"Connection: close", head_of(answer))

    def test_access_log_is_below_the_state_directory(self) -> None:
        """One line a request, in a file of its own."""
        parts = self.start(access_log="access.log")
        self.ask(parts, b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: test\r\n\r\n")
        self.clock.advance(1)
        line = (self.state / "access.log").read_bytes()
        self.assertTrue(line.startswith(b"192.0.2.1 - - ["))
        self.assertIn(b'"GET / HTTP/1.1" 200 ', line)
        self.assertTrue(line.endswith(b' "-" "test"\n'))

    def test_refused_peer_gets_a_whole_answer(self) -> None:
        """503, when to come again, and an end; ALPN names what is spoken."""
        parts = self.start()
        self.assertEqual(status_of(parts.refusal), 503)
        self.assertIn(b"Retry-After: 10", head_of(parts.refusal))
        self.assertIn(b"Connection: close", head_of(parts.refusal))
        self.assertIn(b"Content-Length: %d" % len(body_of(parts.refusal)), head_of(parts.refusal))
        self.assertEqual(parts.alpn, (b"http/1.1",))
