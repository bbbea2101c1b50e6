"""Whether a certificate and a key are what they should be, and belong together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netservices.config.errors import Severity
from netservices.config.findings import Finding
from netservices.config.paths import LARGEST_INPUT, read_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
    from cryptography.x509 import Certificate
    from pydantic import SecretStr


def examine_pair(certificate: Path | None, key: Path | None, password: SecretStr | None) -> Iterator[Finding]:
    """What is wrong with the options ``certificate``, ``key`` and ``password`` of one table; nothing for none of them.

    Without ``key`` the certificate's file holds the key too.
    """
    if certificate is None:
        for option, value in (("key", key), ("password", password)):
            if value is not None:
                yield _mistake(option, "has no certificate beside it, wanted one, or neither")
        return
    option, key_file = ("certificate", certificate) if key is None else ("key", key)
    found: list[Finding] = []
    chain = _load_chain("certificate", certificate, found)
    private = _load_key(option, key_file, password, found)
    yield from found
    if chain and private is not None:
        holders = [place for place, one in enumerate(chain) if one.public_key() == private.public_key()]
        if not holders:
            yield _mistake(
                option, f"the key in {key_file} does not belong to {certificate}, wanted the one it was made for"
            )
        elif holders[0] != 0:
            yield _mistake(
                "certificate", f"the key belongs to certificate {holders[0] + 1} in {certificate}, wanted it first"
            )


def examine_authorities(path: Path) -> tuple[Finding, ...]:
    """What is wrong with a file of authorities, as a finding about the option ``authority``."""
    found: list[Finding] = []
    _load_chain("authority", path, found)
    return tuple(found)


def _mistake(option: str, text: str) -> Finding:
    return Finding(option, text, Severity.MISTAKE)


def _load_chain(option: str, path: Path, found: list[Finding]) -> list[Certificate]:
    # Imported here: a start without certificates of its own does not need it yet.
    from cryptography.x509 import load_pem_x509_certificates  # noqa: PLC0415

    try:
        octets = read_file(path, LARGEST_INPUT)
    except ValueError as error:
        found.append(_mistake(option, f"{path} {error}, wanted a file that can be read"))
        return []
    try:
        return load_pem_x509_certificates(octets)
    except ValueError:
        found.append(_mistake(option, f"{path} holds no certificate that can be read, wanted PEM"))
        return []


def _load_key(option: str, path: Path, password: SecretStr | None, found: list[Finding]) -> PrivateKeyTypes | None:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - see above
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415 - see above

    try:
        octets = read_file(path, LARGEST_INPUT)
    except ValueError as error:
        found.append(_mistake(option, f"{path} {error}, wanted a file that can be read"))
        return None
    encrypted = b"ENCRYPTED" in octets
    secret = password.get_secret_value().encode() if encrypted and password is not None else None
    if password is not None and not encrypted:
        found.append(Finding("password", f"the key in {path} is not encrypted, wanted no password"))
    try:
        return load_pem_private_key(octets, secret)
    except TypeError:
        found.append(_mistake(option, f"the key in {path} is encrypted, wanted its password beside it"))
    except (ValueError, UnsupportedAlgorithm):
        wanted = "its password" if encrypted else "PEM"
        found.append(_mistake(option, f"{path} holds no key that can be read, wanted {wanted}"))
    return None
