"""TLS in the middle of a session, through the whole gate (R22), with a made-up protocol of lines."""

from __future__ import annotations

import contextlib
import socket
import ssl
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

from netservices.config import ServiceOptions, TlsOptions, parse_listen
from netservices.config.loading import load_text
from netservices.daemon.assemble import Services, uses_tls
from netservices.daemon.gate import Door, Gate
from netservices.daemon.section import Section
from netservices.daemon.shared import Shared
from netservices.kind import Parts
from netservices.runtime import EventLog, Session, Sessions
from netservices.runtime.admission import Admission, make_proxies
from netservices.runtime.files import ImmediateFiles
from netservices.runtime.metrics import Metrics, SectionMetrics
from netservices.runtime.tls import ClientDemand, LocalAuthority, TlsStarted, make_server_tls
from netservices.runtime.transport import TcpSessionTransport
from netservices.wire.lines import Line, LinesState
from tests.daemon.test_assemble import Kinds
from tests.doubles import FakeTransport, RecordedEvents
from tests.runtime.tls.memory import make_client_context, write_pair

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IAddress, IReactorTime

GREETING = b"220 hello\r\n"
GO_AHEAD = b"220 begin\r\n"
REFUSAL = b"554 not so\r\n"
BIG = 3_000_000
PATIENCE = 10.0


class Talk(Protocol):
    """``NAME x`` tells who speaks, ``WHO`` asks for it, ``BIG`` has much sent, ``STARTTLS`` begins TLS."""

    transport: Any

    def __init__(self, session: Session, made: list[Talk]) -> None:
        self.session = session
        self.lines = LinesState(512)
        self.name = b"nobody"
        self.heard: list[bytes] = []
        self.lost: list[Failure] = []
        self.made = made
        made.append(self)

    def connectionMade(self) -> None:
        self.session.couple()
        if self.session.tls is None:
            self.transport.write(GREETING)

    def dataReceived(self, data: bytes) -> None:
        for event in self.lines.feed(data):
            assert isinstance(event, Line)
            self.heard.append(event.content)
            verb, _, rest = event.content.partition(b" ")
            if verb == b"NAME":
                self.name = rest
                self.session.account = rest.decode()
            elif verb == b"WHO":
                self.transport.write(b"250 " + self.name + b"\r\n")
            elif verb == b"BIG":
                self.transport.write(b"b" * BIG)
            elif verb == b"STARTTLS":
                begun = self.session.start_tls(
                    self.make,
                    go_ahead=GO_AHEAD,
                    refusal=REFUSAL,
                    require_empty=self.lines.require_empty,
                )
                if begun:
                    # A protocol that goes on talking is not heard.
                    self.transport.write(b"250 too late\r\n")
                    self.transport.loseConnection()

    def make(self, session: Session) -> Talk:
        return Talk(session, self.made)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.append(reason)


class TlsDoor:
    """A section that can begin TLS, and its door."""

    def __init__(self, folder: Path, clock: IReactorTime, clients: ClientDemand | None = None) -> None:
        folder.mkdir()
        self.tls = make_server_tls(TlsOptions(), state=folder, hostname="localhost")
        self.authority = LocalAuthority(folder / "tls")
        self.events = RecordedEvents()
        self.made: list[Talk] = []
        options = ServiceOptions.model_construct(kind="test", listen=(parse_listen("tcp:7"),))
        log = EventLog(self.events).bind(service="test")
        self.section = Section(
            "test",
            options,
            Parts(streams={"listen": lambda session: Talk(session, self.made)}),
            Admission(options, clock=clock, log=log),
            log,
            make_proxies(()),
            SectionMetrics(Metrics(), "test", clock.seconds),
            tls=self.tls.creator(clients=clients),
        )
        self.door = Door(self.section, "listen", options.listen[0], Sessions(), clock)

    @property
    def closed(self) -> list[dict[str, object]]:
        return self.events.named("daemon.session.closed")


