"""Tests of netservices.runtime.tls.server."""

from __future__ import annotations

import gc
import ssl
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import ValidationError
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from netservices.config import TlsOptions
from netservices.runtime.tls import CertificateError, ServerCreator, ServerTls, make_server_tls
from tests.runtime.tls.memory import NOW, Pair, make_client_context, make_files


class ServerTlsTests(SynchronousTestCase):
    """The TLS of all listeners."""

    def setUp(self) -> None:
        self.state = Path(self.mktemp())
        self.state.mkdir()

    def make(self, **options: object) -> ServerTls:
        return make_server_tls(
            TlsOptions.model_validate(options), state=self.state, hostname="host.example.org", addresses=["192.0.2.7"]
        )

    def shown(self, creator: ServerCreator) -> bytes | None:
        pair = Pair(creator)
        pair.handshake()
        return pair.client.getpeercert(binary_form=True)

    def test_without_a_certificate_the_local_authority_signs(self) -> None:
        """R18."""
        tls = self.make()
        self.assertEqual(tls.authority, self.state / "tls" / "ca.pem")
        assert tls.authority is not None
        context = make_client_context()
        context.load_verify_locations(tls.authority)
        for name in ("host.example.org", "localhost", "192.0.2.7", "127.0.0.1"):
            context.verify_mode = ssl.CERT_REQUIRED
            context.check_hostname = True
            pair = Pair(tls.creator(), context=context, server_name=name)
            pair.handshake()

    def test_the_time_given_counts(self) -> None:
        tls = make_server_tls(TlsOptions(), state=self.state, hostname="host", now=lambda: NOW)
        self.assertEqual(tls.certificates[0].leaf.not_valid_before_utc.year, NOW.year)

    def test_a_certificate_of_the_operators_makes_no_authority(self) -> None:
        certificate, key = make_files(self.state / "etc", "own")
        tls = self.make(certificate=str(certificate), key=str(key))
        self.assertIsNone(tls.authority)
        self.assertFalse((self.state / "tls").exists())
        self.assertEqual(self.shown(tls.creator()), tls.certificates[0].leaf.public_bytes(Encoding.DER))

    def test_an_encrypted_key_is_opened(self) -> None:
        certificate, key = make_files(self.state / "etc", "own", password=b"made up")
        self.make(certificate=str(certificate), key=str(key), password="made up")
        named = {"certificate": str(certificate), "key": str(key), "password": "made up"}
        self.assertEqual(len(self.make(names={"mail.example.org": named}).certificates), 2)
        self.assertRaises(CertificateError, self.make, certificate=str(certificate), key=str(key))

    def test_a_key_without_a_certificate_is_refused(self) -> None:
        _, key = make_files(self.state / "etc", "own")
        error = self.assertRaises(CertificateError, self.make, key=str(key))
        self.assertEqual(str(error), f"the key {key} has no certificate, wanted both, or neither")

    def test_what_openssl_refuses_is_refused_at_load(self) -> None:
        weak = rsa.generate_private_key(65537, 1024)  # noqa: S505 - what is refused
        certificate, key = make_files(self.state / "etc", "weak", key=weak)
        self.assertRaises(CertificateError, self.make, certificate=str(certificate), key=str(key))
        self.assertRaises(CertificateError, self.make, names={"a": {"certificate": str(certificate), "key": str(key)}})

    def test_renewed_files_are_served_to_the_next_handshake(self) -> None:
        """R19."""
        certificate, key = make_files(self.state / "etc", "own")
        tls = self.make(certificate=str(certificate), key=str(key))
        creators = tls.creator(), tls.creator("1.3", (b"h2",))
        before = self.shown(creators[0])
        make_files(self.state / "etc", "own")
        self.assertEqual(self.shown(creators[0]), before)
        tls.reload()
        after = {self.shown(creator) for creator in creators}
        self.assertEqual(after, {tls.certificates[0].leaf.public_bytes(Encoding.DER)})
        self.assertNotIn(before, after)

    def test_a_connection_of_before_goes_on(self) -> None:
        """R5."""
        certificate, key = make_files(self.state / "etc", "own")
        tls = self.make(certificate=str(certificate), key=str(key))
        pair = Pair(tls.creator())
        pair.handshake()
        make_files(self.state / "etc", "own")
        tls.reload()
        gc.collect()
        pair.write(b"still here")
        self.assertEqual(pair.service.received, b"still here")

    def test_a_handshake_under_way_ends_with_the_certificates_it_began_with(self) -> None:
        """R5."""
        certificate, key = make_files(self.state / "etc", "own")
        named = {"certificate": str(certificate), "key": str(key)}
        tls = self.make(names={"mail.example.org": named})
        creator = tls.creator()
        for hello_sent in (False, True):
            expected = tls.certificates[1].leaf.public_bytes(Encoding.DER)
            pair = Pair(creator, server_name="mail.example.org")
            if hello_sent:
                self.assertRaises(ssl.SSLWantReadError, pair.client.do_handshake)
                pair.layer.dataReceived(pair.outgoing.read())
            make_files(self.state / "etc", "own")
            tls.reload()
            gc.collect()
            pair.handshake()
            self.assertEqual(pair.client.getpeercert(binary_form=True), expected)

    def test_a_bad_file_changes_nothing(self) -> None:
        """R5."""
        certificate, key = make_files(self.state / "etc", "own")
        tls = self.make(certificate=str(certificate), key=str(key))
        creator = tls.creator()
        before = self.shown(creator)
        key.write_bytes(b"rubbish")
        self.assertRaises(CertificateError, tls.reload)
        self.assertEqual(self.shown(creator), before)
        self.assertEqual(tls.certificates[0].leaf.public_bytes(Encoding.DER), before)

    def test_a_reload_that_changes_nothing_keeps_the_sessions(self) -> None:
        """R23."""
        tls = self.make()
        creator, context = tls.creator(), make_client_context()
        first = Pair(creator, context=context)
        first.handshake()
        first.layer.write(b"x")
        first.clock.advance(0)
        first.read()
        tls.reload()
        again = Pair(creator, context=context, session=first.client.session)
        again.handshake()
        self.assertTrue(again.client.session_reused)

    def test_sessions_of_one_creator_are_not_taken_by_another(self) -> None:
        tls, context = self.make(), make_client_context()
        first = Pair(tls.creator(), context=context)
        first.handshake()
        first.layer.write(b"x")
        first.clock.advance(0)
        first.read()
        again = Pair(tls.creator(), context=context, session=first.client.session)
        again.handshake()
        self.assertFalse(again.client.session_reused)

    def test_other_options_are_taken_up(self) -> None:
        """R5."""
        tls = self.make()
        follows, asks = tls.creator(), tls.creator("1.2")
        certificate, key = make_files(self.state / "etc", "own")
        options = TlsOptions(certificate=certificate, key=key, minimum="1.3")
        material = tls.load(options)
        self.assertIsNotNone(tls.authority)
        tls.use(material, options)
        self.assertIsNone(tls.authority)
        old = make_client_context(version=ssl.TLSVersion.TLSv1_2)
        self.assertRaises(ssl.SSLError, Pair(follows, context=old).handshake)
        Pair(asks, context=old).handshake()
        tls.reload()
        self.assertIsNone(tls.authority)

    def test_a_creator_nobody_holds_is_forgotten(self) -> None:
        tls = self.make()
        tls.creator()
        gc.collect()
        self.assertEqual(len(tls._creators), 0)

    def test_a_creator_serves_twisteds_own_layer_too(self) -> None:
        creator = self.make().creator()
        verifyObject(IOpenSSLServerConnectionCreator, creator)
        factory = TLSMemoryBIOFactory(creator, False, Factory.forProtocol(Protocol), Clock())
        pair = Pair(creator)
        pair.layer = factory.buildProtocol(None)
        pair.layer.makeConnection(pair.transport)
        pair.handshake()
        pair.layer.write(b"x")
        pair.layer.loseConnection()
        self.assertEqual(pair.read(1), b"x")
        self.assertEqual(pair.read(), b"")
        pair.close_notify()
        self.assertTrue(pair.transport.disconnecting)


class NameOptionsTests(SynchronousTestCase):
    """``[tls.names]``."""

    def test_names_are_hosts_or_wildcards(self) -> None:
        """R19."""
        certificate, key = make_files(Path(self.mktemp()), "own")
        named = {"certificate": str(certificate), "key": str(key)}
        options = TlsOptions.model_validate({"names": {"Mail.Example.ORG.": named, "*.example.org": named}})
        self.assertEqual(list(options.names), ["mail.example.org", "*.example.org"])
        for bad in (
            "",
            "*",
            "a.*.org",
            "a b",
            "*.*.org",
            "-a.org",
            "a" * 64,
            "b\u00fccher.example",
            "a." * 127 + "org",
        ):
            error = self.assertRaises(ValidationError, TlsOptions.model_validate, {"names": {bad: named}})
            self.assertIn("is not a host's name, wanted one such as", str(error))
