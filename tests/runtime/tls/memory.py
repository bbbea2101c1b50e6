"""A TLS client of the standard library's, and a session's layer, joined in memory."""

from __future__ import annotations

import ssl
import warnings
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID
from twisted.internet.interfaces import IHalfCloseableProtocol, IHandshakeListener
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import EventLoggingObserver, StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from netservices.config import Timeouts
from netservices.runtime import Address, EventLog, Session
from netservices.runtime.tls import make_tls_layer

if TYPE_CHECKING:
    from pathlib import Path

    from netservices.config.pem import KeyedCertificate
    from netservices.runtime.tls import ServerCreator

NOW = datetime(2030, 6, 1, tzinfo=UTC)


def make_files(
    folder: Path,
    name: str,
    *,
    key: Any = None,  # noqa: ANN401 - any kind of private key, odd ones too
    password: bytes | None = None,
    together: bool = False,
) -> tuple[Path, Path]:
    """A self-signed certificate for ``name`` and its key, as two files or one; the paths of both."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=30))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    certificate = builder.sign(key, SHA256())
    encryption: KeySerializationEncryption = BestAvailableEncryption(password) if password else NoEncryption()
    key_octets = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    folder.mkdir(parents=True, exist_ok=True)
    certificate_path, key_path = folder / f"{name}.pem", folder / f"{name}.key"
    certificate_octets = certificate.public_bytes(Encoding.PEM)
    if together:
        certificate_path.write_bytes(certificate_octets + key_octets)
        return certificate_path, certificate_path
    certificate_path.write_bytes(certificate_octets)
    key_path.write_bytes(key_octets)
    return certificate_path, key_path


def write_pair(pair: KeyedCertificate, path: Path) -> Path:
    """One file with the certificate and its key, as the standard library loads it."""
    key = pair.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(pair.leaf.public_bytes(Encoding.PEM) + key)
    return path


def make_session(clock: Clock) -> Session:
    """A session whose handshake has begun."""
    ends = Address("192.0.2.1", 1), Address("192.0.2.2", 2)
    log = EventLog(EventLoggingObserver())
    session = Session("1", "echo", peer=ends[0], local=ends[1], clock=clock, timeouts=Timeouts(), log=log)
    session.deadlines.start("handshake")
    return session


def make_client_context(*, version: ssl.TLSVersion | None = None, legacy: bool = False) -> ssl.SSLContext:
    """A client that looks at no certificate; ``version`` is the only one it speaks."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if legacy:
        context.set_ciphers("ALL:@SECLEVEL=0")
    if version is not None:
        with warnings.catch_warnings():
            # Python says so of 1.0 and 1.1, and those are asked for here to see them refused.
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = version
    return context


@implementer(IHandshakeListener)
class Service(Protocol):
    """Notes what happens to it."""

    def __init__(self) -> None:
        self.happened: list[str] = []
        self.received = b""
        self.lost: Failure | None = None
        self.tls_at_handshake: object = None
        self.session: Session | None = None

    def connectionMade(self) -> None:
        self.happened.append("made")

    def handshakeCompleted(self) -> None:
        self.happened.append("handshake")
        if self.session is not None:
            self.tls_at_handshake = self.session.tls

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.happened.append("lost")
        self.lost = reason


@implementer(IHalfCloseableProtocol)
class HalfClosingService(Service):
    """A service that goes on after its input has ended."""

    def readConnectionLost(self) -> None:
        self.happened.append("read lost")

    def writeConnectionLost(self) -> None:
        self.happened.append("write lost")


class Echo(Service):
    """Sends back what it reads."""

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        cast("Any", self.transport).write(data)


class Pair:
    """A client and a server's layer; what one writes the other reads when ``pump`` is called."""

    def __init__(
        self,
        creator: ServerCreator,
        service: Service | None = None,
        *,
        context: ssl.SSLContext | None = None,
        server_name: str | None = None,
        session: ssl.SSLSession | None = None,
    ) -> None:
        self.clock = Clock()
        self.session = make_session(self.clock)
        self.service = service or Service()
        self.service.session = self.session
        self.layer: Any = make_tls_layer(creator, self.service, self.session, self.clock)
        self.transport = StringTransport()
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = (context or make_client_context()).wrap_bio(
            self.incoming, self.outgoing, server_hostname=server_name, session=session
        )
        self.sent_by_server = 0
        self.layer.makeConnection(self.transport)

    def pump(self) -> None:
        """Carry octets both ways until there are none."""
        while True:
            from_server, from_client = self.transport.value(), self.outgoing.read()
            self.transport.clear()
            self.sent_by_server += len(from_server)
            if from_server:
                self.incoming.write(from_server)
            if from_client:
                self.layer.dataReceived(from_client)
            if not from_server and not from_client:
                return

    def handshake(self) -> None:
        """The whole handshake; raises what the client's raises."""
        for _ in range(5):
            try:
                self.client.do_handshake()
            except ssl.SSLWantReadError:
                self.pump()
            else:
                self.pump()
                return
        raise AssertionError("the handshake does not end")

    def read(self, count: int = 65_536) -> bytes | None:
        """What the client has to read: None when there is nothing yet, empty after the server's close_notify."""
        self.pump()
        octets = b""
        while len(octets) < count:
            try:
                more = self.client.read(count)
            except ssl.SSLWantReadError:
                return octets or None
            except ssl.SSLZeroReturnError:
                return octets
            if not more:
                return octets
            octets += more
        return octets

    def write(self, data: bytes) -> None:
        """The client sends."""
        self.client.write(data)
        self.pump()

    def close_notify(self) -> None:
        """The client says that it sends no more."""
        with suppress(ssl.SSLWantReadError):
            self.client.unwrap()
        self.pump()

    def end_tcp(self, reason: Exception) -> None:
        """The server's TCP connection ends."""
        self.layer.connectionLost(Failure(reason))
