"""Whether a certificate and a key are what they should be, and belong together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netservices.config.errors import Severity
from netservices.config.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydantic import SecretStr


def examine_pair(certificate: Path | None, key: Path | None, password: SecretStr | None) -> Iterator[Finding]:
    """What is wrong with the options ``certificate``, ``key`` and ``password`` of one table; nothing for none of them.

    Without ``key`` the certificate's file holds the key too.
    """
    # Imported here: a start without certificates of its own does not need it yet.
    from netservices.config import pem  # noqa: PLC0415

    if certificate is None:
        for option, value in (("key", key), ("password", password)):
            if value is not None:
                yield _mistake(option, "has no certificate beside it, wanted one, or neither")
        return
    option, key_file = ("certificate", certificate) if key is None else ("key", key)
    chain = private = None
    try:
        chain = pem.load_chain(certificate)
    except pem.CertificateError as error:
        yield _mistake("certificate", str(error))
    try:
        private = pem.load_private_key(key_file, password.get_secret_value() if password is not None else None)
    except pem.CertificateError as error:
        yield _mistake(option, str(error))
    if password is not None and private is not None and not pem.is_encrypted(key_file):
        yield Finding("password", f"the key in {key_file} is not encrypted, wanted no password")
    if chain is not None and private is not None:
        try:
            pem.require_match(chain, private, certificate=certificate, key=key_file)
        except pem.CertificateError as error:
            yield _mistake(option, str(error))


def examine_authorities(path: Path, option: str = "authority") -> Iterator[Finding]:
    """What is wrong with a file of authorities, as a finding about ``option``."""
    from netservices.config import pem  # noqa: PLC0415 - see above

    try:
        pem.load_chain(path)
    except pem.CertificateError as error:
        yield _mistake(option, str(error))


def _mistake(option: str, text: str) -> Finding:
    return Finding(option, text, Severity.MISTAKE)
