"""Tests of netservices.runtime.connect, over real sockets on loopback."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import SSL
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from netservices.config import TlsOptions
from netservices.config.pem import KeyedCertificate, load_keyed_certificate
from netservices.runtime.connect import ConnectFailed, Connector, Outgoing, Stage, _Carrier, _shield
from netservices.runtime.files import FilePool, ImmediateFiles
from netservices.runtime.tls import LocalAuthority, TlsStarted, make_server_tls
from netservices.runtime.tls.client import ClientSettings, ExpectedPeer, make_client_context
from netservices.wire.lines import Line, LinesState
from tests.runtime.tls.memory import make_files, write_pair

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.python.failure import Failure

PATIENCE = 10.0


@implementer(IHalfCloseableProtocol)
class Talker(Protocol):
    """Says something and reads to the end."""

    transport: Any

    def __init__(self, outgoing: Outgoing, says: bytes = b"hello\n") -> None:
        self.outgoing = outgoing
        self.says = says
        self.tls_when_made = outgoing.tls
        self.received = b""
        self.reason: Failure = connectionDone
        self.lost: Deferred[bytes] = Deferred()
        self.half = ""

    def connectionMade(self) -> None:
        self.transport.write(self.says)

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def readConnectionLost(self) -> None:
        self.half += "read "
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        self.half += "write "

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.reason = reason
        self.lost.callback(self.received)


class Starter(Talker):
    """Asks for TLS, and begins it at the go-ahead."""

    def __init__(self, outgoing: Outgoing) -> None:
        super().__init__(outgoing, b"STARTTLS\r\n")
        self.lines = LinesState(512)
        self.secured: Deferred[Talker] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        for event in self.lines.feed(data):
            assert isinstance(event, Line)
            if event.content == b"220 begin":
                begun = self.outgoing.start_tls(Talker, require_empty=self.lines.require_empty)
                begun.addCallbacks(self.secured.callback, self.secured.errback)


class Server:
    """The peer: a thread for every connection."""

    def __init__(self, steps: Callable[[socket.socket], None], host: str = "127.0.0.1") -> None:
        self.socket = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.socket.settimeout(PATIENCE)
        self.port: int = self.socket.getsockname()[1]
        self.peers: list[Any] = []
        self._steps = steps
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, address = self.socket.accept()
                if address[1] == self.stopper:
                    peer.close()
                    return
                self.peers.append(address)
                peer.settimeout(PATIENCE)
                with peer, contextlib.suppress(OSError):
                    self._steps(peer)

    stopper = -1

    def close(self) -> None:
        with socket.socket(self.socket.family) as waker:
            waker.bind((self.socket.getsockname()[0], 0))
            self.stopper = waker.getsockname()[1]
            waker.connect(self.socket.getsockname()[:2])
            self._thread.join(PATIENCE)
        self.socket.close()


def greet(sock: socket.socket) -> None:
    """Read a line, answer it and close."""
    sock.recv(100)
    sock.sendall(b"goodbye")


def drain(sock: socket.socket) -> None:
    """Read to the end."""
    while sock.recv(100):
        pass


class ConnectTestCase(TestCase):
    """With a connector and a certificate for localhost."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.connect = Connector(reactor, ImmediateFiles())
        self.tls = make_server_tls(TlsOptions(), state=self.folder, hostname="localhost")
        self.authority = LocalAuthority(self.folder / "tls")
        self.context = self.server_context()

    def server_context(self, file: Path | None = None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file or write_pair(self.tls.certificates[0], self.folder / "server.pem"))
        return context

    def serve(self, steps: Callable[[socket.socket], None] = greet, host: str = "127.0.0.1") -> Server:
        server = Server(steps, host)
        self.addCleanup(lambda: deferToThread(server.close))
        return server

    def serve_tls(
        self, steps: Callable[[socket.socket], None] = greet, context: ssl.SSLContext | None = None
    ) -> Server:
        def secured(sock: socket.socket) -> None:
            with (context or self.context).wrap_socket(sock, server_side=True, do_handshake_on_connect=False) as tls:
                tls.do_handshake()
                steps(tls)
                tls.unwrap()

        return self.serve(secured)

    async def fails(self, deferred: Deferred[Any]) -> ConnectFailed:
        failed: ConnectFailed = await self.assertFailure(deferred, ConnectFailed)
        self.assertTrue(str(failed).isprintable())
        return failed


