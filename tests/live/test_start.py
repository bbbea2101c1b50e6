"""The daemon starts whole or not at all, and ends in order."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys
import sysconfig
import time
from pathlib import Path
from typing import TYPE_CHECKING

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from netservices.catalog import Catalogue
from tests.live.clients import (
    CONFIG,
    TlsClient,
    connect,
    exchange,
    is_refused,
    make_config,
    make_context,
    parse_response,
    read_cpu,
    read_events,
    read_exactly,
    read_resident,
    read_to_end,
    wait_until,
)
from tests.live.harness import Daemon, make_command, make_directory, run
from tests.run import STRICT

if TYPE_CHECKING:
    import subprocess

MISTAKES = """
[daemon]
hostnme = "host.example.org"
shutdown = 10
[admission]
timeouts = { idle = "5 minutes" }
[tls]
certificate = "missing.pem"
[services.ecko]
listen = ["tcp:0"]
"""


def start(directory: Path, text: str, *flags: str) -> subprocess.CompletedProcess[bytes]:
    """Run the daemon to its end in ``directory``, where its file is; ``flags`` instead of ``-n``."""
    config = directory / "netservices.toml"
    config.write_text(text)
    command = make_command(config)
    if flags:
        at = command.index("-n")
        command[at : at + 2] = flags
    return run(*command, cwd=directory, environ={"STATE_DIRECTORY": str(directory / "state")})


def find_free_port() -> int:
    """A TCP port of loopback that nobody had a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


class RefusedStartTests(SynchronousTestCase):
    """A start that cannot be whole ends at once, says why and leaves nothing."""

    def test_five_mistakes_are_five_lines_and_nothing_is_written(self) -> None:
        """R1."""
        directory = make_directory(self)
        ended = start(directory, MISTAKES)
        lines = ended.stderr.decode().splitlines()
        self.assertEqual(ended.returncode, 2, lines)
        self.assertEqual(len(lines), 5, lines)
        wanted = {
            3: "daemon.hostnme: ",
            4: "daemon.shutdown: ",
            6: "admission.timeouts.idle: ",
            8: "tls.certificate: ",
            9: "services.ecko",
        }
        for (number, key), line in zip(wanted.items(), lines, strict=True):
            self.assertTrue(line.startswith(f"{directory / 'netservices.toml'}:{number}: {key}"), line)
        self.assertIn('did you mean "hostname"', lines[0])
        self.assertIn('did you mean "echo"', lines[4])
        self.assertEqual([path.name for path in directory.iterdir()], ["netservices.toml"])

    def test_mistakes_end_a_daemonised_start_the_same_way(self) -> None:
        """R1."""
        directory = make_directory(self)
        ended = start(directory, MISTAKES, f"--pidfile={directory / 'pid'}")
        self.assertEqual((ended.returncode, ended.stderr.count(b"\n")), (2, 5), ended.stderr)
        self.assertEqual([path.name for path in directory.iterdir()], ["netservices.toml"])

    def test_port_in_use_is_named_and_nothing_stays_open(self) -> None:
        """R2."""
        directory = make_directory(self)
        free = find_free_port()
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            text = f"""
[services.first]
kind = "echo"
listen = ["tcp:{free}:interface=127.0.0.1", "unix:{directory}/first"]
[services.second]
kind = "echo"
listen = ["tcp:{port}:interface=127.0.0.1"]
"""
            ended = start(directory, text)
            self.assertEqual(ended.returncode, 1, ended.stderr)
            words = ended.stderr.decode()
            self.assertIn("second", words)
            self.assertIn(f"tcp:{port}:interface=127.0.0.1", words)
            self.assertNotIn("Traceback", words)
            with self.assertRaises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", free), 5)
            self.assertFalse((directory / "state" / "listeners.json").exists())
            self.assertFalse((directory / "state" / "control").exists())
            self.assertFalse((directory / "first").exists(), "the socket of a start that failed is left")
        daemon = Daemon(self, text, directory=directory)
        self.assertEqual(exchange(daemon, "second", b"hello"), b"hello")
        self.assertEqual(exchange(daemon, "first", b"hello", "unix"), b"hello")

    def test_port_in_use_ends_a_daemonised_start_with_the_reason(self) -> None:
        """R2."""
        directory = make_directory(self)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            text = f'[log]\nto = ["file"]\n[services.echo]\nlisten = ["tcp:{port}:interface=127.0.0.1"]\n'
            ended = start(directory, text, f"--pidfile={directory / 'pid'}")
        words = (ended.stderr + ended.stdout).decode()
        self.assertEqual(ended.returncode, 1, words)
        self.assertIn("echo", words)
        self.assertIn(f"tcp:{port}:interface=127.0.0.1", words)
        # twistd has told the reason before the process behind it has ended.
        self.assertTrue(wait_until(lambda: not (directory / "pid").exists()))

    def test_refused_start_is_in_the_log(self) -> None:
        """R2: nobody may be looking at stderr."""
        directory = make_directory(self)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            text = f'[log]\nto = ["file"]\n[services.echo]\nlisten = ["tcp:{port}:interface=127.0.0.1"]\n'
            self.assertEqual(start(directory, text).returncode, 1)
        log = (directory / "state" / "netservices.log").read_text()
        self.assertIn("daemon.process.refused", log)
        self.assertIn(f"tcp:{port}:interface=127.0.0.1", log)

    def test_second_daemon_names_the_first(self) -> None:
        """The state directory is one daemon's."""
        daemon = Daemon(self, CONFIG)
        before = (daemon.state / "listeners.json").read_text()
        ended = start(daemon.directory, CONFIG)
        self.assertEqual(ended.returncode, 1, ended.stderr)
        self.assertIn(str(daemon.pid), ended.stderr.decode())
        self.assertEqual((daemon.state / "listeners.json").read_text(), before)
        self.assertEqual(exchange(daemon, "echo", b"still here"), b"still here")


