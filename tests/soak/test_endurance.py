"""Kills, reloads, slow readers and crowds: what a daemon meets in a year, in some minutes."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import socket
import statistics
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.live.clients import (
    COMBINED,
    PATIENCE,
    ask,
    connect,
    exchange,
    make_config,
    read_events,
    read_exactly,
    read_resident,
    wait_for_events,
    wait_until,
)
from tests.live.harness import Daemon, make_command, make_directory, make_environ, require, run
from tests.soak.load import OPEN_LIMITS, Load, make_open_config, make_turns, read_holdings

if TYPE_CHECKING:
    from collections.abc import Callable

CLOSED = "daemon.session.closed"
RELOADED = "daemon.configuration.reloaded"
CROWD = 10_000


def make_root(directory: Path) -> Path:
    """A folder with a small and a large file."""
    root = directory / "www"
    root.mkdir()
    (root / "small").write_bytes(os.urandom(1024))
    (root / "large").write_bytes(os.urandom(2**20) * 64)
    return root


class KillTests(SynchronousTestCase):
    """R4: SIGKILL at any moment leaves a state the next start opens without help."""

    def setUp(self) -> None:
        seed = random.SystemRandom().randrange(2**32)
        # Told with a failure, to have the same moments again.
        self.random = random.Random(seed)  # noqa: S311 - moments, not secrets
        self.hint = f"random seed {seed}"

    def test_20_kills_under_load(self) -> None:
        """R4."""
        directory = make_directory(self)
        root = make_root(directory)
        content = (root / "small").read_bytes()
        text = make_open_config(root)
        text += f'[services.local]\nkind = "echo"\nlisten = ["unix:{directory}/socket"]\n'
        authorities = set()
        for number in range(20):
            daemon = Daemon(self, text, directory=directory)
            authorities.add(daemon.authority.read_bytes())
            with Load(make_turns(daemon, "/small", content)) as load:
                self.assertTrue(wait_until(lambda load=load: load.done > 5), (number, self.hint))  # type: ignore[misc]
                self.assertEqual(exchange(daemon, "local", b"hello", "unix"), b"hello")
                time.sleep(self.random.random() * 0.5)
                if number % 4 == 3:
                    daemon.signal(signal.SIGHUP)
                    time.sleep(self.random.random() * 0.1)
                load.forgiving = True
                daemon.kill()
            self.assertEqual(load.failed, [], (number, self.hint))
        self.assertEqual(len(authorities), 1)
        last = Daemon(self, text, directory=directory)
        self.assertEqual(ask(last, "/small").body, content)
        self.assertEqual(last.stop(), 0)
        # Lines are written whole.
        for line in (last.state / "netservices.log").read_text().splitlines():
            json.loads(line)
        for access in (last.state / "access.log").read_bytes().splitlines(keepends=True):
            self.assertIsNotNone(COMBINED.fullmatch(access), repr(access))

    def test_kills_during_the_first_start(self) -> None:
        """R4, R18: while the authority is being made, too."""
        openssl = require("openssl")
        for number in range(20):
            directory = make_directory(self)
            config = directory / "netservices.toml"
            config.write_text(make_config())
            environ = make_environ({"STATE_DIRECTORY": str(directory / "state")})
            with (directory / "first").open("wb") as output:
                first = subprocess.Popen(make_command(config), cwd=directory, env=environ, stdout=output, stderr=output)
                # Most of a start is imports; what is written is written near its end.
                wait_until(lambda state=directory / "state": state.exists(), 10.0)  # type: ignore[misc]
                time.sleep(self.random.random() * 0.05)
                first.kill()
                first.wait()
            daemon = Daemon(self, make_config(), directory=directory)
            ended = run(openssl, "verify", "-CAfile", str(daemon.authority), str(daemon.state / "tls" / "server.pem"))
            self.assertEqual(ended.returncode, 0, (number, self.hint, ended.stderr))
            for path in (daemon.state / "tls").glob("*.key"):
                self.assertEqual(path.stat().st_mode & 0o777, 0o600, path)
            self.assertEqual(daemon.stop(), 0)

    def test_sigterm_during_reloads(self) -> None:
        """R4, R5: status 0, whatever is going on."""
        for number in range(10):
            directory = make_directory(self)
            root = make_root(directory)
            daemon = Daemon(self, make_open_config(root), directory=directory)
            assert daemon.config is not None
            daemon.config.write_text(make_open_config(root) + 'index = ["other.html"]\n')
            for _ in range(self.random.randrange(1, 4)):
                daemon.signal(signal.SIGHUP)
            time.sleep(self.random.random() * 0.05)
            daemon.signal(signal.SIGTERM)
            self.assertEqual(daemon.wait(), 0, (number, self.hint, daemon.log()))
            levels = {event["level"] for event in read_events(daemon)}
            self.assertLessEqual(levels, {"info", "warn"}, (number, self.hint))
            self.assertFalse((daemon.state / "listeners.json").exists(), (number, self.hint))


class ReloadTests(SynchronousTestCase):
    """R5, for half a minute."""

    def test_reloads_under_load(self) -> None:
        """R5: not one session fails, and nothing piles up."""
        directory = make_directory(self)
        root = make_root(directory)
        content = (root / "small").read_bytes()
        texts = [make_open_config(root), make_open_config(root) + 'index = ["other.html"]\n']
        daemon = Daemon(self, texts[0], directory=directory)
        assert daemon.config is not None
        reloads = 0

        def reload() -> None:
            nonlocal reloads
            assert daemon.config is not None
            reloads += 1
            fresh = daemon.config.with_suffix(".new")
            fresh.write_text(texts[reloads % 2])
            fresh.replace(daemon.config)
            daemon.signal(signal.SIGHUP)
            self.assertTrue(wait_until(lambda: count_lines(daemon.state / "netservices.log", RELOADED) >= reloads))

        def reload_for(seconds: float) -> Load:
            end = time.monotonic() + seconds
            with Load(make_turns(daemon, "/small", content)) as load:
                while time.monotonic() < end:
                    reload()
            self.assertEqual(load.failed, [])
            self.assertTrue(wait_until(lambda: count_sockets(daemon) == 0))
            return load

        # Memory grows for some hundred reloads, until the collector of cycles has seen every sort of them.
        done = reload_for(15).done
        before = read_holdings(daemon)
        done += reload_for(30).done
        self.assertGreater(done, 500)
        self.assertGreater(reloads, 40)
        self.assertTrue(wait_until(lambda: read_holdings(daemon).descriptors <= before.descriptors))
        after = read_holdings(daemon)
        self.assertLess(after.resident - before.resident, 12 * 2**20, (reloads, done))
        self.assertEqual(after.threads, before.threads)
        self.assertEqual(len(wait_for_events(daemon, CLOSED, done)), done)


class SlowReaderTests(SynchronousTestCase):
    """R14, R16: those who are slow cost nobody but themselves."""

    def test_fast_client_stays_fast_beside_100_slow_ones(self) -> None:
        directory = make_directory(self)
        root = make_root(directory)
        content = (root / "small").read_bytes()
        daemon = Daemon(self, make_open_config(root), directory=directory)
        self.assertEqual(ask(daemon, "/small").body, content)
        self.assertEqual(len(ask(daemon, "/large").body), 64 * 2**20)
        before = read_holdings(daemon)
        slow = []
        for number in range(100):
            sock = socket.socket()
            self.addCleanup(sock.close)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.settimeout(PATIENCE)
            sock.connect(("127.0.0.1", daemon.port("echo" if number % 4 == 0 else "web")))
            if number % 4 == 0:
                sock.setblocking(False)
                try:
                    for _ in range(64):
                        sock.send(bytes(2**16))
                except BlockingIOError:
                    pass
            else:
                sock.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
            slow.append(sock)
        times: list[float] = []
        received = 0
        end = time.monotonic() + 20
        with connect(daemon, "web") as web, connect(daemon, "echo") as echo:
            while time.monotonic() < end:
                began = time.monotonic()
                web.sendall(b"GET /small HTTP/1.1\r\nHost: a\r\n\r\n")
                octets = web.recv(65536)
                while not octets.endswith(content):
                    octets += web.recv(65536)
                echo.sendall(b"hello")
                self.assertEqual(read_exactly(echo, 5), b"hello")
                times.append(time.monotonic() - began)
                # Each of the others takes a little now and then.
                for sock in slow[len(times) % 10 :: 10]:
                    received += len(sock.recv(512))
                time.sleep(0.005)
            after = read_holdings(daemon)
            self.assertEqual(read_events(daemon, CLOSED)[2:], [], "a slow reader was closed before its time")
        self.assertGreater(len(times), 200)
        self.assertLess(statistics.median(times), 0.02)
        self.assertLess(statistics.quantiles(times, n=20)[-1], 0.1)
        self.assertGreater(received, 100000)
        self.assertLess(after.resident - before.resident, 40 * 2**20)


class CrowdTests(SynchronousTestCase):
    """R16: ten thousand at once, and more than the system allows."""

    def test_10_000_idle_connections(self) -> None:
        """R16: less than 60 MiB, and a new connection is answered in less than 50 ms."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = CROWD + 500
        if hard != resource.RLIM_INFINITY and hard < wanted:
            raise SkipTest(f"this process may open {hard} files, and {wanted} are wanted")
        # What the daemon inherits.
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        # Coverage's own counters are no part of what a connection costs.
        daemon = Daemon(
            self, make_config(OPEN_LIMITS), command=lambda config: make_command(config, ()),
            environ={"COVERAGE_PROCESS_START": ""},
        )  # fmt: skip
        self.assertEqual(exchange(daemon, "echo", b"hello"), b"hello")
        before = read_resident(daemon.pid)
        crowd = [connect(daemon, "echo") for _ in range(CROWD)]
        try:
            crowd[-1].sendall(b"last")
            self.assertEqual(read_exactly(crowd[-1], 4), b"last")
            times = []
            for _ in range(50):
                began = time.monotonic()
                self.assertEqual(exchange(daemon, "echo", b"hello"), b"hello")
                times.append(time.monotonic() - began)
            grown = read_resident(daemon.pid) - before
        finally:
            for sock in crowd:
                sock.close()
        self.assertLess(statistics.median(times), 0.05)
        self.assertLess(grown, 60 * 2**20, f"{grown / CROWD:.0f} bytes a connection")
        self.assertTrue(wait_until(lambda: count_lines(daemon.state / "netservices.log", CLOSED) == CROWD + 51))

    def test_running_out_of_descriptors_is_survived_and_logged_once(self) -> None:
        """R16."""
        prlimit = require("prlimit")
        directory = make_directory(self)
        root = make_root(directory)
        daemon = Daemon(
            self, make_open_config(root), directory=directory,
            command=lambda config: [prlimit, "--nofile=100", *make_command(config)],
        )  # fmt: skip
        with connect(daemon, "echo") as sock:
            sock.sendall(b"before")
            self.assertEqual(read_exactly(sock, 6), b"before")
            crowd = [connect(daemon, "echo") for _ in range(200)]
            # Whoever is in goes on undisturbed, and the reactor does not spin.
            time.sleep(1.0)
            sock.sendall(b"and during")
            self.assertEqual(read_exactly(sock, 10), b"and during")
            for other in crowd:
                other.close()
        self.assertTrue(wait_until(lambda: exchange_quietly(daemon) == b"hello"))
        self.assertEqual(ask(daemon, "/small").status, 200)
        complaints = [event for event in read_events(daemon) if event["level"] in {"warn", "error", "critical"}]
        self.assertEqual(len(complaints), 1, complaints[:5])


