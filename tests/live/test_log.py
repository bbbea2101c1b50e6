"""The log of a running daemon: every session once, whatever its peer says, wherever it goes."""

from __future__ import annotations

import json
import re
import socket
import struct
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.live.clients import (
    TlsClient,
    ask,
    ask_raw,
    connect,
    exchange,
    make_config,
    make_context,
    read_to_end,
    wait_for_events,
    wait_until,
)
from tests.live.harness import Daemon, make_directory, require
from tests.live.test_rsyslog import Rsyslog

CLOSED = "daemon.session.closed"
FIELDS = {
    "time", "level", "event", "message", "service", "session", "peer", "reason", "account", "tls", "duration",
    "bytes_in", "bytes_out",
}  # fmt: skip
HOSTILE = b"\x1b[2J\x9b2J\x00\x07\xff\xfe\xe2\x80\xa8\xc2\x85 <0>forged %s {peer} \\n \" ' \x7f"


class SessionTests(SynchronousTestCase):
    """R35."""

    def test_every_session_is_closed_exactly_once_with_every_field(self) -> None:
        """R35: however it ends."""
        directory = make_directory(self)
        (directory / "www").mkdir()
        (directory / "www" / "a").write_bytes(b"content")
        text = make_config('timeouts.idle = "300ms"', root=directory / "www").replace('"5s"', '"0s"')
        daemon = Daemon(self, text, directory=directory)
        self.assertEqual(exchange(daemon, "echo", b"hello"), b"hello")
        with TlsClient(connect(daemon, "echo", "tls"), make_context(daemon.authority)) as client:
            client.send(b"hello, tls")
            client.say_all()
            self.assertEqual(client.read_to_end(), b"hello, tls")
        with connect(daemon, "echo") as sock:
            self.assertEqual(read_to_end(sock), b"")
        with connect(daemon, "echo") as sock:
            sock.sendall(b"x")
            self.assertEqual(sock.recv(1), b"x")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.assertEqual(ask(daemon, "/a").body, b"content")
        self.assertEqual(ask(daemon, "/%zz").status, 400)
        with connect(daemon, "web") as sock:
            sock.sendall(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n" * 2)
            self.assertTrue(sock.recv(65536).startswith(b"HTTP/1.1 200"))
            wait_for_events(daemon, CLOSED, 6)
            self.assertEqual(daemon.stop(), 0)
        events = wait_for_events(daemon, CLOSED, 7)
        self.assertEqual(len(events), 7)
        for event in events:
            self.assertEqual(set(event), FIELDS)
            self.assertEqual(event["level"], "info")
            self.assertIsNone(event["account"])
            self.assertRegex(event["peer"], r"^127\.0\.0\.1:\d+$")
            self.assertRegex(event["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")
            self.assertGreaterEqual(event["duration"], 0)
        self.assertEqual(len({event["session"] for event in events}), 7)
        told = [(event["service"], event["tls"], event["bytes_in"], event["bytes_out"]) for event in events[:4]]
        self.assertEqual(
            told, [("echo", None, 5, 5), ("echo", "TLSv1.3", 10, 10), ("echo", None, 0, 0), ("echo", None, 1, 1)]
        )
        self.assertEqual([event["service"] for event in events[4:]], ["web"] * 3)
        self.assertEqual(
            [event["reason"] for event in events],
            ["done", "done", "idle timeout", "connection lost", "done", "done", "shutdown"],
        )
        self.assertGreaterEqual(events[2]["duration"], 0.3)


class HostileTests(SynchronousTestCase):
    """R33: a line from a peer is one line, escaped."""

    def test_hostile_requests_are_single_escaped_lines(self) -> None:
        """R33."""
        directory = make_directory(self)
        (directory / "www").mkdir()
        text = make_config('proxies = ["127.0.0.2"]', root=directory / "www", access_log=True)
        text = text.replace('to = ["file"]', 'to = ["file", "stderr"]')
        daemon = Daemon(self, text, directory=directory)
        target = b"/" + HOSTILE.replace(b" ", b"_").replace(b"\x00", b"")
        agent = HOSTILE.replace(b"\x00", b"")
        lines = [
            b"GET %b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % target,
            b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: %b\r\nReferer: %b\r\nConnection: close\r\n\r\n" % (agent, agent),
            b"GET /%0d%0aforged HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: x\r\n folded\r\nConnection: close\r\n\r\n",
            HOSTILE + b"\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n" % HOSTILE,
        ]
        for line in lines:
            ask_raw(daemon, line)
        with connect(daemon, "echo", "tls") as sock:
            sock.sendall(HOSTILE * 3)
            read_to_end(sock)
        found = daemon.find_listener("echo", "tcp")
        with socket.create_connection((found["address"], found["port"]), 10, ("127.0.0.2", 0)) as sock:
            sock.sendall(b"PROXY TCP4 " + HOSTILE + b"\r\n")
            read_to_end(sock)
        wait_for_events(daemon, CLOSED, len(lines) + 1)
        wait_for_events(daemon, "daemon.proxy.refused", 1)
        self.assertEqual(daemon.stop(), 0)
        access = (daemon.state / "access.log").read_bytes()
        self.assertEqual(access.count(b"\n"), len(lines), access)
        for line in access.splitlines():
            self.assertRegex(line, rb'^127\.0\.0\.1 - - \[[^]]+\] "[^"]*" \d{3} (\d+|-) "[^"]*" "[^"]*"$')
        self.assertRegex(access, rb"\A[\n -~]*\Z")
        self.assertIn(rb"\x1B[2J\x9B2J", access)
        log = (daemon.state / "netservices.log").read_bytes()
        # Every line is one JSON object; what a terminal would obey is in none of the logs, as bytes or as text.
        for text in log.decode().split("\n")[:-1]:
            self.assertIsInstance(json.loads(text), dict)
        for octets in (log, daemon.output.read_bytes()):
            self.assertIsNone(re.search("[\0-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]", octets.decode()), octets)

    def test_forged_lines_do_not_appear_on_stderr(self) -> None:
        """R33: a line of the log begins with its time, whatever a peer sends."""
        text = make_config('proxies = ["127.0.0.1"]').replace('to = ["file"]', 'to = ["stderr"]')
        daemon = Daemon(self, text)
        with connect(daemon, "echo") as sock:
            sock.sendall(b"PROXY TCP4 \r2026-01-01T00:00:00.000000Z critical forged\x0b\x0c\x1c\x85: x\n\r\n")
            read_to_end(sock)
        self.assertTrue(wait_until(lambda: "PROXY" in daemon.log()))
        self.assertEqual(daemon.stop(), 0)
        for line in daemon.log().splitlines():
            self.assertRegex(line, r"^\d{4}-\d\d-\d\dT[0-9:.]+Z (debug|info|warn|error|critical) \w+: ")
            self.assertNotIn("Z critical", line)


class SyslogTests(SynchronousTestCase):
    """R30, with the daemon as it runs."""

    def test_sessions_are_read_back_from_rsyslog(self) -> None:
        """R30, R35."""
        require("rsyslogd")
        folder = tempfile.TemporaryDirectory(prefix="netservices-")
        self.addCleanup(folder.cleanup)
        rsyslog = Rsyslog(Path(folder.name), tls=False)
        self.addCleanup(rsyslog.stop)
        rsyslog.start()
        self.assertTrue(wait_until(rsyslog.is_ready))
        syslog = f'to = ["syslog"]\nfacility = "local3"\nsyslog.address = "unix:{rsyslog.folder}/log"'
        syslog += '\nsyslog.format = "rfc5424"'
        text = make_config('facility = "mail"').replace('to = ["file"]', syslog)
        text += '[services.quiet]\nkind = "echo"\nlog_level = "warn"\nlisten = ["tcp:0:interface=127.0.0.1"]\n'
        daemon = Daemon(self, text.replace("[daemon]", '[daemon]\nhostname = "host.example.org"'))
        for size in range(5):
            self.assertEqual(exchange(daemon, "echo", b"x" * size), b"x" * size)
        self.assertEqual(exchange(daemon, "quiet", b"hush"), b"hush")
        self.assertEqual(daemon.stop(), 0)

        def read_ids() -> list[str]:
            return [line["id"] for line in rsyslog.lines()]

        self.assertTrue(wait_until(lambda: "daemon.process.stopped" in read_ids()), rsyslog.lines())
        lines = rsyslog.lines()
        sessions = [line for line in lines if line["id"] == CLOSED]
        self.assertEqual(len(sessions), 5)
        for size, line in enumerate(sessions):
            self.assertEqual((line["facility"], line["severity"]), ("mail", "info"))
            self.assertEqual(
                (line["host"], line["app"], line["process"]), ("host.example.org", "netservices", str(daemon.pid))
            )
            for field in (f'bytes_in="{size}"', f'bytes_out="{size}"', 'service="echo"', 'reason="done"'):
                self.assertIn(field, line["data"])
        started = next(line for line in lines if line["id"] == "daemon.process.started")
        self.assertEqual(started["facility"], "local3")