class EndTests(SynchronousTestCase):
    """R4: whichever way it ends, the next start needs no help."""

    def test_sigterm_lets_sessions_finish_and_closes_the_rest(self) -> None:
        """R4."""
        daemon = Daemon(self, make_config().replace('shutdown = "5s"', 'shutdown = "1s"'))
        with connect(daemon, "echo") as finishing, connect(daemon, "echo") as silent:
            for sock in (finishing, silent):
                sock.sendall(b"before")
                self.assertEqual(read_exactly(sock, 6), b"before")
            began = time.monotonic()
            daemon.signal(signal.SIGTERM)
            self.assertTrue(wait_until(lambda: is_refused(daemon, "echo"), 1.0), "it still accepts")
            self.assertTrue(is_refused(daemon, "echo", "tls"))
            finishing.sendall(b" and after")
            finishing.shutdown(socket.SHUT_WR)
            self.assertEqual(read_to_end(finishing), b" and after")
            self.assertEqual(read_to_end(silent), b"")
            took = time.monotonic() - began
            self.assertEqual(daemon.wait(), 0)
        self.assertGreater(took, 0.9)
        self.assertLess(took, 3.0)
        reasons = [event["reason"] for event in read_events(daemon, "daemon.session.closed")]
        self.assertEqual(reasons.count("shutdown"), 1, reasons)
        self.assertFalse((daemon.state / "listeners.json").exists())
        self.assertFalse((daemon.state / "control").exists())

    def test_download_under_way_is_finished_first(self) -> None:
        """R4: of a keep-alive connection as well, which is closed after it."""
        directory = make_directory(self)
        (directory / "www").mkdir()
        content = os.urandom(2**20) * 24
        (directory / "www" / "large").write_bytes(content)
        daemon = Daemon(self, make_config(root=directory / "www"), directory=directory)
        request = b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n"
        with connect(daemon, "web") as sock, TlsClient(connect(daemon, "web", "tls"), make_context(None)) as client:
            sock.sendall(request)
            client.send(request)
            begun = sock.recv(1000), client.read(1000)
            daemon.signal(signal.SIGTERM)
            self.assertTrue(wait_until(lambda: is_refused(daemon, "web"), 1.0), "it still accepts")
            for octets in (begun[0] + read_to_end(sock), begun[1] + client.read_to_end()):
                response, rest = parse_response(octets)
                self.assertTrue(response.body == content and not rest, len(octets))
        # A peer's goodbye is waited for, so it is the end of the connections that counts.
        began = time.monotonic()
        self.assertEqual(daemon.wait(), 0)
        self.assertLess(time.monotonic() - began, 2.0)

    def test_daemon_without_sessions_ends_at_once(self) -> None:
        """R4."""
        for number in (signal.SIGTERM, signal.SIGINT):
            daemon = Daemon(self, CONFIG)
            began = time.monotonic()
            daemon.signal(number)
            self.assertEqual(daemon.wait(), 0, daemon.log())
            self.assertLess(time.monotonic() - began, 3.0, number)

    def test_idle_keep_alive_connection_does_not_hold_up_the_end(self) -> None:
        """R4: between two requests a web session has finished."""
        directory = make_directory(self)
        (directory / "www").mkdir()
        (directory / "www" / "a").write_bytes(b"a")
        daemon = Daemon(self, make_config(root=directory / "www"), directory=directory)
        with connect(daemon, "web") as sock:
            sock.sendall(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertTrue(read_exactly(sock, 12).endswith(b"200"))
            began = time.monotonic()
            daemon.signal(signal.SIGTERM)
            self.assertEqual(daemon.wait(), 0)
            self.assertLess(time.monotonic() - began, 3.0)

    def test_killed_daemon_is_followed_without_help(self) -> None:
        """R4: a stale unix socket, control socket, lock and listeners.json are no hindrance."""
        directory = make_directory(self)
        port = find_free_port()
        text = (
            make_config()
            + f"""
[services.local]
kind = "echo"
listen = ["unix:{directory}/socket:mode=600", "tcp:{port}:interface=127.0.0.1"]
"""
        )
        first = Daemon(self, text, directory=directory)
        authority = first.authority.read_bytes()
        with connect(first, "local") as sock, connect(first, "local", "unix"):
            sock.sendall(b"hello")
            self.assertEqual(read_exactly(sock, 5), b"hello")
            first.kill()
        left = {path.name for path in first.state.iterdir()}
        self.assertLessEqual({"control", "listeners.json", "lock"}, left)
        self.assertTrue((directory / "socket").exists())
        second = Daemon(self, text, directory=directory)
        self.assertEqual(exchange(second, "local", b"tcp"), b"tcp")
        self.assertEqual(exchange(second, "local", b"unix", "unix"), b"unix")
        self.assertEqual((directory / "socket").stat().st_mode & 0o777, 0o600)
        self.assertEqual(second.authority.read_bytes(), authority)
        self.assertEqual(second.stop(), 0)
        self.assertFalse((directory / "socket").exists())

    def test_state_is_the_daemons_alone(self) -> None:
        """The state directory has mode 0700 and the control socket 0600, whatever the umask."""
        directory = make_directory(self)
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        daemon = Daemon(self, CONFIG, directory=directory)
        self.assertEqual(daemon.state.stat().st_mode & 0o777, 0o700)
        self.assertEqual((daemon.state / "control").stat().st_mode & 0o777, 0o600)
        self.assertEqual((daemon.state / "lock").stat().st_mode & 0o077, 0)


ACTIVATE = """
import fcntl, os, socket, sys
stream = socket.create_server(("127.0.0.1", 0))
datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagram.bind(("127.0.0.1", 0))
for number, sock in enumerate((stream, datagram), 3):
    os.dup2(fcntl.fcntl(sock.fileno(), fcntl.F_DUPFD, 20), number)
os.environ |= {"LISTEN_FDS": "2", "LISTEN_FDNAMES": "one:two", "LISTEN_PID": str(os.getpid())}
os.execv(sys.argv[1], sys.argv[1:])
"""
"""What a service manager does (sd_listen_fds(3)) before it runs the command."""


class ActivationTests(SynchronousTestCase):
    """Sockets that the service manager has bound."""

    def test_sockets_handed_over_are_served(self) -> None:
        text = make_config()
        text += '[services.given]\nkind = "echo"\nlisten = ["systemd:name=one", "systemd:name=two"]\n'
        daemon = Daemon(self, text, command=lambda config: [sys.executable, "-c", ACTIVATE, *make_command(config)])
        self.assertEqual(exchange(daemon, "given", b"hello"), b"hello")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(10)
            sock.connect(("127.0.0.1", daemon.port("given", "udp")))
            sock.send(b"hello")
            self.assertEqual(sock.recv(100), b"hello")
        self.assertEqual(daemon.stop(), 0)

    def test_socket_that_was_not_handed_over_ends_the_start(self) -> None:
        """R2."""
        directory = make_directory(self)
        ended = start(directory, '[services.echo]\nlisten = ["systemd:name=none"]\n')
        self.assertEqual(ended.returncode, 1)
        self.assertIn("echo", ended.stderr.decode())
        self.assertIn("systemd:name=none", ended.stderr.decode())


class DaemonisedTests(SynchronousTestCase):
    """Without -n it goes to the background."""

    def test_background_daemon_works_and_stops(self) -> None:
        directory = make_directory(self)
        pidfile, listeners = directory / "pid", directory / "state" / "listeners.json"
        ended = start(directory, CONFIG, f"--pidfile={pidfile}")
        self.assertEqual(ended.returncode, 0, ended.stderr)
        self.assertTrue(wait_until(listeners.exists), "it is not ready")
        pid = int(pidfile.read_text())
        descriptor = os.pidfd_open(pid)
        self.addCleanup(os.close, descriptor)

        def kill() -> None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)

        self.addCleanup(kill)
        written = json.loads(listeners.read_text())
        self.assertEqual(written["pid"], pid)
        found = written["services"]["echo"][0]
        with socket.create_connection((found["address"], found["port"]), 10) as sock:
            sock.sendall(b"hello")
            sock.shutdown(socket.SHUT_WR)
            self.assertEqual(read_to_end(sock), b"hello")
        signal.pidfd_send_signal(descriptor, signal.SIGTERM)
        # pidfd_open(2): readable once the process has ended.
        self.assertEqual(select.select([descriptor], [], [], 10.0)[0], [descriptor])
        self.assertFalse(pidfile.exists())
        self.assertFalse(listeners.exists())
        log = (directory / "state" / "netservices.log").read_text()
        self.assertIn("daemon.process.started", log)
        self.assertIn("daemon.process.stopped", log)