class Transport(FakeTransport):
    """One that closes in the next turn, as real ones do."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def loseConnection(self) -> None:
        if not self.disconnecting:
            self.disconnecting = True
            self._clock.callLater(0, super().loseConnection)


class MemoryTestCase(SynchronousTestCase):
    """Connections in memory."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.server = TlsDoor(Path(self.mktemp()), cast("Any", self.clock))
        self.addCleanup(self.server.section.admission.stop)

    def connect(self) -> FakeTransport:
        gate = Gate(self.server.door)
        transport = Transport(self.clock)
        transport.protocol = gate
        gate.makeConnection(transport)
        del self.server.made[:-1]
        return transport

    def send(self, transport: FakeTransport, *parts: bytes) -> None:
        for part in parts:
            # A transport that closes reads no more.
            if part and not transport.disconnecting:
                transport.protocol.dataReceived(part)
        self.clock.advance(0)

    def started(self, *parts: bytes) -> FakeTransport:
        """A connection that has been told to begin."""
        transport = self.connect()
        self.send(transport, *(parts or (b"STARTTLS\r\n",)))
        self.assertTrue(transport.value().endswith(GO_AHEAD))
        transport.clear()
        return transport


class Client:
    """The standard library's TLS on a connection in memory."""

    def __init__(self, transport: FakeTransport, size: int = 65_536) -> None:
        self.transport = transport
        self.size = size
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = make_client_context().wrap_bio(self.incoming, self.outgoing)

    def pump(self) -> None:
        while True:
            came, goes = self.transport.value(), self.outgoing.read()
            self.transport.clear()
            self.incoming.write(came)
            for at in range(0, len(goes), self.size):
                self.transport.protocol.dataReceived(goes[at : at + self.size])
            if not came and not goes:
                return

    def handshake(self) -> None:
        for _ in range(5):
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self.pump()
            else:
                break
        self.pump()

    def ask(self, line: bytes) -> bytes:
        self.tls.write(line)
        self.pump()
        return self.tls.read(65_536)


