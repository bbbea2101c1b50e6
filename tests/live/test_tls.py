"""TLS as OpenSSL's own client and Python's see it."""

from __future__ import annotations

import re
import ssl
import time
from typing import TYPE_CHECKING

from twisted.trial.unittest import SynchronousTestCase

from tests.live.clients import (
    TlsClient,
    connect,
    exchange,
    make_config,
    make_context,
    read_events,
    read_to_end,
    wait_for_events,
)
from tests.live.harness import Daemon, make_directory, require, run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.live.harness import DaemonProcess

VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}


def make_context_for(daemon: DaemonProcess, version: str, alpn: Sequence[str] = ()) -> ssl.SSLContext:
    """A context of exactly that version."""
    context = make_context(daemon.authority, alpn)
    context.minimum_version = context.maximum_version = VERSIONS[version]
    return context


def ask_openssl(daemon: DaemonProcess, service: str, *arguments: str, request: bytes = b"") -> str:
    """What ``openssl s_client`` says of a session in which it sends ``request`` and waits for the end."""
    ended = run(
        require("openssl"), "s_client", "-connect", f"127.0.0.1:{daemon.port(service, 'tls')}", "-CAfile",
        str(daemon.authority), *arguments, input=request, timeout=15,
    )  # fmt: skip
    return (ended.stdout + ended.stderr).decode(errors="replace")


class VersionTests(SynchronousTestCase):
    """R17: what is spoken and what is not."""

    def test_openssl_speaks_1_2_and_1_3_and_trusts_the_authority(self) -> None:
        """R17, R18."""
        openssl = require("openssl")
        directory = make_directory(self)
        (directory / "www").mkdir()
        daemon = Daemon(self, make_config(root=directory / "www"), directory=directory)
        for option, version in (("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")):
            for service in ("echo", "web"):
                said = ask_openssl(daemon, service, option, "-verify_return_error", "-verify_hostname", "localhost")
                self.assertIn("Verify return code: 0 (ok)", said)
                self.assertIn(f"New, {version}, Cipher is", said)
                self.assertIn("Verified peername: localhost", said)
        for option in ("-tls1_1", "-tls1"):
            said = ask_openssl(daemon, "echo", option, "-cipher", "ALL:@SECLEVEL=0")
            self.assertIn("Cipher is (NONE)", said)
            self.assertRegex(said, "alert protocol version|no protocols available")
        # The certificate in the state directory is the one that is served, and openssl finds nothing wrong with it.
        server = daemon.state / "tls" / "server.pem"
        ended = run(
            openssl, "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", str(daemon.authority), str(server)
        )
        self.assertEqual((ended.returncode, ended.stdout), (0, f"{server}: OK\n".encode()), ended.stderr)
        text = run(openssl, "x509", "-in", str(daemon.authority), "-noout", "-text").stdout.decode()
        self.assertIn("CA:TRUE", text)
        self.assertIn("NIST CURVE: P-256", text)
        self.assertEqual((daemon.state / "tls" / "ca.key").stat().st_mode & 0o777, 0o600)
        self.assertEqual((daemon.state / "tls" / "server.key").stat().st_mode & 0o777, 0o600)
        ended = run(openssl, "x509", "-in", str(daemon.authority), "-noout", "-checkend", str(9 * 365 * 86400))
        self.assertEqual(ended.returncode, 0, "the authority ends in less than nine years")
        # R18: whoever must trust it can find it.
        self.assertIn(str(daemon.authority), (daemon.state / "netservices.log").read_text())

    def test_weak_ciphers_renegotiation_and_compression_are_refused(self) -> None:
        """R17."""
        daemon = Daemon(self, make_config())
        for ciphers in ("NULL", "aNULL", "EXPORT", "RC4", "3DES", "MD5", "PSK", "kRSA"):
            # A list that this OpenSSL has no cipher of fails on its own side, and says so as well.
            said = ask_openssl(daemon, "echo", "-tls1_2", "-cipher", f"{ciphers}:@SECLEVEL=0")
            self.assertRegex(said, r"Cipher is \(NONE\)|no cipher match", ciphers)
        said = ask_openssl(daemon, "echo", "-tls1_2")
        self.assertIn("Compression: NONE", said)
        self.assertIn("Secure Renegotiation IS supported", said)
        # A line with an R asks for a new handshake.
        said = ask_openssl(daemon, "echo", "-tls1_2", request=b"R\nhello\n")
        self.assertNotIn("hello\nhello", said)
        self.assertEqual(exchange(daemon, "echo", b"still here"), b"still here")

    def test_old_versions_only_where_asked_for_and_with_a_warning(self) -> None:
        """R17."""
        text = make_config('tls_minimum = "1.0"')
        text += '[services.strict]\nkind = "echo"\ntls_minimum = "1.3"\nlisten = ["tls:0:interface=127.0.0.1"]\n'
        daemon = Daemon(self, text)
        for option, version in (
            ("-tls1", "TLSv1"),
            ("-tls1_1", "TLSv1.1"),
            ("-tls1_2", "TLSv1.2"),
            ("-tls1_3", "TLSv1.3"),
        ):
            said = ask_openssl(daemon, "echo", option, "-cipher", "ALL:@SECLEVEL=0")
            self.assertIn("Verify return code: 0 (ok)", said, option)
            self.assertRegex(said, rf"Protocol *(version)?: {re.escape(version)}\n|New, {re.escape(version)}, ", option)
        said = ask_openssl(daemon, "strict", "-tls1_2")
        self.assertIn("Cipher is (NONE)", said)
        self.assertIn("TLSv1.3", ask_openssl(daemon, "strict"))
        warnings = [event["message"] for event in read_events(daemon) if event["level"] == "warn"]
        lines = text.splitlines()
        line = lines.index('tls_minimum = "1.0"') + 1
        self.assertTrue(
            any(f":{line}: warning: services.echo.tls_minimum: " in warning for warning in warnings), warnings
        )


