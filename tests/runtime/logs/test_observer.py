"""The one observer: levels, threads, errors inside."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, succeed
from twisted.logger import ILogObserver, Logger, LogLevel
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from netservices.runtime.events import Event, EventLog
from netservices.runtime.logs.observer import LogObserver
from netservices.runtime.logs.reports import EVENTS, LOG_DROPPED, make_report
from netservices.runtime.logs.watch import Watch
from tests.runtime.logs.fakes import FakeReactor, as_reactor, make_test_record

if TYPE_CHECKING:
    from netservices.runtime.logs.record import LogRecord

DETAIL = Event("test.detail.shown", LogLevel.debug, "detail {x}", "For tests.")
OUTCOME = Event("test.outcome.shown", LogLevel.warn, "outcome {x}", "For tests.")


class FakeTarget:
    """Keeps the messages."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.messages: list[str] = []
        self.calls: list[str] = []
        self.breaks = 0
        self.stopping: Deferred[object] = succeed(None)

    def put(self, record: LogRecord) -> None:
        """Written down, unless it breaks."""
        if self.breaks:
            self.breaks -= 1
            raise RuntimeError("broken")
        self.messages.append(record.message)

    def start(self) -> None:
        """Written down."""
        self.calls.append("start")

    def reopen(self) -> None:
        """Written down."""
        self.calls.append("reopen")

    def stop(self) -> Deferred[object]:
        """Done when ``stopping`` is."""
        self.calls.append("stop")
        return self.stopping

    def finish(self) -> None:
        """Written down."""
        self.calls.append("finish")


class Hostile:
    """Whatever is asked of it fails."""

    def __str__(self) -> str:
        raise RuntimeError("no")


