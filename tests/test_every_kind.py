"""What every kind of service must do, run over the catalogue: a newcomer is tested by being there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from netservices.catalog import Catalogue
from netservices.config import ServiceOptions
from netservices.config.docstrings import load_docstrings
from netservices.config.loading import load_text
from netservices.config.starter import make_starter
from netservices.config.tryout import load_tryout
from netservices.daemon.gate import Door, Gate
from netservices.daemon.section import Section
from netservices.runtime import EventLog, Sessions
from netservices.runtime.admission import Admission, make_proxies
from netservices.runtime.files import ImmediateFiles
from netservices.runtime.metrics import Metrics, SectionMetrics
from tests.doubles import FakeTransport, RecordedEvents, make_runtime

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netservices.kind import Parts, ServiceKind

PAGES = Path(__file__).parent.parent / "docs" / "kinds"


class EveryKindTests(SynchronousTestCase):
    """Each test goes over all kinds."""

    def setUp(self) -> None:
        self.catalogue = Catalogue()
        self.state = Path(self.mktemp()).absolute()
        self.state.mkdir()
        self.clock = Clock()
        self.events = RecordedEvents()
        self.log = EventLog(self.events)

    def kinds(self) -> Iterator[ServiceKind[Any]]:
        names = self.catalogue.names()
        self.assertIn("echo", names)
        for name in names:
            yield self.catalogue.find(name)

    def options(self, kind: ServiceKind[Any]) -> ServiceOptions:
        return load_tryout(self.catalogue, ipv6=False).services[kind.name]

    def make(self, kind: ServiceKind[Any], options: ServiceOptions) -> Parts:
        return kind.make(
            options, make_runtime(state=self.state, clock=self.clock, log=self.log, files=ImmediateFiles())
        )

    def test_every_option_says_what_it_is(self) -> None:
        for kind in self.kinds():
            self.assertTrue(issubclass(kind.options, ServiceOptions), kind.name)
            own = set(kind.options.model_fields) - set(ServiceOptions.model_fields)
            documented = load_docstrings(kind.options)
            for option in own:
                self.assertTrue(documented.get(option), f"{kind.name}.{option} has no docstring")

    def test_summary_is_one_line(self) -> None:
        for kind in self.kinds():
            self.assertTrue(0 < len(kind.summary) < 100, kind.name)
            self.assertNotIn("\n", kind.summary)

    def test_page_of_the_manual_is_there(self) -> None:
        for kind in self.kinds():
            page = (PAGES / f"{kind.name}.md").read_text("utf-8")
            self.assertIn(f"[services.{kind.name}]", page)

    def test_events_carry_the_kinds_name(self) -> None:
        for kind in self.kinds():
            for event in kind.events:
                self.assertIn(event.name.partition(".")[0], {kind.name, "http", "rpc", "mail"}, event.name)

    def test_tryout_and_starter_hold_it(self) -> None:
        starter = load_text(make_starter(self.catalogue), self.catalogue, file="starter.toml")
        for kind in self.kinds():
            self.assertIn(kind.name, starter.services)
            for entry in self.options(kind).listen:
                self.assertIn("interface=127.0.0.1", str(entry))

    def test_making_it_reads_and_binds_nothing(self) -> None:
        for kind in self.kinds():
            parts = self.make(kind, self.options(kind))
            self.assertEqual(list(self.state.iterdir()), [], kind.name)
            self.assertEqual(self.clock.getDelayedCalls(), [], kind.name)
            for option in (*parts.streams, *parts.datagrams):
                self.assertIn(option, kind.options.model_fields, f"{kind.name} listens by an option it has not")

    def connect(self, kind: ServiceKind[Any]) -> Iterator[FakeTransport]:
        """A connection to each stream option of the kind."""
        options = self.options(kind)
        parts = self.make(kind, options)
        for option in parts.streams:
            metrics = SectionMetrics(Metrics(), kind.name, self.clock.seconds)
            admission = Admission(options, clock=self.clock, log=self.log)
            section = Section(kind.name, options, parts, admission, self.log, make_proxies(()), metrics)
            entry = next(entry for entry in getattr(options, option) if entry.transport == "tcp" and not entry.tls)
            transport = FakeTransport()
            gate = Gate(Door(section, option, entry, Sessions(), self.clock))
            transport.protocol = gate
            gate.makeConnection(transport)
            yield transport

    @given(st.lists(st.binary(max_size=300), max_size=5))
    @settings(deadline=None, max_examples=40)
    def test_arbitrary_bytes_meet_no_bug(self, segments: list[bytes]) -> None:
        for kind in self.kinds():
            for transport in self.connect(kind):
                for segment in segments:
                    if transport.connected:
                        transport.protocol.dataReceived(segment)
                if transport.connected:
                    transport.hang_up()
                self.assertEqual(self.events.named("daemon.session.failed"), [], kind.name)
                self.assertEqual(self.events.named("http.request.failed"), [], kind.name)

    def test_peer_that_leaves_at_once_leaves_nothing_behind(self) -> None:
        """R35: one closed event, no timer."""
        for kind in self.kinds():
            for transport in self.connect(kind):
                before = len(self.events.named("daemon.session.closed"))
                transport.hang_up()
                self.assertEqual(len(self.events.named("daemon.session.closed")), before + 1, kind.name)
                self.assertEqual(self.clock.getDelayedCalls(), [], kind.name)

    def test_silent_peer_is_closed(self) -> None:
        """R14."""
        for kind in self.kinds():
            for transport in self.connect(kind):
                for _ in range(2000):
                    self.clock.advance(1)
                self.assertFalse(transport.connected, kind.name)
                self.assertEqual(self.clock.getDelayedCalls(), [], kind.name)
