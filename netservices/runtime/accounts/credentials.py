"""What a peer may show at the portal. Every credential tells the section it is shown to, and the session's log."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from twisted.cred.credentials import ICredentials, IUsernamePassword
from zope.interface import Attribute, implementer

if TYPE_CHECKING:
    from netservices.runtime.events import EventLog
    from netservices.wire.sasl import ScramKeys, SharedSecret


class IExchangeProof(ICredentials):
    """The end of an exchange in which no password is sent: SCRAM, CRAM-MD5, APOP."""

    name = Attribute("Text or UTF-8.")
    shown = Attribute("The ``ScramKeys`` or ``SharedSecret`` that the peer's proof was compared with.")
    proved = Attribute("Whether it fitted.")


class IVerifiedSubject(ICredentials):
    """A client certificate that TLS has verified."""

    subject = Attribute("RFC 4514 text.")


@implementer(IUsernamePassword)
@dataclass(frozen=True)
class PasswordLogin:
    """A name and a password, text or UTF-8. ``service`` is the section's name."""

    username: str | bytes
    password: str | bytes = field(repr=False)
    service: str | None
    log: EventLog | None = field(default=None, repr=False)

    def checkPassword(self, password: bytes) -> bool:
        given = self.password.encode() if isinstance(self.password, str) else self.password
        return hmac.compare_digest(given, password)


@implementer(IExchangeProof)
@dataclass(frozen=True)
class ExchangeLogin:
    """The end of an exchange that began with ``find_scram_keys`` or ``find_shared_secret``, a failed one too."""

    name: str | bytes
    shown: ScramKeys | SharedSecret
    proved: bool
    service: str | None
    log: EventLog | None = field(default=None, repr=False)


@implementer(IVerifiedSubject)
@dataclass(frozen=True)
class CertificateLogin:
    """A verified client certificate's subject."""

    subject: str
    service: str | None
    log: EventLog | None = field(default=None, repr=False)
