"""Client certificates: who gets in, what the session knows, and what resumption must not change (R21, R23)."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID, NameOID
from OpenSSL import SSL
from twisted.internet.error import ConnectionDone
from twisted.trial.unittest import SynchronousTestCase

from netservices.config import Config, ServiceOptions, Severity, TlsOptions, parse_listen
from netservices.config.meaning import examine
from netservices.config.pem import KeyedCertificate
from netservices.runtime.tls import (
    CertificateError,
    ClientDemand,
    LocalAuthority,
    ServerCreator,
    describe_tls_failure,
    list_trusted,
    make_client_demand,
    make_server_tls,
)
from tests.runtime.tls.memory import Pair, make_client_context, make_files, write_pair

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


class ClientCertificateTestCase(SynchronousTestCase):
    """With a server, its local authority, and a client that this has signed."""

    def setUp(self) -> None:
        self.state = Path(self.mktemp())
        self.state.mkdir()
        self.tls = make_server_tls(TlsOptions(), state=self.state, hostname="host.example.org")
        self.authority = LocalAuthority(self.state / "tls")
        self.ada = self.authority.make_client("ada")
        self.file = write_pair(self.ada, self.state / "ada.pem")

    def context(self, version: ssl.TLSVersion, file: Path | None = None) -> ssl.SSLContext:
        context = make_client_context(version=version)
        if file is not None:
            context.load_cert_chain(file)
        return context

    def accepted(self, creator: ServerCreator, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> Pair:
        pair = Pair(creator, context=context, session=session)
        pair.handshake()
        self.assertIsNotNone(pair.session.tls)
        return pair

    def refused(self, creator: ServerCreator, context: ssl.SSLContext) -> str:
        """The reason for the log; the service has heard of no handshake."""
        pair = Pair(creator, context=context)
        try:
            pair.handshake()
        except ssl.SSLError:
            pair.pump()
        self.assertIsNone(pair.session.tls)
        self.assertTrue(pair.transport.disconnecting)
        pair.end_tcp(ConnectionDone())
        self.assertEqual(pair.service.happened, ["made", "lost"])
        assert pair.service.lost is not None
        return describe_tls_failure(pair.service.lost)

    def resume(self, creator: ServerCreator, context: ssl.SSLContext) -> ssl.SSLSession:
        pair = self.accepted(creator, context)
        pair.write(b"x")
        pair.close_notify()
        pair.end_tcp(ConnectionDone())
        assert pair.client.session is not None
        return pair.client.session


class VerificationTests(ClientCertificateTestCase):
    """Who gets in."""

    def test_the_session_knows_who_the_client_is(self) -> None:
        for version in (V12, V13):
            for required in (False, True):
                creator = self.tls.creator(clients=ClientDemand(required))
                tls = self.accepted(creator, self.context(version, self.file)).session.tls
                assert tls is not None
                assert tls.client is not None
                self.assertEqual((tls.client.name, tls.client.subject), ("ada", "CN=ada"))
                self.assertEqual(tls.client.fingerprint, self.ada.leaf.fingerprint(SHA256()).hex())

    def test_without_one_optional_goes_on_and_required_says_why_not(self) -> None:
        for version in (V12, V13):
            optional = self.tls.creator(clients=ClientDemand(required=False))
            tls = self.accepted(optional, self.context(version)).session.tls
            assert tls is not None
            self.assertIsNone(tls.client)
            required = self.tls.creator(clients=ClientDemand(required=True))
            self.assertEqual(self.refused(required, self.context(version)), "the peer showed no certificate")

    def test_nobody_is_asked_where_it_is_off(self) -> None:
        tls = self.accepted(self.tls.creator(), self.context(V13, self.file)).session.tls
        assert tls is not None
        self.assertIsNone(tls.client)

    def test_another_authoritys_is_refused_optional_or_not(self) -> None:
        other, key = make_files(self.state / "other", "mallory")
        both = self.state / "mallory.pem"
        both.write_bytes(other.read_bytes() + key.read_bytes())
        for version in (V12, V13):
            for required in (False, True):
                creator = self.tls.creator(clients=ClientDemand(required))
                self.assertEqual(
                    self.refused(creator, self.context(version, both)),
                    "the peer's certificate was refused: self-signed certificate",
                )

    def test_a_servers_certificate_is_no_clients(self) -> None:
        server = write_pair(self.tls.certificates[0], self.state / "server.pem")
        creator = self.tls.creator(clients=ClientDemand(required=True))
        self.assertIn("purpose", self.refused(creator, self.context(V13, server)))

    def test_names_that_make_no_sense_are_refused(self) -> None:
        # RFC 5280 4.2.1.6: an address has 4 or 16 octets; this one has 5.
        odd = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, bytes.fromhex("300787050102030405"))
        key = ec.generate_private_key(ec.SECP256R1())
        ca = self.authority.load_authority("host.example.org")
        leaf = self.sign("odd", key.public_key(), ca, authority=False, extension=odd)
        file = write_pair(KeyedCertificate((leaf,), key, self.file), self.state / "odd.pem")
        words = self.refused(self.tls.creator(clients=ClientDemand(required=True)), self.context(V13, file))
        self.assertEqual(words, "the peer's certificate was refused: its names can't be read")

    def test_an_expired_one_is_refused(self) -> None:
        past = LocalAuthority(self.state / "past", now=lambda: datetime.now(UTC) - timedelta(days=300))
        past.load_authority("host.example.org")
        file = write_pair(past.make_client("ada"), self.state / "old.pem")
        creator = self.tls.creator(clients=ClientDemand(required=True, authority=past.path))
        self.assertEqual(
            self.refused(creator, self.context(V13, file)),
            "the peer's certificate was refused: certificate has expired",
        )

    def test_the_sections_own_authority_counts_and_no_other(self) -> None:
        theirs = LocalAuthority(self.state / "theirs")
        theirs.load_authority("clients")
        bob = write_pair(theirs.make_client("bob"), self.state / "bob.pem")
        creator = self.tls.creator(clients=ClientDemand(required=True, authority=theirs.path))
        tls = self.accepted(creator, self.context(V13, bob)).session.tls
        assert tls is not None
        assert tls.client is not None
        self.assertEqual(tls.client.name, "bob")
        self.assertIn("unable to", self.refused(creator, self.context(V13, self.file)))

    def test_an_authority_below_another_and_a_certificate_itself_may_be_given(self) -> None:
        root = LocalAuthority(self.state / "root")
        root.load_authority("root")
        middle_key = ec.generate_private_key(ec.SECP256R1())
        middle = self.sign("middle", middle_key.public_key(), root, authority=True)
        leaf_key = ec.generate_private_key(ec.SECP256R1())
        issuer = KeyedCertificate((middle,), middle_key, self.file)
        leaf = self.sign("carol", leaf_key.public_key(), issuer, authority=False)
        carol = write_pair(KeyedCertificate((leaf,), leaf_key, self.file), self.state / "carol.pem")
        for trusted in (middle, leaf):
            file = self.state / "trusted.pem"
            file.write_bytes(trusted.public_bytes(Encoding.PEM))
            creator = make_server_tls(TlsOptions(), state=self.state, hostname="host.example.org").creator(
                clients=ClientDemand(required=True, authority=file)
            )
            tls = self.accepted(creator, self.context(V13, carol)).session.tls
            assert tls is not None
            assert tls.client is not None
            self.assertEqual(tls.client.name, "carol")

    def sign(
        self, name: str, key: ec.EllipticCurvePublicKey, issuer: LocalAuthority | KeyedCertificate, *, authority: bool,
        extension: x509.ExtensionType | None = None,
    ) -> x509.Certificate:  # fmt: skip
        signer = issuer.load_authority("root") if isinstance(issuer, LocalAuthority) else issuer
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder(signer.leaf.subject, subject, key, x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        builder = builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        if extension is not None:
            builder = builder.add_extension(extension, critical=False)
        assert isinstance(signer.key, ec.EllipticCurvePrivateKey)
        return builder.sign(signer.key, SHA256())

    def test_a_certificate_by_name_changes_nothing(self) -> None:
        certificate, key = make_files(self.state / "etc", "mail.example.org")
        options = {"names": {"mail.example.org": {"certificate": str(certificate), "key": str(key)}}}
        self.tls.reload(TlsOptions.model_validate(options))
        creator = self.tls.creator(clients=ClientDemand(required=True))
        for version in (V12, V13):
            pair = Pair(creator, context=self.context(version, self.file), server_name="mail.example.org")
            pair.handshake()
            assert pair.session.tls is not None
            assert pair.session.tls.client is not None
            self.assertEqual(pair.session.tls.client.name, "ada")
            bare = Pair(creator, context=self.context(version), server_name="mail.example.org")
            try:
                bare.handshake()
            except ssl.SSLError:
                bare.pump()
            self.assertIsNone(bare.session.tls)

    def test_the_authority_of_clients_is_no_part_of_our_chain(self) -> None:
        pair = self.accepted(self.tls.creator(clients=ClientDemand(required=False)), self.context(V13))
        # The standard library has no public name for the chain before 3.13.
        chain = cast("Any", pair.client)._sslobj.get_unverified_chain()
        self.assertEqual(len(chain), 1)

    def test_clients_are_told_whose_certificates_are_taken(self) -> None:
        # A client that has several chooses by the names of the authorities in the request.
        context = self.tls.creator(clients=ClientDemand(required=True))._context
        names = SSL.Connection(context, None).get_client_ca_list()
        self.assertEqual([name.CN for name in names], ["netservices authority of host.example.org"])


class ResumptionTests(ClientCertificateTestCase):
    """R23: a session that is resumed is the same client's, and of the same section."""

    def test_the_identity_survives(self) -> None:
        for version in (V12, V13):
            for required in (False, True):
                creator = self.tls.creator(clients=ClientDemand(required))
                context = self.context(version, self.file)
                session = self.resume(creator, context)
                tls = self.accepted(creator, context, session).session.tls
                assert tls is not None
                assert tls.client is not None
                self.assertEqual((tls.resumed, tls.client.name), (True, "ada"))

    def test_it_does_not_cross_to_another_section(self) -> None:
        for version in (V12, V13):
            one, other = (self.tls.creator(clients=ClientDemand(required=False)) for _ in range(2))
            context = self.context(version, self.file)
            session = self.resume(one, context)
            tls = self.accepted(other, context, session).session.tls
            assert tls is not None
            self.assertFalse(tls.resumed)

    def test_a_session_without_one_opens_no_listener_that_requires_one(self) -> None:
        for version in (V12, V13):
            context = self.context(version)
            session = self.resume(self.tls.creator(), context)
            required = self.tls.creator(clients=ClientDemand(required=True))
            pair = Pair(required, context=context, session=session)
            try:
                pair.handshake()
            except ssl.SSLError:
                pair.pump()
            self.assertIsNone(pair.session.tls)

    def test_a_certificate_that_has_expired_since_is_not_resumed(self) -> None:
        now = datetime.now(UTC)
        tls = make_server_tls(TlsOptions(), state=self.state, hostname="host.example.org", now=lambda: now)
        for version in (V12, V13):
            now = datetime.now(UTC)
            creator = tls.creator(clients=ClientDemand(required=False))
            context = self.context(version, self.file)
            session = self.resume(creator, context)
            now = self.ada.not_after + timedelta(seconds=1)
            pair = Pair(creator, context=context, session=session)
            pair.handshake()
            self.assertIsNone(pair.session.tls)
            pair.end_tcp(ConnectionDone())
            assert pair.service.lost is not None
            words = "the peer's certificate was refused: certificate has expired"
            self.assertEqual(describe_tls_failure(pair.service.lost), words)

    def test_other_authorities_end_the_sessions_of_those_before(self) -> None:
        file = self.state / "clients.pem"
        file.write_bytes(self.authority.path.read_bytes())
        creator = self.tls.creator(clients=ClientDemand(required=True, authority=file))
        for version in (V12, V13):
            file.write_bytes(self.authority.path.read_bytes())
            self.tls.reload()
            context = self.context(version, self.file)
            session = self.resume(creator, context)
            other = LocalAuthority(self.state / f"other{version}")
            other.load_authority("others")
            file.write_bytes(other.path.read_bytes())
            self.tls.reload()
            pair = Pair(creator, context=context, session=session)
            try:
                pair.handshake()
            except ssl.SSLError:
                pair.pump()
            self.assertIsNone(pair.session.tls)