class PlainTests(ConnectTestCase):
    """Without TLS."""

    async def test_both_sides_talk(self) -> None:
        server = self.serve()
        talker = await self.connect("127.0.0.1", server.port, Talker)
        self.assertEqual(await talker.lost, b"goodbye")
        self.assertEqual(talker.half, "read ")
        self.assertIsNone(talker.outgoing.tls)
        self.assertFalse(talker.outgoing.required)

    async def test_a_name_is_resolved_and_every_address_tried(self) -> None:
        server = self.serve()
        talker = await self.connect("localhost", server.port, Talker)
        self.assertEqual(str(talker.outgoing.peer), f"127.0.0.1:{server.port}")
        self.assertEqual(talker.outgoing.local.host, "127.0.0.1")
        self.assertEqual(await talker.lost, b"goodbye")

    async def test_ipv6(self) -> None:
        server = self.serve(host="::1")
        talker = await self.connect("::1", server.port, Talker)
        self.assertEqual(str(talker.outgoing.peer), f"[::1]:{server.port}")
        self.assertEqual(await talker.lost, b"goodbye")

    async def test_it_comes_from_the_address_asked_for(self) -> None:
        server = self.serve()
        talker = await self.connect("127.0.0.1", server.port, Talker, bind_address="127.0.0.9")
        await talker.lost
        self.assertEqual(server.peers[0][0], "127.0.0.9")

    async def test_an_address_of_another_machine_is_named(self) -> None:
        server = self.serve()
        failed = await self.fails(self.connect("127.0.0.1", server.port, Talker, bind_address="192.0.2.1"))
        self.assertEqual(failed.stage, Stage.CONNECT)
        self.assertEqual(failed.text, "a connection can't come from 192.0.2.1: Cannot assign requested address")

    async def test_half_closes_are_handed_on(self) -> None:
        def reverse(sock: socket.socket) -> None:
            said = b""
            while octets := sock.recv(100):
                said += octets
            sock.sendall(said[::-1])

        server = self.serve(reverse)
        talker = await self.connect("127.0.0.1", server.port, Talker)
        talker.transport.loseWriteConnection()
        self.assertEqual(await talker.lost, b"\nolleh")
        self.assertEqual(talker.half, "write read ")

    async def test_a_protocol_without_half_closes_is_closed(self) -> None:
        class Plain(Protocol):
            def __init__(self, _outgoing: Outgoing) -> None:
                self.lost: Deferred[None] = Deferred()

            def connectionMade(self) -> None:
                cast("Any", self.transport).write(b"hello\n")

            def connectionLost(self, reason: Failure = connectionDone) -> None:
                self.lost.callback(None)

        await (await self.connect("127.0.0.1", self.serve().port, Plain)).lost
        writing = await self.connect("127.0.0.1", self.serve(drain).port, Plain)
        cast("Any", writing.transport).loseWriteConnection()
        await writing.lost

    async def test_other_errors_are_the_systems_words(self) -> None:
        # ip(7): a stream to the broadcast address is refused before anything is sent.
        failed = await self.fails(self.connect("255.255.255.255", 9, Talker))
        self.assertEqual(failed.stage, Stage.CONNECT)
        self.assertIn("255.255.255.255:9 can't be reached: ", failed.text)

    async def test_a_refused_connection_may_be_tried_again(self) -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            port = closed.getsockname()[1]
        failed = await self.fails(self.connect("127.0.0.1", port, Talker))
        self.assertEqual(str(failed), f"127.0.0.1:{port} refused the connection")
        self.assertEqual((failed.stage, failed.permanent), (Stage.CONNECT, False))

    async def test_what_is_no_name_will_never_be_one(self) -> None:
        for name in ("", "a b", "mail\n.example.org", "x" * 64 + ".org", "a..b", "."):
            failed = await self.fails(self.connect(name, 25, Talker))
            self.assertEqual((failed.stage, failed.permanent), (Stage.NAME, True))

    async def test_a_name_without_an_address(self) -> None:
        failed = await self.fails(self.connect("nothing.invalid", 25, Talker))
        self.assertEqual(str(failed), "no address was found for nothing.invalid")
        self.assertFalse(failed.permanent)


