"""Files over HTTP and HTTPS, asked for by curl and by clients that no decent program would be."""

from __future__ import annotations

import os
import re
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote_from_bytes

from tests.live.clients import (
    Response,
    ask,
    ask_raw,
    connect,
    parse_response,
    parse_responses,
    read_to_end,
)
from tests.live.web import SECRET, WebCase, parse_parts, split

if TYPE_CHECKING:
    from tests.live.harness import DaemonProcess


class CurlTests(WebCase):
    """What curl gets."""

    def test_get_head_and_conditions(self) -> None:
        """H7, H11."""
        daemon = self.start()
        url = daemon.url("web", "/text.txt")
        content = (self.root / "text.txt").read_bytes()
        self.assertEqual(self.curl(url), content)
        _, fields, body = split(self.curl("-i", url))
        head_status, head_fields, nothing = split(self.curl("-I", url))
        self.assertEqual((head_status, nothing), (200, b""))
        for name in ("content-length", "content-type", "etag", "last-modified", "accept-ranges"):
            self.assertEqual(head_fields[name], fields[name], name)
        self.assertEqual((fields["content-type"].partition(";")[0], body), ("text/plain", content))
        self.assertEqual((fields["content-length"], fields["x-content-type-options"]), ("1000", "nosniff"))
        etag, modified = fields["etag"], fields["last-modified"]
        self.assertTrue(etag.startswith('"'), etag)
        for status, *asked in (
            (304, f"If-None-Match: {etag}"),
            (304, f'If-None-Match: "other", W/{etag}'),
            (304, "If-None-Match: *"),
            (200, 'If-None-Match: "other"'),
            (304, f"If-Modified-Since: {modified}"),
            (200, "If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT"),
            (200, "If-Modified-Since: yesterday"),
            (200, 'If-None-Match: "other"', f"If-Modified-Since: {modified}"),
            (200, f"If-Match: {etag}"),
            (412, 'If-Match: "other"'),
            (412, f"If-Match: W/{etag}"),
            (412, "If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT"),
            (206, "Range: bytes=0-4", f"If-Range: {etag}"),
            (200, "Range: bytes=0-4", 'If-Range: "other"'),
        ):
            # Twice, so that the answer from memory is seen as well.
            for turn in (1, 2):
                found, answered, said = split(self.curl("-i", *(f"-H{field}" for field in asked), url))
                self.assertEqual(found, status, (turn, asked))
                if status == 304:
                    self.assertEqual((said, answered["etag"]), (b"", etag), asked)
                    self.assertIn("date", answered)

    def test_ranges(self) -> None:
        """H12."""
        daemon = self.start()
        url = daemon.url("web", "/text.txt")
        content = (self.root / "text.txt").read_bytes()
        for asked, start, end in (
            ("0-0", 0, 1),
            ("5-14", 5, 15),
            ("990-", 990, 1000),
            ("-7", 993, 1000),
            ("995-2000", 995, 1000),
        ):
            status, fields, body = split(self.curl("-i", "-r", asked, url))
            self.assertEqual((status, body), (206, content[start:end]), asked)
            self.assertEqual(fields["content-range"], f"bytes {start}-{end - 1}/1000")
        status, fields, _ = split(self.curl("-i", "-r", "1000-", url))
        self.assertEqual((status, fields["content-range"]), (416, "bytes */1000"))
        # Range is for GET, for bytes, and in a form that can be read; else it is not there.
        for field in ("Range: pages=1-2", "Range: bytes=5-2", "Range: bytes=x", "Range: 1-2"):
            status, _, body = split(self.curl("-i", "-H", field, url))
            self.assertEqual((status, body), (200, content), field)
        self.assertEqual(split(self.curl("-I", "-H", "Range: bytes=0-4", url))[0], 200)
        status, fields, body = split(self.curl("-i", "-r", "0-1,500-501,-3", url))
        self.assertEqual(status, 206)
        wanted = [(f"bytes {at}-{to}/1000", content[at : to + 1]) for at, to in ((0, 1), (500, 501), (997, 999))]
        self.assertEqual(parse_parts(fields["content-type"], body), wanted)
        self.assertEqual(int(fields["content-length"]), len(body))
        # More ranges than any honest client asks for, and ranges that ask for everything many times over.
        for asked in (",".join(f"{n * 10}-{n * 10 + 1}" for n in range(60)), ",".join(["0-"] * 10)):
            status, _, body = split(self.curl("-i", "-r", asked, url))
            self.assertLessEqual(len(body), 2000, asked)
            self.assertIn(status, {200, 206})

    def test_interrupted_download_is_continued(self) -> None:
        """``curl -C -`` gets the rest, plain and over TLS."""
        content = os.urandom(2**20)
        (self.root / "large").write_bytes(content)
        daemon = self.start()
        for tls in (False, True):
            part = self.directory / "part"
            part.write_bytes(content[:300000])
            trust = ["--cacert", str(daemon.authority)]
            self.curl("-C", "-", "-o", str(part), *trust, daemon.url("web", "/large", tls=tls))
            self.assertTrue(part.read_bytes() == content, f"tls={tls}")

    def test_directories(self) -> None:
        """H10."""
        daemon = self.start()
        self.assertEqual(self.curl(daemon.url("web", "/")), b"<p>home</p>")
        self.assertEqual(self.curl(daemon.url("web", "/folder/")), b"<p>folder</p>")
        status, fields, _ = split(self.curl("-i", daemon.url("web", "/folder?a=b&c")))
        self.assertEqual(status, 301)
        self.assertTrue(fields["location"].endswith("/folder/?a=b&c"), fields["location"])
        self.assertEqual(self.curl("-L", daemon.url("web", "/folder")), b"<p>folder</p>")
        self.assertIn(ask(daemon, "/empty/").status, {403, 404})
        self.assertEqual(ask(daemon, "/text.txt/").status, 404)
        # A redirect never leads to another host.
        (self.root / "evil.com" / "x").mkdir(parents=True)
        for target in (
            "//evil.com",
            "///evil.com/x",
            "/%2fevil.com",
            "//evil.com/x",
            "/./evil.com/x",
            "/.//evil.com/x",
        ):
            response = ask(daemon, target)
            location = response.fields.get("location", "/")
            self.assertIn(response.status, {301, 400, 404}, target)
            self.assertFalse(re.match(r"//|/\\|[a-z]+://(?!localhost)", location), (target, location))

    def test_https(self) -> None:
        """The certificate is good for what a client calls us, and what it gets is the same."""
        daemon = self.start()
        trust = ["--cacert", str(daemon.authority)]
        port = daemon.port("web", "tls")
        for host in ("localhost", "127.0.0.1"):
            for version in ("--tlsv1.2", "--tlsv1.3"):
                arguments = [*trust, version, "--tls-max", version[-3:], f"https://{host}:{port}/text.txt"]
                self.assertEqual(self.curl(*arguments), b"0123456789" * 100)
        # Several requests on one connection.
        wanted = "%{num_connects} %{http_code}\n"
        urls = [f"https://localhost:{port}/{name}" for name in ("text.txt", "", "none", "text.txt")]
        output = [part for url in urls for part in ("-o", os.devnull, url)]
        self.assertEqual(self.curl(*trust, "-w", wanted, *output), b"1 200\n0 200\n0 404\n0 200\n")


