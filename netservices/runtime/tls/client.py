"""The client's side of TLS: whom we trust, whether the peer is who it should be, and what it showed if not."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from OpenSSL import SSL
from service_identity import CertificateError as UnusableNamesError
from service_identity import VerificationError
from service_identity.cryptography import verify_certificate_hostname, verify_certificate_ip_address
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from zope.interface import implementer

from netservices.config.pem import CertificateError, load_chain
from netservices.runtime.tls.connection import TlsConnection, describe_fault, refuse
from netservices.runtime.tls.contexts import trust_authorities
from netservices.runtime.tls.identity import describe_certificate

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography import x509
    from OpenSSL.crypto import X509
    from twisted.protocols.tls import TLSMemoryBIOProtocol

    from netservices.config.pem import KeyedCertificate

_VERSIONS = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}


@dataclass(frozen=True)
class ClientSettings:
    """What connections to several peers may share.

    ``authority`` is a PEM file of those that may sign a peer's certificate; None: the system's. ``certificate`` is
    shown to peers that ask for one. ``alpn`` is in order of preference. ``minimum`` is ``1.2`` or ``1.3``.
    """

    authority: Path | None = None
    certificate: KeyedCertificate | None = None
    alpn: tuple[bytes, ...] = ()
    minimum: str = "1.2"


def make_client_context(settings: ClientSettings) -> SSL.Context:
    """A context for them. Blocks on the disk; raises ``CertificateError``."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(_VERSIONS[settings.minimum])
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    if settings.authority is None:
        context.set_default_verify_paths()
    else:
        trust_authorities(context, load_chain(settings.authority))
    if settings.alpn:
        context.set_alpn_protos(list(settings.alpn))
    own = settings.certificate
    if own is not None:
        try:
            context.use_certificate(own.leaf)
            for issuer in own.chain[1:]:
                context.add_extra_chain_cert(issuer)
            context.use_privatekey(own.key)
        except SSL.Error as error:
            words = error.args[0][-1][2] if error.args and error.args[0] else "no reason given"
            raise CertificateError(f"OpenSSL will not show the certificate in {own.path}: {words}") from None
    return context


class OutgoingConnection(TlsConnection):
    """The connection to one peer, which is ``expected`` to be somebody."""

    def __init__(self, context: SSL.Context, expected: ExpectedPeer) -> None:
        super().__init__(context)
        self._expected = expected
        self.set_connect_state()

    def do_handshake(self) -> None:
        """Raises ``WantReadError`` until it is done."""
        super().do_handshake()
        if self._expected.verify and not self._expected.accepted:
            refuse("certificate verify failed: nobody has looked at it")

    def _read_client(self) -> None:
        """The client is this process."""


@implementer(IOpenSSLClientConnectionCreator)
class ExpectedPeer:
    """Makes the connection to one peer, and knows afterwards what was wrong with it.

    ``name`` is a host's name or an address; it is asked for (SNI), and the certificate must be for it, unless
    ``verify`` is false. ``fault`` is why the certificate was refused, ``presented`` the one that the peer has shown.
    """

    def __init__(self, context: SSL.Context, name: str, *, verify: bool = True) -> None:
        self.verify = verify
        self.accepted = False
        self.fault: str | None = None
        self.presented: x509.Certificate | None = None
        self.connection: OutgoingConnection | None = None
        self._context = context
        self._name = name
        self._is_address = is_address(name)

    def clientConnectionForTLS(
        self,
        tlsProtocol: TLSMemoryBIOProtocol,  # noqa: ARG002 - Twisted's signature
    ) -> OutgoingConnection:
        """For one connection."""
        self.connection = connection = OutgoingConnection(self._context, self)
        if not self._is_address:
            # RFC 6066 3: literal addresses are not permitted.
            connection.set_tlsext_host_name(self._name.encode("ascii"))
        if self.verify:
            connection.set_verify(SSL.VERIFY_PEER, self._look_at)
        return connection

    def describe(self, trusted: str) -> str:
        """What was wanted and what came, in one line; ``trusted`` says whose signature was wanted."""
        got = "none" if self.presented is None else describe_certificate(self.presented)
        return f"wanted a certificate for {self._name} signed by {trusted}, got {got}"

    def _look_at(self, _connection: SSL.Connection, shown: X509, error: int, depth: int, _ok: int) -> bool:
        """OpenSSL asks about each certificate, the peer's own last: it is decided there, and so seen in any case."""
        if error and self.fault is None:
            self.fault = describe_fault(error)
        if depth:
            return True
        self.presented = certificate = shown.to_cryptography()
        if self.fault is None:
            self.fault = self._find_name_fault(certificate)
        self.accepted = self.fault is None
        return self.accepted

    def _find_name_fault(self, certificate: x509.Certificate) -> str | None:
        verify_name = verify_certificate_ip_address if self._is_address else verify_certificate_hostname
        try:
            verify_name(certificate, self._name)
        except VerificationError:
            return "it is for another name"
        except (UnusableNamesError, ValueError):
            return "it has no names that can be read"
        return None


def is_address(name: str) -> bool:
    """Whether it is a literal address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
