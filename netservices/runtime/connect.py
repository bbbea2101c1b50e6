"""Outgoing connections: to a name and a port, by the first address that answers, with or without TLS.

What fails says what was wanted and what came; whoever asked decides whether to try again.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from twisted.internet import error as net
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IHalfCloseableProtocol, IHandshakeListener
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from netservices.config.pem import CertificateError
from netservices.runtime.addresses import make_address
from netservices.runtime.files import PoolFull
from netservices.runtime.tls.client import ClientSettings, ExpectedPeer, is_address, make_client_context
from netservices.runtime.tls.identity import clean
from netservices.runtime.tls.transport import describe_tls_failure
from netservices.runtime.tls.upgrade import ClosedTransport, TlsStarted
from netservices.wire.lines import NotEmptyError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from OpenSSL import SSL
    from twisted.internet.interfaces import IAddress, IProtocol

    from netservices.config.pem import KeyedCertificate
    from netservices.runtime.addresses import Address
    from netservices.runtime.files import FilePool
    from netservices.runtime.reactor import Reactor
    from netservices.runtime.session import TlsState
    from netservices.runtime.tls.client import OutgoingConnection

P = TypeVar("P", bound="IProtocol")

TlsUse = Literal["off", "implicit", "starttls", "opportunistic"]
"""None, from the first byte, after a command, or after a command where the peer offers it and without verification."""

_CONTEXT_LIFE = 300.0
"""Seconds after which the files of a context are read again."""


class Stage(StrEnum):
    """How far a connection came."""

    NAME = "name"
    CONNECT = "connect"
    TLS = "tls"
    VERIFY = "verify"


class ConnectFailed(Exception):  # noqa: N818 - what became of a connection, which may be tried again
    """There is no connection, or it can't be used.

    ``text`` says why in a few words, ``detail`` what was wanted and what came where that says more; both are one line
    and may be shown to anybody. ``permanent``: trying again later can't help, since the name will never be one.
    """

    def __init__(self, stage: Stage, text: str, detail: str = "", *, permanent: bool = False) -> None:
        super().__init__(f"{text}; {detail}" if detail else text)
        self.stage = stage
        self.text = text
        self.detail = detail
        self.permanent = permanent


@dataclass(frozen=True)
class _Wanted:
    """Where a connection goes to; ``timeout`` in seconds."""

    host: str
    port: int
    verify_name: str
    timeout: float
    bind_address: str | None


class Connector:
    """Makes connections; called as ``runtime.connect``."""

    def __init__(self, reactor: Reactor, files: FilePool) -> None:
        self._reactor = reactor
        self._files = files
        self._contexts: dict[ClientSettings, tuple[float, SSL.Context]] = {}

    def __call__(
        self, host: str, port: int, make_protocol: Callable[[Outgoing], P], *, tls: TlsUse = "off",
        verify: bool = True, verify_name: str | None = None, authority: Path | None = None,
        alpn: tuple[bytes, ...] = (), certificate: KeyedCertificate | None = None, minimum: str = "1.2",
        timeout: float = 30.0, handshake: float = 30.0, bind_address: str | None = None,
    ) -> Deferred[P]:  # fmt: skip
        """Fires with the protocol, connected, with ``tls="implicit"`` under TLS; fails with ``ConnectFailed``.

        ``timeout`` seconds for finding the addresses and reaching one of them, ``handshake`` for TLS. The peer's
        certificate has to be for ``verify_name`` (``host`` if left out) and signed by an authority in the PEM file
        ``authority`` (the system's if left out); ``verify=False`` takes any, and so does ``tls="opportunistic"``.
        ``certificate`` is ours, for a peer that asks. Cancelling closes whatever there is. With ``starttls`` and
        ``opportunistic`` the protocol asks the peer for TLS, and then calls ``Outgoing.start_tls``.
        """
        settings = ClientSettings(authority, certificate, alpn, minimum)
        outgoing = Outgoing(
            self._reactor, settings, tls=tls, verify=verify and tls != "opportunistic", handshake=handshake
        )
        wanted = _Wanted(host, port, verify_name or host, timeout, bind_address)
        return Deferred.fromCoroutine(self._connect(outgoing, wanted, make_protocol))

    async def _connect(self, outgoing: Outgoing, wanted: _Wanted, make_protocol: Callable[[Outgoing], P]) -> P:
        host, outgoing.name = _to_ascii(wanted.host), _to_ascii(wanted.verify_name)
        if outgoing.use != "off":
            outgoing.context = await self._find_context(outgoing.settings)
        carrier = await self._dial(replace(wanted, host=host))
        outgoing.use_carrier(carrier)
        try:
            if outgoing.use == "implicit":
                return await outgoing.secure(make_protocol)
            return carrier.carry(make_protocol(outgoing))
        except BaseException:
            carrier.abort()
            raise

    async def _find_context(self, settings: ClientSettings) -> SSL.Context:
        now = self._reactor.seconds()
        until, context = self._contexts.get(settings, (now, None))
        if context is not None and now < until:
            return context
        try:
            context = await self._files.run(make_client_context, settings)
        except (CertificateError, PoolFull) as error:
            raise ConnectFailed(Stage.TLS, str(error)) from error
        self._contexts = {known: held for known, held in self._contexts.items() if now < held[0]}
        self._contexts[settings] = now + _CONTEXT_LIFE, context
        return context

    async def _dial(self, wanted: _Wanted) -> _Carrier:
        _require_bindable(wanted)
        patience = wanted.timeout
        endpoint = HostnameEndpoint(self._reactor, wanted.host, wanted.port, patience, wanted.bind_address)
        attempt = _shield(cast("Deferred[_Carrier]", endpoint.connect(_CarrierFactory())))
        try:
            return await attempt.addTimeout(
                patience, self._reactor, lambda _result, _after: Failure(net.TimeoutError())
            )
        except (net.ConnectError, net.DNSLookupError, net.UserError) as error:
            raise _explain_connect(error, wanted) from error


class Outgoing:
    """One connection, as its protocol sees it.

    ``tls`` is what both sides agreed on, None before. ``required`` says that a protocol which was connected without TLS
    must not go on without: it asks for TLS, and where there is none gives up.
    """

    def __init__(
        self, reactor: Reactor, settings: ClientSettings, *, tls: TlsUse, verify: bool, handshake: float
    ) -> None:
        self.use = tls
        self.settings = settings
        self.name = ""
        self.context: SSL.Context | None = None
        self.tls: TlsState | None = None
        self.verified = False
        """Whether the peer's certificate was verified, and for its name."""
        self._verify = verify
        self._reactor = reactor
        self._handshake = handshake
        self._carrier: _Carrier

    @property
    def required(self) -> bool:
        """Whether the route says ``starttls``."""
        return self.use == "starttls"

    @property
    def peer(self) -> Address:
        """Where it goes."""
        return make_address(self._carrier.plain.getPeer())

    @property
    def local(self) -> Address:
        """Where it comes from."""
        return make_address(self._carrier.plain.getHost())

    def use_carrier(self, carrier: _Carrier) -> None:
        """It is connected."""
        # The endpoint leaves a protocol of its own before it, which hands on no half-close.
        carrier.plain.protocol = carrier
        self._carrier = carrier

    def start_tls(self, make_protocol: Callable[[Outgoing], P], *, require_empty: Callable[[], None]) -> Deferred[P]:
        """The peer has said that TLS may begin; fires with another protocol, which ``make_protocol`` makes under TLS.

        As for a server (``Session.start_tls``): the present protocol is told ``connectionLost`` with ``TlsStarted``,
        and octets that came with the peer's go-ahead end the connection (``require_empty`` raises ``NotEmptyError``).
        Fails with ``ConnectFailed``; the connection is closed then.
        """
        return Deferred.fromCoroutine(self._start_tls(make_protocol, require_empty))

    async def _start_tls(self, make_protocol: Callable[[Outgoing], P], require_empty: Callable[[], None]) -> P:
        try:
            require_empty()
            self._carrier.replace()
            return await self.secure(make_protocol)
        except NotEmptyError as error:
            self._carrier.abort()
            raise ConnectFailed(Stage.TLS, "the peer sent something between its go-ahead and TLS") from error
        except BaseException:
            self._carrier.abort()
            raise

    async def secure(self, make_protocol: Callable[[Outgoing], P]) -> P:
        """Do the handshake; then make the protocol and connect it."""
        carrier = self._carrier
        expected = ExpectedPeer(cast("SSL.Context", self.context), self.name, verify=self._verify)
        agreed = carrier.begin_tls(expected, self._reactor)
        try:
            await agreed.addTimeout(self._handshake, self._reactor, lambda _result, _after: Failure(net.TimeoutError()))
        except net.TimeoutError as error:
            raise ConnectFailed(Stage.TLS, f"no end of the TLS handshake in {self._handshake:g} s") from error
        except CancelledError:
            raise
        except Exception as error:
            raise self._explain_tls(expected, error) from error
        self.tls = cast("OutgoingConnection", expected.connection).state()
        self.verified = expected.accepted
        return carrier.carry(make_protocol(self))

    def _explain_tls(self, expected: ExpectedPeer, error: Exception) -> ConnectFailed:
        if expected.fault is not None:
            trusted = (
                "an authority of the system's"
                if self.settings.authority is None
                else (f"an authority in {self.settings.authority}")
            )
            return ConnectFailed(
                Stage.VERIFY, f"the peer's certificate was refused: {expected.fault}", expected.describe(trusted)
            )
        return ConnectFailed(Stage.TLS, clean(f"TLS failed: {describe_tls_failure(Failure(error))}"))


@implementer(IHalfCloseableProtocol, IHandshakeListener)
class _Carrier(Protocol):
    """Between the transport, plain or TLS, and whatever protocol is behind it at the moment."""

    transport: Any

    def __init__(self) -> None:
        self._inner: IProtocol | None = None
        self._agreed: Deferred[None] | None = None
        self._lost: Failure | None = None

    def connectionMade(self) -> None:
        if not isinstance(self.transport, BufferingTLSTransport):
            self.plain: Any = self.transport

    def carry(self, protocol: P) -> P:
        """Connect it."""
        self._inner = protocol
        protocol.makeConnection(self.transport)
        return protocol

    def replace(self) -> None:
        """What was behind it is done."""
        inner, self._inner = self._inner, None
        if inner is not None:
            cast("Any", inner).transport = ClosedTransport()
            inner.connectionLost(Failure(TlsStarted()))

    def begin_tls(self, expected: ExpectedPeer, reactor: Reactor) -> Deferred[None]:
        """Put TLS on the connection; fires when both sides have agreed, fails with what ended the connection."""
        self._agreed = agreed = Deferred[None](self._give_up)
        if self._lost is not None:
            self.connectionLost(self._lost)
            return agreed
        factory = TLSMemoryBIOFactory(expected, True, Factory(), reactor)
        layer = BufferingTLSTransport(factory, self)
        self.plain.protocol = layer
        layer.makeConnection(self.plain)
        self.plain.resumeProducing()
        return agreed

    def _give_up(self, _agreed: Deferred[None]) -> None:
        self._agreed = None
        self.abort()

    def abort(self) -> None:
        """Close it now."""
        self.plain.abortConnection()

    def handshakeCompleted(self) -> None:
        agreed, self._agreed = self._agreed, None
        if agreed is not None:
            agreed.callback(None)

    def dataReceived(self, data: bytes) -> None:
        if self._inner is not None:
            self._inner.dataReceived(data)

    def readConnectionLost(self) -> None:
        inner = cast("Any", self._inner)
        if IHalfCloseableProtocol.providedBy(inner):
            inner.readConnectionLost()
        else:
            self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        inner = cast("Any", self._inner)
        if IHalfCloseableProtocol.providedBy(inner):
            inner.writeConnectionLost()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._lost = reason
        agreed, self._agreed = self._agreed, None
        inner, self._inner = self._inner, None
        if agreed is not None:
            agreed.errback(reason)
        if inner is not None:
            inner.connectionLost(reason)


def _require_bindable(wanted: _Wanted) -> None:
    """Raises ``ConnectFailed``; Twisted leaves a socket open that could not be bound."""
    own = wanted.bind_address
    if own is None:
        return
    try:
        with socket.socket(socket.AF_INET6 if ":" in own else socket.AF_INET) as trial:
            trial.bind((own, 0))
    except OSError as error:
        text = f"a connection can't come from {own}: {error.strerror}"
        raise ConnectFailed(Stage.CONNECT, clean(text)) from error


def _shield(attempt: Deferred[_Carrier]) -> Deferred[_Carrier]:
    """The same, but when it is cancelled that is what it says: an endpoint says whatever it failed in then."""
    wanted = True

    def cancel(_waiting: Deferred[_Carrier]) -> None:
        nonlocal wanted
        wanted = False
        attempt.cancel()

    def done(result: _Carrier | Failure) -> None:
        if wanted:
            waiting.callback(cast("_Carrier", result))
        elif isinstance(result, _Carrier):
            result.abort()

    waiting: Deferred[_Carrier] = Deferred(cancel)
    attempt.addBoth(done)
    return waiting


class _CarrierFactory(Factory):
    """A carrier for every address that answers; all but the first are closed again."""

    noisy = False

    def buildProtocol(self, addr: IAddress | None) -> _Carrier:  # noqa: ARG002 - Twisted's signature
        return _Carrier()


def _to_ascii(name: str) -> str:
    """A host's name as DNS has it, or an address. Raises ``ConnectFailed``."""
    if is_address(name):
        return name
    try:
        octets = name.rstrip(".").encode("idna")
    except UnicodeError:
        octets = b""
    if (
        not octets
        or len(octets) > _LONGEST_HOST
        or not octets.replace(b"-", b"").replace(b".", b"").replace(b"_", b"").isalnum()
    ):
        raise ConnectFailed(Stage.NAME, clean(f'"{name}" is no host\'s name'), permanent=True)
    return octets.decode("ascii")


_LONGEST_HOST = 253


def _explain_connect(error: Exception, wanted: _Wanted) -> ConnectFailed:
    host, port = wanted.host, wanted.port
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    match error:
        case net.DNSLookupError():
            return ConnectFailed(Stage.NAME, f"no address was found for {host}")
        case net.ConnectionRefusedError():
            return ConnectFailed(Stage.CONNECT, f"{where} refused the connection")
        case net.TCPTimedOutError() | net.TimeoutError():
            return ConnectFailed(Stage.CONNECT, f"{where} did not answer within {wanted.timeout:g} s")
        case _:
            return ConnectFailed(Stage.CONNECT, clean(f"{where} can't be reached: {error}"))
