"""A reload takes the whole new configuration over, or nothing; nobody who is connected or connecting notices."""

from __future__ import annotations

import http.client
import signal
import socket
import ssl
import sys
import sysconfig
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from netservices.cli import VERBS
from tests.live.clients import (
    PATIENCE,
    TlsClient,
    ask,
    ask_raw,
    connect,
    exchange,
    is_refused,
    is_turned_away,
    make_config,
    make_context,
    parse_response,
    read_events,
    read_exactly,
    read_to_end,
    wait_for_events,
    wait_until,
)
from tests.live.harness import Daemon, make_directory, require, run
from tests.run import STRICT

if TYPE_CHECKING:
    from tests.live.harness import DaemonProcess

DONE = "daemon.configuration.reloaded"
REFUSED = "daemon.configuration.refused"
OPEN_LIMITS = 'limits = { rate = "100000/s", sessions = 10000, per_peer = 10000 }'


def count_outcomes(daemon: DaemonProcess) -> int:
    """How many reloads have succeeded or failed; a failed one may have several lines."""
    return len(read_events(daemon, DONE)) + len(read_events(daemon, REFUSED))


def reload(daemon: Daemon, text: str | None = None) -> None:
    """Have the daemon read its file again, as ``text`` if it is given, and wait for the outcome in its log."""
    if text is not None:
        assert daemon.config is not None
        daemon.config.write_text(text)
    before = count_outcomes(daemon)
    daemon.signal(signal.SIGHUP)
    if not wait_until(lambda: count_outcomes(daemon) > before):
        raise AssertionError(f"no outcome of the reload:\n{daemon.log()}")
    daemon.reread()


def make_roots(directory: Path, *names: str) -> list[Path]:
    """Folders with a file ``name`` that holds their name."""
    for name in names:
        (directory / name).mkdir()
        (directory / name / "name").write_text(name)
    return [directory / name for name in names]


def make_pair(openssl: str, directory: Path, name: str) -> None:
    """A self-signed certificate for ``name`` and localhost, as ``host.pem`` and ``host.key``."""
    made = run(
        openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
        "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name},DNS:localhost",
        "-keyout", str(directory / "host.key"), "-out", str(directory / "host.pem"),
    )  # fmt: skip
    if made.returncode:
        raise AssertionError(made.stderr.decode())


