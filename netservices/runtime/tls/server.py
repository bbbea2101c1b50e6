"""The server's side of TLS: which certificates, and what accepts connections with them, over reloads too."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from weakref import WeakSet

from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from zope.interface import implementer

from netservices.config.pem import CertificateError, KeyedCertificate, load_chain, load_keyed_certificate
from netservices.runtime.tls.authority import LocalAuthority, utc_now
from netservices.runtime.tls.connection import PlaintextWatcher, TlsConnection
from netservices.runtime.tls.contexts import ClientTrust, ServerCertificates, make_server_context

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from datetime import datetime
    from pathlib import Path

    from cryptography import x509
    from OpenSSL import SSL
    from pydantic import SecretStr
    from twisted.protocols.tls import TLSMemoryBIOProtocol

    from netservices.config import Config, ServiceOptions, TlsOptions, TlsVersion
    from netservices.config.models import TlsNameOptions


@dataclass(frozen=True)
class ClientDemand:
    """Clients are asked for a certificate. ``authority`` None is the local one."""

    required: bool
    authority: Path | None = None


def list_trusted(config: Config) -> tuple[Path | None, ...]:
    """The files of authorities that a configuration's sections verify clients with; None in it is the local one."""
    demands = [make_client_demand(options) for options in config.services.values() if options.enabled]
    return tuple(dict.fromkeys(demand.authority for demand in demands if demand is not None))


def make_client_demand(options: ServiceOptions) -> ClientDemand | None:
    """What a section asks of its clients; None for nothing."""
    if options.client_certificates == "off":
        return None
    return ClientDemand(options.client_certificates == "required", options.client_authority)


@dataclass(frozen=True)
class ServerMaterial:
    """What one load of ``[tls]`` gave. ``authority`` is the local authority's certificate, where it is what signs.

    ``trusted`` are the authorities of clients, by their file; None is the local one.
    """

    certificates: ServerCertificates
    minimum: TlsVersion
    authority: Path | None
    trusted: Mapping[Path | None, tuple[x509.Certificate, ...]] = field(default_factory=dict)


class CertificateLoader:
    """Loads what ``[tls]`` names; blocks on the disk, so it is for the start, or for a thread."""

    def __init__(
        self, state: Path, hostname: str, addresses: Collection[str] = (), now: Callable[[], datetime] = utc_now
    ) -> None:
        self.now = now
        self._local = LocalAuthority(state / "tls", now)
        self._hostname = hostname
        self._addresses = tuple(addresses)

    def load(self, options: TlsOptions, trusted: Iterable[Path | None] = ()) -> ServerMaterial:
        """Read every file, or ask the local authority; OpenSSL accepts what returns. Raises ``CertificateError``.

        ``trusted`` are files of authorities that clients are verified against.
        """
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
        return ServerMaterial(
            certificates, options.minimum, authority, {path: self.load_trusted(path) for path in trusted}
        )

    def load_trusted(self, path: Path | None) -> tuple[x509.Certificate, ...]:
        """The authorities in a file; None: the local one, which is made at need. Raises ``CertificateError``."""
        return self._local.load_authority(self._hostname).chain if path is None else load_chain(path)


