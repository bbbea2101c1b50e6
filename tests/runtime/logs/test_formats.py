"""A record in each form."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netservices.runtime.logs.formats import (
    format_json,
    format_perror,
    format_prefixed,
    format_text,
    make_syslog_format,
)
from tests.runtime.logs.fakes import make_test_record

ANY_TEXT = st.text(st.characters(exclude_categories=()))
TRACEBACK = "Traceback:\n  File x\x1b\nError: a\r\n<0>forged"


class TextTests(SynchronousTestCase):
    """For stderr."""

    def test_a_line_has_time_level_service_and_message(self) -> None:
        """R34."""
        self.assertEqual(format_text(make_test_record("a\nb")), b"2026-01-02T03:04:05.000006Z info files: a\\nb\n")

    def test_a_traceback_is_indented_below(self) -> None:
        """R33."""
        lines = format_text(make_test_record(traceback=TRACEBACK)).decode().splitlines()
        self.assertEqual(lines[1:], ["    Traceback:", "      File x\\x1b", "    Error: a\\r", "    <0>forged"])

    def test_under_systemd_every_line_has_its_severity_and_no_time(self) -> None:
        """R34."""
        text = format_prefixed(make_test_record("a\x9b", severity=5, traceback=TRACEBACK)).decode()
        self.assertEqual(
            text.splitlines(),
            [
                "<5>files: a\\u009b",
                "<5>    Traceback:",
                "<5>      File x\\x1b",
                "<5>    Error: a\\r",
                "<5>    <0>forged",
            ],
        )

    def test_perror_is_written_as_syslog_writes_it(self) -> None:
        """R31."""
        self.assertEqual(format_perror(make_test_record("a\r"), "7"), b"netservices[7]: a\\r\n")
        self.assertEqual(format_perror(make_test_record("a")), b"netservices: a\n")

    @settings(deadline=None, max_examples=100)
    @given(ANY_TEXT, ANY_TEXT)
    def test_any_text_is_one_line(self, message: str, subject: str) -> None:
        """R33."""
        for render in (format_text, format_prefixed, format_perror):
            line = render(make_test_record(message, subject=subject)).decode()
            self.assertEqual(len(line.splitlines()), 1)


class JsonTests(SynchronousTestCase):
    """For the file."""

    def read(self, **changes: object) -> dict[str, object]:
        """What a reader gets of one line."""
        line = format_json(make_test_record(**changes))  # type: ignore[arg-type]
        self.assertEqual(line.count(b"\n"), 1)
        self.assertTrue(line.endswith(b"\n"))
        found: dict[str, object] = json.loads(line.decode(), parse_constant=self.fail)
        return found

    def test_the_keys_are_in_order(self) -> None:
        """R34."""
        self.assertEqual(
            format_json(make_test_record("é", fields={"service": "files", "size": 3, "ok": True, "none": None})),
            '{"time": "2026-01-02T03:04:05.000006Z", "level": "info", "event": "ftp.file.sent", "message": "é", '
            '"service": "files", "size": 3, "ok": true, "none": null}\n'.encode(),
        )

    def test_a_field_cannot_pose_as_another_key(self) -> None:
        """R33."""
        found = self.read(fields={"time": 1, "level": 2, "event": 3, "message": 4, "traceback": 5}, traceback="t")
        self.assertEqual((found["level"], found["message"], found["traceback"]), ("info", "hello", "t"))
        self.assertEqual(
            [found[f"{key}_"] for key in ("time", "level", "event", "message", "traceback")], [1, 2, 3, 4, 5]
        )

    def test_what_json_cannot_hold_is_text(self) -> None:
        """R34."""
        loop: list[object] = []
        loop.append(loop)
        found = self.read(fields={
            "nan": float("nan"), "object": ValueError("x"), "octets": b"\xff\n", "loop": loop, "keys": {b"a": 1},
            "huge": 10**5000, "deep": json.loads("[" * 900 + "]" * 900), "nested": {"a": [1, b"x"]},
        })  # fmt: skip
        self.assertEqual(found["nan"], "nan")
        self.assertEqual(found["object"], "ValueError('x')")
        self.assertEqual(found["octets"], "\\xff\\n")
        self.assertEqual(found["keys"], "{b'a': 1}")
        self.assertIsInstance(found["huge"], str)

    def test_containers_are_kept(self) -> None:
        self.assertEqual(self.read(fields={"a": [1, {"b": "c"}]})["a"], [1, {"b": "c"}])

    def test_a_line_is_bounded(self) -> None:
        """R32."""
        found = self.read(fields={"a": "x" * 1_000_000, "b": ["y"] * 1_000_000})
        self.assertEqual(len(str(found["a"])), 16_384)
        self.assertEqual(len(str(found["b"])), 16_384)

    @settings(deadline=None, max_examples=200)
    @given(
        ANY_TEXT,
        st.dictionaries(
            ANY_TEXT,
            st.one_of(ANY_TEXT, st.binary(), st.integers(), st.floats(), st.booleans(), st.lists(ANY_TEXT)),
            max_size=8,
        ),
    )
    def test_any_record_is_one_line_of_json(self, message: str, fields: dict[str, object]) -> None:
        """R33, R34."""
        self.assertEqual(len(format_json(make_test_record(message, fields=fields)).decode().splitlines()), 1)
        self.read(message=message, fields=fields)


class SyslogFormatTests(SynchronousTestCase):
    """For a collector."""

    def test_rfc5424_holds_everything(self) -> None:
        """R30."""
        render = make_syslog_format(
            "rfc5424", hostname="h.example", facility="daemon", process=lambda: "7", limit=8192, local=True
        )
        self.assertEqual(
            render(make_test_record(facility="mail", severity=5)),
            b"<21>1 2026-01-02T03:04:05.000006Z h.example netservices 7 ftp.file.sent "
            b'[netservices@32473 service="files"] hello',
        )

    def test_rfc3164_is_local_time_and_at_most_1024_octets(self) -> None:
        """R30."""
        render = make_syslog_format(
            "rfc3164", hostname="h.example", facility="daemon", process=lambda: None, limit=8192, local=False,
            to_local=lambda seconds: datetime.fromtimestamp(seconds, UTC),
        )  # fmt: skip
        self.assertEqual(render(make_test_record()), b"<30>Jan  2 03:04:05 h netservices: hello")
        self.assertLessEqual(len(render(make_test_record("x" * 9000))), 1024)

    def test_the_machines_own_zone_is_used(self) -> None:
        """R30."""
        render = make_syslog_format(
            "rfc3164", hostname="h", facility="daemon", process=lambda: None, limit=8192, local=True
        )
        seconds = 1767323045.0
        self.assertIn(
            datetime.fromtimestamp(seconds).astimezone().strftime("%H:%M:%S netservices").encode(),
            render(make_test_record()),
        )

    def test_a_traceback_is_in_the_same_line(self) -> None:
        """R33."""
        render = make_syslog_format(
            "rfc5424", hostname="h", facility="daemon", process=lambda: "7", limit=8192, local=True
        )
        line = render(make_test_record(traceback=TRACEBACK))
        self.assertTrue(line.endswith(rb"hello\nTraceback:\n  File x\x1b\nError: a\r\n<0>forged"))

    def test_an_event_name_too_long_for_msgid_is_a_parameter_too(self) -> None:
        """R30."""
        render = make_syslog_format(
            "rfc5424", hostname="h", facility="daemon", process=lambda: "7", limit=8192, local=True
        )
        name = "daemon." + "x" * 30 + ".done"
        line = render(make_test_record(event=name)).decode()
        self.assertIn(f' {name[:32]} [netservices@32473 event="{name}" ', line)