class SilentTests(ConnectTestCase):
    """Peers that do not answer: deadlines and cancelling."""

    def full(self) -> int:
        """A port that takes no more connections and refuses none."""
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        self.addCleanup(listening.close)
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listening.getsockname())
            self.addCleanup(filler.close)
        port: int = listening.getsockname()[1]
        return port

    async def test_a_connection_has_a_deadline(self) -> None:
        port = self.full()
        failed = await self.fails(self.connect("127.0.0.1", port, Talker, timeout=0.2))
        self.assertEqual(str(failed), f"127.0.0.1:{port} did not answer within 0.2 s")

    async def test_a_handshake_has_a_deadline(self) -> None:
        """R14."""
        closed = threading.Event()

        def wait(sock: socket.socket) -> None:
            try:
                while sock.recv(1000):
                    pass
            finally:
                # An abort is read as a reset.
                closed.set()

        server = self.serve(wait)
        failed = await self.fails(self.connect("127.0.0.1", server.port, Talker, tls="implicit", handshake=0.2))
        self.assertEqual(str(failed), "no end of the TLS handshake in 0.2 s")
        self.assertTrue(await deferToThread(closed.wait, PATIENCE))

    async def test_cancelling_at_every_stage_closes(self) -> None:
        def wait(sock: socket.socket) -> None:
            while sock.recv(1000):
                pass

        resolving = self.connect("localhost", 9, Talker)
        resolving.cancel()
        await self.assertFailure(resolving, CancelledError)
        connecting = self.connect("127.0.0.1", self.full(), Talker)
        connecting.cancel()
        await self.assertFailure(connecting, CancelledError)
        server = self.serve(wait)
        shaking = self.connect("127.0.0.1", server.port, Talker, tls="implicit")
        while not server.peers:
            await self.turn()
        await self.turn()
        shaking.cancel()
        await self.assertFailure(shaking, CancelledError)
        files = ImmediateFiles()
        files.hold()
        loading = Connector(reactor, files)("127.0.0.1", server.port, Talker, tls="implicit")
        loading.cancel()
        await self.assertFailure(loading, CancelledError)
        files.release()

    def test_an_endpoint_that_connects_all_the_same_is_closed(self) -> None:
        aborted: list[str] = []

        class Late(_Carrier):
            def abort(self) -> None:
                aborted.append("aborted")

        attempt: Deferred[_Carrier] = Deferred(lambda waiting: waiting.callback(Late()))
        waiting = _shield(attempt)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertEqual(aborted, ["aborted"])

    def turn(self) -> Deferred[None]:
        fired: Deferred[None] = Deferred()
        cast("Any", reactor).callLater(0.02, fired.callback, None)
        return fired