class LeakTests(SynchronousTestCase):
    """At the end the daemon holds what it held at the beginning."""

    def test_memory_descriptors_and_threads_after_many_sessions(self) -> None:
        directory = make_directory(self)
        root = make_root(directory)
        content = (root / "small").read_bytes()
        daemon = Daemon(self, make_open_config(root), directory=directory)
        turns = make_turns(daemon, "/small", content)
        web = ("127.0.0.1", daemon.port("web"))

        def leave_early() -> bool:
            with socket.create_connection(web, PATIENCE) as sock:
                sock.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
                return bool(sock.recv(100))

        def say_half() -> bool:
            with socket.create_connection(web, PATIENCE) as sock:
                sock.sendall(b"GET / HT")
            return True

        def hang_up_on_tls() -> bool:
            with connect(daemon, "echo", "tls") as sock:
                sock.sendall(b"\x16\x03\x01\x02\x00\x01\x00")
            return True

        def use_udp() -> bool:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.settimeout(PATIENCE)
                sock.connect(("127.0.0.1", daemon.port("echo", "udp")))
                sock.send(b"hello")
                return sock.recv(100) == b"hello"

        turns += [leave_early, say_half, hang_up_on_tls, use_udp]
        self.run_for(turns, 15)
        self.assertTrue(wait_until(lambda: count_sockets(daemon) == 0))
        before = read_holdings(daemon)
        done = self.run_for(turns, 45)
        self.assertTrue(wait_until(lambda: count_sockets(daemon) == 0))
        after = read_holdings(daemon)
        self.assertEqual(after.descriptors, before.descriptors)
        # The file pool makes its four threads when they are first needed together.
        self.assertLessEqual(after.threads, before.threads + 3)
        self.assertLess(after.resident - before.resident, 8 * 2**20, f"{done} sessions")
        problems = [event for event in read_events(daemon) if event["level"] in {"error", "critical"}]
        self.assertEqual(problems, [])

    def run_for(self, turns: list[Callable[[], bool]], seconds: float) -> int:
        """Load for so long; how many sessions there were."""
        with Load(turns) as load:
            time.sleep(seconds)
        self.assertEqual(load.failed, [])
        return load.done


def exchange_quietly(daemon: Daemon) -> bytes:
    """An echo, or nothing if it does not come about."""
    try:
        return exchange(daemon, "echo", b"hello")
    except OSError:
        return b""


def count_sockets(daemon: Daemon) -> int:
    """Established connections of the daemon's listeners, as the kernel has them."""
    ports = {listener["port"] for listeners in daemon.listeners.values() for listener in listeners}
    count = 0
    with Path("/proc/net/tcp").open() as table:
        next(table)
        for line in table:
            fields = line.split()
            # proc(5): the local address in hexadecimal, and 01 for an established connection.
            if fields[3] in {"01", "08"} and int(fields[1].partition(":")[2], 16) in ports:
                count += 1
    return count


def count_lines(path: Path, word: str) -> int:
    """How many times the word stands in a file of JSON lines as an event."""
    return path.read_bytes().count(f'"event": "{word}"'.encode())