class DemandTests(ClientCertificateTestCase):
    """From the options to the files."""

    def options(self, **more: object) -> ServiceOptions:
        return ServiceOptions.model_validate({"kind": "test", "listen": (parse_listen("tls:7"),), **more})

    def test_what_a_section_asks_for(self) -> None:
        self.assertIsNone(make_client_demand(self.options()))
        self.assertEqual(make_client_demand(self.options(client_certificates="optional")), ClientDemand(required=False))
        asked = self.options(client_certificates="required", client_authority=str(self.file))
        self.assertEqual(make_client_demand(asked), ClientDemand(required=True, authority=asked.client_authority))

    def test_the_files_of_a_configuration(self) -> None:
        services = {
            "a": self.options(client_certificates="required"),
            "b": self.options(client_certificates="optional", client_authority=str(self.file)),
            "c": self.options(client_authority=str(self.file)),
            "d": self.options(client_certificates="required", enabled=False),
        }
        self.assertEqual(list_trusted(Config(services=services)), (None, services["b"].client_authority))

    def test_a_check_finds_what_is_wrong(self) -> None:
        """R3."""
        bad = self.state / "bad.pem"
        bad.write_text("nothing")
        services = {
            "a": self.options(client_certificates="required", client_authority=str(bad)),
            "b": self.options(listen=(parse_listen("tls:8"),), client_authority=str(self.authority.path)),
        }
        found = {problem.path: problem for problem in examine(Config(services=services))}
        self.assertEqual(
            sorted(found), ["services.a.client_authority", "services.b.client_authority"], list(found.values())
        )
        self.assertIs(found["services.a.client_authority"].severity, Severity.MISTAKE)
        self.assertIs(found["services.b.client_authority"].severity, Severity.WARNING)

    def test_a_bad_file_is_refused_and_named(self) -> None:
        bad = self.state / "bad.pem"
        bad.write_text("nothing")
        error = self.assertRaises(
            CertificateError, self.tls.creator, clients=ClientDemand(required=True, authority=bad)
        )
        self.assertIn("bad.pem holds no readable certificate", str(error))

    def test_a_reload_names_the_file_and_keeps_what_there_is(self) -> None:
        file = self.state / "clients.pem"
        file.write_bytes(self.authority.path.read_bytes())
        creator = self.tls.creator(clients=ClientDemand(required=True, authority=file))
        file.write_text("nothing")
        self.assertRaises(CertificateError, self.tls.reload)
        self.accepted(creator, self.context(V13, self.file))
        # The section goes away: what is left of it goes on, and its file is nobody's any more.
        self.tls.use(self.tls.load(trusted=()))
        self.tls.reload()
        self.accepted(creator, self.context(V13, self.file))
        self.assertEqual(self.tls.files, ())

    def test_what_was_loaded_before_is_not_read_again(self) -> None:
        file = self.state / "clients.pem"
        file.write_bytes(self.authority.path.read_bytes())
        material = self.tls.load(trusted=[file])
        file.unlink()
        self.tls.expect(material)
        creator = self.tls.creator(clients=ClientDemand(required=True, authority=file))
        self.tls.use(material)
        self.accepted(creator, self.context(V13, self.file))
        self.assertEqual(self.tls.files, (file,))

    def test_an_operator_with_a_certificate_gets_a_local_authority_for_clients(self) -> None:
        certificate, key = make_files(self.state / "etc", "own")
        state = self.state / "second"
        state.mkdir()
        options = TlsOptions.model_validate({"certificate": str(certificate), "key": str(key)})
        tls = make_server_tls(options, state=state, hostname="own")
        self.assertFalse((state / "tls").exists())
        tls.creator(clients=ClientDemand(required=True))
        self.assertTrue((state / "tls" / "ca.pem").exists())
        self.assertIsNone(tls.authority)
