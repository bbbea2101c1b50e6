"""A certificate with its key, read from PEM files; what is wrong is said with the file's name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from netservices.config.paths import LARGEST_INPUT, read_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey | rsa.RSAPrivateKey
"""What a TLS certificate can be made for."""

_ENCRYPTED = b"ENCRYPTED"
"""What both forms of an encrypted key have in their first lines (RFC 7468 11, RFC 1421 4.6.1.1)."""


class CertificateError(ValueError):
    """A certificate or key can't be used; the text names the file and what was wanted, in one line."""


@dataclass(frozen=True)
class KeyedCertificate:
    """A certificate, its key, and the certificates of the authorities between it and a root.

    Two are equal when their chains are: the key belongs to the first certificate.
    """

    chain: tuple[x509.Certificate, ...]
    """The server's own first; never empty."""
    key: PrivateKey = field(compare=False, repr=False)
    path: Path = field(compare=False)
    """Where the certificate came from, for messages."""

    @property
    def leaf(self) -> x509.Certificate:
        """The certificate that the key belongs to."""
        return self.chain[0]

    @property
    def not_after(self) -> datetime:
        """When it ends; aware, UTC."""
        return self.leaf.not_valid_after_utc


def load_keyed_certificate(certificate: Path, key: Path | None = None, password: str | None = None) -> KeyedCertificate:
    """Read both files; ``key`` None means that the certificate's file holds the key too. Blocks on the disk.

    Raises ``CertificateError`` for a file that can't be read, isn't PEM, is encrypted otherwise than with ``password``,
    holds a kind of key that TLS has no use for, or doesn't fit the other.
    """
    key_path = certificate if key is None else key
    chain = load_chain(certificate)
    private = load_private_key(key_path, password)
    require_match(chain, private, certificate=certificate, key=key_path)
    return KeyedCertificate(chain, private, certificate)


def require_match(chain: Sequence[x509.Certificate], private: PrivateKey, *, certificate: Path, key: Path) -> None:
    """Raises ``CertificateError`` unless the key belongs to the first certificate; the paths are for its words."""
    wanted = _public_octets(private.public_key())
    holders = [place for place, each in enumerate(chain, 1) if _public_of(each, certificate) == wanted]
    if not holders:
        raise CertificateError(f"the key in {key} does not belong to {certificate}, wanted the one it was made for")
    if holders[0] != 1:
        raise CertificateError(
            f"the key in {key} belongs to certificate {holders[0]} in {certificate}, wanted it first"
        )


def load_chain(path: Path) -> tuple[x509.Certificate, ...]:
    """Every certificate of a PEM file, in its order; at least one. Raises ``CertificateError``."""
    octets = _read(path)
    try:
        return tuple(x509.load_pem_x509_certificates(octets))
    except ValueError:
        raise CertificateError(f"{path} holds no readable certificate, wanted PEM (BEGIN CERTIFICATE)") from None


def load_private_key(path: Path, password: str | None = None) -> PrivateKey:
    """The private key of a PEM file. Raises ``CertificateError``."""
    octets = _read(path)
    try:
        key = _decrypt(octets, password)
    except TypeError:
        raise CertificateError(f"the key in {path} is encrypted, wanted its password") from None
    except ValueError:
        if _ENCRYPTED in octets:
            raise CertificateError(f"the key in {path} can't be read with the password given") from None
        raise CertificateError(f"{path} holds no readable private key, wanted PEM (BEGIN PRIVATE KEY)") from None
    except UnsupportedAlgorithm:
        raise CertificateError(f"the key in {path} is of an unknown kind, wanted ECDSA, Ed25519 or RSA") from None
    if not isinstance(key, PrivateKey):
        raise CertificateError(f"the key in {path} is of no use for TLS, wanted ECDSA, Ed25519 or RSA")
    return key


def is_encrypted(path: Path) -> bool:
    """Whether the key in a PEM file needs a password. Raises ``CertificateError`` if it can't be read."""
    return _ENCRYPTED in _read(path)


def _decrypt(octets: bytes, password: str | None) -> object:
    if _ENCRYPTED not in octets:
        return load_pem_private_key(octets, None)
    return load_pem_private_key(octets, None if password is None else password.encode())


def _read(path: Path) -> bytes:
    try:
        return read_file(path, LARGEST_INPUT)
    except ValueError as error:
        raise CertificateError(f"{path} {error}, wanted a certificate or key in PEM") from None


def _public_of(leaf: x509.Certificate, path: Path) -> bytes:
    try:
        return _public_octets(leaf.public_key())
    except (ValueError, UnsupportedAlgorithm):
        raise CertificateError(f"the key named in {path} is of an unknown kind, wanted ECDSA, Ed25519 or RSA") from None


def _public_octets(key: CertificatePublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