class UpgradeTests(MemoryTestCase):
    """It works, and nothing of before lives on."""

    def test_at_every_split_of_the_command(self) -> None:
        octets = b"NAME ada\r\nWHO\r\nSTARTTLS\r\n"
        for at in range(len(octets)):
            transport = self.started(octets[:at], octets[at:])
            client = Client(transport, size=1 + at * 17)
            client.handshake()
            self.assertEqual(client.ask(b"WHO\r\n"), b"250 nobody\r\n")
            transport.hang_up()
            self.assertEqual(self.server.closed[-1]["tls"], "TLSv1.3")

    def test_the_old_protocol_is_replaced_once_both_have_agreed(self) -> None:
        transport = self.connect()
        [old] = self.server.made
        session = old.session
        session.on_drain = session.close
        session.on_expired = print
        self.assertTrue(session.can_start_tls)
        self.send(transport, b"NAME ada\r\n", b"STARTTLS\r\n")
        self.assertIsNone(session.account)
        self.assertIsNone(session.on_drain)
        self.assertIsNone(session.on_expired)
        self.assertFalse(session.can_start_tls)
        self.assertEqual([failure.type for failure in old.lost], [TlsStarted])
        self.assertEqual(self.server.made, [old])
        transport.clear()
        Client(transport).handshake()
        old, new = self.server.made
        self.assertIsNot(new.session.tls, None)
        self.assertIs(new.session, session)
        transport.hang_up()
        self.assertEqual((len(old.lost), len(new.lost)), (1, 1))
        self.assertEqual(len(self.server.closed), 1)

    def test_what_the_old_protocol_still_writes_is_dropped(self) -> None:
        transport = self.connect()
        [old] = self.server.made
        self.send(transport, b"STARTTLS\r\n")
        self.assertEqual(transport.value(), GREETING + GO_AHEAD)
        old.transport.write(b"x")
        old.transport.writeSequence([b"x"])
        old.transport.write_now([b"x"])
        old.transport.abortConnection()
        old.transport.loseWriteConnection()
        old.transport.pauseProducing()
        old.transport.resumeProducing()
        old.transport.unregisterProducer()
        self.assertEqual(transport.value(), GREETING + GO_AHEAD)
        self.assertFalse(transport.aborted)
        transport.hang_up()

    def test_a_producer_of_the_old_protocol_is_stopped(self) -> None:
        class Producer:
            stopped = False

            def stopProducing(self) -> None:
                self.stopped = True

        transport = self.connect()
        [old] = self.server.made
        self.send(transport, b"STARTTLS\r\n")
        producer = Producer()
        old.transport.registerProducer(producer, True)
        self.assertTrue(producer.stopped)
        transport.hang_up()

    def test_the_new_protocol_is_coupled_through_tls(self) -> None:
        transport = self.started()
        self.assertIsNone(transport.producer)
        client = Client(transport)
        client.handshake()
        self.assertIsNotNone(transport.producer)
        cast("Any", transport.producer).pauseProducing()
        self.assertEqual(transport.producerState, "paused")
        cast("Any", transport.producer).resumeProducing()
        self.assertEqual(transport.producerState, "producing")
        transport.hang_up()

    def test_there_is_no_second_upgrade(self) -> None:
        transport = self.started()
        client = Client(transport)
        client.handshake()
        client.tls.write(b"STARTTLS\r\n")
        client.pump()
        self.clock.advance(0)
        self.assertEqual(self.server.closed[-1]["reason"], "bug")
        self.assertEqual(len(self.server.events.named("daemon.session.failed")), 1)

    def test_a_handshake_listener_is_told(self) -> None:
        told: list[str] = []

        @implementer(IHandshakeListener)
        class Listener(Talk):
            def handshakeCompleted(self) -> None:
                told.append("told")

        transport = self.connect()
        self.server.made[0].make = lambda session: Listener(session, self.server.made)  # type: ignore[method-assign]
        self.send(transport, b"STARTTLS\r\n")
        transport.clear()
        Client(transport).handshake()
        self.assertEqual(told, ["told"])
        transport.hang_up()

    def test_a_factory_that_raises_ends_the_session_only(self) -> None:
        def fails(_session: Session) -> Talk:
            raise ZeroDivisionError

        transport = self.connect()
        self.server.made[0].make = fails  # type: ignore[method-assign,assignment]
        self.send(transport, b"STARTTLS\r\n")
        transport.clear()
        client = Client(transport)
        with contextlib.suppress(ssl.SSLError):
            client.handshake()
        self.clock.advance(0)
        self.assertEqual(self.server.closed[-1]["reason"], "bug")

    def test_the_dialogue_shows_both_protocols(self) -> None:
        self.server.section.options = self.server.section.options.model_copy(update={"log_level": "debug"})
        transport = self.started()
        client = Client(transport)
        client.handshake()
        client.ask(b"WHO\r\n")
        transport.hang_up()
        lines = [event["line"] for event in self.server.events.events if "line" in event]
        self.assertEqual(lines, ["220 hello", "STARTTLS", "220 begin", "WHO", "250 nobody"])

    def test_a_session_without_tls_to_offer_cant(self) -> None:
        self.server.section.tls = None
        transport = self.connect()
        self.assertFalse(self.server.made[0].session.can_start_tls)
        self.send(transport, b"STARTTLS\r\n")
        self.assertEqual(self.server.closed[-1]["reason"], "bug")

    def test_a_session_that_closes_does_not_begin(self) -> None:
        transport = self.connect()
        session = self.server.made[0].session
        upgrade = session.upgrade
        assert upgrade is not None
        session.close()
        begun = upgrade.start(
            lambda session: Talk(session, []), go_ahead=GO_AHEAD, refusal=REFUSAL, require_empty=lambda: None
        )
        self.assertFalse(begun)
        self.assertEqual(transport.value(), GREETING)