class UnnoticedTests(SynchronousTestCase):
    """R5: who is connected, or connects, does not notice."""

    def test_200_connections_during_ten_reloads_all_succeed(self) -> None:
        """R5."""
        directory = make_directory(self)
        roots = make_roots(directory, "one", "two")
        texts = [make_config(OPEN_LIMITS, root=root) + OPEN_LIMITS + "\n" for root in roots]
        daemon = Daemon(self, texts[0], directory=directory)
        context = make_context(daemon.authority)

        def use(number: int) -> str:
            match number % 3:
                case 0:
                    return exchange(daemon, "echo", b"hello").decode()
                case 1:
                    with TlsClient(connect(daemon, "echo", "tls"), context) as client:
                        client.send(b"hello")
                        client.say_all()
                        return client.read_to_end().decode()
                case _:
                    response = ask(daemon, "/name")
                    return f"{response.status} {response.body.decode()}"

        over = threading.Event()

        def use_many(number: int) -> list[str]:
            results: list[str] = []
            while len(results) < 25 or not over.is_set():
                try:
                    results.append(use(number + len(results)))
                except (OSError, AssertionError) as error:
                    results.append(repr(error))
            return results

        with ThreadPoolExecutor(8) as pool:
            futures = [pool.submit(use_many, number) for number in range(8)]
            try:
                for number in range(10):
                    reload(daemon, texts[(number + 1) % 2])
            finally:
                over.set()
            results = [result for future in futures for result in future.result()]
        self.assertGreaterEqual(len(results), 200)
        self.assertEqual({result for result in results if result not in {"hello", "200 one", "200 two"}}, set())
        self.assertEqual(len(read_events(daemon, DONE)), 10)
        self.assertEqual(len(wait_for_events(daemon, "daemon.session.closed", len(results))), len(results))

    def test_unchanged_listener_keeps_its_sessions_and_a_changed_one_swaps(self) -> None:
        """R5."""
        directory = make_directory(self)
        one, two = make_roots(directory, "one", "two")
        large = b"0123456789abcdef" * 2**20
        (one / "large").write_bytes(large)
        daemon = Daemon(self, make_config(root=one), directory=directory)
        ports = (daemon.port("echo"), daemon.port("echo", "udp"), daemon.port("web"), daemon.port("web", "tls"))
        self.assertEqual(ask(daemon, "/name").body, b"one")
        with (
            connect(daemon, "echo") as unchanged,
            TlsClient(connect(daemon, "echo", "tls"), make_context(daemon.authority)) as over_tls,
            connect(daemon, "web") as resting,
            connect(daemon, "web") as reading,
        ):
            unchanged.sendall(b"before")
            self.assertEqual(read_exactly(unchanged, 6), b"before")
            over_tls.send(b"before")
            self.assertEqual(over_tls.read(), b"before")
            resting.sendall(b"GET /name HTTP/1.1\r\nHost: a\r\n\r\n")
            reading.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
            begun = read_exactly(reading, 100000)
            reload(daemon, make_config(root=two))
            self.assertEqual(ask(daemon, "/name").body, b"two")
            self.assertEqual(ask(daemon, "/large").status, 404)
            unchanged.sendall(b" and after")
            self.assertEqual(read_exactly(unchanged, 10), b" and after")
            over_tls.send(b" and after")
            self.assertEqual(over_tls.read(), b" and after")
            # The answer that was under way comes whole.
            response, rest = parse_response(begun + read_exactly(reading, len(large) + 2000))
            self.assertEqual((response.status, response.body == large, rest), (200, True, b""))
            # One that rested between two requests is closed, in order, and not cut.
            parsed, rest = parse_response(read_to_end(resting))
            self.assertEqual((parsed.body, rest), (b"one", b""))
        self.assertEqual(
            (daemon.port("echo"), daemon.port("echo", "udp"), daemon.port("web"), daemon.port("web", "tls")), ports
        )
        outcome = read_events(daemon, DONE)[-1]
        self.assertEqual((outcome["started"], outcome["kept"]), (1, 1))

    def test_removed_listener_drains_and_a_new_one_opens(self) -> None:
        """R5."""
        more = '[services.more]\nkind = "echo"\nlisten = ["tcp:0:interface=127.0.0.1"]\n'
        daemon = Daemon(self, make_config() + more)
        before = daemon.listeners
        with connect(daemon, "more") as session:
            session.sendall(b"before")
            self.assertEqual(read_exactly(session, 6), b"before")
            reload(daemon, make_config() + more.replace("more", "other"))
            self.assertNotIn("more", daemon.listeners)
            self.assertEqual(exchange(daemon, "other", b"new"), b"new")
            daemon.listeners = before
            self.assertTrue(wait_until(lambda: is_refused(daemon, "more"), 2.0), "it is still accepted")
            session.sendall(b" and after")
            session.shutdown(socket.SHUT_WR)
            self.assertEqual(read_to_end(session), b" and after")
        events = wait_for_events(daemon, "daemon.session.closed", 2)
        self.assertEqual(sorted(event["service"] for event in events), ["more", "other"])

    def test_what_is_behind_a_port_can_change_wholly(self) -> None:
        """R5: the kind, and whether TLS is spoken, with the same socket."""
        directory = make_directory(self)
        root = make_roots(directory, "one")[0]
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        echo = f'[services.x]\nkind = "echo"\nlisten = ["tcp:{port}:interface=127.0.0.1"]\n'
        web = f'[services.y]\nkind = "web"\nroot = "{root}"\nlisten = ["tcp:{port}:interface=127.0.0.1"]\n'
        daemon = Daemon(self, make_config() + echo, directory=directory)
        with connect(daemon, "x") as session:
            session.sendall(b"before")
            self.assertEqual(read_exactly(session, 6), b"before")
            reload(daemon, make_config() + web)
            self.assertEqual(ask(daemon, "/name", service="y").body, b"one")
            self.assertNotIn("x", daemon.listeners)
            reload(daemon, make_config() + web.replace("tcp:", "tls:"))
            with TlsClient(connect(daemon, "y", "tls"), make_context(daemon.authority)) as client:
                client.send(b"GET /name HTTP/1.0\r\n\r\n")
                self.assertTrue(client.read_to_end().endswith(b"one"))
            reload(daemon, make_config() + echo)
            self.assertEqual(exchange(daemon, "x", b"hello"), b"hello")
            session.sendall(b" and after")
            self.assertEqual(read_exactly(session, 10), b" and after")
        # A section that is turned off is as good as none.
        reload(daemon, make_config() + echo + "enabled = false\n")
        self.assertNotIn("x", daemon.listeners)
        self.assertRaises(ConnectionRefusedError, socket.create_connection, ("127.0.0.1", port), 5)

    def test_new_limits_hold_from_the_next_session_on(self) -> None:
        """R5: what is open stays, and counts."""
        daemon = Daemon(self, make_config("limits.per_peer = 5"))
        with connect(daemon, "echo") as one, connect(daemon, "echo") as two:
            for sock in (one, two):
                sock.sendall(b"x")
                self.assertEqual(read_exactly(sock, 1), b"x")
            reload(daemon, make_config("limits.per_peer = 2"))
            self.assertTrue(is_turned_away(daemon, "echo"))
            for sock in (one, two):
                sock.sendall(b"y")
                self.assertEqual(read_exactly(sock, 1), b"y")
        wait_for_events(daemon, "daemon.session.closed", 2)
        self.assertEqual(exchange(daemon, "echo", b"room again"), b"room again")


