"""The local authority: what signs the server's certificate where the operator has none."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from netservices.config.models import parse_server_name
from netservices.config.pem import CertificateError, KeyedCertificate
from netservices.runtime.tls.pairs import PairStore

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

AUTHORITY_LIFE = timedelta(days=3652)
SERVER_LIFE = timedelta(days=199)
"""CA/Browser Forum, baseline requirements 6.3.2: at most 200 days from 15 March 2026; the hour of grace is included."""
_LONGEST_NAME = 64
"""RFC 5280 A.1: ub-common-name."""
_GRACE = timedelta(hours=1)
"""How far a peer's clock may be behind ours."""


def utc_now() -> datetime:
    """The time, aware."""
    return datetime.now(UTC)


class LocalAuthority:
    """An authority of this machine's own, in ``directory``: ``ca.pem``, ``ca.key``, ``server.pem``, ``server.key``.

    Blocks on the disk: for the start, or for a thread. A machine that is told to trust ``ca.pem`` trusts every
    certificate signed here, and none signed below those.
    """

    def __init__(self, directory: Path, now: Callable[[], datetime] = utc_now) -> None:
        self._store = PairStore(directory)
        self._now = now

    @property
    def path(self) -> Path:
        """The certificate for clients to trust; there after the first ``load_server``."""
        return self._store.certificate_path("ca")

    def load_server(self, hostname: str, names: Collection[str] = ()) -> KeyedCertificate:
        """The server's certificate for ``hostname``, ``localhost``, the loopback addresses and ``names``.

        It is signed anew when a third of its life is left, when the names have changed, and when the authority has. The
        authority itself is made at the first call, and again only once it has expired. Raises ``CertificateError`` for
        a damaged file, files that don't belong together, and a name that can't stand in a certificate.
        """
        wanted = _alternative_names([hostname, "localhost", "127.0.0.1", "::1", *names])
        authority = self.load_authority(hostname)
        server = self._store.load("server")
        if server is not None and self._is_good(server, authority, wanted):
            return server
        return self._store.save("server", self._sign(authority, hostname, wanted, ExtendedKeyUsageOID.SERVER_AUTH))

    def load_authority(self, hostname: str) -> KeyedCertificate:
        """The authority; made, in the name of ``hostname``, if there is none or it has expired."""
        authority = self._store.load("ca")
        if authority is None or authority.not_after <= self._now():
            return self._store.save("ca", self._make_authority(hostname))
        if not _is_authority(authority):
            raise CertificateError(f"{self.path} is not the authority that was made here; remove it and its key")
        return authority

    def make_client(self, name: str) -> KeyedCertificate:
        """A client's certificate for ``name``, which nothing is kept of. The authority has to be there.

        Raises ``CertificateError``.
        """
        authority = self._store.load("ca")
        if authority is None:
            raise CertificateError(f"{self.path} is missing; the local authority has not been made yet")
        if authority.not_after <= self._now():
            raise CertificateError(f"{self.path} has expired; the daemon makes a new one when it starts")
        if not name or len(name) > _LONGEST_NAME or not name.isprintable():
            raise CertificateError(f"a client's name has 1 to {_LONGEST_NAME} characters, all printable")
        return self._sign(authority, name, [], ExtendedKeyUsageOID.CLIENT_AUTH)

    def _is_good(self, server: KeyedCertificate, authority: KeyedCertificate, wanted: list[x509.GeneralName]) -> bool:
        leaf, now = server.leaf, self._now()
        life = leaf.not_valid_after_utc - leaf.not_valid_before_utc
        if not leaf.not_valid_before_utc <= now < leaf.not_valid_after_utc - life / 3:
            return False
        try:
            leaf.verify_directly_issued_by(authority.leaf)
        except (ValueError, TypeError, InvalidSignature):
            return False
        try:
            names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            return False
        return set(names) == set(wanted)

    def _make_authority(self, hostname: str) -> KeyedCertificate:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _subject(f"netservices authority of {hostname}")
        start = self._now() - _GRACE
        builder = (
            x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + AUTHORITY_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        return KeyedCertificate((builder.sign(key, SHA256()),), key, self.path)

    def _sign(
        self, authority: KeyedCertificate, name: str, names: list[x509.GeneralName], purpose: x509.ObjectIdentifier
    ) -> KeyedCertificate:
        key = ec.generate_private_key(ec.SECP256R1())
        start = self._now() - _GRACE
        builder = (
            x509.CertificateBuilder(
                authority.leaf.subject, _subject(name), key.public_key(), x509.random_serial_number()
            )
            .not_valid_before(start)
            .not_valid_after(min(start + SERVER_LIFE, authority.not_after))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False
            )
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return KeyedCertificate((builder.sign(authority.key, SHA256()),), key, self.path)


def _is_authority(authority: KeyedCertificate) -> bool:
    if not isinstance(authority.key, ec.EllipticCurvePrivateKey):
        return False
    try:
        return authority.leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:_LONGEST_NAME])])


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative_names(names: Collection[str]) -> list[x509.GeneralName]:
    """Each name once, in the order given; a zone is left out."""
    return list(dict.fromkeys(_alternative_name(name) for name in names))


def _alternative_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name.partition("%")[0]))
    except ValueError:
        pass
    try:
        return x509.DNSName(parse_server_name(name.rstrip(".").encode("idna").decode("ascii")))
    except ValueError:
        raise CertificateError(f"\"{name}\" can't stand in a certificate, wanted a host's name or address") from None
