"""What Twisted says, and what becomes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from twisted.internet.task import Clock
from twisted.logger import Logger, LogLevel
from twisted.trial.unittest import SynchronousTestCase

from netservices.daemon.logswitch import LogSwitch
from tests.doubles import RecordedEvents

if TYPE_CHECKING:
    from netservices.runtime.logs import LogObserver


class LogSwitchTests(SynchronousTestCase):
    """Events on their way to the observer of the day."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.events = RecordedEvents()
        self.switch = LogSwitch(cast("LogObserver", self.events), self.clock.seconds)
        self.logger = Logger("twisted.internet.tcp.Port", observer=self.switch)

    def test_what_twisted_tells_of_itself_is_for_developers(self) -> None:
        self.logger.info("Factory starting on {port}", port=7)
        self.assertEqual([event["log_level"] for event in self.events.events], [LogLevel.debug])

    def test_warnings_keep_their_level(self) -> None:
        self.logger.emit(LogLevel.warn, "strange")
        self.assertEqual([event["log_level"] for event in self.events.events], [LogLevel.warn])

    def test_observer_may_be_another(self) -> None:
        other = RecordedEvents()
        self.switch.current = cast("LogObserver", other)
        self.logger.emit(LogLevel.warn, "strange")
        self.assertEqual((len(self.events.events), len(other.events)), (0, 1))

    def refuse(self) -> None:
        """As twisted.internet.tcp tells of three connections for which there is no descriptor."""
        self.logger.info("EMFILE encountered; releasing reserved file descriptor.")
        for port in range(3):
            self.logger.info("EMFILE recovery: Closed socket from {address}", address=("192.0.2.7", port))
        self.logger.info("Re-reserving EMFILE recovery file descriptor.")
        self.logger.info("Could not accept new connection ({acceptError})", acceptError="EMFILE")

    def test_descriptors_that_run_out_are_one_error_a_minute(self) -> None:
        """R16."""
        self.refuse()
        self.refuse()
        [told] = self.events.named("daemon.accept.failed")
        self.assertEqual((told["log_level"], told["reason"]), (LogLevel.error, "EMFILE"))
        self.assertEqual(len(self.events.events), 1)
        self.clock.advance(60)
        self.refuse()
        self.assertEqual(len(self.events.named("daemon.accept.failed")), 2)
