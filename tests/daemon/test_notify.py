"""What the service manager is told."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, cast

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from netservices.daemon.notify import Notifier, find_watchdog, take_environment

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

PID = 4711


class NotifierTestCase(SynchronousTestCase):
    """A service manager that listens at a path."""

    def setUp(self) -> None:
        # A socket's path is short; trial's folders may not be.
        folder = Path(tempfile.mkdtemp(prefix="netservices-"))
        self.addCleanup(shutil.rmtree, folder)
        self.address = str(folder / "notify")
        self.manager = self.listen(self.address)
        self.clock = Clock()

    def listen(self, address: str) -> socket.socket:
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(manager.close)
        manager.bind(address)
        manager.setblocking(False)
        return manager

    def make(self, **environment: str) -> Notifier:
        notifier = Notifier(
            {"NOTIFY_SOCKET": self.address, **environment},
            clock=cast("IReactorTime", self.clock),
            pid=PID,
            monotonic=lambda: 123_456_789,
        )
        self.addCleanup(notifier.close)
        return notifier

    def heard(self) -> list[list[str]]:
        """The datagrams since the last time, in lines."""
        found: list[list[str]] = []
        while True:
            try:
                found.append(self.manager.recv(65536).decode().split("\n"))
            except BlockingIOError:
                return found


class TellingTests(NotifierTestCase):
    """R8: READY, RELOADING with MONOTONIC_USEC, STOPPING, STATUS text."""

    def test_life_of_a_daemon_is_told_in_order(self) -> None:
        """R8."""
        notifier = self.make()
        self.assertEqual(self.heard(), [])
        notifier.ready("3 services")
        notifier.reloading()
        notifier.ready()
        notifier.status("7 sessions")
        notifier.stopping(10.0)
        self.assertEqual(
            self.heard(),
            [
                ["READY=1", f"MAINPID={PID}", "STATUS=3 services"],
                ["RELOADING=1", "MONOTONIC_USEC=123456", "STATUS=Reloading"],
                ["READY=1", f"MAINPID={PID}"],
                ["STATUS=7 sessions"],
                ["STOPPING=1", "EXTEND_TIMEOUT_USEC=20000000", "STATUS=Stopping"],
            ],
        )

    def test_status_is_one_short_line(self) -> None:
        """R8: a name in the text can't say READY=1 for us."""
        notifier = self.make()
        notifier.status("a\nREADY=1\r\nb " + "x" * 5000)
        [[line]] = self.heard()
        self.assertTrue(line.startswith("STATUS=a READY=1 b xxx"))
        self.assertEqual(len(line), 1007)
        notifier.status("")
        self.assertEqual(self.heard(), [])

    def test_abstract_socket_is_reached(self) -> None:
        """R8."""
        name = f"netservices-test-{os.getpid()}-{id(self):x}"
        self.manager = self.listen(f"\0{name}")
        self.make(NOTIFY_SOCKET=f"@{name}").status("here")
        self.assertEqual(self.heard(), [["STATUS=here"]])

    def test_nothing_is_said_without_a_manager(self) -> None:
        """R8."""
        for address in ("", "@", "vsock:2:1234", "relative"):
            notifier = self.make(NOTIFY_SOCKET=address, WATCHDOG_USEC="1000000")
            notifier.ready("x")
            notifier.stopping(1.0)
            self.assertIsNone(notifier.period)
        self.assertEqual(self.heard(), [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_manager_that_is_gone_or_full_does_no_harm(self) -> None:
        """R8: a failing send never hurts."""
        notifier = self.make()
        for number in range(5000):
            notifier.status(f"{number} " + "x" * 900)
        self.assertLess(len(self.heard()), 5000)
        self.manager.close()
        notifier.status("nobody listens")
        Path(self.address).unlink()
        notifier.status("nobody is there")
        self.make(NOTIFY_SOCKET="/" + "x" * 300).status("too long a path")
        self.make(NOTIFY_SOCKET="/no/such/folder").ready()

    def test_closed_one_is_silent(self) -> None:
        notifier = self.make(WATCHDOG_USEC="2000000")
        notifier.ready()
        self.heard()
        notifier.close()
        notifier.close()
        notifier.ready("again")
        self.clock.advance(10)
        self.assertEqual(self.heard(), [])


class WatchdogTests(NotifierTestCase):
    """R8: WATCHDOG."""

    def test_beat_comes_at_half_the_time_once_ready(self) -> None:
        """R8."""
        notifier = self.make(WATCHDOG_USEC="30000000", WATCHDOG_PID=str(PID))
        self.assertEqual(notifier.period, 15.0)
        self.clock.advance(40)
        self.assertEqual(self.heard(), [], "a start that hangs must not look alive")
        notifier.ready()
        self.assertEqual(self.heard()[1:], [["WATCHDOG=1"]])
        for _ in range(4):
            self.clock.advance(7.5)
        self.assertEqual(self.heard(), [["WATCHDOG=1"]] * 2)
        notifier.ready()
        self.assertEqual(self.heard(), [["READY=1", f"MAINPID={PID}"]])

    def test_beat_of_another_process_is_not_ours(self) -> None:
        notifier = self.make(WATCHDOG_USEC="30000000", WATCHDOG_PID="1")
        notifier.ready()
        self.assertIsNone(notifier.period)
        self.assertEqual(len(self.heard()), 1)

    def test_time_that_is_no_number_means_no_watchdog(self) -> None:
        for text in ("", "0", "-5", "soon", "1.5", "²", "9" * 30):
            self.assertIsNone(find_watchdog({"WATCHDOG_USEC": text}, PID), text)
        self.assertEqual(find_watchdog({"WATCHDOG_USEC": "500000"}, PID), 0.5)


class EnvironmentTests(SynchronousTestCase):
    """What is meant for the daemon alone."""

    def test_programs_do_not_inherit_it(self) -> None:
        """R8: NOTIFY_SOCKET is unset for children."""
        environment = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "2", "HOME": "/"}
        taken = take_environment(environment)
        self.assertEqual(environment, {"HOME": "/"})
        self.assertEqual(taken, {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "2"})
        self.assertEqual(take_environment(environment), {})