class HandshakeTests(SynchronousTestCase):
    """R14, R20, R23."""

    def test_any_alpn_is_accepted(self) -> None:
        """R20."""
        directory = make_directory(self)
        (directory / "www").mkdir()
        daemon = Daemon(self, make_config(root=directory / "www"), directory=directory)
        for version in VERSIONS:
            for service, offered, chosen in (
                ("echo", ["h2", "http/1.1"], None),
                ("echo", ["no-such-protocol", "x" * 255], None),
                ("web", ["h2", "http/1.1"], "http/1.1"),
                ("web", ["http/1.1", "spdy/3"], "http/1.1"),
                ("web", ["no-such-protocol"], None),
                ("web", [], None),
            ):
                context = make_context_for(daemon, version, offered)
                with TlsClient(connect(daemon, service, "tls"), context) as client:
                    self.assertEqual(client.object.version(), version)
                    self.assertEqual(client.object.selected_alpn_protocol(), chosen, (service, offered))
                    client.send(b"GET /none HTTP/1.0\r\n\r\n")
                    self.assertTrue(client.read(), (service, offered))

    def test_sessions_are_resumed(self) -> None:
        """R23."""
        directory = make_directory(self)
        (directory / "www").mkdir()
        daemon = Daemon(self, make_config(root=directory / "www"), directory=directory)
        for version in VERSIONS:
            for service in ("echo", "web"):
                context = make_context_for(daemon, version)
                session = None
                reused = []
                for _ in range(3):
                    with TlsClient(connect(daemon, service, "tls"), context, session=session) as client:
                        client.send(b"GET /none HTTP/1.0\r\n\r\n")
                        self.assertTrue(client.read())
                        client.say_all()
                        client.read_to_end()
                        session = client.object.session
                        reused.append(client.object.session_reused)
                self.assertEqual(reused, [False, True, True], (version, service))
        # An abandoned connection does not make the next resumption fail.
        context = make_context_for(daemon, "TLSv1.3")
        with TlsClient(connect(daemon, "echo", "tls"), context) as client:
            client.send(b"x")
            client.read()
            session = client.object.session
        with TlsClient(connect(daemon, "echo", "tls"), context, session=session) as client:
            self.assertTrue(client.object.session_reused)

    def test_handshake_has_an_end(self) -> None:
        """R14: from a peer that says nothing, little, or a little now and then."""
        daemon = Daemon(self, make_config('timeouts.handshake = "600ms"'))
        hello = make_client_hello()
        for sent in (b"", hello[:1], hello[:-1], hello):
            with connect(daemon, "echo", "tls", timeout=0.1) as sock:
                began = time.monotonic()
                sock.sendall(sent)
                at, ended = 0, False
                while not ended and time.monotonic() - began < 5:
                    try:
                        ended = sock.recv(65536) == b""
                    except TimeoutError:
                        at += 1
                    except ConnectionResetError:
                        ended = True
                took = time.monotonic() - began
            self.assertTrue(ended, sent)
            self.assertGreater(took, 0.5)
            self.assertLess(took, 2.0)
        events = wait_for_events(daemon, "daemon.session.closed", 4)
        self.assertEqual([event["reason"] for event in events], ["handshake timeout"] * 4)
        # Whoever is through is not ended by it.
        with TlsClient(connect(daemon, "echo", "tls"), make_context(daemon.authority)) as client:
            time.sleep(0.8)
            client.send(b"hello")
            self.assertEqual(client.read(), b"hello")

    def test_failed_handshake_is_one_closed_event(self) -> None:
        """R35: with a reason that an operator can read, and nothing of the peer's bytes."""
        daemon = Daemon(self, make_config())
        with connect(daemon, "echo", "tls") as sock:
            sock.sendall(b"GET /evil HTTP/1.0\r\n\r\n")
            read_to_end(sock)
        with connect(daemon, "echo", "tls") as sock:
            sock.sendall(b"\x1b[2Jevil\n" * 10)
            read_to_end(sock)
        connect(daemon, "echo", "tls").close()
        context = make_context(None)
        context.check_hostname, context.verify_mode = True, ssl.CERT_REQUIRED
        with self.assertRaises(ssl.SSLCertVerificationError):
            TlsClient(connect(daemon, "echo", "tls"), context)
        events = wait_for_events(daemon, "daemon.session.closed", 4)
        self.assertEqual(len(events), 4)
        self.assertIn("plain HTTP", events[0]["reason"])
        self.assertIn("did not speak TLS", events[1]["reason"])
        self.assertEqual([event["tls"] for event in events[:3]], [None] * 3)
        self.assertNotIn("evil", (daemon.state / "netservices.log").read_text())
        self.assertEqual([event for event in read_events(daemon) if event["level"] in {"error", "critical"}], [])

    def test_connection_cut_without_goodbye_is_told_apart(self) -> None:
        """RFC 8446 6.1: it may have been cut by somebody else."""
        daemon = Daemon(self, make_config())
        with TlsClient(connect(daemon, "echo", "tls"), make_context(daemon.authority)) as client:
            client.send(b"hello")
            self.assertEqual(client.read(), b"hello")
        events = wait_for_events(daemon, "daemon.session.closed", 1)
        self.assertIn("without ending TLS", events[0]["reason"])


def make_client_hello() -> bytes:
    """The first record of a client's handshake."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = make_context(None).wrap_bio(incoming, outgoing, server_hostname="localhost")
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()
    raise AssertionError("a handshake alone")