@implementer(IOpenSSLServerConnectionCreator)
class ServerCreator:
    """Makes the connections of one section; stays valid when the certificates are replaced.

    Sessions are resumed among the connections of one creator, and of no other: who a client was verified to be at one
    section's listeners counts for nothing at another's.
    """

    def __init__(
        self,
        material: ServerMaterial,
        minimum: TlsVersion | None,
        alpn: tuple[bytes, ...],
        clients: ClientDemand | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._now = now
        self._minimum = minimum
        self._alpn = alpn
        self._clients = clients
        self._session_id = secrets.token_bytes(16)
        self._made_of: tuple[ServerCertificates, TlsVersion, ClientTrust | None] | None = None
        self._context: SSL.Context
        self.use(self.make(material), material)

    def make(self, material: ServerMaterial) -> SSL.Context:
        """The context for ``material``: the present one where nothing would change, so that sessions live on."""
        certificates, minimum, clients = wanted = self._choose(material)
        if self._made_of == wanted:
            return self._context
        return make_server_context(
            certificates, minimum=minimum, alpn=self._alpn, session_id=self._session_id, clients=clients
        )

    def use(self, context: SSL.Context, material: ServerMaterial) -> None:
        """Serve the next handshakes with it."""
        self._context = context
        self._made_of = self._choose(material)

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> TlsConnection:
        """For one accepted connection; a ``PlaintextWatcher`` is told of it, any other layer is served plainly."""
        watcher = tlsProtocol if isinstance(tlsProtocol, PlaintextWatcher) else None
        return TlsConnection(self._context, watcher, self._now)

    def _choose(self, material: ServerMaterial) -> tuple[ServerCertificates, TlsVersion, ClientTrust | None]:
        demand = self._clients
        trust = None if demand is None else ClientTrust(material.trusted[demand.authority], demand.required)
        return material.certificates, self._minimum or material.minimum, trust


class ServerTls:
    """The TLS of all listeners."""

    def __init__(self, loader: CertificateLoader, options: TlsOptions) -> None:
        self._loader = loader
        self._options = options
        self._material = loader.load(options)
        # Replaced, never changed: a load in a thread looks at it.
        self._trusted: tuple[Path | None, ...] = ()
        self._creators: WeakSet[ServerCreator] = WeakSet()

    @property
    def authority(self) -> Path | None:
        """The local authority's certificate, for clients to trust; None where the operator has a certificate."""
        return self._material.authority

    @property
    def certificates(self) -> tuple[KeyedCertificate, ...]:
        """Every certificate in use, the default first."""
        return (self._material.certificates.default, *self._material.certificates.names.values())

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file of the operator's that is in use: what may be replaced without anybody telling us."""
        pairs: list[TlsOptions | TlsNameOptions] = [self._options, *self._options.names.values()]
        named = [path for pair in pairs for path in (pair.certificate, pair.key)]
        return tuple(dict.fromkeys(path for path in [*named, *self._trusted] if path is not None))

    def creator(
        self, minimum: TlsVersion | None = None, alpn: tuple[bytes, ...] = (), clients: ClientDemand | None = None
    ) -> ServerCreator:
        """For one section's listeners. ``minimum`` None follows ``[tls]``; ``alpn`` is in order of preference.

        Reads the file of authorities in ``clients``, unless ``expect`` was told of it or it is in use. Raises
        ``CertificateError``.
        """
        if clients is not None:
            if clients.authority not in self._material.trusted:
                self._know({clients.authority: self._loader.load_trusted(clients.authority)})
            self._trusted = tuple(dict.fromkeys([*self._trusted, clients.authority]))
        creator = ServerCreator(self._material, minimum, alpn, clients, self._loader.now)
        self._creators.add(creator)
        return creator

    def load(self, options: TlsOptions | None = None, trusted: Iterable[Path | None] | None = None) -> ServerMaterial:
        """Read everything anew, by ``options`` or the present ones, and change nothing yet; may run in a thread.

        ``trusted`` are the files of authorities of clients from now on, the present ones if left out. Raises
        ``CertificateError``.
        """
        return self._loader.load(options or self._options, dict.fromkeys(self._trusted if trusted is None else trusted))

    def expect(self, material: ServerMaterial) -> None:
        """``creator`` may be asked for what ``load`` gave before ``use`` is: so that it need not read it again."""
        self._know(material.trusted)

    def _know(self, trusted: Mapping[Path | None, tuple[x509.Certificate, ...]]) -> None:
        self._material = replace(self._material, trusted={**self._material.trusted, **trusted})

    def use(self, material: ServerMaterial, options: TlsOptions | None = None) -> None:
        """Serve the next handshakes with what ``load`` gave; all creators change, or on ``CertificateError`` none."""
        trusted = tuple(material.trusted)
        # A section that goes away goes on with what it had; its file may be gone.
        material = replace(material, trusted={**self._material.trusted, **material.trusted})
        contexts = [(creator, creator.make(material)) for creator in self._creators]
        for creator, context in contexts:
            creator.use(context, material)
        self._material, self._trusted = material, trusted
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
