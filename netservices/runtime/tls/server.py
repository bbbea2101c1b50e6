"""The server's side of TLS: which certificates, and what accepts connections with them, over reloads too."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakSet

from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from zope.interface import implementer

from netservices.config.pem import CertificateError, KeyedCertificate, load_keyed_certificate
from netservices.runtime.tls.authority import LocalAuthority, utc_now
from netservices.runtime.tls.connection import PlaintextWatcher, TlsConnection
from netservices.runtime.tls.contexts import ServerCertificates, make_server_context

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from datetime import datetime
    from pathlib import Path

    from OpenSSL import SSL
    from pydantic import SecretStr
    from twisted.protocols.tls import TLSMemoryBIOProtocol

    from netservices.config import TlsOptions, TlsVersion


@dataclass(frozen=True)
class ServerMaterial:
    """What one load of ``[tls]`` gave. ``authority`` is the local authority's certificate, where it is what signs."""

    certificates: ServerCertificates
    minimum: TlsVersion
    authority: Path | None


class CertificateLoader:
    """Loads what ``[tls]`` names; blocks on the disk, so it is for the start, or for a thread."""

    def __init__(
        self, state: Path, hostname: str, addresses: Collection[str] = (), now: Callable[[], datetime] = utc_now
    ) -> None:
        self._local = LocalAuthority(state / "tls", now)
        self._hostname = hostname
        self._addresses = tuple(addresses)

    def load(self, options: TlsOptions) -> ServerMaterial:
        """Read every file, or ask the local authority; OpenSSL accepts what returns. Raises ``CertificateError``."""
        if options.certificate is not None:
            default, authority = (
                load_keyed_certificate(options.certificate, options.key, _reveal(options.password)),
                None,
            )
        elif options.key is not None:
            raise CertificateError(f"the key {options.key} has no certificate, wanted both, or neither")
        else:
            default, authority = self._local.load_server(self._hostname, self._addresses), self._local.path
        names = {
            name: load_keyed_certificate(named.certificate, named.key, _reveal(named.password))
            for name, named in options.names.items()
        }
        certificates = ServerCertificates(default, names)
        make_server_context(certificates, minimum=options.minimum, session_id=b"check")
        return ServerMaterial(certificates, options.minimum, authority)


@implementer(IOpenSSLServerConnectionCreator)
class ServerCreator:
    """Makes the connections of one listener; stays valid when the certificates are replaced.

    Sessions are resumed among the connections of one creator: listeners that share sessions share it.
    """

    def __init__(self, material: ServerMaterial, minimum: TlsVersion | None, alpn: tuple[bytes, ...]) -> None:
        self._minimum = minimum
        self._alpn = alpn
        self._session_id = secrets.token_bytes(16)
        self._made_of: tuple[ServerCertificates, TlsVersion] | None = None
        self._context: SSL.Context
        self.use(self.make(material), material)

    def make(self, material: ServerMaterial) -> SSL.Context:
        """The context for ``material``: the present one where nothing would change, so that sessions live on."""
        minimum = self._minimum or material.minimum
        if self._made_of == (material.certificates, minimum):
            return self._context
        return make_server_context(material.certificates, minimum=minimum, alpn=self._alpn, session_id=self._session_id)

    def use(self, context: SSL.Context, material: ServerMaterial) -> None:
        """Serve the next handshakes with it."""
        self._context = context
        self._made_of = (material.certificates, self._minimum or material.minimum)

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> TlsConnection:
        """For one accepted connection; a ``PlaintextWatcher`` is told of it, any other layer is served plainly."""
        return TlsConnection(self._context, tlsProtocol if isinstance(tlsProtocol, PlaintextWatcher) else None)


class ServerTls:
    """The TLS of all listeners."""

    def __init__(self, loader: CertificateLoader, options: TlsOptions) -> None:
        self._loader = loader
        self._options = options
        self._material = loader.load(options)
        self._creators: WeakSet[ServerCreator] = WeakSet()

    @property
    def authority(self) -> Path | None:
        """The local authority's certificate, for clients to trust; None where the operator has a certificate."""
        return self._material.authority

    @property
    def certificates(self) -> tuple[KeyedCertificate, ...]:
        """Every certificate in use, the default first."""
        return (self._material.certificates.default, *self._material.certificates.names.values())

    def creator(self, minimum: TlsVersion | None = None, alpn: tuple[bytes, ...] = ()) -> ServerCreator:
        """For one section's listeners. ``minimum`` None follows ``[tls]``; ``alpn`` is in order of preference."""
        creator = ServerCreator(self._material, minimum, alpn)
        self._creators.add(creator)
        return creator

    def load(self, options: TlsOptions | None = None) -> ServerMaterial:
        """Read everything anew, by ``options`` or the present ones, and change nothing yet; may run in a thread.

        Raises ``CertificateError``.
        """
        return self._loader.load(options or self._options)

    def use(self, material: ServerMaterial, options: TlsOptions | None = None) -> None:
        """Serve the next handshakes with what ``load`` gave; all creators change, or on ``CertificateError`` none."""
        contexts = [(creator, creator.make(material)) for creator in self._creators]
        for creator, context in contexts:
            creator.use(context, material)
        self._material = material
        self._options = options or self._options

    def reload(self, options: TlsOptions | None = None) -> None:
        """``load``, then ``use``. Raises ``CertificateError`` and goes on with the old."""
        self.use(self.load(options), options)


def make_server_tls(
    options: TlsOptions,
    *,
    state: Path,
    hostname: str,
    addresses: Collection[str] = (),
    now: Callable[[], datetime] = utc_now,
) -> ServerTls:
    """Load what ``[tls]`` names, or have a local authority in ``state/tls`` sign for hostname and ``addresses``.

    Blocks on the disk. Raises ``CertificateError``.
    """
    return ServerTls(CertificateLoader(state, hostname, addresses, now), options)


def _reveal(password: SecretStr | None) -> str | None:
    return None if password is None else password.get_secret_value()