class ImplicitTests(ConnectTestCase):
    """TLS from the first byte."""

    async def test_the_peer_is_verified_before_the_protocol_is_made(self) -> None:
        """R24."""
        server = self.serve_tls()
        for host in ("127.0.0.1", "localhost"):
            talker = await self.connect(host, server.port, Talker, tls="implicit", authority=self.authority.path)
            assert talker.tls_when_made is not None
            self.assertEqual(talker.tls_when_made.version, "TLSv1.3")
            self.assertIsNone(talker.tls_when_made.client)
            self.assertTrue(talker.outgoing.verified)
            self.assertEqual(await talker.lost, b"goodbye")

    async def test_another_name_is_told_with_what_came(self) -> None:
        """R24."""
        server = self.serve_tls()
        failed = await self.fails(
            self.connect(
                "127.0.0.1", server.port, Talker, tls="implicit", authority=self.authority.path,
                verify_name="mail.example.org",
            )
        )  # fmt: skip
        self.assertEqual(failed.stage, Stage.VERIFY)
        self.assertEqual(failed.text, "the peer's certificate was refused: it is for another name")
        self.assertRegex(
            failed.detail,
            r"^wanted a certificate for mail\.example\.org signed by an authority in .*/ca\.pem, got a certificate for "
            r"localhost, 127\.0\.0\.1, ::1, signed by CN=netservices authority of localhost, valid until 20..-..-.. ",
        )

    async def test_another_authority_is_told_with_what_came(self) -> None:
        """R24."""
        other = LocalAuthority(self.folder / "other")
        other.load_authority("other")
        server = self.serve_tls()
        for authority, words in ((other.path, "an authority in /"), (None, "an authority of the system's")):
            failed = await self.fails(
                self.connect("localhost", server.port, Talker, tls="implicit", authority=authority)
            )
            self.assertEqual(failed.stage, Stage.VERIFY)
            self.assertIn("unable to", failed.text)
            self.assertIn(f"wanted a certificate for localhost signed by {words}", failed.detail)
            self.assertIn("got a certificate for localhost, ", failed.detail)

    async def test_an_expired_certificate_is_told(self) -> None:
        """R24."""
        past = LocalAuthority(self.folder / "past", now=lambda: datetime.now(UTC) - timedelta(days=400))
        old = write_pair(past.load_server("localhost"), self.folder / "old.pem")
        server = self.serve_tls(context=self.server_context(old))
        failed = await self.fails(self.connect("localhost", server.port, Talker, tls="implicit", authority=past.path))
        self.assertEqual(failed.text, "the peer's certificate was refused: certificate has expired")

    async def test_a_certificate_without_names(self) -> None:
        """R24."""
        ca = self.authority.load_authority("localhost")
        nameless = self.authority._sign(ca, "localhost", [], ExtendedKeyUsageOID.SERVER_AUTH)
        server = self.serve_tls(context=self.server_context(write_pair(nameless, self.folder / "nameless.pem")))
        failed = await self.fails(
            self.connect("localhost", server.port, Talker, tls="implicit", authority=self.authority.path)
        )
        self.assertEqual(failed.text, "the peer's certificate was refused: it has no names that can be read")
        self.assertIn("got a certificate for no name (subject CN=localhost)", failed.detail)

    async def test_a_clients_certificate_is_no_servers(self) -> None:
        """R24."""
        client = write_pair(self.authority.make_client("localhost"), self.folder / "client.pem")
        server = self.serve_tls(context=self.server_context(client))
        failed = await self.fails(
            self.connect("localhost", server.port, Talker, tls="implicit", authority=self.authority.path)
        )
        self.assertIn("purpose", failed.text)

    async def test_the_route_may_say_otherwise(self) -> None:
        server = self.serve_tls()
        talker = await self.connect("127.0.0.1", server.port, Talker, tls="implicit", verify=False)
        self.assertFalse(talker.outgoing.verified)
        self.assertEqual(await talker.lost, b"goodbye")

    async def test_a_peer_that_speaks_no_tls(self) -> None:
        def plain(sock: socket.socket) -> None:
            sock.sendall(b"220 hello, this is a greeting\r\n")
            sock.recv(1000)

        server = self.serve(plain)
        failed = await self.fails(self.connect("127.0.0.1", server.port, Talker, tls="implicit"))
        self.assertEqual((failed.stage, failed.text), (Stage.TLS, "TLS failed: the peer did not speak TLS"))

    async def test_a_peer_that_goes_away(self) -> None:
        server = self.serve(lambda sock: sock.close())
        failed = await self.fails(self.connect("127.0.0.1", server.port, Talker, tls="implicit"))
        self.assertEqual(failed.stage, Stage.TLS)

    async def test_an_authority_that_cant_be_read(self) -> None:
        failed = await self.fails(
            self.connect("127.0.0.1", 9, Talker, tls="implicit", authority=self.folder / "missing.pem")
        )
        self.assertEqual(failed.stage, Stage.TLS)
        self.assertIn("missing.pem", failed.text)

    async def test_threads_that_are_stopped(self) -> None:
        connect = Connector(reactor, FilePool(cast("Any", reactor)))
        failed = await self.fails(connect("127.0.0.1", 9, Talker, tls="implicit"))
        self.assertEqual(failed.stage, Stage.TLS)

    async def test_our_certificate_is_shown_and_the_protocol_agreed_on(self) -> None:
        seen: list[Any] = []
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.context.load_verify_locations(self.authority.path)
        self.context.set_alpn_protocols(["made-up"])

        def look(sock: socket.socket) -> None:
            tls = cast("ssl.SSLSocket", sock)
            seen.append((cast("Any", tls.getpeercert())["subject"], tls.selected_alpn_protocol()))
            greet(sock)

        made = self.authority.make_client("ada")
        ada = KeyedCertificate((made.leaf, self.authority.load_authority("localhost").leaf), made.key, made.path)
        server = self.serve_tls(look)
        talker = await self.connect(
            "localhost", server.port, Talker, tls="implicit", authority=self.authority.path,
            certificate=ada, alpn=(b"other", b"made-up"), minimum="1.3",
        )  # fmt: skip
        self.assertEqual(await talker.lost, b"goodbye")
        self.assertEqual(seen, [(((("commonName", "ada"),),), "made-up")])
        assert talker.outgoing.tls is not None
        self.assertEqual(talker.outgoing.tls.protocol, b"made-up")

    async def test_a_context_is_kept_for_a_while(self) -> None:
        server = self.serve_tls()
        copy = self.folder / "copy.pem"
        copy.write_bytes(self.authority.path.read_bytes())
        for _ in range(2):
            talker = await self.connect("localhost", server.port, Talker, tls="implicit", authority=copy)
            self.assertEqual(await talker.lost, b"goodbye")
            copy.unlink(missing_ok=True)

    def test_a_peer_that_nobody_has_looked_at_is_refused(self) -> None:
        """R24: should the look at the certificate ever not happen, there is no connection either."""
        expected = ExpectedPeer(make_client_context(ClientSettings()), "localhost", verify=False)
        client = expected.clientConnectionForTLS(cast("Any", None))
        expected.verify = True
        server = self.tls.creator().serverConnectionForTLS(cast("Any", None))
        server.set_accept_state()
        with contextlib.suppress(SSL.WantReadError):
            client.do_handshake()
        server.bio_write(client.bio_read(65_536))
        with contextlib.suppress(SSL.WantReadError):
            server.do_handshake()
        client.bio_write(server.bio_read(65_536))
        self.assertRaises(SSL.Error, client.do_handshake)

    async def test_a_weak_certificate_of_ours_is_named(self) -> None:
        weak = rsa.generate_private_key(65537, 1024)  # noqa: S505 - what is refused
        pair = load_keyed_certificate(*make_files(self.folder, "weak", key=weak))
        failed = await self.fails(self.connect("127.0.0.1", 9, Talker, tls="implicit", certificate=pair))
        self.assertIn("OpenSSL will not show the certificate in", failed.text)


