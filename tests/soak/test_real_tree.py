"""A tree of some thousand files that nobody here wrote, fetched whole; a file of gigabytes; long streams."""

from __future__ import annotations

import asyncio
import filecmp
import hashlib
import os
import socket
import ssl
import stat
import sysconfig
import tempfile
import threading
from pathlib import Path
from urllib.parse import quote_from_bytes

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.live.clients import connect, make_config, make_context, read_events, wait_for_events, wait_until
from tests.live.harness import Daemon, make_directory, require, run
from tests.live.test_rsyslog import Rsyslog
from tests.soak.load import make_open_config

ENOUGH = 2000
MOST = 6000
LARGE = 5 * 2**30
STREAM = 100 * 2**20
CLOSED = "daemon.session.closed"


def list_files(root: Path) -> list[Path]:
    """Regular files below ``root`` that a web server shows, in order; links are left out."""
    found: list[Path] = []
    for top, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(top, name)
            state = path.lstat()
            if stat.S_ISREG(state.st_mode) and not name.startswith(".") and state.st_size < 2**22:
                found.append(path)
    return found


def find_tree() -> tuple[Path, list[Path]]:
    """A folder of this machine with some thousand files that we did not write."""
    for folder in (Path("/usr/share/doc"), Path(sysconfig.get_path("purelib")), Path("/usr/share"), Path("/usr/lib")):
        files = list_files(folder) if folder.is_dir() else []
        if len(files) >= ENOUGH:
            # Evenly over the whole tree, so that every sort of file is among them.
            return folder, files[:: -(-len(files) // MOST)]
    raise SkipTest("this machine has no folder with enough files")


class TreeTests(SynchronousTestCase):
    """The whole tree over HTTP and over HTTPS, byte for byte; and its sessions in rsyslog's file."""

    def test_tree_arrives_byte_for_byte(self) -> None:
        """R30, R35: with ``wget -x -i``, and the log read back."""
        wget, rsyslogd = require("wget"), require("rsyslogd")
        self.assertTrue(rsyslogd)
        root, files = find_tree()
        directory = make_directory(self)
        folder = tempfile.TemporaryDirectory(prefix="netservices-")
        self.addCleanup(folder.cleanup)
        rsyslog = Rsyslog(Path(folder.name), tls=False)
        self.addCleanup(rsyslog.stop)
        rsyslog.start()
        self.assertTrue(wait_until(rsyslog.is_ready))
        to = f'to = ["syslog", "file"]\nsyslog = {{ address = "unix:{rsyslog.folder}/log", format = "rfc5424" }}'
        daemon = Daemon(self, make_open_config(root).replace('to = ["file"]', to), directory=directory)
        for tls in (False, True):
            base = daemon.url("web", "", tls=tls)
            urls = [base + "/" + quote_from_bytes(bytes(path.relative_to(root))) for path in files]
            (directory / "urls").write_text("\n".join(urls) + "\n")
            copy = directory / f"copy-{tls}"
            ended = run(
                wget, "-nv", "-x", "-nH", "--restrict-file-names=nocontrol", "-t", "1", "-T", "20", "-P", str(copy),
                "--ca-certificate", str(daemon.authority), "-i", str(directory / "urls"), "-o", str(directory / "wget"),
                timeout=240,
            )  # fmt: skip
            said = (directory / "wget").read_text(errors="replace")
            self.assertEqual(ended.returncode, 0, [line for line in said.splitlines() if "ERROR" in line][:10])
            wrong = [path for path in files if not filecmp.cmp(path, copy / path.relative_to(root), shallow=False)]
            self.assertEqual(wrong, [])
            self.assertEqual(len(list_files(copy)), len(files))
        self.assertEqual(daemon.stop(), 0)
        lines = (daemon.state / "access.log").read_bytes().splitlines()
        self.assertEqual(len(lines), 2 * len(files))
        self.assertEqual({line.rpartition(b'" "')[0].split(b'" ')[1].split()[0] for line in lines}, {b"200"})
        # The same sessions, as rsyslog has them and as the file has them.
        sessions = {event["session"]: event for event in read_events(daemon, CLOSED)}
        self.assertEqual({event["tls"] is None for event in sessions.values()}, {True, False})
        sent = sum(int(event["bytes_out"]) for event in sessions.values())
        self.assertGreater(sent, 2 * sum(path.stat().st_size for path in files))

        def read_back() -> list[str]:
            return [line["data"] for line in rsyslog.lines() if line["id"] == CLOSED]

        self.assertTrue(wait_until(lambda: len(read_back()) >= len(sessions)))
        for data in read_back():
            session = sessions.pop(data.partition('session="')[2].partition('"')[0])
            self.assertIn(f'bytes_out="{session["bytes_out"]}"', data)
        self.assertEqual(sessions, {})


class LargeFileTests(SynchronousTestCase):
    """Five gigabytes, most of them a hole."""

    def setUp(self) -> None:
        self.directory = make_directory(self)
        self.root = self.directory / "www"
        self.root.mkdir()
        self.marks = {at: os.urandom(2**20) for at in (0, 2**31 - 2**19, 2**32 - 2**19, LARGE - 2**20)}
        with (self.root / "large").open("wb") as file:
            for at, data in self.marks.items():
                file.seek(at)
                file.write(data)
        self.daemon = Daemon(self, make_config(root=self.root), directory=self.directory)

    def test_ranges_beyond_four_gigabytes(self) -> None:
        """H12: ``curl -r``."""
        curl = require("curl")
        for tls in (False, True):
            url = self.daemon.url("web", "/large", tls=tls)
            trust = ("--cacert", str(self.daemon.authority))
            for at, data in self.marks.items():
                ended = run(curl, "-sS", *trust, "-r", f"{at}-{at + len(data) - 1}", url)
                self.assertTrue(ended.stdout == data, (tls, at, ended.stderr))
            ended = run(curl, "-sS", *trust, "-r", "-1048576", url)
            self.assertTrue(ended.stdout == self.marks[LARGE - 2**20])

    def test_interrupted_download_is_continued(self) -> None:
        """``curl -C -``: what was there is left alone, what is new is the rest."""
        curl = require("curl")
        for tls in (False, True):
            part = self.directory / "part"
            with part.open("wb") as file:
                file.truncate(LARGE - 50 * 2**20)
            ended = run(
                curl, "-sS", "--cacert", str(self.daemon.authority), "-C", "-", "-o", str(part),
                self.daemon.url("web", "/large", tls=tls), timeout=120,
            )  # fmt: skip
            self.assertEqual(ended.returncode, 0, ended.stderr)
            self.assertEqual(part.stat().st_size, LARGE)
            with part.open("rb") as file:
                file.seek(LARGE - 50 * 2**20)
                rest = file.read()
            self.assertTrue(rest == bytes(49 * 2**20) + self.marks[LARGE - 2**20])
            part.unlink()


class StreamTests(SynchronousTestCase):
    """A hundred megabytes there and back."""

    def test_stream_comes_back_over_tcp(self) -> None:
        daemon = Daemon(self, make_config())
        block = os.urandom(2**20)
        sent, got = hashlib.sha256(), hashlib.sha256()
        with connect(daemon, "echo") as sock:

            def send() -> None:
                for number in range(STREAM // len(block)):
                    data = number.to_bytes(8, "big") + block[8:]
                    sent.update(data)
                    sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)

            thread = threading.Thread(target=send)
            thread.start()
            try:
                while data := sock.recv(2**18):
                    got.update(data)
            finally:
                thread.join()
        self.assertEqual(got.digest(), sent.digest())
        event = wait_for_events(daemon, CLOSED)[0]
        self.assertEqual((event["bytes_in"], event["bytes_out"]), (STREAM, STREAM))

    def test_stream_comes_back_over_tls(self) -> None:
        daemon = Daemon(self, make_config())
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = make_context(daemon.authority)
            context.minimum_version = context.maximum_version = version
            sent, got = asyncio.run(stream_over_tls(daemon.port("echo", "tls"), context))
            self.assertEqual(got, sent, version)
        events = wait_for_events(daemon, CLOSED, 2)
        self.assertEqual([(event["bytes_in"], event["bytes_out"]) for event in events], [(STREAM, STREAM)] * 2)


async def stream_over_tls(port: int, context: ssl.SSLContext) -> tuple[str, str]:
    """The digests of what was sent to an echo and of what came back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    block = os.urandom(2**18)
    sent, got = hashlib.sha256(), hashlib.sha256()

    async def send() -> None:
        for number in range(STREAM // len(block)):
            data = number.to_bytes(8, "big") + block[8:]
            sent.update(data)
            writer.write(data)
            await writer.drain()

    sending = asyncio.create_task(send())
    left = STREAM
    while left and (data := await reader.read(2**18)):
        got.update(data)
        left -= len(data)
    await sending
    writer.close()
    await writer.wait_closed()
    return sent.hexdigest(), got.hexdigest()
