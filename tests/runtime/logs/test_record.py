"""Events made ready to be written."""

from __future__ import annotations

import warnings
from ipaddress import ip_address
from pathlib import Path

from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from netservices.runtime.events import Event, EventLog
from netservices.runtime.logs.record import LARGEST_TEXT, LogRecord, format_traceback, make_record
from netservices.runtime.session import Reason

SENT = Event("ftp.file.sent", LogLevel.info, "{path} sent to {peer}", "For tests.")


class Hostile:
    """Whatever is asked of it fails."""

    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __format__ = __str__  # type: ignore[assignment]

    def __fspath__(self) -> str:
        raise RuntimeError("no")


@implementer(ILogObserver)
class Catcher:
    """Makes records and keeps them."""

    def __init__(self) -> None:
        self.records: list[LogRecord] = []

    def __call__(self, event: LogEvent) -> None:
        """As an observer."""
        self.records.append(make_record(event))


def record_of(*, bound: dict[str, object] | None = None, **fields: object) -> LogRecord:
    """What becomes of ``SENT`` with these fields."""
    catcher = Catcher()
    EventLog(catcher).bind(**(bound or {})).emit(SENT, **fields)
    return catcher.records[0]


def failure_of(error: Exception) -> Failure:
    """With a traceback."""
    try:
        raise error
    except Exception:  # noqa: BLE001 - it was raised a line above
        return Failure()


class MakeRecordTests(SynchronousTestCase):
    """``make_record``."""

    def test_an_event_of_ours_is_taken_apart(self) -> None:
        """R30."""
        record = record_of(bound={"service": "files", "peer": "192.0.2.1:21", "facility": "ftp"}, path="/x", size=3)
        self.assertEqual((record.event, record.level, record.severity), ("ftp.file.sent", "info", 6))
        self.assertEqual((record.subject, record.facility), ("files", "ftp"))
        self.assertEqual(record.message, "/x sent to 192.0.2.1:21")
        self.assertEqual(
            list(record.fields.items()),
            [("service", "files"), ("peer", "192.0.2.1:21"), ("path", "/x"), ("size", 3)],
        )

    def test_without_a_service_the_names_first_part_stands_in(self) -> None:
        self.assertEqual(record_of(path="/x", peer="p").subject, "ftp")

    def test_severity_notice_is_asked_for_by_the_event(self) -> None:
        """R30."""
        self.assertEqual(record_of(path="", peer="", syslog_severity="notice").severity, 5)
        self.assertEqual(record_of(path="", peer="", syslog_severity="nonsense").severity, 6)

    def test_an_unknown_facility_is_the_configured_one(self) -> None:
        self.assertIdentical(record_of(path="", peer="", facility="nonsense").facility, None)
        self.assertIdentical(record_of(path="", peer="", facility=["x"]).facility, None)

    def test_octets_become_text_without_a_warning(self) -> None:
        """R33."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            record = record_of(path=b"caf\xe9\n", peer="p")
        self.assertEqual(record.message, "caf\udce9\n sent to p")
        self.assertEqual(record.texts["path"], "caf\udce9\n")

    def test_peer_data_is_never_a_format(self) -> None:
        """R33."""
        self.assertEqual(record_of(path="{peer} %s", peer="p").message, "{peer} %s sent to p")

    def test_only_single_values_become_text(self) -> None:
        texts = record_of(
            path=Path("/x"), peer=ip_address("::1"), a=True, b=False, c=None, d=1.5, e=[1], f=Reason.IDLE,
            g=Hostile(), h=2,
        ).texts  # fmt: skip
        self.assertEqual(
            texts,
            {"path": "/x", "peer": "::1", "a": "true", "b": "false", "d": "1.5", "f": "idle timeout", "h": "2"},
        )

    def test_a_field_that_fails_is_survived(self) -> None:
        record = record_of(path=Hostile(), peer="p")
        self.assertIn("ormat", record.message)
        self.assertEqual(record.texts, {"peer": "p"})

    def test_a_missing_field_is_survived(self) -> None:
        self.assertIn("path", record_of().message)

    def test_a_long_message_is_cut(self) -> None:
        self.assertEqual(len(record_of(path="x" * 1_000_000, peer="p").message), LARGEST_TEXT)

    def test_twisteds_own_events_go_through(self) -> None:
        catcher = Catcher()
        Logger("twisted.web", observer=catcher).warn("{x} is odd", x=7)
        record = catcher.records[0]
        self.assertEqual((record.event, record.level, record.severity), (None, "warn", 4))
        self.assertEqual((record.message, record.subject), ("7 is odd", "twisted"))
        self.assertEqual(record.texts, {"namespace": "twisted.web"})

    def test_an_event_with_nothing_in_it_goes_through(self) -> None:
        self.assertEqual(make_record({}).level, "info")

    def test_a_failure_brings_its_traceback(self) -> None:
        record = record_of(path="", peer="", log_failure=failure_of(ValueError("why")))
        self.assertTrue(record.traceback.startswith("Traceback (most recent call last):\n"))
        self.assertTrue(record.traceback.endswith("builtins.ValueError: why"))
        self.assertNotIn("log_failure", record.fields)


class FormatTracebackTests(SynchronousTestCase):
    """``format_traceback``."""

    def test_what_is_no_failure_is_shown(self) -> None:
        self.assertEqual(format_traceback("x"), "'x'")

    def test_a_failure_that_fails_is_survived(self) -> None:
        class Broken(Failure):
            def getTraceback(self, *_args: object, **_more: object) -> str:
                raise RuntimeError("no")

        self.assertIn("Broken", format_traceback(Broken(ValueError("why"))))

    def test_a_long_one_keeps_both_ends(self) -> None:
        text = format_traceback(failure_of(ValueError("x" * 100_000 + "end")))
        self.assertEqual(len(text), LARGEST_TEXT)
        self.assertTrue(text.startswith("Traceback"))
        self.assertTrue(text.endswith("end"))