class CostTests(SynchronousTestCase):
    """What a start takes of the machine."""

    def test_every_kind_is_up_within_a_second_and_80_mib(self) -> None:
        """R6."""
        text = '[log]\nto = ["file"]\n'
        catalog = Catalogue()
        for name in sorted(catalog.names()):
            # The ports are free ones, so that two suites can run at once; unlike the try-out's.
            entries = [f'"{entry.partition(":")[0]}:0:interface=127.0.0.1"' for entry in find_entries(catalog, name)]
            text += f"[services.{name}]\nlisten = [{', '.join(entries)}]\n"
        # Neither what watches for warnings nor what measures coverage is part of the daemon.
        daemon = Daemon(
            self, text, command=lambda config: make_command(config, ()), environ={"COVERAGE_PROCESS_START": ""}
        )
        cpu, resident = read_cpu(daemon.pid), read_resident(daemon.pid)
        self.assertEqual(exchange(daemon, "echo", b"hello"), b"hello")
        self.assertLess(cpu, 1.0)
        self.assertLess(resident, 80 * 2**20)


def find_entries(catalog: Catalogue, name: str) -> list[str]:
    """The listen entries of a kind's try-out section."""
    listen = catalog.find(name).tryout["listen"]
    assert isinstance(listen, list | tuple)
    return [str(entry) for entry in listen]


