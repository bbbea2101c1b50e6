"""The harness of the live tests waits with a bound, tells why a start failed and leaves no process."""

from __future__ import annotations

import os
import select
import signal
import sys

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.live.harness import Daemon, NotReadyError, require, run

READY = """
import json, os, signal, sys
{before}
os.mkdir("state")
service = {{"listen": "tls:0", "transport": "tcp", "tls": True, "address": "::1", "port": 40123}}
plain = {{"listen": "tcp:0", "transport": "tcp", "tls": False, "address": "127.0.0.1", "port": 40124}}
with open("state/listeners.json", "w") as file:
    json.dump({{"pid": os.getpid(), "services": {{"web": [service, plain]}}}}, file)
print("ready", sys.argv[1], flush=True)
signal.pause()
"""


def make_stand_in(code: str) -> list[str]:
    """A command that stands in for the daemon."""
    return [sys.executable, "-c", code]


class DaemonTests(SynchronousTestCase):
    """A stand-in for the daemon is started, watched and ended."""

    def start(self, code: str, patience: float = 10.0) -> Daemon:
        return Daemon(self, "", command=lambda config: [*make_stand_in(code), str(config)], patience=patience)

    def start_ready(self, before: str = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))") -> Daemon:
        return self.start(READY.format(before=before))

    def test_ready_daemon_tells_its_listeners(self) -> None:
        daemon = self.start_ready()
        self.assertEqual(daemon.port("web", "tls"), 40123)
        self.assertEqual(daemon.url("web", "/a"), "http://127.0.0.1:40124/a")
        self.assertEqual(daemon.url("web", tls=True), "https://[::1]:40123/")
        self.assertRaises(LookupError, daemon.port, "web", "udp")
        self.assertRaises(LookupError, daemon.port, "echo")

    def test_log_is_what_it_wrote(self) -> None:
        daemon = self.start_ready()
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual(daemon.log(), f"ready {daemon.config}\n")

    def test_stop_tells_the_exit_status(self) -> None:
        self.assertEqual(self.start_ready("signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))").stop(), 3)

    def test_deaf_daemon_is_killed(self) -> None:
        daemon = self.start_ready("signal.signal(signal.SIGTERM, signal.SIG_IGN)")
        self.assertEqual(daemon.stop(patience=0.1), -signal.SIGKILL)
        self.assertRaises(ProcessLookupError, os.kill, daemon.pid, 0)

    def test_children_end_with_it(self) -> None:
        child = "import subprocess; child = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])"
        tell = "print(child.pid, file=open('child', 'w'), flush=True)"
        daemon = self.start_ready(f"{child}; {tell}; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))")
        descriptor = os.pidfd_open(int((daemon.directory / "child").read_text()))
        self.addCleanup(os.close, descriptor)
        self.assertEqual(daemon.stop(), 0)
        # pidfd_open(2): readable once the process has ended.
        self.assertEqual(select.select([descriptor], [], [], 10.0)[0], [descriptor])

    def test_end_before_ready_fails_with_the_log(self) -> None:
        error = self.assertRaises(NotReadyError, self.start, "print('no such kind'); raise SystemExit(2)")
        self.assertIn("ended with status 2", str(error))
        self.assertIn("no such kind", str(error))

    def test_never_ready_fails_with_the_log(self) -> None:
        code = "import signal; print('thinking', flush=True); signal.pause()"
        error = self.assertRaises(NotReadyError, self.start, code, patience=1.0)
        self.assertIn("not ready within 1.0 s", str(error))
        self.assertIn("thinking", str(error))

    def test_listeners_of_another_process_are_not_ours(self) -> None:
        code = READY.format(before="").replace("os.getpid()", "1")
        self.assertRaises(NotReadyError, self.start, code, patience=1.0)


class RunTests(SynchronousTestCase):
    """Programs beside the daemon."""

    def test_input_output_and_status_are_handed_through(self) -> None:
        code = "import sys; sys.stderr.write('aside'); print(sys.stdin.read()); sys.exit(4)"
        ended = run(sys.executable, "-c", code, input=b"hello")
        self.assertEqual((ended.returncode, ended.stdout, ended.stderr), (4, b"hello\n", b"aside"))

    def test_required_program_is_found(self) -> None:
        self.assertTrue(require("sh").endswith("/sh"))

    def test_absent_program_skips_with_its_name(self) -> None:
        error = self.assertRaises(SkipTest, require, "no-such-program")
        self.assertEqual(str(error), "no-such-program is not installed")
