"""Tests of netservices.runtime.tls.contexts, by handshakes in memory with the standard library's client."""

from __future__ import annotations

import contextlib
import ssl
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL
from twisted.internet.error import ConnectionDone
from twisted.trial.unittest import SynchronousTestCase

from netservices.config import TlsOptions
from netservices.config.models import TlsNameOptions
from netservices.config.pem import CertificateError
from netservices.runtime.tls import ServerCertificates, ServerTls, load_keyed_certificate, make_server_tls
from netservices.runtime.tls.contexts import make_server_context
from tests.runtime.tls.memory import Pair, make_client_context, make_files

V10, V11 = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


def make_tls(folder: Path, *names: str, key: object = None, minimum: str = "1.2") -> ServerTls:
    """A server with a certificate for ``default`` and for each of ``names``."""
    certificate, key_path = make_files(folder, "default", key=key)
    table = {}
    for number, name in enumerate(names):
        own_certificate, own_key = make_files(folder / str(number), name)
        table[name] = TlsNameOptions(certificate=own_certificate, key=own_key)
    options = TlsOptions(certificate=certificate, key=key_path, names=table, minimum=minimum)  # type: ignore[arg-type]
    return make_server_tls(options, state=folder, hostname="default")


def carry(source: SSL.Connection, sink: SSL.Connection) -> None:
    """What one has to send, to the other."""
    with contextlib.suppress(SSL.WantReadError):
        sink.bio_write(source.bio_read(65_536))


def shake_hands(client: SSL.Connection, server: SSL.Connection) -> None:
    """A whole handshake of two of OpenSSL's connections."""
    for _ in range(4):
        for end, other in ((client, server), (server, client)):
            with contextlib.suppress(SSL.WantReadError):
                end.do_handshake()
            carry(end, other)


