"""A real rsyslog gets what the configuration says, by every transport and in both forms."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from twisted.internet import reactor as global_reactor
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import LogLevel
from twisted.trial.unittest import SkipTest, TestCase

from netservices.config import LogOptions
from netservices.runtime.events import Event, EventLog
from netservices.runtime.logs import LogObserver, make_log_observer
from tests.runtime.logs.certificates import make_certificate
from tests.runtime.logs.fakes import as_reactor

if TYPE_CHECKING:
    from collections.abc import Callable

reactor = as_reactor(global_reactor)

LEVELS = {
    "debug": LogLevel.debug,
    "info": LogLevel.info,
    "warn": LogLevel.warn,
    "error": LogLevel.error,
    "critical": LogLevel.critical,
}
EVENTS = {name: Event(f"test.{name}.sent", level, "{text}", "For tests.") for name, level in LEVELS.items()}

CONFIGURATION = r"""
global(workDirectory="{folder}" maxMessageSize="16k" net.enableDNS="off" {tls})
module(load="imuxsock" SysSock.Use="off")
module(load="imudp")
module(load="imtcp" {tls_module})
template(name="all" type="list" option.jsonf="on") {{
  property(outname="pri" name="pri" format="jsonf")
  property(outname="facility" name="syslogfacility-text" format="jsonf")
  property(outname="severity" name="syslogseverity-text" format="jsonf")
  property(outname="host" name="hostname" format="jsonf")
  property(outname="app" name="app-name" format="jsonf")
  property(outname="process" name="procid" format="jsonf")
  property(outname="id" name="msgid" format="jsonf")
  property(outname="data" name="structured-data" format="jsonf")
  property(outname="message" name="msg" format="jsonf")
}}
ruleset(name="out") {{ action(type="omfile" file="{folder}/out" template="all") }}
input(type="imuxsock" Socket="{folder}/log" UseSpecialParser="off" ParseHostname="on" ruleset="out")
input(type="imuxsock" Socket="{folder}/stock" ruleset="out")
input(type="imudp" address="127.0.0.1" port="{udp}" ruleset="out")
{inputs}
"""


def find_port(kind: socket.SocketKind) -> int:
    """A port that is free now; rsyslog can't be told to take any."""
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def find_module(name: str) -> bool:
    """Whether rsyslog has this module."""
    return any(Path("/usr").glob(f"lib*/**/rsyslog/{name}.so"))