class TryoutTests(SynchronousTestCase):
    """``make run``: the built-in configuration, at its fixed ports of loopback."""

    def test_tryout_serves_on_loopback_only(self) -> None:
        """R6, R18."""
        for port in (8007, 8080, 8443):
            try:
                # As the daemon binds: connections of an earlier one that linger are no hindrance.
                socket.create_server(("127.0.0.1", port)).close()
            except OSError as error:
                raise SkipTest(f"port {port} is taken") from error
        daemon = Daemon(self, None)
        addresses = {listener["address"] for listeners in daemon.listeners.values() for listener in listeners}
        self.assertLessEqual(addresses, {"127.0.0.1", "::1"})
        self.assertEqual(daemon.port("web"), 8080)
        self.assertEqual(daemon.port("web", "tls"), 8443)
        self.assertEqual(daemon.port("echo"), 8007)
        self.assertEqual(exchange(daemon, "echo", b"hello"), b"hello")
        page = run("curl", "-sS", "--cacert", str(daemon.authority), "https://localhost:8443/")
        self.assertIn(b"<html", page.stdout, page.stderr)
        self.assertIn(str(daemon.authority), daemon.log())

    def test_command_of_the_readme_is_found(self) -> None:
        """The plugin is seen by twistd, with its options."""
        twistd = str(Path(sysconfig.get_path("scripts")) / "twistd")
        helped = run(sys.executable, *STRICT, twistd, "netservices", "--help", cwd=make_directory(self))
        self.assertEqual(helped.returncode, 0, helped.stderr)
        self.assertIn(b"--config", helped.stdout)