class ConfinedTests(WebCase):
    """H8, H9: nothing outside of the root is served, and within it only files."""

    def test_nothing_outside_is_served(self) -> None:
        """H8, H9."""
        (self.root / "out").symlink_to(self.directory / "secret")
        (self.root / "up").symlink_to("../")
        (self.root / "root").symlink_to("/")
        (self.root / "in").symlink_to("text.txt")
        daemon = self.start()
        outside = quote_from_bytes(bytes(self.directory / "secret"))
        targets = [
            "/../secret", "/%2e%2e/secret", "/.%2e/secret", "/..%2fsecret", "/%2e%2e%2fsecret", "/folder/../../secret",
            "/folder/%2e%2e/%2e%2e/secret", "/..\\secret", "/%5c..%5csecret", "/folder/..%5c..%5csecret",
            "/....//secret",
            "/%c0%ae%c0%ae/secret", "/%c0%ae%c0%ae%c0%afsecret", "/%e0%80%ae%e0%80%ae/secret", "/%252e%252e/secret",
            "//../secret", "/./../secret", "/..;/secret", "/out", "/up/secret", "/root" + outside, outside,
            "/%00/../../secret", "/text.txt%00.html", "/out%00", "/index.html/../../secret", "../secret", "secret",
            "http://localhost/../secret", "http://localhost/%2e%2e/secret", "file://" + outside,
        ]  # fmt: skip
        for target in targets:
            octets = ask_raw(daemon, f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            response, _ = parse_response(octets)
            self.assertIn(response.status, {400, 404}, target)
            self.assertNotIn(SECRET, octets, target)
        # H9 leaves open whether a link that stays inside is followed; it leads nowhere else.
        self.assertIn(ask(daemon, "/in").status, {200, 404})
        self.assertEqual(ask(daemon, "/text.txt").status, 200)

    def test_what_is_no_file_is_not_there(self) -> None:
        """H9: a FIFO must not keep a thread waiting, nor a device be read."""
        os.mkfifo(self.root / "fifo")
        listening = socket.socket(socket.AF_UNIX)
        self.addCleanup(listening.close)
        listening.bind(str(self.root / "socket"))
        (self.root / ".hidden").write_bytes(b"hidden")
        (self.root / ".git").mkdir()
        (self.root / ".git" / "config").write_bytes(b"hidden")
        (self.root / "folder" / ".htpasswd").write_bytes(b"hidden")
        (self.root / ".well-known").mkdir()
        (self.root / ".well-known" / "security.txt").write_bytes(b"seen")
        (self.root / "zero").symlink_to("/dev/zero")
        daemon = self.start()
        for target in ("/fifo", "/socket", "/zero", "/.hidden", "/.git/config", "/.git/", "/%2egit/config",
                       "/folder/.htpasswd", "/.well-known/../.hidden"):  # fmt: skip
            response = ask(daemon, target)
            self.assertEqual(response.status, 404, target)
            self.assertNotIn(b"hidden", response.body)
        self.assertEqual(ask(daemon, "/.well-known/security.txt").body, b"seen")
        if os.geteuid() != 0:
            (self.root / "text.txt").chmod(0)
            self.assertEqual(ask(daemon, "/text.txt").status, 403)

    def test_every_name_a_file_can_have_is_served(self) -> None:
        """H8: the target is decoded once."""
        names = [
            b"sp ace", "\u00fcml\u00e4ut".encode(), b"100%", b"%41", b"a#b?c", b"a;b=c", b"a+b", b"a&b", b"new\nline",
            b"\xff\xfe.bin", b'quote"', b"back\\slash", b"-r", b"\x1b[2J", "\u65e5\u672c".encode(), b"x" * 255,
            b"..x", b"x..", b"tab\there", b"~", b"con", b"a:b",
        ]  # fmt: skip
        for name in names:
            Path(os.fsdecode(bytes(self.root) + b"/" + name)).write_bytes(name)
        daemon = self.start()
        wrong = []
        for name in names:
            hidden = name.startswith(b".")
            response = ask(daemon, "/" + quote_from_bytes(name, safe=""))
            if (response.status, response.body) != (200, name) and not (hidden and response.status == 404):
                wrong.append((name, response.status))
        self.assertEqual(wrong, [])
        self.assertEqual(ask(daemon, "/%41").status, 404)
        self.assertEqual(ask(daemon, "/%2541").body, b"%41")


class FramingTests(WebCase):
    """H1 to H8: what is refused is refused with an answer."""

    def test_bad_requests_get_their_status(self) -> None:
        """H1, H2, H3, H4, H6, H7, H8."""
        daemon = self.start()
        host = "Host: a\r\n"
        chunked = "Transfer-Encoding: chunked\r\n"
        cases = [
            (200, f"GET / HTTP/1.1\r\n{host}\r\n"),
            (200, "GET / HTTP/1.0\r\n\r\n"),
            (200, f"GET http://a/ HTTP/1.1\r\n{host}\r\n"),
            (200, f"GET /?{'x' * 7000} HTTP/1.1\r\n{host}\r\n"),
            (400, "GET / HTTP/1.1\r\n\r\n"),
            (400, f"GET / HTTP/1.1\r\n{host}Host: b\r\n\r\n"),
            (400, f"GET / HTTP/1.1\r\n{host}{host}\r\n"),
            (400, "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
            (400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
            (400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
            (400, f"POST / HTTP/1.1\r\n{host}Content-Length: 3\r\n{chunked}\r\n0\r\n\r\n"),
            (400, f"POST / HTTP/1.1\r\n{host}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"),
            (400, f"POST / HTTP/1.1\r\n{host}Content-Length: +3\r\n\r\nabc"),
            (400, f"POST / HTTP/1.1\r\n{host}Content-Length: 0x3\r\n\r\nabc"),
            (400, f"POST / HTTP/1.1\r\n{host}Content-Length: \r\n\r\n"),
            (400, f"POST / HTTP/1.1\r\n{host}Transfer-Encoding: gzip\r\n\r\n"),
            (400, f"POST / HTTP/1.1\r\n{host}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
            (400, f"POST / HTTP/1.1\r\n{host}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
            (400, f"POST / HTTP/1.0\r\n{chunked}\r\n0\r\n\r\n"),
            (400, f"GET / HTTP/1.1\r\n{host}X : y\r\n\r\n"),
            (400, f"GET / HTTP/1.1\r\n{host}X: y\r\n folded\r\n\r\n"),
            (400, f"GET / HTTP/1.1\r\n{host}X: a\0b\r\n\r\n"),
            (400, f"GET / HTTP/1.1\r\n{host}X: a\rb\r\n\r\n"),
            (400, f"GET / HTTP/1.1\r\n{host}no colon\r\n\r\n"),
            (400, f"GET / HTTP/1.1\r\n{host}: nothing\r\n\r\n"),
            (400, f"GET  / HTTP/1.1\r\n{host}\r\n"),
            (400, f"GET /a b HTTP/1.1\r\n{host}\r\n"),
            (400, f"GET /%zz HTTP/1.1\r\n{host}\r\n"),
            (400, f"GET /%0 HTTP/1.1\r\n{host}\r\n"),
            (400, f"GET /%00 HTTP/1.1\r\n{host}\r\n"),
            (400, "GET\r\n\r\n"),
            (400, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
            (405, f"POST / HTTP/1.1\r\n{host}Content-Length: 0\r\n\r\n"),
            (405, f"DELETE /text.txt HTTP/1.1\r\n{host}\r\n"),
            (405, f"TRACE / HTTP/1.1\r\n{host}\r\n"),
            (405, "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"),
            (414, f"GET /{'x' * 9000} HTTP/1.1\r\n{host}\r\n"),
            (414, "GET /" + "x" * 9000),
            (417, f"GET / HTTP/1.1\r\n{host}Expect: a miracle\r\n\r\n"),
            (431, f"GET / HTTP/1.1\r\n{host}X: {'x' * 9000}\r\n\r\n"),
            (431, f"GET / HTTP/1.1\r\n{host}" + f"X: {'x' * 6000}\r\n" * 6 + "\r\n"),
            (431, f"GET / HTTP/1.1\r\n{host}" + "X: y\r\n" * 100 + "\r\n"),
            (501, f"BREW / HTTP/1.1\r\n{host}\r\n"),
            (501, f"{'X' * 33} / HTTP/1.1\r\n{host}\r\n"),
            (501, f"get / HTTP/1.1\r\n{host}\r\n"),
            (505, f"GET / HTTP/2.0\r\n{host}\r\n"),
        ]
        wrong = []
        for status, request in cases:
            response = self.ask_whole(daemon, request)
            fields = response.fields
            good = response.status == status and "date" in fields and "content-length" in fields
            if status in {400, 414, 431} and fields.get("connection") != "close":
                good = False
            if status == 405 and "GET" not in fields.get("allow", ""):
                good = False
            if not good:
                wrong.append((status, request[:80], response))
        self.assertEqual(wrong, [])
        options = self.ask_whole(daemon, f"OPTIONS * HTTP/1.1\r\n{host}\r\n")
        self.assertIn(options.status, {200, 204})
        self.assertIn("GET", options.fields["allow"])

    def ask_whole(self, daemon: DaemonProcess, request: str) -> Response:
        """Send it all, say so, and read the one answer."""
        with connect(daemon, "web") as sock:
            sock.sendall(request.encode("latin-1"))
            sock.shutdown(socket.SHUT_WR)
            octets = read_to_end(sock)
        if not octets:
            return Response(0, {}, b"no answer")
        responses = parse_responses(octets)
        return responses[0] if len(responses) == 1 else Response(0, {}, octets)

    def test_refusal_reaches_a_client_that_goes_on_sending(self) -> None:
        """H4: closing with input unread would reset the connection and take the answer back."""
        daemon = self.start()
        with connect(daemon, "web") as sock:
            try:
                sock.sendall(b"GET /" + b"x" * 100000 + b" HTTP/1.1\r\nHost: a\r\n\r\n")
            except (BrokenPipeError, ConnectionResetError):
                self.fail("the connection was reset under the client's hands")
            response, _ = parse_response(read_to_end(sock))
        self.assertEqual(response.status, 414)

    def test_pipelined_requests_are_answered_in_order(self) -> None:
        """H15: whatever path each answer takes."""
        (self.root / "large").write_bytes(os.urandom(2**20))
        daemon = self.start()
        names = ["text.txt", "large", "none", "index.html", "text.txt", "large", "folder/", "text.txt", "none"] * 3
        request = b"".join(b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % name.encode() for name in names)
        request += b"HEAD /text.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        # Whole; and cut where it hurts.
        for cut in (len(request), 1, 40, len(request) - 1):
            with connect(daemon, "web") as sock:
                sock.sendall(request[:cut])
                time.sleep(0.01)
                sock.sendall(request[cut:])
                octets = read_to_end(sock)
            for name in names:
                response, octets = parse_response(octets)
                path = self.root / name / "index.html" if name == "folder/" else self.root / name
                if name == "none":
                    self.assertEqual(response.status, 404)
                else:
                    self.assertTrue(response.body == path.read_bytes(), name)
            self.assertTrue(octets.startswith(b"HTTP/1.1 200 OK\r\n"))
            self.assertTrue(octets.endswith(b"\r\n\r\n"))

    def test_slow_head_is_ended_with_408(self) -> None:
        """H5: the time for a head is absolute; a byte now and then does not extend it."""
        daemon = self.start('head_timeout = "500ms"')
        with connect(daemon, "web") as sock:
            began = time.monotonic()
            sock.sendall(b"GET / HTTP/1.1\r\n")
            sock.settimeout(0.1)
            octets = b""
            while time.monotonic() - began < 5 and not octets:
                try:
                    octets = sock.recv(65536)
                except TimeoutError:
                    sock.sendall(b"X")
            took = time.monotonic() - began
        self.assertTrue(octets.startswith(b"HTTP/1.1 408 "), octets)
        self.assertGreater(took, 0.4)
        self.assertLess(took, 2.0)
