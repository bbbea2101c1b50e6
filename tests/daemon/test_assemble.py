"""From one configuration to the next, over real sockets on loopback."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from twisted.application.service import Service
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import DatagramProtocol, Protocol, connectionDone
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from netservices.config import Config, ConfigError, ServiceOptions
from netservices.config.loading import load_text
from netservices.daemon.assemble import Services
from netservices.daemon.section import WorkerError
from netservices.daemon.shared import Shared
from netservices.daemon.sockets import BindError
from netservices.kind import Parts, ServiceKind
from netservices.runtime import EventLog
from netservices.runtime.files import ImmediateFiles
from netservices.runtime.workers import IReopenable
from tests.doubles import RecordedEvents

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twisted.python.failure import Failure

    from netservices.config.kinds import KindModels
    from netservices.runtime import Runtime, Session


class GreetingOptions(ServiceOptions):
    """A kind for these tests: says a word, to streams and datagrams."""

    word: str = "hello"


class Greeter(Protocol):
    """Says the word at once and whenever it hears something."""

    def __init__(self, word: str) -> None:
        self.word = word.encode()

    def connectionMade(self) -> None:
        cast("Any", self.transport).write(self.word)

    def dataReceived(self, data: bytes) -> None:
        cast("Any", self.transport).write(self.word)


class DatagramGreeter(DatagramProtocol):
    """Answers with the word."""

    def __init__(self, word: str) -> None:
        self.word = word.encode()

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        if datagram == b"bug":
            raise ZeroDivisionError
        cast("Any", self.transport).write(self.word, addr)


@implementer(IReopenable)
class Worker(Service):
    """Remembers what became of it."""

    def __init__(self, *, broken: bool = False) -> None:
        self.history: list[str] = []
        self.broken = broken

    def startService(self) -> None:
        if self.broken:
            raise ZeroDivisionError
        super().startService()
        self.history.append("started")

    def stopService(self) -> None:
        super().stopService()
        self.history.append("stopped")

    def reopen(self) -> None:
        self.history.append("reopened")


class Kinds:
    """A catalogue of one kind, which remembers the workers it made."""

    def __init__(self) -> None:
        self.workers: dict[str, Worker] = {}
        self.kind = ServiceKind(
            name="greeting", summary="greets", options=GreetingOptions, make=self.make, tryout={"listen": ["tcp:0"]}
        )

    def make(self, options: GreetingOptions, _runtime: Runtime) -> Parts:
        if options.word == "bug":
            raise ZeroDivisionError
        worker = self.workers[options.word] = Worker(broken=options.word == "broken")

        def stream(_session: Session) -> Greeter:
            return Greeter(options.word)

        return Parts(
            streams={"listen": stream},
            datagrams={"listen": lambda: DatagramGreeter(options.word)},
            workers=(worker,),
            refusal=b"busy",
        )

    def names(self) -> Iterable[str]:
        return ["greeting"]

    def options(self, _name: str) -> type[ServiceOptions]:
        return GreetingOptions

    def find(self, _name: str) -> ServiceKind[GreetingOptions]:
        return self.kind


class Client(Protocol):
    """Collects what it hears."""

    def __init__(self) -> None:
        self.heard = b""
        self.waiting: tuple[int, Deferred[bytes]] | None = None
        self.lost: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.heard += data
        self._look()

    def hear(self, count: int) -> Deferred[bytes]:
        """Everything, once it is ``count`` bytes."""
        waiting: Deferred[bytes] = Deferred()
        self.waiting = (count, waiting)
        self._look()
        return waiting

    def _look(self) -> None:
        if self.waiting is not None and len(self.heard) >= self.waiting[0]:
            (_, waiting), self.waiting = self.waiting, None
            waiting.callback(self.heard)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.callback(None)


class DatagramClient(DatagramProtocol):
    """Sends one datagram and waits for one."""

    noisy = False

    def __init__(self) -> None:
        self.answer: Deferred[bytes] = Deferred()

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        self.answer.callback(datagram)


class ServicesTests(TestCase):
    """R2 and R5, without a process around them."""

    def setUp(self) -> None:
        self.kinds = Kinds()
        self.events = RecordedEvents()
        self.shared = Shared(
            reactor=reactor,
            hostname="host.example.org",
            state=Path(self.mktemp()).absolute(),
            log=EventLog(self.events),
            files=ImmediateFiles(),
            catalog=cast("Any", self.kinds),
            accounts=cast("Any", None),
            portal=cast("Any", None),
        )
        self.services = Services(self.shared)
        self.clients: list[Client] = []
        self.addCleanup(self.stop)

    async def stop(self) -> None:
        await self.services.stop_listening()
        sections = self.services.everything()
        for client in self.clients:
            cast("Any", client.transport).abortConnection()
        for client in self.clients:
            await client.lost
        for section in sections:
            await section.drain()
        await self.services.stop()

    def config(self, text: str) -> Config:
        return load_text(text, cast("KindModels", self.kinds), file="test.toml")

    def take_over(self, text: str) -> None:
        self.services.apply(self.services.prepare(self.config(text)))

    def port(self, number: int = 0) -> int:
        return list(self.services.listeners.values())[number].addresses[0].port

    async def connect(self, port: int) -> Client:
        client = Client()
        await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port), client)
        self.clients.append(client)
        return client

    async def ask(self, port: int, datagram: bytes = b"?") -> bytes:
        client = DatagramClient()
        listening = cast("Any", reactor).listenUDP(0, client, interface="127.0.0.1")
        try:
            listening.write(datagram, ("127.0.0.1", port))
            return await client.answer
        finally:
            await listening.stopListening()

    SECTION = '[services.{0}]\nkind = "greeting"\nlisten = ["{1}:{2}:interface=127.0.0.1"]\nword = "{3}"\n'

    async def test_section_is_reached_and_its_worker_runs(self) -> None:
        self.take_over(self.SECTION.format("a", "tcp", 0, "hello"))
        self.assertEqual(self.kinds.workers["hello"].history, ["started"])
        client = await self.connect(self.port())
        self.assertEqual(await client.hear(5), b"hello")
        self.assertEqual(len(self.events.named("daemon.listener.bound")), 1)

    async def test_accepted_sockets_are_set_up_as_the_file_says(self) -> None:
        """TCP_NODELAY on everything interactive; keep-alive unless the section says no, from a reload on too."""
        text = self.SECTION.format("a", "tcp", 0, "hello")
        for keepalive in (True, False):
            self.take_over(text + f"keepalive = {str(keepalive).lower()}\n")
            client = await self.connect(self.port())
            await client.hear(5)
            transport = cast("Any", list(self.shared.sessions)[-1].transport)
            self.assertEqual(transport.getTcpNoDelay(), True)
            self.assertEqual(transport.getTcpKeepAlive(), keepalive)

    async def test_disabled_section_is_not_started(self) -> None:
        self.take_over(self.SECTION.format("a", "tcp", 0, "hello") + "enabled = false\n")
        self.assertEqual((self.services.listeners, self.kinds.workers), ({}, {}))

    async def test_unchanged_section_keeps_socket_and_sessions(self) -> None:
        text = self.SECTION.format("a", "tcp", 0, "hello")
        self.take_over(text)
        before = dict(self.services.listeners)
        client = await self.connect(self.port())
        await client.hear(5)
        self.take_over("# a comment\n" + text)
        self.assertEqual(self.services.listeners, before)
        cast("Any", client.transport).write(b"?")
        self.assertEqual(await client.hear(10), b"hellohello")
        self.assertEqual(self.kinds.workers["hello"].history, ["started"])

    async def test_changed_section_answers_at_the_same_socket(self) -> None:
        self.take_over(self.SECTION.format("a", "tcp", 0, "hello"))
        port = self.port()
        old = await self.connect(port)
        await old.hear(5)
        self.take_over(self.SECTION.format("a", "tcp", 0, "salut"))
        self.assertEqual(self.port(), port)
        new = await self.connect(port)
        self.assertEqual(await new.hear(5), b"salut")
        # S8: what runs goes on as it was.
        cast("Any", old.transport).write(b"?")
        self.assertEqual(await old.hear(10), b"hellohello")
        self.assertEqual(self.kinds.workers["hello"].history, ["started"])
        cast("Any", old.transport).loseConnection()
        await old.lost
        await self.turn()
        self.assertEqual(self.kinds.workers["hello"].history, ["started", "stopped"])
        self.assertEqual(self.services.retired, set())

    async def turn(self) -> None:
        """Let the server's side see what the client has seen."""
        for _ in range(5):
            waiting: Deferred[None] = Deferred()
            cast("Any", reactor).callLater(0, waiting.callback, None)
            await waiting
            if not self.services.retired:
                return

    async def test_limits_go_on_counting_over_a_change(self) -> None:
        text = self.SECTION.format("a", "tcp", 0, "{}") + "limits = {{ sessions = 1 }}\n"
        self.take_over(text.format("hello"))
        first = await self.connect(self.port())
        await first.hear(5)
        self.take_over(text.format("salut"))
        second = await self.connect(self.port())
        self.assertEqual(await second.hear(4), b"busy")

    async def test_removed_section_refuses_and_drains(self) -> None:
        self.take_over(self.SECTION.format("a", "tcp", 0, "hello") + self.SECTION.format("b", "tcp", 0, "other"))
        port = self.port()
        client = await self.connect(port)
        await client.hear(5)
        self.take_over(self.SECTION.format("b", "tcp", 0, "other"))
        await self.turn()
        probe = socket.socket()
        self.addCleanup(probe.close)
        self.assertRaises(ConnectionRefusedError, probe.connect, ("127.0.0.1", port))
        cast("Any", client.transport).write(b"?")
        self.assertEqual(await client.hear(10), b"hellohello")
        self.assertEqual(len(self.events.named("daemon.listener.closed")), 1)

    async def test_port_in_use_changes_nothing(self) -> None:
        """R2, R5: and nothing is left open."""
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        port = taken.getsockname()[1]
        self.take_over(self.SECTION.format("a", "tcp", 0, "hello"))
        before = (dict(self.services.sections), dict(self.services.listeners))
        text = self.SECTION.format("b", "tcp", 0, "first") + self.SECTION.format("c", "tcp", port, "second")
        error = self.assertRaises(BindError, self.services.prepare, self.config(text))
        self.assertIn("section c: ", str(error))
        self.assertIn(str(port), str(error))
        self.assertEqual((self.services.sections, self.services.listeners), before)

    async def test_socket_may_move_from_one_section_to_another(self) -> None:
        self.take_over(self.SECTION.format("a", "tcp", 0, "hello"))
        port = self.port()
        key = next(iter(self.services.listeners))
        self.assertEqual(key[0], "free")
        await self.services.stop_listening()
        self.services.sections.clear()
        self.take_over(self.SECTION.format("a", "tcp", port, "hello"))
        self.take_over(self.SECTION.format("b", "tcp", port, "other"))
        client = await self.connect(port)
        self.assertEqual(await client.hear(5), b"other")

    async def test_datagrams_reach_the_section_of_the_day(self) -> None:
        self.take_over(self.SECTION.format("a", "udp", 0, "hello"))
        port = self.port()
        self.assertEqual(await self.ask(port), b"hello")
        self.take_over(self.SECTION.format("a", "udp", 0, "salut"))
        self.assertEqual(await self.ask(port), b"salut")

    async def test_bug_in_a_datagram_is_logged_and_the_next_is_answered(self) -> None:
        self.take_over(self.SECTION.format("a", "udp", 0, "hello"))
        port = self.port()
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(client.close)
        client.sendto(b"bug", ("127.0.0.1", port))
        self.assertEqual(await self.ask(port), b"hello")
        [failed] = self.events.named("daemon.datagram.failed")
        self.assertEqual(failed["service"], "a")

    async def test_denied_datagram_is_dropped(self) -> None:
        self.take_over(self.SECTION.format("a", "udp", 0, "hello") + "limits = { rate = '1/1h' }\n")
        port = self.port()
        self.assertEqual(await self.ask(port), b"hello")
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(client.close)
        client.sendto(b"?", ("127.0.0.1", port))
        while not self.events.named("daemon.peer.refused"):
            waiting: Deferred[None] = Deferred()
            cast("Any", reactor).callLater(0, waiting.callback, None)
            await waiting

    async def test_kind_that_raises_names_its_section(self) -> None:
        """R2, R5: and nothing of the change remains."""
        first = self.SECTION.format("a", "tcp", 0, "hello")
        self.take_over(first)
        config = self.config(first + self.SECTION.format("b", "tcp", 0, "bug"))
        error = self.assertRaises(ConfigError, self.services.prepare, config)
        self.assertTrue(str(error).startswith("test.toml:5: services.b: the kind greeting could not"), str(error))
        self.assertIn("ZeroDivisionError", str(error))
        self.assertEqual(len(self.events.named("daemon.section.failed")), 1)

    async def test_worker_that_does_not_start_changes_nothing(self) -> None:
        """R5: those that did start are stopped again, and what was bound is free."""
        first = self.SECTION.format("a", "tcp", 0, "hello")
        self.take_over(first)
        listeners = dict(self.services.listeners)
        port = self.port()
        changed = first.replace("hello", "bye") + self.SECTION.format("b", "tcp", 0, "broken")
        change = self.services.prepare(self.config(changed))
        [fresh] = [bound.address.port for sockets in change.bound.values() for bound in sockets]
        error = self.assertRaises(WorkerError, self.services.apply, change)
        self.assertIn("section b: a worker could not be started: ZeroDivisionError", str(error))
        self.assertEqual(self.kinds.workers["bye"].history, ["started", "stopped"])
        self.assertEqual(self.services.listeners, listeners)
        client = await self.connect(port)
        self.assertEqual(await client.hear(5), b"hello")
        with socket.socket() as free:
            free.bind(("127.0.0.1", fresh))
        self.assertEqual(len(self.events.named("daemon.worker.refused")), 1)

    async def test_port_that_we_hold_ourselves_is_told_so(self) -> None:
        """No program can listen on one address where it listens on all of them."""
        self.take_over(self.SECTION.format("a", "tcp", 0, "hello"))
        section = self.SECTION.format("a", "tcp", self.port(), "hello")
        error = self.assertRaises(BindError, self.services.prepare, self.config(section))
        self.assertNotIn("this daemon itself", str(error))
        await self.services.stop_listening()
        self.take_over(section)
        error = self.assertRaises(
            BindError, self.services.prepare, self.config(section.replace(":interface=127.0.0.1", ""))
        )
        self.assertIn("it is this daemon itself", str(error))

    async def test_bug_while_datagrams_change_hands_does_not_stop_a_reload(self) -> None:
        self.take_over(self.SECTION.format("a", "udp", 0, "hello"))

        class Broken(DatagramGreeter):
            def startProtocol(self) -> None:
                raise ZeroDivisionError

            def stopProtocol(self) -> None:
                raise ZeroDivisionError

        made = self.kinds.kind
        broken = Parts(datagrams={"listen": lambda: Broken("x")})
        self.kinds.kind = replace(made, make=lambda _options, _runtime: broken)
        self.take_over(self.SECTION.format("a", "udp", 0, "first"))
        self.take_over(self.SECTION.format("a", "udp", 0, "second"))
        self.assertEqual(len(self.events.named("daemon.datagram.refused")), 2)
        self.kinds.kind = made
        self.take_over(self.SECTION.format("a", "udp", 0, "third"))
        self.assertEqual(await self.ask(self.port()), b"third")

    async def test_unix_socket_whose_file_is_gone_does_not_stop_a_reload(self) -> None:
        path = Path("/tmp") / f"netservices-test-{os.getpid()}-{id(self):x}.sock"  # noqa: S108 - short, removed again
        text = f'[services.a]\nkind = "greeting"\nlisten = ["unix:{path}"]\nword = "hello"\n'
        self.take_over(text)
        path.unlink()
        self.take_over(text.replace("hello", "bye"))
        self.assertEqual(self.kinds.workers["bye"].history, ["started"])

    async def test_inherited_socket_of_another_type_is_no_place_for_a_new_kind(self) -> None:
        """Only the socket tells whether it is a stream's."""
        ours = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(ours.close)
        ours.bind(("127.0.0.1", 0))
        self.shared.inherited = {"x": [ours.fileno()]}
        text = '[services.a]\nkind = "greeting"\nlisten = ["systemd:name=x"]\nword = "hello"\n'
        self.take_over(text)
        streams_only = Parts(streams={"listen": lambda _session: Greeter("x")})
        kind = self.kinds.kind
        self.kinds.kind = ServiceKind(
            name=kind.name, summary="", options=kind.options, make=lambda _o, _r: streams_only, tryout={}
        )
        changed = self.config(text.replace("hello", "bye"))
        self.assertIn("is of a type", str(self.assertRaises(BindError, self.services.prepare, changed)))

    async def test_inherited_socket_without_a_file_is_served(self) -> None:
        """unix(7): an abstract name."""
        ours = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(ours.close)
        ours.bind(f"\0netservices-test-{os.getpid()}-{id(self):x}")
        ours.listen(1)
        self.shared.inherited = {"x": [ours.fileno()]}
        self.take_over('[services.a]\nkind = "greeting"\nlisten = ["systemd:name=x"]\nword = "hello"\n')
        self.assertEqual(len(self.services.listeners), 1)

    async def test_workers_are_told_to_reopen(self) -> None:
        self.take_over(self.SECTION.format("a", "tcp", 0, "hello"))
        for section in self.services.everything():
            section.reopen()
        self.assertEqual(self.kinds.workers["hello"].history, ["started", "reopened"])

    async def test_entry_that_the_kind_does_not_serve_is_a_mistake(self) -> None:
        kind = self.kinds.kind
        streams_only = Parts(streams={"listen": lambda _session: Greeter("x")})
        self.kinds.kind = ServiceKind(
            name=kind.name, summary="", options=kind.options, make=lambda _o, _r: streams_only, tryout={}
        )
        config = self.config(self.SECTION.format("a", "udp", 0, "hello"))
        error = self.assertRaises(ConfigError, self.services.prepare, config)
        self.assertTrue(str(error).startswith("test.toml:3: services.a.listen: "), str(error))