class RefusalTests(MemoryTestCase):
    """Octets before their time, peers that go silent or talk something else."""

    def test_injected_lines_are_never_heard_at_any_split(self) -> None:
        octets = b"STARTTLS\r\nNAME mallory\r\nWHO\r\n"
        for at in range(len(octets)):
            transport = self.connect()
            [old] = self.server.made
            self.send(transport, octets[:at], octets[at:])
            self.assertEqual(self.server.made, [old])
            self.assertEqual(old.heard, [b"STARTTLS"])
            answer = transport.value().removeprefix(GREETING)
            if at == len(b"STARTTLS\r\n"):
                # They came after our go-ahead, and TLS makes nothing of them.
                self.assertTrue(answer.startswith(GO_AHEAD))
                self.assertEqual(self.server.closed[-1]["reason"], "TLS failed: the peer did not speak TLS")
            else:
                self.assertEqual(answer, REFUSAL)
                self.assertEqual(self.server.closed[-1]["reason"], "octets came with the command that starts TLS")
            self.assertIsNone(self.server.closed[-1]["tls"])
            self.assertTrue(transport.disconnected)

    def test_a_hello_with_the_command_is_injected_too(self) -> None:
        client = Client(FakeTransport())
        with contextlib.suppress(ssl.SSLWantReadError):
            client.tls.do_handshake()
        transport = self.connect()
        self.send(transport, b"STARTTLS\r\n" + client.outgoing.read())
        self.assertEqual(transport.value(), GREETING + REFUSAL)

    def test_a_peer_that_does_not_begin_is_closed_in_time(self) -> None:
        """R14."""
        transport = self.started()
        self.clock.advance(9.9)
        self.assertFalse(transport.aborted)
        self.clock.advance(0.2)
        self.assertTrue(transport.aborted)
        self.clock.advance(0)
        self.assertEqual(self.server.closed[-1]["reason"], "handshake timeout")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_peer_that_goes_away_is_named(self) -> None:
        self.started().hang_up()
        reason = "TLS failed: the peer closed the connection without ending TLS"
        self.assertEqual(self.server.closed[-1]["reason"], reason)


class SocketTests(TestCase):
    """Over real sockets, with the standard library's client in a thread."""

    def serve(self, clients: ClientDemand | None = None) -> None:
        clock = cast("Any", reactor)
        self.server = TlsDoor(Path(self.mktemp()), clock, clients)
        self.addCleanup(self.server.section.admission.stop)
        server = self.server
        self.lost: list[Deferred[None]] = []

        class Gates(Factory):
            noisy = False

            def buildProtocol(self, addr: IAddress | None) -> Gate:
                return Gate(server.door)

        port = clock.listenTCP(0, Gates(), interface="127.0.0.1")
        port.transport = TcpSessionTransport
        self.addCleanup(port.stopListening)
        self.port = port.getHost().port
        self.context = ssl.create_default_context(cafile=str(server.authority.path))

    async def run_client(self, steps: Callable[[socket.socket], Any]) -> Any:  # noqa: ANN401 - whatever it saw
        def blocking() -> Any:  # noqa: ANN401 - as above
            with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as sock:
                return steps(sock)

        answer = await deferToThread(blocking)
        while self.server.section.sessions:
            await self.turn()
        return answer

    def turn(self) -> Deferred[None]:
        fired: Deferred[None] = Deferred()
        cast("Any", reactor).callLater(0.01, fired.callback, None)
        return fired

    def expect(self, sock: socket.socket, wanted: bytes) -> None:
        got = b""
        while len(got) < len(wanted):
            octets = sock.recv(min(65_536, len(wanted) - len(got)))
            if not octets:
                break
            got += octets
        self.assertEqual(got[-100:], wanted[-100:])
        self.assertEqual(len(got), len(wanted))

    async def test_a_go_ahead_that_waits_behind_much_else(self) -> None:
        """R22: what is queued is sent in order, and counted once."""
        self.serve()

        def steps(sock: socket.socket) -> bytes:
            self.expect(sock, GREETING)
            sock.sendall(b"BIG\r\nSTARTTLS\r\n")
            self.expect(sock, b"b" * BIG + GO_AHEAD)
            with self.context.wrap_socket(sock, server_hostname="localhost") as tls:
                tls.sendall(b"BIG\r\nWHO\r\n")
                self.expect(tls, b"b" * BIG + b"250 nobody\r\n")
                with contextlib.suppress(OSError):
                    tls.unwrap()
            return b""

        await self.run_client(steps)
        [closed] = self.server.closed
        self.assertEqual(closed["tls"], "TLSv1.3")
        self.assertEqual(closed["bytes_in"], len(b"BIG\r\nSTARTTLS\r\nBIG\r\nWHO\r\n"))
        self.assertEqual(closed["bytes_out"], len(GREETING + GO_AHEAD) + BIG + BIG + len(b"250 nobody\r\n"))

    async def test_both_versions_and_every_split(self) -> None:
        self.serve()
        command = b"NAME ada\r\nSTARTTLS\r\n"

        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            self.context.minimum_version = self.context.maximum_version = version
            for at in range(len(command)):

                def steps(sock: socket.socket, at: int = at) -> bytes:
                    self.expect(sock, GREETING)
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    sock.sendall(command[:at])
                    sock.sendall(command[at:])
                    self.expect(sock, GO_AHEAD)
                    with self.context.wrap_socket(sock, server_hostname="localhost") as tls:
                        tls.sendall(b"WHO\r\n")
                        answer = tls.recv(100)
                        with contextlib.suppress(OSError):
                            tls.unwrap()
                    return answer

                self.assertEqual(await self.run_client(steps), b"250 nobody\r\n")

    async def test_an_injected_line_is_refused_and_closed(self) -> None:
        self.serve()

        def steps(sock: socket.socket) -> bytes:
            self.expect(sock, GREETING)
            sock.sendall(b"STARTTLS\r\nNAME mallory\r\n")
            self.expect(sock, REFUSAL)
            return sock.recv(1)

        self.assertEqual(await self.run_client(steps), b"")
        self.assertEqual(self.server.made[0].heard, [b"STARTTLS"])

    async def test_the_clients_certificate_reaches_the_session(self) -> None:
        """R21."""
        self.serve(ClientDemand(required=True))
        file = self.server.authority.path.with_name("ada.pem")
        self.context.load_cert_chain(write_pair(self.server.authority.make_client("ada"), file))

        def steps(sock: socket.socket) -> bytes:
            self.expect(sock, GREETING)
            sock.sendall(b"STARTTLS\r\n")
            self.expect(sock, GO_AHEAD)
            with self.context.wrap_socket(sock, server_hostname="localhost") as tls:
                tls.sendall(b"WHO\r\n")
                answer = tls.recv(100)
                with contextlib.suppress(OSError):
                    tls.unwrap()
            return answer

        self.assertEqual(await self.run_client(steps), b"250 nobody\r\n")
        tls = self.server.made[-1].session.tls
        assert tls is not None
        assert tls.client is not None
        self.assertEqual(tls.client.name, "ada")


