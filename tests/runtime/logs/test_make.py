"""From the ``[log]`` table to the lines, through every target."""

from __future__ import annotations

import json
import os
import socket
import tempfile
import threading
from pathlib import Path

from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase

from netservices.config import LogOptions
from netservices.runtime.events import Event, EventLog
from netservices.runtime.logs import LogObserver, Places, make_log_observer
from netservices.runtime.logs.courier import FLUSH_SECONDS
from netservices.runtime.logs.make import find_targets
from tests.runtime.logs.fakes import FakeReactor, as_reactor

SENT = Event("ftp.file.sent", LogLevel.info, "{path} sent", "For tests.")


class MakeCase(SynchronousTestCase):
    """What the tests below share."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        # trial's own folders have paths too long for a socket.
        self.folder = Path(folder.name)
        self.reactor = FakeReactor()
        self.stderr, stderr = os.pipe()
        self.addCleanup(os.close, self.stderr)
        self.addCleanup(os.close, stderr)
        # Before its descriptors are closed: another test's could get the same numbers.
        self.addCleanup(self.join_writers)
        os.set_blocking(self.stderr, False)
        self.console = self.folder / "console"
        self.console.touch()
        self.places = Places(journal=self.folder / "journal", console=self.console, stderr=stderr)

    def join_writers(self) -> None:
        """Wait until every writer thread has ended."""
        for thread in threading.enumerate():
            if thread.name == "netservices log":
                thread.join(10)
                self.assertFalse(thread.is_alive())

    def make(self, environment: dict[str, str] | None = None, **log: object) -> LogObserver:
        """An observer of these options."""
        return make_log_observer(
            LogOptions.model_validate(log), hostname="h.example", state=self.folder, interactive=False,
            reactor=as_reactor(self.reactor), environment=environment or {}, places=self.places,
        )  # fmt: skip

    def receive(self, name: str) -> socket.socket:
        """A local socket that is read."""
        receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(receiver.close)
        receiver.bind(str(self.folder / name))
        receiver.settimeout(10)
        return receiver

    def stop(self, observer: LogObserver) -> None:
        """Stopped, with its threads."""
        done = observer.stop()
        self.reactor.run_until(lambda: done.called or self.reactor.asked.empty())
        while not done.called and self.reactor.asked.qsize():
            self.reactor.run_call()
        self.reactor.run_until(lambda: done.called)

    def read_stderr(self) -> bytes:
        """What was written."""
        try:
            return os.read(self.stderr, 1 << 16)
        except BlockingIOError:
            return b""


class FindTargetsTests(MakeCase):
    """``to`` left out."""

    def find(self, *, interactive: bool = False, to: object = None, **environment: str) -> tuple[str, ...]:
        """With this environment."""
        options = LogOptions.model_validate({"to": to})
        return find_targets(
            options, interactive=interactive, environment=environment, journal=self.places.journal
        )  # fmt: skip

    def test_what_the_file_says_wins(self) -> None:
        self.receive("journal")
        self.assertEqual(self.find(to=["file", "stderr", "file"], JOURNAL_STREAM="1:2"), ("file", "stderr"))
        self.assertEqual(self.find(to=[]), ())

    def test_under_systemd_it_is_the_journal_if_there_is_one(self) -> None:
        """R34."""
        self.assertEqual(self.find(JOURNAL_STREAM="1:2"), ("syslog",))
        self.places.journal.touch()
        self.assertEqual(self.find(JOURNAL_STREAM="1:2", interactive=True), ("stderr",))
        self.places.journal.unlink()
        self.receive("journal")
        self.assertEqual(self.find(JOURNAL_STREAM="1:2", interactive=True), ("journal",))

    def test_in_the_foreground_it_is_stderr_else_syslog(self) -> None:
        """R34."""
        self.receive("journal")
        self.assertEqual(self.find(interactive=True), ("stderr",))
        self.assertEqual(self.find(), ("syslog",))


class TargetTests(MakeCase):
    """Every target."""

    def test_file(self) -> None:
        """R34: a relative path is below the state directory; SIGHUP opens it anew."""
        observer = self.make(to=["file"], file={"path": "x.log"})
        log = EventLog(observer)
        log.emit(SENT, path="1")
        observer.start()
        observer.reopen()
        log.emit(SENT, path="2")
        self.stop(observer)
        lines = [json.loads(line) for line in (self.folder / "x.log").read_text().splitlines()]
        self.assertEqual([line["path"] for line in lines], ["1", "2"])

    def test_stderr(self) -> None:
        """R34."""
        observer = self.make(to=["stderr"])
        EventLog(observer).emit(SENT, path="a\n")
        self.stop(observer)
        self.assertRegex(self.read_stderr(), rb"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z info ftp: a\\n sent\n$")

    def test_stderr_under_systemd(self) -> None:
        """R34."""
        for name in ("JOURNAL_STREAM", "INVOCATION_ID"):
            observer = self.make({name: "x"}, to=["stderr"])
            EventLog(observer).emit(SENT, path="a")
            self.stop(observer)
            self.assertEqual(self.read_stderr(), b"<6>ftp: a sent\n")

    def test_journal(self) -> None:
        """R34."""
        receiver = self.receive("journal")
        observer = self.make(to=["journal"], facility="mail")
        EventLog(observer).emit(SENT, path="a")
        observer.start()
        entry = receiver.recv(10_000)
        self.assertIn(b"MESSAGE=a sent\nPRIORITY=6\nSYSLOG_IDENTIFIER=netservices\nSYSLOG_FACILITY=2\n", entry)
        self.stop(observer)

    def test_syslog_with_facilities_and_pid(self) -> None:
        """R30, R31."""
        receiver = self.receive("log")
        address = f"unix:{self.folder}/log"
        observer = self.make(to=["syslog"], facility="local0", syslog={"address": address, "format": "rfc5424"})
        observer.start()
        EventLog(observer).emit(SENT, path="a")
        EventLog(observer, facility="ftp").emit(SENT, path="b")
        self.assertRegex(
            receiver.recv(10_000),
            rb"^<134>1 \S+ h\.example netservices %d ftp\.file\.sent \[netservices@32473 path=\"a\"\] a sent$"
            % os.getpid(),
        )
        self.assertRegex(receiver.recv(10_000), rb"^<94>1 ")
        self.stop(observer)

    def test_syslog_without_pid(self) -> None:
        """R31."""
        receiver = self.receive("log")
        address = f"unix:{self.folder}/log"
        observer = self.make(to=["syslog"], syslog={"address": address, "options": [], "format": "rfc5424"})
        observer.start()
        EventLog(observer).emit(SENT, path="a")
        self.assertIn(b" h.example netservices - ftp.file.sent ", receiver.recv(10_000))
        self.stop(observer)
        observer = self.make(to=["syslog"], syslog={"address": address, "options": []})
        observer.start()
        EventLog(observer).emit(SENT, path="a")
        self.assertRegex(receiver.recv(10_000), rb"^<30>\w{3} [ \d]\d \d\d:\d\d:\d\d netservices: a sent$")
        self.stop(observer)

    def test_ndelay_connects_at_the_start(self) -> None:
        """R31: so that a change of root or of rights afterwards does not matter."""
        for options, found in ((["ndelay"], [b"1"]), ([], [])):
            receiver = self.receive("log")
            observer = self.make(to=["syslog"], syslog={"address": f"unix:{self.folder}/log", "options": options})
            observer.start()
            # Who connected earlier still reaches the socket after its name is gone.
            (self.folder / "log").unlink()
            EventLog(observer).emit(SENT, path="a")
            receiver.setblocking(False)
            try:
                got = [receiver.recv(10_000)]
            except BlockingIOError:
                got = []
            self.assertEqual(len(got), len(found))
            done = observer.stop()
            self.reactor.advance(FLUSH_SECONDS)
            self.successResultOf(done)

    def test_cons_shows_what_cannot_be_sent(self) -> None:
        """R31: lines that wait and lines that come, each once; when syslog is back, the console is left alone."""
        observer = self.make(
            to=["syslog"], syslog={"address": f"unix:{self.folder}/log", "options": ["cons"], "format": "rfc3164"}
        )
        log = EventLog(observer)
        log.emit(SENT, path="1")
        observer.start()
        log.emit(SENT, path="2")
        receiver = self.receive("log")
        self.reactor.advance(0.25)
        log.emit(SENT, path="3")
        self.stop(observer)
        self.assertRegex(
            self.console.read_bytes(),
            rb"^\w{3} .\d \d\d:\d\d:\d\d netservices: 1 sent\r\n\w{3} .\d \d\d:\d\d:\d\d netservices: 2 sent\r\n$",
        )
        for number in (b"1", b"2", b"3"):
            self.assertTrue(receiver.recv(10_000).endswith(b"netservices: " + number + b" sent"))

    def test_cons_in_the_newer_form(self) -> None:
        """R31."""
        options = {"address": f"unix:{self.folder}/log", "options": ["cons"], "format": "rfc5424"}
        observer = self.make(to=["syslog"], syslog=options)
        observer.start()
        EventLog(observer).emit(SENT, path="1")
        done = observer.stop()
        self.reactor.run_call()
        self.reactor.advance(FLUSH_SECONDS)
        self.successResultOf(done)
        self.assertRegex(
            self.console.read_bytes(), rb"^\d{4}-\S+Z h\.example netservices - ftp\.file\.sent .* 1 sent\r\n$"
        )

    def test_perror_writes_to_stderr_too(self) -> None:
        """R31."""
        receiver = self.receive("log")
        syslog = {"address": f"unix:{self.folder}/log", "options": ["pid", "perror"]}
        observer = self.make(to=["syslog"], syslog=syslog)
        observer.start()
        EventLog(observer).emit(SENT, path="1")
        self.stop(observer)
        self.assertEqual(self.read_stderr(), b"netservices[%d]: 1 sent\n" % os.getpid())
        receiver.recv(10_000)

    def test_perror_adds_nothing_where_stderr_is_a_target(self) -> None:
        """R31."""
        self.receive("log")
        syslog = {"address": f"unix:{self.folder}/log", "options": ["perror"]}
        observer = self.make({"INVOCATION_ID": "x"}, to=["syslog", "stderr"], syslog=syslog)
        observer.start()
        EventLog(observer).emit(SENT, path="1")
        self.stop(observer)
        self.assertEqual(self.read_stderr(), b"<6>ftp: 1 sent\n")

    def test_an_outage_of_one_target_is_in_the_others(self) -> None:
        """R32."""
        observer = self.make(
            {"INVOCATION_ID": "x"}, to=["syslog", "stderr"], syslog={"address": f"unix:{self.folder}/log"}
        )
        observer.start()
        EventLog(observer).emit(SENT, path="1")
        self.receive("log")
        observer.reopen()
        self.stop(observer)
        self.assertEqual(
            self.read_stderr().splitlines()[0],
            b"<3>daemon: syslog can't be written to: No such file or directory; "
            b"lines are kept for it while there is room",
        )

    def test_an_outage_of_the_only_target_is_on_stderr(self) -> None:
        """R32."""
        observer = self.make(to=["syslog"], syslog={"address": f"unix:{self.folder}/log"})
        observer.start()
        EventLog(observer).emit(SENT, path="1")
        receiver = self.receive("log")
        observer.reopen()
        self.stop(observer)
        self.assertIn(b" error daemon: syslog can't be written to: No such file or directory;", self.read_stderr())
        self.assertIn(b" 1 sent", receiver.recv(10_000))

    def test_the_limit_of_a_line_is_the_transports(self) -> None:
        """R30."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
            receiver.bind(("127.0.0.1", 0))
            receiver.settimeout(10)
            observer = self.make(to=["syslog"], syslog={"address": f"udp:127.0.0.1:{receiver.getsockname()[1]}"})
            observer.start()
            EventLog(observer).emit(SENT, path="x" * 10_000)
            self.assertLessEqual(2046, len(receiver.recv(100_000)))
            self.stop(observer)

    def test_an_authority_that_is_missing_is_an_error_at_once(self) -> None:
        """R3."""
        path = self.folder / "ca.pem"
        path.touch()
        syslog = {"address": "tls:localhost:6514", "authority": str(path)}
        error = self.assertRaises(ValueError, self.make, to=["syslog"], syslog=syslog)
        self.assertIn(f"{path} has no certificate", str(error))
        syslog = {"address": "tls:localhost:6514"}
        self.assertEqual(self.make(to=["syslog"], syslog=syslog).targets[0].name, "syslog")