class VersionTests(SynchronousTestCase):
    """Which versions are spoken (R17)."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())

    def spoken(self, tls: ServerTls, minimum: str | None = None) -> list[str]:
        versions = []
        for version in (V10, V11, V12, V13):
            pair = Pair(tls.creator(minimum), context=make_client_context(version=version, legacy=True))  # type: ignore[arg-type]
            try:
                pair.handshake()
            except ssl.SSLError:
                self.assertIsNone(pair.session.tls)
            else:
                versions.append(pair.client.version() or "")
                assert pair.session.tls is not None
                self.assertEqual(pair.session.tls.version, versions[-1])
        return versions

    def test_by_default_1_2_and_1_3(self) -> None:
        """R17."""
        self.assertEqual(self.spoken(make_tls(self.folder)), ["TLSv1.2", "TLSv1.3"])

    def test_older_ones_only_where_asked(self) -> None:
        """R17."""
        for key in (None, rsa.generate_private_key(65537, 2048)):
            tls = make_tls(self.folder, key=key)
            self.assertEqual(self.spoken(tls, "1.1"), ["TLSv1.1", "TLSv1.2", "TLSv1.3"])
            self.assertEqual(self.spoken(tls, "1.0"), ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"])

    def test_1_3_only_where_asked(self) -> None:
        """R17."""
        self.assertEqual(self.spoken(make_tls(self.folder), "1.3"), ["TLSv1.3"])
        self.assertEqual(self.spoken(make_tls(self.folder, minimum="1.3")), ["TLSv1.3"])


class CipherTests(SynchronousTestCase):
    """What protects the octets (R17)."""

    def setUp(self) -> None:
        self.tls = make_tls(Path(self.mktemp()), key=rsa.generate_private_key(65537, 2048))

    def test_every_cipher_has_forward_secrecy_and_authenticated_encryption(self) -> None:
        """R17."""
        connection = SSL.Connection(self.tls.creator()._context, None)
        for name in connection.get_cipher_list():
            self.assertRegex(name, r"^(TLS_|ECDHE-(RSA|ECDSA)-).*(GCM|CHACHA20)")

    def test_a_client_with_cbc_only_is_refused(self) -> None:
        """R17."""
        context = make_client_context(version=V12)
        context.set_ciphers("ECDHE-RSA-AES128-SHA256")
        pair = Pair(self.tls.creator(), context=context)
        self.assertRaises(ssl.SSLError, pair.handshake)

    def test_renegotiation_is_refused_and_the_session_goes_on(self) -> None:
        """R17."""
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_max_proto_version(SSL.TLS1_2_VERSION)
        client = SSL.Connection(context, None)
        client.set_connect_state()
        server = SSL.Connection(self.tls.creator()._context, None)
        server.set_accept_state()

        shake_hands(client, server)
        self.assertTrue(client.renegotiate())
        self.assertRaises(SSL.WantReadError, client.do_handshake)
        carry(client, server)
        self.assertRaises(SSL.WantReadError, server.recv, 100)
        carry(server, client)
        error = self.assertRaises(SSL.Error, client.do_handshake)
        self.assertIn("no renegotiation", str(error))
        self.assertEqual(server.total_renegotiations(), 0)


class AlpnTests(SynchronousTestCase):
    """Which protocol is agreed on (R20)."""

    def setUp(self) -> None:
        self.tls = make_tls(Path(self.mktemp()), "named.example.org")

    def agreed(self, offered: list[str], ours: tuple[bytes, ...], name: str | None = None) -> tuple[object, object]:
        context = make_client_context()
        if offered:
            context.set_alpn_protocols(offered)
        pair = Pair(self.tls.creator(alpn=ours), context=context, server_name=name)
        pair.handshake()
        assert pair.session.tls is not None
        return pair.client.selected_alpn_protocol(), pair.session.tls.protocol

    def test_a_service_without_alpn_takes_any_client(self) -> None:
        """R20."""
        for offered in ([], ["h2"], ["ftp", "imap", "something/else"]):
            self.assertEqual(self.agreed(offered, ()), (None, None))

    def test_nothing_in_common_goes_on_without(self) -> None:
        """R20."""
        self.assertEqual(self.agreed(["ftp"], (b"http/1.1",)), (None, None))

    def test_our_first_that_is_offered_is_chosen(self) -> None:
        """R20."""
        self.assertEqual(self.agreed(["http/1.1", "h2"], (b"h2", b"http/1.1")), ("h2", b"h2"))
        self.assertEqual(self.agreed(["ftp", "http/1.1"], (b"h2", b"http/1.1")), ("http/1.1", b"http/1.1"))

    def test_it_holds_under_another_name_too(self) -> None:
        """R20."""
        self.assertEqual(self.agreed(["ftp"], (b"h2",), "named.example.org"), (None, None))
        self.assertEqual(self.agreed(["h2"], (b"h2",), "named.example.org"), ("h2", b"h2"))


class NameTests(SynchronousTestCase):
    """Which certificate is shown (R19)."""

    def setUp(self) -> None:
        self.tls = make_tls(Path(self.mktemp()), "mail.example.org", "*.example.org", "example.net")
        self.shown = {pair.leaf.public_bytes(Encoding.DER): pair.leaf for pair in self.tls.certificates}

    def name_shown(self, asked: str | None, version: ssl.TLSVersion) -> str:
        pair = Pair(self.tls.creator(), context=make_client_context(version=version), server_name=asked)
        pair.handshake()
        assert pair.session.tls is not None
        self.assertEqual(pair.session.tls.server_name, asked)
        octets = pair.client.getpeercert(binary_form=True)
        assert octets is not None
        return str(self.shown[octets].subject.rfc4514_string())

    def test_exact_then_wildcard_then_default(self) -> None:
        """R19."""
        for version in (V12, V13):
            for asked, expected in (
                ("mail.example.org", "CN=mail.example.org"),
                ("www.example.org", "CN=*.example.org"),
                ("a.b.example.org", "CN=default"),
                ("example.org", "CN=default"),
                ("example.net", "CN=example.net"),
                ("unknown.example", "CN=default"),
                (None, "CN=default"),
            ):
                self.assertEqual(self.name_shown(asked, version), expected, asked)

    def test_case_and_a_last_dot_do_not_matter(self) -> None:
        """R19."""
        certificates = ServerCertificates(self.tls.certificates[0], {"mail.example.org": self.tls.certificates[1]})
        self.assertEqual(certificates.find_name("MAIL.Example.ORG."), "mail.example.org")
        self.assertIsNone(certificates.find_name("*"))
        self.assertIsNone(certificates.find_name(""))


class ResumptionTests(SynchronousTestCase):
    """Sessions taken up again (R23)."""

    def setUp(self) -> None:
        self.tls = make_tls(Path(self.mktemp()), "named.example.org")

    def resumed(self, version: ssl.TLSVersion, name: str | None = None, options: int = 0) -> tuple[bool, bool]:
        creator = self.tls.creator()
        context = make_client_context(version=version)
        context.options |= options
        first = Pair(creator, context=context, server_name=name)
        first.handshake()
        # TLS 1.3 sends its tickets after the handshake.
        first.layer.write(b"x")
        first.clock.advance(0)
        self.assertEqual(first.read(), b"x")
        assert first.session.tls is not None
        self.assertFalse(first.session.tls.resumed)
        # As most clients end: TCP is closed and nothing was said.
        first.end_tcp(ConnectionDone())
        again = Pair(creator, context=context, server_name=name, session=first.client.session)
        again.handshake()
        assert again.session.tls is not None
        return bool(again.client.session_reused), again.session.tls.resumed

    def test_both_versions_resume(self) -> None:
        """R23."""
        self.assertEqual(self.resumed(V12), (True, True))
        self.assertEqual(self.resumed(V13), (True, True))

    def test_under_another_name_too(self) -> None:
        """R23."""
        self.assertEqual(self.resumed(V12, "named.example.org"), (True, True))
        self.assertEqual(self.resumed(V13, "named.example.org"), (True, True))

    def test_without_tickets_too(self) -> None:
        """R23."""
        self.assertEqual(self.resumed(V12, options=ssl.OP_NO_TICKET), (True, True))


class ChainTests(SynchronousTestCase):
    """What stands behind the certificate."""

    def test_the_authorities_in_the_file_are_sent_too(self) -> None:
        folder = Path(self.mktemp())
        certificate, key = make_files(folder, "own")
        issuer, _ = make_files(folder, "issuer")
        certificate.write_bytes(certificate.read_bytes() + issuer.read_bytes())
        tls = make_server_tls(TlsOptions(certificate=certificate, key=key), state=folder, hostname="own")
        client = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)
        client.set_connect_state()
        server = SSL.Connection(tls.creator()._context, None)
        server.set_accept_state()
        shake_hands(client, server)
        self.assertEqual(client.get_peer_cert_chain(as_cryptography=True), list(tls.certificates[0].chain))


class RefusedCertificateTests(SynchronousTestCase):
    """What OpenSSL won't serve."""

    def test_a_key_too_short_is_refused_naming_the_file(self) -> None:
        paths = make_files(Path(self.mktemp()), "weak", key=rsa.generate_private_key(65537, 1024))  # noqa: S505 - what is refused
        certificates = ServerCertificates(load_keyed_certificate(*paths))
        error = self.assertRaises(
            CertificateError, make_server_context, certificates, minimum="1.2", session_id=b"test"
        )
        self.assertEqual(str(error), f"OpenSSL will not serve the certificate in {paths[0]}: ee key too small")
