"""The command against the running daemon, and the kind that tells Prometheus."""

from __future__ import annotations

import json
import socket
import sys
from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families
from twisted.trial.unittest import SynchronousTestCase

from tests.live.clients import wait_until
from tests.live.harness import Daemon, make_environ, require, run

if TYPE_CHECKING:
    import subprocess

CONFIG = """
[services.echo]
listen = ["tcp:0:interface=127.0.0.1"]
[services.metrics]
listen = ["tcp:0:interface=127.0.0.1"]
"""


class ControlTests(SynchronousTestCase):
    """Each verb as a process of its own."""

    def setUp(self) -> None:
        self.daemon = Daemon(self, CONFIG)

    def command(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        environ = make_environ({"STATE_DIRECTORY": str(self.daemon.state)})
        config = ("--config", str(self.daemon.config))
        return run(sys.executable, "-m", "netservices.cli", *config, *words, environ=environ)

    def told(self, *words: str) -> str:
        ended = self.command(*words)
        self.assertEqual((ended.returncode, ended.stderr), (0, b""))
        return ended.stdout.decode()

    def connect(self) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.daemon.port("echo")), 5)
        self.addCleanup(client.close)
        return client

    def test_status_for_people_and_for_programs(self) -> None:
        self.connect()
        lines = self.told("status").splitlines()
        self.assertIn(f"process {self.daemon.pid}", lines[0])
        self.assertRegex("\n".join(lines), r"echo\techo\trunning\t1/1000\t1\t1\t0\t127\.0\.0\.1:[0-9]+")
        status = json.loads(self.told("status", "--json"))
        self.assertEqual({each["name"] for each in status["services"]}, {"echo", "metrics"})

    def test_sessions_are_listed_and_closed(self) -> None:
        client = self.connect()
        client.sendall(b"hello")
        self.assertEqual(client.recv(5), b"hello")
        [session] = json.loads(self.told("sessions", "--service", "echo", "--json"))
        self.assertEqual((session["bytes_in"], session["bytes_out"]), (5, 5))
        self.assertIn(session["id"], self.told("sessions"))
        self.told("sessions", "close", session["id"])
        self.assertRaises(ConnectionResetError, client.recv, 1)
        self.assertEqual(self.command("sessions", "close", "nosuch").returncode, 1)

    def test_paused_service_makes_clients_wait(self) -> None:
        self.told("service", "pause", "echo")
        client = self.connect()
        client.sendall(b"hello")
        self.assertIn("paused", self.told("status"))
        client.setblocking(False)
        self.assertRaises(BlockingIOError, client.recv, 5)
        client.settimeout(5)
        self.told("service", "resume", "echo")
        self.assertEqual(client.recv(5), b"hello")
        refused = self.command("service", "pause", "nosuch")
        self.assertEqual(refused.returncode, 1)
        self.assertIn(b"wanted one of echo, metrics", refused.stderr)

    def test_readiness_follows_a_pause(self) -> None:
        curl = require("curl")
        page = self.daemon.url("metrics", "/readyz")
        self.assertEqual(run(curl, "-fsS", page).stdout, b"ready\n")
        self.told("service", "pause", "echo")
        said = run(curl, "-sS", "-w", "%{http_code}", page).stdout
        self.assertEqual(said, b"not ready: echo\n503")
        self.assertEqual(run(curl, "-fsS", self.daemon.url("metrics", "/healthz")).stdout, b"ok\n")

    def test_metrics_are_read_by_prometheus(self) -> None:
        curl = require("curl")
        self.connect().close()

        def ended() -> bool:
            text = run(curl, "-fsS", self.daemon.url("metrics", "/metrics")).stdout.decode()
            samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
            found = {(sample.name, sample.labels.get("service", "")): sample.value for sample in samples}
            self.assertEqual(found["netservices_sessions_opened_total", "echo"], 1)
            return found["netservices_sessions", "echo"] == 0

        self.assertTrue(wait_until(ended))

    def test_log_level_is_set(self) -> None:
        self.assertEqual(self.told("log", "level", "debug"), "events below debug are dropped\n")
        self.assertEqual(self.command("log", "level", "loud").returncode, 2)

    def test_dialogue_is_logged_where_asked_for(self) -> None:
        daemon = Daemon(self, CONFIG.replace("[services.metrics]", 'log_level = "debug"\n[services.metrics]'))
        with socket.create_connection(("127.0.0.1", daemon.port("echo")), 5) as client:
            client.sendall(b"hello\r\nPASS secret\r\n")
            client.recv(100)
        self.assertTrue(wait_until(lambda: "PASS ***" in daemon.log()))
        self.assertIn("< hello", daemon.log())
        self.assertNotIn("secret", daemon.log())

    def test_daemon_that_is_gone_does_not_answer(self) -> None:
        self.daemon.stop()
        ended = self.command("status")
        self.assertEqual(ended.returncode, 3)
        self.assertIn(b"no daemon answers", ended.stderr)