class RefusedTests(SynchronousTestCase):
    """R5: a bad file changes nothing and says why."""

    def test_mistakes_change_nothing_and_are_logged_with_their_lines(self) -> None:
        """R5."""
        daemon = Daemon(self, make_config())
        listeners = daemon.listeners
        with connect(daemon, "echo") as session:
            bad = make_config() + '[services.web]\nrooot = "/"\nlisten = ["tcp:99999"]\n'
            reload(daemon, bad)
            lines = bad.splitlines()
            wanted = [
                f"{daemon.config}:{lines.index(text) + 1}: services.web.{key}"
                for text, key in (('rooot = "/"', "rooot"), ('listen = ["tcp:99999"]', "listen"))
            ]
            problems = [event["problem"] for event in wait_for_events(daemon, REFUSED, 2)]
            self.assertEqual(len(problems), 2, problems)
            for beginning, problem in zip(wanted, problems, strict=True):
                self.assertTrue(problem.startswith(beginning), problem)
            self.assertEqual({event["level"] for event in read_events(daemon, REFUSED)}, {"error"})
            # What is no TOML at all, and no file at all.
            reload(daemon, "[services\n")
            self.assertTrue(read_events(daemon, REFUSED)[-1]["problem"].startswith(f"{daemon.config}:1: "))
            assert daemon.config is not None
            daemon.config.unlink()
            reload(daemon)
            self.assertIn(str(daemon.config), read_events(daemon, REFUSED)[-1]["problem"])
            self.assertEqual(daemon.listeners, listeners)
            session.sendall(b"still here")
            self.assertEqual(read_exactly(session, 10), b"still here")
        self.assertEqual(exchange(daemon, "echo", b"hello"), b"hello")
        self.assertEqual(read_events(daemon, DONE), [])
        reload(daemon, make_config())
        self.assertEqual(len(read_events(daemon, DONE)), 1)

    def test_port_in_use_changes_nothing(self) -> None:
        """R5: everything is bound before anything is changed."""
        directory = make_directory(self)
        one, two = make_roots(directory, "one", "two")
        daemon = Daemon(self, make_config(root=one), directory=directory)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            entry = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
            reload(daemon, make_config(root=two) + f'[services.more]\nkind = "echo"\nlisten = ["{entry}"]\n')
        problem = read_events(daemon, REFUSED)[-1]["problem"]
        self.assertIn("more", problem)
        self.assertIn(entry, problem)
        self.assertNotIn("more", daemon.listeners)
        self.assertEqual(ask(daemon, "/name").body, b"one")

    def test_caller_is_told_the_mistakes(self) -> None:
        """R5: the control socket's answer is what the verb prints."""
        daemon = Daemon(self, make_config())
        daemon.listeners["control"] = [
            {"transport": "unix", "tls": False, "path": str(daemon.state / "control"), "address": "", "port": 0}
        ]
        call = "<methodCall><methodName>netservices.reload</methodName><params/></methodCall>"
        request = (
            f"POST /RPC2 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: text/xml\r\n"
            f"Content-Length: {len(call)}\r\n\r\n{call}"
        ).encode()
        response, _ = parse_response(ask_raw(daemon, request, "control", "unix"))
        self.assertEqual(response.status, 200)
        self.assertNotIn(b"<fault>", response.body)
        assert daemon.config is not None
        daemon.config.write_text(make_config("lisen = 1"))
        response, _ = parse_response(ask_raw(daemon, request, "control", "unix"))
        self.assertIn(b"<fault>", response.body)
        line = make_config("lisen = 1").splitlines().index("lisen = 1") + 1
        self.assertIn(f"{daemon.config}:{line}: services.echo.lisen".encode(), response.body)

    def test_verb_reloads_and_prints_the_mistakes(self) -> None:
        """R5: ``netservices reload`` ends with 0, and with 2 for a bad file."""
        if "reload" not in VERBS:
            raise SkipTest("the command has no verb reload")
        daemon = Daemon(self, make_config())
        assert daemon.config is not None

        def call() -> tuple[int, str]:
            program = str(Path(sysconfig.get_path("scripts")) / "netservices")
            ended = run(
                sys.executable, *STRICT, program, "--config", str(daemon.config), "reload",
                cwd=daemon.directory, environ={"STATE_DIRECTORY": str(daemon.state)},
            )  # fmt: skip
            return ended.returncode, (ended.stdout + ended.stderr).decode()

        self.assertEqual(call()[0], 0)
        daemon.config.write_text(make_config("lisen = 1"))
        status, words = call()
        line = make_config("lisen = 1").splitlines().index("lisen = 1") + 1
        self.assertEqual(status, 2, words)
        self.assertIn(f"{daemon.config}:{line}: services.echo.lisen", words)
        daemon.config.write_text(make_config())
        daemon.stop()
        self.assertEqual(call()[0], 3)