class Rsyslog:
    """One rsyslogd in a folder of its own."""

    def __init__(self, folder: Path, *, tls: bool) -> None:
        self.folder = folder
        self.udp = find_port(socket.SOCK_DGRAM)
        self.tcp = find_port(socket.SOCK_STREAM)
        self.process: subprocess.Popen[bytes] | None = None
        self.authority, certificate, key = make_certificate(folder)
        names = {
            "folder": folder,
            "udp": self.udp,
            "tls": "",
            "tls_module": "",
            "inputs": f'input(type="imtcp" address="127.0.0.1" port="{self.tcp}" ruleset="out")',
        }
        if tls:
            names["tls"] = (
                f'defaultNetstreamDriver="gtls" defaultNetstreamDriverCAFile="{self.authority}" '
                f'defaultNetstreamDriverCertFile="{certificate}" defaultNetstreamDriverKeyFile="{key}"'
            )
            names["tls_module"] = 'streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="anon"'
        (folder / "conf").write_text(CONFIGURATION.format(**names))

    def start(self) -> None:
        """Start, in the foreground; ``is_ready`` tells when it listens."""
        (self.folder / "log").unlink(missing_ok=True)
        with (self.folder / "err").open("wb") as errors:
            self.process = subprocess.Popen(
                ["rsyslogd", "-n", "-f", str(self.folder / "conf"), "-i", str(self.folder / "pid")],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )

    def is_ready(self) -> bool:
        """Every input takes lines."""
        if self.process is None or self.process.poll() is not None:
            raise AssertionError((self.folder / "err").read_text())
        try:
            socket.create_connection(("127.0.0.1", self.tcp)).close()
        except OSError:
            return False
        return (self.folder / "log").exists() and (self.folder / "stock").exists()

    def stop(self) -> None:
        """End it, by its process."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(10)
            self.process = None

    def lines(self) -> list[dict[str, str]]:
        """What it has got."""
        path = self.folder / "out"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]


class RsyslogTests(TestCase):
    """R30 and R32, with rsyslog."""

    timeout = 60

    async def run_rsyslog(self, *, tls: bool = False) -> Rsyslog:
        """Started and ready."""
        if shutil.which("rsyslogd") is None:
            raise SkipTest("rsyslogd is not installed")
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        rsyslog = Rsyslog(Path(folder.name), tls=tls)
        self.addCleanup(rsyslog.stop)
        rsyslog.start()
        await self.until(rsyslog.is_ready)
        return rsyslog

    async def until(self, done: Callable[[], object]) -> None:
        """Look often until it is so; the test's time limit ends it."""
        while not done():
            await deferLater(reactor, 0.02, lambda: None)

    def make(self, **syslog: object) -> LogObserver:
        """Started, and stopped at the end."""
        observer = make_log_observer(
            LogOptions.model_validate({"to": ["syslog"], "level": "debug", "facility": "local3", "syslog": syslog}),
            hostname="host.example.org", state=Path(self.mktemp()), interactive=False, reactor=reactor,
            environment={},
        )  # fmt: skip
        observer.start()
        self.addCleanup(observer.stop)
        return observer

    async def send_all(self, rsyslog: Rsyslog, address: str, **syslog: object) -> list[dict[str, str]]:
        """One event of each severity; what rsyslog made of them, in that order."""
        log = EventLog(self.make(address=address, **syslog), service="files", peer="[::1]:21")
        for event in EVENTS.values():
            log.emit(event, text=f"hello {event.level.name}")
        log.emit(EVENTS["info"], text="hello notice", syslog_severity="notice", facility="mail")
        log.emit(EVENTS["info"], text='bad\r\n<0>forged\0\x1b[2J"', path=b'x\x9b]"\\')
        await self.until(lambda: len(rsyslog.lines()) == 7)
        order = ["debug", "info", "warn", "error", "critical", "notice", "bad"]
        return sorted(rsyslog.lines(), key=lambda line: order.index(line["message"].split()[-1].partition("\\")[0]))

    def check_severities(self, lines: list[dict[str, str]]) -> None:
        """Facility and severity of each."""
        self.assertEqual(
            [(line["facility"], line["severity"]) for line in lines],
            [("local3", "debug"), ("local3", "info"), ("local3", "warning"), ("local3", "err"), ("local3", "crit"),
             ("mail", "notice"), ("local3", "info")],
        )  # fmt: skip
        self.assertEqual(lines[0]["pri"], str(19 * 8 + 7))

    def check_rfc5424(self, lines: list[dict[str, str]]) -> None:
        """Every part of every line."""
        self.check_severities(lines)
        process = str(os.getpid())
        for line, name in zip(lines, [*LEVELS, "info", "info"], strict=True):
            self.assertEqual((line["host"], line["app"], line["process"]), ("host.example.org", "netservices", process))
            self.assertEqual(line["id"], f"test.{name}.sent")
            self.assertTrue(line["data"].startswith('[netservices@32473 service="files" peer="[::1\\]:21" '))
        self.assertEqual(lines[0]["message"], "hello debug")
        self.assertEqual(lines[6]["message"], r'bad\r\n<0>forged\x00\x1b[2J"')
        self.assertIn(r' path="x\\x9b\]\"\\"', lines[6]["data"])

    def check_rfc3164(self, lines: list[dict[str, str]], host: str | None) -> None:
        """The parts that this form has."""
        self.check_severities(lines)
        for line in lines:
            self.assertEqual((line["app"], line["process"]), ("netservices", str(os.getpid())))
            if host is not None:
                self.assertEqual(line["host"], host)
        self.assertEqual(lines[1]["message"].strip(), "hello info")
        self.assertEqual(lines[6]["message"].strip(), r'bad\r\n<0>forged\x00\x1b[2J"')

    async def test_local_socket_rfc5424(self) -> None:
        """R30, R33: the input must be told to read more than the traditional form."""
        rsyslog = await self.run_rsyslog()
        self.check_rfc5424(await self.send_all(rsyslog, f"unix:{rsyslog.folder}/log", format="rfc5424"))

    async def test_local_socket_rfc3164(self) -> None:
        """R30, R33: the input as it is without options."""
        rsyslog = await self.run_rsyslog()
        self.check_rfc3164(await self.send_all(rsyslog, f"unix:{rsyslog.folder}/stock", format="rfc3164"), None)

    async def test_udp_rfc5424(self) -> None:
        """R30, R33."""
        rsyslog = await self.run_rsyslog()
        self.check_rfc5424(await self.send_all(rsyslog, f"udp:127.0.0.1:{rsyslog.udp}"))

    async def test_udp_rfc3164(self) -> None:
        """R30, R33."""
        rsyslog = await self.run_rsyslog()
        self.check_rfc3164(await self.send_all(rsyslog, f"udp:127.0.0.1:{rsyslog.udp}", format="rfc3164"), "host")

    async def test_tcp_rfc5424(self) -> None:
        """R30, R33."""
        rsyslog = await self.run_rsyslog()
        self.check_rfc5424(await self.send_all(rsyslog, f"tcp:localhost:{rsyslog.tcp}"))

    async def test_tcp_rfc3164(self) -> None:
        """R30, R33."""
        rsyslog = await self.run_rsyslog()
        self.check_rfc3164(await self.send_all(rsyslog, f"tcp:127.0.0.1:{rsyslog.tcp}", format="rfc3164"), "host")

    async def run_tls(self) -> Rsyslog:
        """Over TLS, where rsyslog has it."""
        if not find_module("lmnsd_gtls"):
            raise SkipTest("rsyslog-gnutls is not installed")
        return await self.run_rsyslog(tls=True)

    async def test_tls_rfc5424(self) -> None:
        """R30, R33."""
        rsyslog = await self.run_tls()
        self.check_rfc5424(
            await self.send_all(rsyslog, f"tls:localhost:{rsyslog.tcp}", authority=str(rsyslog.authority))
        )

    async def test_tls_rfc3164(self) -> None:
        """R30, R33."""
        rsyslog = await self.run_tls()
        syslog = {"authority": str(rsyslog.authority), "format": "rfc3164"}
        self.check_rfc3164(await self.send_all(rsyslog, f"tls:localhost:{rsyslog.tcp}", **syslog), "host")

    async def test_without_pid(self) -> None:
        """R31."""
        rsyslog = await self.run_rsyslog()
        log = EventLog(self.make(address=f"unix:{rsyslog.folder}/log", options=[], format="rfc5424"))
        log.emit(EVENTS["info"], text="x")
        await self.until(rsyslog.lines)
        self.assertEqual(rsyslog.lines()[0]["process"], "-")

    async def test_a_restart_loses_nothing_of_what_was_queued(self) -> None:
        """R32: and the reactor is never held while rsyslog is away."""
        rsyslog = await self.run_rsyslog()
        log = EventLog(self.make(address=f"unix:{rsyslog.folder}/log", queue=100, format="rfc5424"))
        log.emit(EVENTS["info"], text="first")
        await self.until(rsyslog.lines)
        rsyslog.stop()
        longest = 0.0
        last = time.perf_counter()

        def tick() -> None:
            nonlocal last, longest
            now = time.perf_counter()
            longest, last = max(longest, now - last), now

        ticks = LoopingCall(tick)
        ticks.start(0.01)
        self.addCleanup(ticks.stop)
        for number in range(150):
            log.emit(EVENTS["info"], text=f"number {number}")
            await deferLater(reactor, 0, lambda: None)
        self.assertLess(longest, 0.5)
        rsyslog.start()
        await self.until(lambda: len(rsyslog.lines()) == 102)
        messages = [line["message"] for line in rsyslog.lines()]
        self.assertEqual(messages[:-1], ["first", *[f"number {number}" for number in range(100)]])
        self.assertEqual(messages[-1], "50 lines for syslog were dropped here")
        self.assertEqual(rsyslog.lines()[-1]["id"], "daemon.log.dropped")