class SectionTests(SynchronousTestCase):
    """Which sections have TLS to offer."""

    def setUp(self) -> None:
        self.kinds = Kinds()
        state = Path(self.mktemp()).absolute()
        state.mkdir()
        shared = Shared(
            reactor=reactor,
            hostname="host.example.org",
            state=state,
            log=EventLog(RecordedEvents()),
            files=ImmediateFiles(),
            catalog=cast("Any", self.kinds),
            accounts=cast("Any", None),
            portal=cast("Any", None),
        )
        self.services = Services(shared)

    def make(self, more: str = "") -> Section:
        text = f'[services.greeting]\nlisten = ["tcp:0:interface=127.0.0.1"]\n{more}'
        self.config = load_text(text, cast("Any", self.kinds), file="test.toml")
        change = self.services.prepare(self.config)
        change.discard()
        self.addCleanup(change.sections["greeting"].admission.stop)
        return change.sections["greeting"]

    def test_a_kind_that_can_begin_it_has_it_on_plain_listeners(self) -> None:
        self.kinds.kind = replace(self.kinds.kind, starts_tls=True)
        self.assertIsNotNone(self.make().tls)
        self.assertTrue(uses_tls(self.config, cast("Any", self.kinds)))

    def test_another_has_it_where_it_is_configured(self) -> None:
        self.assertIsNone(self.make().tls)
        self.assertFalse(uses_tls(self.config, cast("Any", self.kinds)))

    def test_clients_are_asked_as_the_section_says(self) -> None:
        """R21."""
        self.kinds.kind = replace(self.kinds.kind, starts_tls=True)
        tls = self.make('client_certificates = "required"\n').tls
        assert tls is not None
        self.assertEqual(tls._clients, ClientDemand(required=True))


class LostTests(SynchronousTestCase):
    """What a replaced protocol is told."""

    def test_it_is_an_orderly_end(self) -> None:
        self.assertIsNotNone(Failure(TlsStarted()).check(ConnectionDone))
