"""OpenSSL's settings for a server: versions, ciphers, resumption, ALPN, and certificates by name.

A context is complete before its first connection and never changed after: whatever must change makes new contexts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from OpenSSL import SSL
from OpenSSL.crypto import X509, X509StoreFlags

from netservices.config.pem import CertificateError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cryptography import x509
    from OpenSSL.crypto import X509Store

    from netservices.config import TlsVersion
    from netservices.config.pem import KeyedCertificate

_MINIMUM: Mapping[TlsVersion, int] = {
    "1.0": SSL.TLS1_VERSION,
    "1.1": SSL.TLS1_1_VERSION,
    "1.2": SSL.TLS1_2_VERSION,
    "1.3": SSL.TLS1_3_VERSION,
}
# Forward secrecy and authenticated encryption only; TLS 1.3's own suites are all so.
_CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20"
# What came before 1.2 has CBC and SHA-1 only, which OpenSSL offers on its lowest security level.
_LEGACY_CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:RSA+AES:!aNULL:!eNULL:@SECLEVEL=0"
# SSL_CTX_set_options(3): a client that puts ChaCha20 first has no fast AES, and gets it; pyOpenSSL has no name for it.
_OP_PRIORITIZE_CHACHA = 1 << 21
# SSL_CTX_set_mode(3): what is sent is the chain in the operator's file, and never what clients are verified against.
_MODE_NO_AUTO_CHAIN = 1 << 3
# testssl.sh calls it a fault of weight when the client chooses, though all that is offered here is sound.
_OPTIONS = (
    SSL.OP_NO_COMPRESSION
    | SSL.OP_NO_RENEGOTIATION
    | SSL.OP_SINGLE_ECDH_USE
    | SSL.OP_CIPHER_SERVER_PREFERENCE
    | _OP_PRIORITIZE_CHACHA
)


@dataclass(frozen=True)
class ServerCertificates:
    """What a server shows: one certificate by default, and others to clients that ask for their names.

    ``names`` are in lower case; ``*.example.org`` stands for every name of one label more.
    """

    default: KeyedCertificate
    names: Mapping[str, KeyedCertificate] = field(default_factory=dict)

    def find_name(self, asked: str) -> str | None:
        """The key of ``names`` for the name a client asks for: exact, then a wildcard; None is the default's."""
        asked = asked.lower().rstrip(".")
        if asked in self.names:
            return asked
        wildcard = f"*.{asked.partition('.')[2]}"
        return wildcard if wildcard in self.names else None


@dataclass(frozen=True)
class ClientTrust:
    """Clients are asked for a certificate that one of ``authorities`` has signed, directly or through others.

    Without one they are refused where it is ``required``; with a bad one always.
    """

    authorities: tuple[x509.Certificate, ...]
    required: bool


def make_server_context(
    certificates: ServerCertificates,
    *,
    minimum: TlsVersion,
    alpn: tuple[bytes, ...] = (),
    session_id: bytes,
    clients: ClientTrust | None = None,
) -> SSL.Context:
    """A context that serves every name. ``session_id`` (at most 32 bytes) says which contexts share their sessions.

    Raises ``CertificateError`` when OpenSSL won't have a certificate: a key too short, a digest too weak.
    """

    def make(certificate: KeyedCertificate) -> SSL.Context:
        # OpenSSL asks for a client's certificate as the first context says, but verifies it as the chosen one does.
        context = _make_context(certificate, minimum, alpn, session_id)
        if clients is not None:
            trust_authorities(context, clients.authorities)
            for authority in clients.authorities:
                context.add_client_ca(authority)
            context.set_verify(SSL.VERIFY_PEER | (SSL.VERIFY_FAIL_IF_NO_PEER_CERT if clients.required else 0))
        return context

    context = make(certificates.default)
    named = {name: make(certificate) for name, certificate in certificates.names.items()}
    if named:
        context.set_tlsext_servername_callback(_make_chooser(certificates, named))
    return context


def trust_authorities(context: SSL.Context, authorities: tuple[x509.Certificate, ...]) -> None:
    """Verify peers against these and no others; each may be a root or stand below one that is not given."""
    store = cast("X509Store", context.get_cert_store())
    # Otherwise an authority that another one has signed would be trusted only together with that one.
    store.set_flags(X509StoreFlags.PARTIAL_CHAIN)
    for authority in authorities:
        store.add_cert(X509.from_cryptography(authority))


def _make_chooser(
    certificates: ServerCertificates, named: Mapping[str, SSL.Context]
) -> Callable[[SSL.Connection], None]:
    def choose(connection: SSL.Connection) -> None:
        asked = connection.get_servername()
        if asked is None:
            return
        name = certificates.find_name(asked.decode("ascii", "replace"))
        if name is not None:
            connection.set_context(named[name])

    return choose


def _make_context(
    certificate: KeyedCertificate, minimum: TlsVersion, alpn: tuple[bytes, ...], session_id: bytes
) -> SSL.Context:
    legacy = minimum in {"1.0", "1.1"}
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(_MINIMUM[minimum])
    context.set_options(_OPTIONS)
    context.set_cipher_list(_LEGACY_CIPHERS if legacy else _CIPHERS)
    # An idle connection gives its two 16 KiB record buffers back.
    context.set_mode(SSL.MODE_RELEASE_BUFFERS | _MODE_NO_AUTO_CHAIN)
    context.set_session_cache_mode(SSL.SESS_CACHE_SERVER)
    context.set_session_id(session_id)
    # RFC 7301 3.2 would end the handshake when nothing overlaps; a service without ALPN takes any client.
    context.set_alpn_select_callback(
        lambda _connection, offered: next((mine for mine in alpn if mine in offered), SSL.NO_OVERLAPPING_PROTOCOLS)
    )
    try:
        context.use_certificate(certificate.leaf)
        for issuer in certificate.chain[1:]:
            context.add_extra_chain_cert(issuer)
        context.use_privatekey(certificate.key)
        context.check_privatekey()
    except SSL.Error as error:
        words = error.args[0][-1][2] if error.args and error.args[0] else "no reason given"
        raise CertificateError(f"OpenSSL will not serve the certificate in {certificate.path}: {words}") from None
    return context
