"""Entries of the journal."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netservices.runtime.logs.journal import format_field, format_field_name, format_journal
from netservices.wire.escaping import escape_surrogates
from tests.runtime.logs.fakes import make_test_record

ANY_TEXT = st.text(st.characters(exclude_categories=()))


def parse_entry(octets: bytes) -> dict[str, bytes]:
    """An entry as the journal reads it."""
    fields: dict[str, bytes] = {}
    while octets:
        line, _, octets = octets.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            size = int.from_bytes(octets[:8], "little")
            value, end, octets = octets[8 : 8 + size], octets[8 + size : 9 + size], octets[9 + size :]
            if end != b"\n":
                raise AssertionError("a value has no end")
        fields[name.decode("ascii")] = value
    return fields


class JournalTests(SynchronousTestCase):
    """``format_journal``."""

    def test_a_whole_entry(self) -> None:
        """R34."""
        record = make_test_record("a\nb", severity=4, fields={"service": "files", "path": "x\ny", "bytes-in": 3})
        self.assertEqual(
            parse_entry(format_journal(record, "daemon")),
            {
                "MESSAGE": b"a\\nb",
                "PRIORITY": b"4",
                "SYSLOG_IDENTIFIER": b"netservices",
                "SYSLOG_FACILITY": b"3",
                "NETSERVICES_EVENT": b"ftp.file.sent",
                "NETSERVICES_SERVICE": b"files",
                "NETSERVICES_PATH": b"x\ny",
                "NETSERVICES_BYTES_IN": b"3",
            },
        )

    def test_twisteds_own_events_have_no_event_field(self) -> None:
        entry = parse_entry(format_journal(make_test_record(event=None, facility="mail"), "daemon"))
        self.assertNotIn("NETSERVICES_EVENT", entry)
        self.assertEqual(entry["SYSLOG_FACILITY"], b"2")

    def test_a_traceback_is_indented_below_the_message(self) -> None:
        """R33."""
        entry = parse_entry(format_journal(make_test_record(traceback="T\n  x\x1b"), "daemon"))
        self.assertEqual(entry["MESSAGE"], b"hello\n    T\n      x\\x1b")

    def test_a_value_with_a_newline_is_binary(self) -> None:
        """R34."""
        self.assertEqual(format_field("A", "b\nc"), b"A\n\3\0\0\0\0\0\0\0b\nc\n")
        self.assertEqual(format_field("A", "b\udc9b"), b"A=b\\x9b\n")

    def test_names_are_what_the_journal_takes(self) -> None:
        self.assertEqual(format_field_name("straße-1"), "NETSERVICES_STRASSE_1")
        self.assertEqual(len(format_field_name("x" * 100)), 64)

    def test_the_count_of_fields_and_the_size_of_each_are_bounded(self) -> None:
        fields = {f"n{i}": "x" * 20_000 for i in range(100)}
        entry = parse_entry(format_journal(make_test_record(fields=fields), "daemon"))
        self.assertEqual(len(entry), 64)
        self.assertEqual(len(entry["NETSERVICES_N1"]), 16_384)

    @settings(deadline=None, max_examples=200)
    @given(ANY_TEXT, st.dictionaries(st.text(min_size=1), ANY_TEXT, max_size=8))
    def test_any_record_reads_back(self, message: str, fields: dict[str, str]) -> None:
        """R33, R34."""
        entry = parse_entry(format_journal(make_test_record(message, fields=fields), "daemon"))
        self.assertEqual(len(entry["MESSAGE"].decode().splitlines()) <= 1, True)
        exact = {escape_surrogates(value).encode() for value in fields.values()}
        known = {"MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "SYSLOG_FACILITY", "NETSERVICES_EVENT"}
        for name, value in entry.items():
            self.assertRegex(name, r"^[A-Z][A-Z0-9_]{0,63}$")
            self.assertTrue(name in known or value in exact)