class LogObserverTests(SynchronousTestCase):
    """``LogObserver``."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.one, self.two = FakeTarget("one"), FakeTarget("two")
        self.observer = LogObserver(as_reactor(self.reactor), "warn", self.make_targets)
        self.log = EventLog(self.observer)

    def make_targets(self, tell: object) -> list[FakeTarget]:
        """Two."""
        self.tell = tell
        return [self.one, self.two]

    def test_finish_reaches_every_target(self) -> None:
        """R2: the reason why a start failed is written although the reactor never runs."""
        self.observer.finish()
        self.assertEqual((self.one.calls, self.two.calls), (["finish"], ["finish"]))

    def test_it_is_twisteds_kind_of_observer(self) -> None:
        verifyObject(ILogObserver, self.observer)

    def test_an_event_below_the_level_is_dropped(self) -> None:
        """R30: ``[log] level``."""
        self.log.emit(DETAIL, x=1)
        self.log.emit(OUTCOME, x=2)
        Logger("twisted", observer=self.observer).info("info")
        Logger("twisted", observer=self.observer).error("error")
        self.observer({"log_format": "no level"})
        self.assertEqual(self.one.messages, ["outcome 2", "error"])
        self.assertEqual(self.two.messages, self.one.messages)

    def test_a_service_with_its_own_level_is_heard(self) -> None:
        """R30: ``log_level`` of a service wins over ``[log] level``, also in what is bound later."""
        own = self.log.bind(service="files").at_level("debug").bind(session="1")
        own.emit(DETAIL, x=1)
        self.assertEqual(self.one.messages, ["detail 1"])

    def test_a_service_with_a_higher_level_is_quieter(self) -> None:
        """R30."""
        self.log.at_level("error").emit(OUTCOME, x=1)
        self.assertEqual(self.one.messages, [])

    def test_a_broken_target_keeps_nothing_from_the_others(self) -> None:
        """R32."""
        self.one.breaks = 1
        self.log.emit(OUTCOME, x=1)
        self.assertEqual(self.one.messages, ["an event could not be written: RuntimeError"])
        self.assertEqual(self.two.messages, ["outcome 1"])
        self.one.breaks = 2
        self.log.emit(OUTCOME, x=2)
        self.assertEqual(self.two.messages[1:], ["outcome 2"])

    def test_an_event_that_cannot_be_read_is_replaced(self) -> None:
        """R32: and nothing is logged through the log."""
        self.observer({"log_level": LogLevel.error, "log_time": 1.5, "event": "a.b.c", "syslog_severity": Hostile()})
        self.assertEqual(self.one.messages, ["an event could not be written: RuntimeError"])

    def in_thread(self, count: int) -> None:
        """So many events from another thread, which ends before this returns."""

        def emit_all() -> None:
            for number in range(count):
                self.log.emit(OUTCOME, x=number)

        thread = threading.Thread(target=emit_all)
        thread.start()
        thread.join()

    def test_other_threads_events_are_written_on_the_reactors(self) -> None:
        """R32."""
        self.in_thread(2)
        self.assertEqual(self.one.messages, [])
        self.reactor.run_call()
        self.reactor.run_call()
        self.assertEqual(self.one.messages, ["outcome 0", "outcome 1"])

    def test_other_threads_events_are_bounded_and_the_gap_is_reported(self) -> None:
        """R32."""
        self.in_thread(10_005)
        self.reactor.run_until(lambda: len(self.one.messages) == 10_001)
        self.assertEqual(self.one.messages[-1], "5 lines for other threads were dropped here")

    def test_stop_takes_over_what_other_threads_left(self) -> None:
        self.in_thread(2)
        self.successResultOf(self.observer.stop())
        self.assertEqual(self.one.messages, ["outcome 0", "outcome 1"])
        self.reactor.run_call()
        self.log.emit(OUTCOME, x=9)
        self.assertEqual(len(self.one.messages), 2)

    def test_calls_reach_every_target_and_stop_waits_for_all(self) -> None:
        """R34."""
        self.two.stopping = Deferred()
        self.observer.start()
        self.observer.reopen()
        done = self.observer.stop()
        self.assertNoResult(done)
        self.two.stopping.callback(None)
        self.successResultOf(done)
        self.assertEqual(self.one.calls, ["start", "reopen", "stop"])
        self.assertEqual(self.two.calls, self.one.calls)


class WatchTests(SynchronousTestCase):
    """What the log says of itself."""

    def setUp(self) -> None:
        self.one, self.two = FakeTarget("one"), FakeTarget("two")
        self.watches: list[Watch] = []

        def make_targets(tell: object) -> list[FakeTarget]:
            self.watches.append(Watch("one", lambda record: record.message.encode(), tell, self.shown.extend))  # type: ignore[arg-type]
            return [self.one, self.two]

        self.shown: list[bytes] = []
        self.observer = LogObserver(as_reactor(FakeReactor()), "info", make_targets)

    def test_an_outage_is_told_to_the_others_only(self) -> None:
        """R32: no recursion."""
        self.watches[0].failed("it is gone", (b"1",))
        self.watches[0].recovered()
        self.assertEqual(self.one.messages, [])
        self.assertEqual(
            self.two.messages,
            ["one can't be written to: it is gone; lines are kept for it while there is room", "one takes lines again"],
        )
        self.assertEqual(self.shown, [b"1"])

    def test_a_gap_is_told_to_the_target_itself(self) -> None:
        """R32."""
        self.assertEqual(self.watches[0].dropped(3), b"3 lines for one were dropped here")

    def test_a_broken_other_target_is_survived(self) -> None:
        """R32."""
        self.two.breaks = 1
        self.watches[0].failed("it is gone", ())
        self.assertEqual(self.two.messages, [])

    def test_the_level_holds_for_these_too(self) -> None:
        """R30."""
        observer = LogObserver(as_reactor(FakeReactor()), "critical", lambda tell: [self.two][: bool(self.keep(tell))])
        self.assertEqual(observer.targets, (self.two,))
        self.told("one", make_test_record(level="error"))
        self.assertEqual(self.two.messages, [])

    def keep(self, tell: object) -> bool:
        """For later."""
        self.told = tell  # type: ignore[assignment]
        return True

    def told(self, name: str, record: LogRecord) -> None:
        """Replaced by ``keep``."""
        raise NotImplementedError

    def test_its_events_are_declared(self) -> None:
        """R35."""
        self.assertIn(LOG_DROPPED, EVENTS)
        for event in EVENTS:
            self.assertEqual(make_report(event, target="x", count=1, reason="y").event, event.name)
