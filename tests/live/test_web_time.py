"""What takes its time on the web: slow clients, large files, files that change, and the access log."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.live.clients import (
    COMBINED,
    TlsClient,
    ask,
    ask_raw,
    connect,
    make_context,
    parse_response,
    parse_responses,
    read_resident,
    read_to_end,
    wait_for_events,
    wait_until,
)
from tests.live.web import CLOSED, WebCase

if TYPE_CHECKING:
    from tests.live.harness import DaemonProcess


class DeadlineTests(WebCase):
    """H5, R14: nobody holds a connection for nothing."""

    def test_stalled_download_is_ended(self) -> None:
        """R14: whichever way the file is sent, and it takes no memory."""
        with (self.root / "large").open("wb") as file:
            file.truncate(200 * 2**20)
        daemon = self.start('timeouts = { write = "700ms", idle = "1m" }')
        self.assertEqual(ask(daemon, "/").status, 200)
        before = read_resident(daemon.pid)
        request = b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n"
        began = time.monotonic()
        with connect(daemon, "web") as plain, TlsClient(connect(daemon, "web", "tls"), make_context(None)) as client:
            plain.sendall(request)
            client.send(request)
            events = wait_for_events(daemon, CLOSED, 3, 5.0)
            took = time.monotonic() - began
        self.assertEqual([event["reason"] for event in events[1:]], ["the peer stopped reading"] * 2)
        self.assertLess(read_resident(daemon.pid) - before, 12 * 2**20)
        self.assertGreater(took, 0.6)
        self.assertLess(took, 3.0)

    def test_pipelining_without_reading_is_bounded(self) -> None:
        """R14: requests are not even read while their answers are not."""
        (self.root / "text.txt").write_bytes(bytes(100_000))
        daemon = self.start('timeouts.write = "700ms"', "requests = 1000000")
        closed = 0
        for name in ("text.txt", "none"):
            request = b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % name.encode()
            self.assertIn(ask(daemon, "/" + name).status, {200, 404})
            before = read_resident(daemon.pid)
            closed += 1
            self.assertEqual(len(wait_for_events(daemon, CLOSED, closed)), closed)
            with connect(daemon, "web", timeout=0.3) as sock:
                sent = 0
                try:
                    while sent < 50 * 2**20:
                        sent += sock.send(request * 2000)
                except (TimeoutError, ConnectionResetError, BrokenPipeError):
                    pass
                self.assertLess(sent, 50 * 2**20, name)
                self.assertLess(read_resident(daemon.pid) - before, 16 * 2**20, name)
                if name == "text.txt":
                    # It takes seconds until as many short answers have filled the kernel's buffers.
                    events = wait_for_events(daemon, CLOSED, closed + 1, 5.0)[closed:]
                    closed += 1
                    self.assertEqual([event["reason"] for event in events], ["the peer stopped reading"])

    def test_idle_connection_is_closed_between_and_before_requests(self) -> None:
        """H5: in order, and without an answer that nobody asked for."""
        daemon = self.start('timeouts.idle = "300ms"')
        with connect(daemon, "web") as silent, connect(daemon, "web") as resting:
            resting.sendall(b"GET /text.txt HTTP/1.1\r\nHost: a\r\n\r\n")
            response, rest = parse_response(read_to_end(resting))
            self.assertEqual((response.status, rest), (200, b""))
            self.assertEqual(read_to_end(silent), b"")
        with TlsClient(connect(daemon, "web", "tls"), make_context(None)) as client:
            client.send(b"GET /text.txt HTTP/1.1\r\nHost: a\r\n\r\n")
            response, rest = parse_response(client.read_to_end())
            self.assertEqual((response.status, rest), (200, b""))
        events = wait_for_events(daemon, CLOSED, 3)
        self.assertEqual({event["reason"] for event in events}, {"idle timeout"})

    def test_connection_has_so_many_requests(self) -> None:
        """H5: the last answer says that it is the last, on every path."""
        daemon = self.start("requests = 3")
        for _ in range(3):
            with connect(daemon, "web") as sock:
                sock.sendall(b"GET /text.txt HTTP/1.1\r\nHost: a\r\n\r\n" * 5)
                responses = parse_responses(read_to_end(sock))
            self.assertEqual([response.status for response in responses], [200] * 3)
            self.assertEqual([response.fields.get("connection") for response in responses], [None, None, "close"])


class AccessLogTests(WebCase):
    """One line a request, in the combined form."""

    def test_lines_are_in_the_combined_form(self) -> None:
        daemon = self.start(access_log=True)
        agent = 'agent/1.0 (\u00e4; "x")'
        self.assertEqual(ask(daemon, "/text.txt?q=1", "Referer: http://ref/", "User-Agent: curl").status, 200)
        self.assertEqual(ask(daemon, "/text.txt?q=1", method="HEAD").status, 200)
        self.assertEqual(ask(daemon, "/text.txt", "Range: bytes=0-9", f"User-Agent: {agent}").status, 206)
        self.assertEqual(ask(daemon, "/none").status, 404)
        self.assertEqual(ask(daemon, "/%zz").status, 400)
        ask_raw(daemon, b"BREW / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        with TlsClient(connect(daemon, "web", "tls"), make_context(daemon.authority)) as client:
            client.send(b"GET /folder/ HTTP/1.0\r\n\r\n")
            self.assertIn(b"<p>folder</p>", client.read_to_end())
        path = daemon.state / "access.log"
        self.assertTrue(wait_until(lambda: path.read_bytes().count(b"\n") >= 7), path.read_bytes())
        found = [COMBINED.fullmatch(line) for line in path.read_bytes().splitlines(keepends=True)]
        self.assertNotIn(None, found, path.read_bytes())
        lines = [match.groupdict() for match in found if match is not None]
        self.assertEqual({line["peer"] for line in lines}, {b"127.0.0.1"})
        self.assertEqual([int(line["status"]) for line in lines], [200, 200, 206, 404, 400, 501, 200])
        self.assertEqual(
            [line["request"] for line in lines[:2]], [b"GET /text.txt?q=1 HTTP/1.1", b"HEAD /text.txt?q=1 HTTP/1.1"]
        )
        self.assertEqual((lines[0]["length"], lines[2]["length"]), (b"1000", b"10"))
        self.assertIn(lines[1]["length"], {b"0", b"-"})
        self.assertEqual((lines[0]["referer"], lines[0]["agent"]), (b"http://ref/", b"curl"))
        self.assertEqual(lines[2]["agent"], rb"agent/1.0 (\xE4; \x22x\x22)")
        self.assertEqual((lines[1]["referer"], lines[1]["agent"]), (b"-", b"-"))
        # Nothing of a request is in the daemon's own log.
        self.assertEqual(len(wait_for_events(daemon, CLOSED, 7)), 7)
        self.assertNotIn("text.txt", (daemon.state / "netservices.log").read_text())

    def test_lines_wait_for_nobody_and_are_all_there_at_the_end(self) -> None:
        """What was answered before SIGTERM is in the file."""
        daemon = self.start(access_log=True)
        with connect(daemon, "web") as sock:
            sock.sendall(b"GET /text.txt HTTP/1.1\r\nHost: a\r\n\r\n" * 500 + b"GET / HTTP/1.0\r\n\r\n")
            read_to_end(sock)
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual((daemon.state / "access.log").read_bytes().count(b"\n"), 501)


class ChangedFileTests(WebCase):
    """What changes on the disk is served within a second."""

    def poll(self, daemon: DaemonProcess, wanted: tuple[int, bytes]) -> float:
        """How long it takes until the answer is as wanted; at most a few seconds."""
        began = time.monotonic()

        def is_there() -> bool:
            response = ask(daemon, "/hot")
            return (response.status, response.body if response.status == 200 else b"") == wanted

        self.assertTrue(wait_until(is_there, 4.0), wanted)
        return time.monotonic() - began

    def test_hot_file_is_served_new_within_a_second(self) -> None:
        hot = self.root / "hot"
        hot.write_bytes(b"first")
        daemon = self.start()
        for _ in range(20):
            self.assertEqual(ask(daemon, "/hot").body, b"first")
        etag = ask(daemon, "/hot").fields["etag"]
        # In place and of the same size; then as an editor does it; then gone; then there again.
        hot.write_bytes(b"other")
        self.assertLess(self.poll(daemon, (200, b"other")), 1.25)
        self.assertNotEqual(ask(daemon, "/hot").fields["etag"], etag)
        self.assertEqual(ask(daemon, "/hot", f"If-None-Match: {etag}").status, 200)
        fresh = self.root / "fresh"
        fresh.write_bytes(b"third")
        os.utime(fresh, ns=(hot.stat().st_atime_ns, hot.stat().st_mtime_ns))
        fresh.replace(hot)
        self.assertLess(self.poll(daemon, (200, b"third")), 1.25)
        hot.unlink()
        self.assertLess(self.poll(daemon, (404, b"")), 1.25)
        hot.write_bytes(b"again")
        self.assertLess(self.poll(daemon, (200, b"again")), 1.25)

    def test_hot_file_replaced_by_a_link_out_is_not_served(self) -> None:
        """H9: what was asked for before is no reason to trust it now."""
        hot = self.root / "hot"
        hot.write_bytes(b"first")
        daemon = self.start()
        for _ in range(20):
            self.assertEqual(ask(daemon, "/hot").body, b"first")
        hot.unlink()
        hot.symlink_to(self.directory / "secret")
        self.assertLess(self.poll(daemon, (404, b"")), 1.25)


class LargeFileTests(WebCase):
    """Files that are never in memory as a whole."""

    def make_large(self, megabytes: int) -> bytes:
        """A sparse file with something at both ends and in between; its SHA-256."""
        path = self.root / "large"
        with path.open("wb") as file:
            for at in (0, megabytes // 3, megabytes // 2):
                file.seek(at * 2**20 + 17)
                file.write(os.urandom(100000))
            file.seek(megabytes * 2**20 - 5)
            file.write(b"end.\n")
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()

    def test_200_mb_arrive_whole(self) -> None:
        digest = self.make_large(200)
        daemon = self.start()
        got = hashlib.sha256()
        with connect(daemon, "web") as sock:
            sock.sendall(b"GET /large HTTP/1.0\r\n\r\n")
            head, _, begun = sock.recv(1000).partition(b"\r\n\r\n")
            self.assertIn(b"Content-Length: %d\r\n" % (200 * 2**20), head + b"\r\n")
            got.update(begun)
            while data := sock.recv(2**20):
                got.update(data)
        self.assertEqual(got.digest(), digest)
        event = wait_for_events(daemon, CLOSED)[0]
        self.assertEqual(event["bytes_out"], 200 * 2**20 + len(head) + 4)

    def test_20_mb_arrive_whole_over_tls(self) -> None:
        digest = self.make_large(20)
        daemon = self.start()
        body = self.curl("--cacert", str(daemon.authority), daemon.url("web", "/large", tls=True))
        self.assertEqual(hashlib.sha256(body).digest(), digest)

    def test_client_that_leaves_in_the_middle_costs_nothing(self) -> None:
        """The file's descriptor is given back."""
        self.make_large(20)
        daemon = self.start()
        self.assertEqual(ask(daemon, "/").status, 200)
        self.assertEqual(len(wait_for_events(daemon, CLOSED, 1)), 1)

        def list_open() -> list[str]:
            return sorted(str(path.readlink()) for path in Path(f"/proc/{daemon.pid}/fd").iterdir())

        before = list_open()
        for transport in ("tcp", "tls") * 3:
            with connect(daemon, "web", transport) as sock:
                if transport == "tls":
                    client = TlsClient(sock, make_context(daemon.authority))
                    client.send(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
                    client.read(1000)
                else:
                    sock.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
                    sock.recv(1000)
        self.assertEqual(len(wait_for_events(daemon, CLOSED, 7)), 7)
        wait_until(lambda: list_open() == before, 3.0)
        self.assertEqual(list_open(), before)

    def test_file_cut_while_it_is_sent_ends_the_connection(self) -> None:
        """H15: an answer that can't be whole is never ended as if it were."""
        self.make_large(50)
        daemon = self.start()
        with connect(daemon, "web") as sock:
            sock.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
            begun = sock.recv(1000)
            os.truncate(self.root / "large", 20 * 2**20)
            rest = read_to_end(sock)
        self.assertLess(len(begun) + len(rest), 50 * 2**20)
        self.assertEqual(ask(daemon, "/").status, 200)
