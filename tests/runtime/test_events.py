"""Events and the log they go to."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from twisted.logger import LogLevel, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from netservices.runtime import Event, EventLog
from tests.doubles import RecordedEvents

if TYPE_CHECKING:
    from twisted.python.failure import Failure

HAPPENED = Event("test.thing.happened", LogLevel.info, "{what} happened to {service}", "A test.")


class EventLogTests(SynchronousTestCase):
    """R35: identity is bound once."""

    def setUp(self) -> None:
        self.events = RecordedEvents()
        self.log = EventLog(self.events).bind(service="echo")

    def test_event_carries_its_name_and_fields(self) -> None:
        self.log.emit(HAPPENED, what="rain")
        [event] = self.events.named("test.thing.happened")
        self.assertEqual(formatEvent(event), "rain happened to echo")
        self.assertEqual(event["log_level"], LogLevel.info)

    def test_field_given_later_does_not_override_identity(self) -> None:
        self.log.emit(HAPPENED, what="rain", service="forged", event="forged.name")
        [event] = self.events.named("test.thing.happened")
        self.assertEqual(event["service"], "echo")

    def test_binding_again_does_not_override_identity(self) -> None:
        self.log.bind(service="forged", session="1").emit(HAPPENED, what="rain")
        [event] = self.events.named("test.thing.happened")
        self.assertEqual((event["service"], event["session"]), ("echo", "1"))

    def test_braces_in_a_value_are_not_a_format(self) -> None:
        """R33: peer data is a value, never a format string."""
        self.log.emit(HAPPENED, what="{log_system!r} {service.__class__}")
        [event] = self.events.named("test.thing.happened")
        self.assertEqual(formatEvent(event), "{log_system!r} {service.__class__} happened to echo")

    def test_event_below_the_level_is_dropped(self) -> None:
        self.log.at_level("warn").emit(HAPPENED, what="rain")
        self.assertEqual(self.events.events, [])

    def test_failure_carries_the_current_exception(self) -> None:
        try:
            raise KeyError("k")
        except KeyError:
            self.log.failure(HAPPENED, what="rain")
        [event] = self.events.named("test.thing.happened")
        self.assertIsInstance(cast("Failure", event["log_failure"]).value, KeyError)