class RereadTests(SynchronousTestCase):
    """R5: what a reload reads anew besides the file."""

    def test_certificates_are_read_again(self) -> None:
        """R5, R19: the next handshake gets the new one; a session under way goes on."""
        openssl = require("openssl")
        directory = make_directory(self)
        make_pair(openssl, directory, "first.example.org")
        text = f'[tls]\ncertificate = "{directory}/host.pem"\nkey = "{directory}/host.key"\n'
        text += make_config(root=make_roots(directory, "one")[0])
        daemon = Daemon(self, text, directory=directory)

        def fetch(service: str) -> bytes:
            with TlsClient(connect(daemon, service, "tls"), make_context(None)) as client:
                certificate = client.object.getpeercert(binary_form=True)
                assert certificate is not None
                return certificate

        def read_file() -> bytes:
            return ssl.PEM_cert_to_DER_cert((directory / "host.pem").read_text())

        self.assertEqual(fetch("echo"), read_file())
        with TlsClient(connect(daemon, "echo", "tls"), make_context(None)) as session:
            make_pair(openssl, directory, "second.example.org")
            reload(daemon)
            self.assertEqual(fetch("echo"), read_file())
            self.assertEqual(fetch("web"), read_file())
            session.send(b"hello")
            self.assertEqual(session.read(), b"hello")
        # A key that belongs to another certificate is a mistake: the pair of before is served on.
        served = read_file()
        key = (directory / "host.key").read_bytes()
        make_pair(openssl, directory, "third.example.org")
        (directory / "host.key").write_bytes(key)
        reload(daemon)
        self.assertIn("tls", read_events(daemon, REFUSED)[-1]["problem"])
        self.assertEqual(fetch("echo"), served)

    def test_log_files_are_reopened(self) -> None:
        """R34: what was renamed gets nothing more."""
        directory = make_directory(self)
        root = make_roots(directory, "one")[0]
        daemon = Daemon(self, make_config(root=root, access_log=True), directory=directory)
        log, access = daemon.state / "netservices.log", daemon.state / "access.log"
        self.assertEqual(ask(daemon, "/name?before").status, 200)
        wait_for_events(daemon, "daemon.session.closed")
        self.assertTrue(wait_until(lambda: b"before" in access.read_bytes()))
        old_log, old_access = log.rename(log.with_suffix(".1")), access.rename(access.with_suffix(".1"))
        daemon.signal(signal.SIGHUP)
        self.assertTrue(wait_until(lambda: read_events(daemon, DONE)))
        self.assertTrue(wait_until(access.exists))
        sizes = old_log.stat().st_size, old_access.stat().st_size
        self.assertEqual(ask(daemon, "/name?after").status, 200)
        wait_for_events(daemon, "daemon.session.closed")
        self.assertTrue(wait_until(lambda: b"after" in access.read_bytes()))
        self.assertEqual((old_log.stat().st_size, old_access.stat().st_size), sizes)
        self.assertNotIn(b"before", access.read_bytes())
        self.assertNotIn(b"after", old_access.read_bytes())

    def test_log_and_access_log_can_be_changed(self) -> None:
        """R5: where the log goes is a setting like others."""
        directory = make_directory(self)
        root = make_roots(directory, "one")[0]
        text = make_config(root=root, access_log=True)
        daemon = Daemon(self, text, directory=directory)
        assert daemon.config is not None
        changed = text.replace('to = ["file"]', 'to = ["file"]\nfile.path = "other.log"').replace("access.log", "b.log")
        daemon.config.write_text(changed)
        other = daemon.state / "other.log"
        daemon.signal(signal.SIGHUP)
        self.assertTrue(wait_until(lambda: other.exists() and DONE in other.read_text()), daemon.log())
        self.assertEqual(ask(daemon, "/name").status, 200)
        self.assertTrue(wait_until(lambda: "daemon.session.closed" in other.read_text()))
        self.assertTrue(wait_until(lambda: b"/name" in (daemon.state / "b.log").read_bytes()))

    def test_connection_kept_alive_sees_the_new_root_when_it_comes_again(self) -> None:
        """R5, with a client that connects anew when it is told to."""
        directory = make_directory(self)
        one, two = make_roots(directory, "one", "two")
        daemon = Daemon(self, make_config(root=one), directory=directory)
        client = http.client.HTTPConnection("127.0.0.1", daemon.port("web"), timeout=PATIENCE)
        self.addCleanup(client.close)
        seen = []
        for root in (one, two, one):
            reload(daemon, make_config(root=root))
            for _ in range(3):
                try:
                    client.request("GET", "/name")
                    body = client.getresponse().read()
                except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                    # RFC 9112 9.3.1: an idle connection may be closed at any time; a client asks again.
                    client.close()
                    client.request("GET", "/name")
                    body = client.getresponse().read()
                seen.append(body.decode())
        self.assertEqual(seen, ["one"] * 3 + ["two"] * 3 + ["one"] * 3)