class StartTlsTests(ConnectTestCase):
    """TLS after a command."""

    def serve_starttls(self, go_ahead: bytes = b"220 begin\r\n", context: ssl.SSLContext | None = None) -> Server:
        def steps(sock: socket.socket) -> None:
            sock.recv(100)
            sock.sendall(go_ahead)
            with (context or self.context).wrap_socket(sock, server_side=True, do_handshake_on_connect=False) as tls:
                tls.do_handshake()
                greet(tls)
                tls.unwrap()

        return self.serve(steps)

    async def test_another_protocol_goes_on_under_tls(self) -> None:
        """R22, R24."""
        server = self.serve_starttls()
        first = await self.connect("localhost", server.port, Starter, tls="starttls", authority=self.authority.path)
        self.assertTrue(first.outgoing.required)
        self.assertIsNone(first.tls_when_made)
        second = await first.secured
        self.assertIsNotNone(second.tls_when_made)
        self.assertIsNotNone(first.reason.check(TlsStarted))
        first.transport.write(b"in plain text")
        self.assertEqual(await second.lost, b"goodbye")
        self.assertTrue(second.outgoing.verified)

    async def test_the_wrong_name_ends_it(self) -> None:
        """R24."""
        server = self.serve_starttls()
        first = await self.connect(
            "localhost", server.port, Starter, tls="starttls", authority=self.authority.path, verify_name="mail.example"
        )
        failed = await self.fails(first.secured)
        self.assertEqual(failed.stage, Stage.VERIFY)

    async def test_opportunistic_takes_any_certificate(self) -> None:
        server = self.serve_starttls()
        first = await self.connect("localhost", server.port, Starter, tls="opportunistic")
        self.assertFalse(first.outgoing.required)
        second = await first.secured
        self.assertEqual(await second.lost, b"goodbye")
        self.assertFalse(second.outgoing.verified)

    async def test_what_came_with_the_go_ahead_ends_it(self) -> None:
        """R22: the other direction of the same injection."""
        server = self.serve_starttls(b"220 begin\r\n250 injected\r\n")
        first = await self.connect("localhost", server.port, Starter, tls="opportunistic")
        failed = await self.fails(first.secured)
        self.assertEqual(failed.text, "the peer sent something between its go-ahead and TLS")
        await first.lost

    async def test_a_connection_that_is_gone_fails_at_once(self) -> None:
        server = self.serve()
        talker = await self.connect("localhost", server.port, Talker, tls="opportunistic")
        await talker.lost
        failed = await self.fails(talker.outgoing.start_tls(Talker, require_empty=lambda: None))
        self.assertEqual(failed.stage, Stage.TLS)

    async def test_cancelling_a_handshake_closes(self) -> None:
        closed = threading.Event()

        def steps(sock: socket.socket) -> None:
            try:
                sock.recv(100)
                sock.sendall(b"220 begin\r\n")
                while sock.recv(1000):
                    pass
            finally:
                # An abort is read as a reset.
                closed.set()

        server = self.serve(steps)
        first = await self.connect("localhost", server.port, Talker, tls="opportunistic")
        begun = first.outgoing.start_tls(Talker, require_empty=lambda: None)
        begun.cancel()
        await self.assertFailure(begun, CancelledError)
        self.assertTrue(await deferToThread(closed.wait, PATIENCE))
