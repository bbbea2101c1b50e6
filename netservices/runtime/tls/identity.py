"""Who a client's certificate is for, and which account that is.

A certificate comes here only after OpenSSL has verified it against the listener's own authorities.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_KINDS = ("sha256", "subject", "dns", "email", "uri", "ip", "name")


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """What was verified of a client's certificate.

    ``name`` is the subject's common name, empty unless there is exactly one. ``subject`` and ``issuer`` are in the form
    of RFC 4514. ``alternatives`` are the subject's alternative names, in the certificate's order, each as
    ``dns:NAME``, ``email:ADDRESS``, ``uri:URI`` or ``ip:ADDRESS``. ``fingerprint`` is the SHA-256 of the whole
    certificate in 64 lower-case hexadecimal digits.
    """

    name: str
    subject: str
    alternatives: tuple[str, ...]
    fingerprint: str
    issuer: str
    not_after: datetime

    @property
    def keys(self) -> tuple[str, ...]:
        """What an account may be bound to, the most exact first; see ``parse_certificate_key``."""
        keys = [f"sha256:{self.fingerprint}", f"subject:{self.subject}"]
        keys += [parse_certificate_key(alternative) for alternative in self.alternatives]
        return (*keys, f"name:{self.name}") if self.name else tuple(keys)


def make_client_certificate(certificate: x509.Certificate) -> ClientCertificate:
    """Read one; raises ``ValueError`` if its names make no sense."""
    subject = certificate.subject
    names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return ClientCertificate(
        name=str(names[0].value) if len(names) == 1 else "",
        subject=subject.rfc4514_string(),
        alternatives=tuple(_list_alternatives(certificate)),
        fingerprint=certificate.fingerprint(SHA256()).hex(),
        issuer=certificate.issuer.rfc4514_string(),
        not_after=certificate.not_valid_after_utc,
    )


def parse_certificate_key(text: str) -> str:
    """What an account is bound to, in the one form that is compared. Raises ``ValueError``.

    ``sha256:DIGITS`` (colons between them and capitals do not count), ``subject:CN=...`` (RFC 4514),
    ``name:COMMON NAME``, ``dns:``, ``email:``, ``uri:`` or ``ip:``.
    """
    kind, colon, value = text.partition(":")
    kind = kind.lower()
    if not colon or kind not in _KINDS or not value:
        wanted = ", ".join(f"{each}:" for each in _KINDS)
        raise ValueError(f'"{text}" names no certificate, wanted one of {wanted} and a value')
    if kind == "sha256":
        value = value.replace(":", "").lower()
        if not _FINGERPRINT.fullmatch(value):
            raise ValueError(f'"{text}" is no fingerprint, wanted 64 hexadecimal digits')
    elif kind in {"dns", "email"}:
        # RFC 4343: names of hosts know no case; of mailboxes, no account here does either.
        value = value.lower()
    return f"{kind}:{value}"


def find_account(certificate: ClientCertificate, lookup: Callable[[str], str | None]) -> str | None:
    """The account that a certificate is bound to: ``lookup`` gets each of its keys, until it knows one."""
    for key in certificate.keys:
        account = lookup(key)
        if account is not None:
            return account
    return None


def describe_certificate(certificate: x509.Certificate) -> str:
    """For whom, by whom and until when, in one line without control characters; for telling what a peer presented."""
    names = [alternative.partition(":")[2] for alternative in _list_alternatives(certificate)]
    shown = ", ".join(names[:_MOST_NAMES]) + (f" and {len(names) - _MOST_NAMES} more" if names[_MOST_NAMES:] else "")
    ends = certificate.not_valid_after_utc
    return clean(
        f"a certificate for {shown or 'no name (subject ' + certificate.subject.rfc4514_string() + ')'}, "
        f"signed by {certificate.issuer.rfc4514_string() or 'nobody'}, valid until {ends:%Y-%m-%d %H:%M} UTC"
    )


def clean(text: str) -> str:
    """One short line, whatever a peer has put in it."""
    line = "".join(each if each.isprintable() else "?" for each in text)
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."


_MOST_NAMES = 5
_LONGEST = 400


def _list_alternatives(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    alternatives = []
    for name in names:
        match name:
            case x509.DNSName():
                alternatives.append(f"dns:{name.value}")
            case x509.RFC822Name():
                alternatives.append(f"email:{name.value}")
            case x509.UniformResourceIdentifier():
                alternatives.append(f"uri:{name.value}")
            case x509.IPAddress():
                alternatives.append(f"ip:{name.value}")
            case _:
                # Directory names and the like stand for nobody here.
                continue
    return [alternative for alternative in alternatives if alternative.partition(":")[2]]
