"""Both forms of a syslog line."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netservices.wire.escaping import escape_line
from netservices.wire.syslog import (
    FACILITIES,
    SEVERITIES,
    format_rfc3164,
    format_rfc5424,
    format_structured_data,
    format_timestamp,
    frame_octets,
    priority,
)

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
ANY_TEXT = st.text(st.characters(exclude_categories=()))
FIELDS = st.dictionaries(ANY_TEXT, ANY_TEXT, max_size=40)

# RFC 5424 6, as a reader of its own.
LINE = re.compile(
    r"<(?P<pri>[0-9]{1,3})>1 (?P<time>\S+) (?P<host>[!-~]{1,255}) (?P<app>[!-~]{1,48}) (?P<process>[!-~]{1,128}) "
    r"(?P<message_id>[!-~]{1,32}) (?P<data>-|\[(?:[^\"\]]|\"(?:[^\]\\\"]|\\.)*\")*\]) (?P<message>.*)",
    re.DOTALL,
)
PARAMETER = re.compile(r' ([!#-<>-\\^-~]{1,32})="((?:[^\]\\"]|\\["\\\]])*)"')


def parse(line: bytes) -> dict[str, str]:
    """The parts of a line of RFC 5424; an error if it is not one."""
    match = LINE.fullmatch(line.decode())
    if match is None:
        raise AssertionError(f"not RFC 5424: {line!r}")
    return match.groupdict()


def parse_data(data: str) -> dict[str, str]:
    """The parameters of one element."""
    if data == "-":
        return {}
    if not (data.startswith("[netservices@32473 ") and data.endswith("]")):
        raise AssertionError(data)
    body = data.removeprefix("[netservices@32473").removesuffix("]")
    found = PARAMETER.findall(body)
    if "".join(f' {name}="{value}"' for name, value in found) != body:
        raise AssertionError(data)
    return {name: re.sub(r'\\(["\\\]])', r"\1", value) for name, value in found}


def format_line(
    message: str, fields: dict[str, str] | None = None, limit: int = 8192, hostname: str = "h.example"
) -> bytes:
    """A line with the rest as usual."""
    return format_rfc5424(
        message, pri=30, moment=MOMENT, hostname=hostname, app_name="netservices", process="7",
        message_id="ftp.file.sent", fields=fields or {}, limit=limit,
    )  # fmt: skip


class PriorityTests(SynchronousTestCase):
    """PRIVAL."""

    def test_facility_and_severity_are_those_of_rfc5424(self) -> None:
        """R30."""
        self.assertEqual(priority("kern", SEVERITIES["emerg"]), 0)
        self.assertEqual(priority("local4", SEVERITIES["notice"]), 165)
        self.assertEqual(priority("local7", SEVERITIES["debug"]), 191)
        self.assertEqual(len(set(FACILITIES.values())), 20)

    def test_levels_map_to_severities(self) -> None:
        """R30."""
        names = ("debug", "info", "notice", "warn", "error", "critical")
        self.assertEqual([SEVERITIES[name] for name in names], [7, 6, 5, 4, 3, 2])


class Rfc5424Tests(SynchronousTestCase):
    """RFC 5424."""

    def test_a_whole_line(self) -> None:
        """R30."""
        self.assertEqual(
            format_line("sent", {"service": "files", "peer": "[::1]:21"}),
            b"<30>1 2026-01-02T03:04:05.000006Z h.example netservices 7 ftp.file.sent "
            b'[netservices@32473 service="files" peer="[::1\\]:21"] sent',
        )

    def test_what_is_left_out_is_a_hyphen(self) -> None:
        """R30, R31: without ``pid`` and for Twisted's own events."""
        line = format_rfc5424(
            "m", pri=0, moment=MOMENT, hostname="", app_name="a", process=None, message_id=None, fields={}
        )
        self.assertEqual(line, b"<0>1 2026-01-02T03:04:05.000006Z - a - - - m")

    def test_another_zone_is_written_in_utc(self) -> None:
        self.assertEqual(
            format_timestamp(MOMENT.astimezone(timezone(timedelta(hours=5)))), "2026-01-02T03:04:05.000006Z"
        )

    def test_header_fields_are_bounded_and_printable(self) -> None:
        parts = parse(format_line("m", hostname="böse\nname " + "x" * 300))
        self.assertTrue(parts["host"].startswith("b_se_name_xxx"))
        self.assertEqual(len(parts["host"]), 255)

    def test_quote_backslash_and_bracket_are_escaped(self) -> None:
        """R30: RFC 5424 6.3.3."""
        self.assertEqual(format_structured_data({"a": 'x"y\\z]'}), '[netservices@32473 a="x\\"y\\\\z\\]"]')

    def test_names_are_made_valid_and_stay_unique(self) -> None:
        data = parse_data(format_structured_data({'a="]b': "1", "a___b": "2", "": "3", "n" * 40: "4"}))
        self.assertEqual(data, {"a___b": "1", "_": "3", "n" * 32: "4"})

    def test_the_count_of_parameters_is_bounded(self) -> None:
        self.assertEqual(len(parse_data(format_structured_data({f"n{i}": "v" for i in range(100)}))), 32)

    def test_a_long_value_is_cut_and_a_short_one_behind_still_fits(self) -> None:
        data = parse_data(format_structured_data({"a": "é" * 5000, "b": "x" * 500, "c": "y"}, 600))
        self.assertEqual(set(data), {"a", "c"})
        self.assertTrue(data["a"].endswith("…"))
        self.assertLessEqual(len(data["a"].encode()), 512)

    def test_a_long_message_is_cut_with_a_mark(self) -> None:
        line = format_line("é" * 9000, limit=2048)
        self.assertLessEqual(len(line), 2048)
        self.assertGreaterEqual(len(line), 2046)
        self.assertTrue(parse(line)["message"].endswith("é…"))

    @settings(deadline=None, max_examples=200)
    @given(ANY_TEXT, FIELDS, ANY_TEXT, st.sampled_from([1024, 2048, 8192]))
    def test_any_text_gives_one_line_that_reads_back(
        self, message: str, fields: dict[str, str], hostname: str, limit: int
    ) -> None:
        """R30, R33."""
        line = format_line(message, fields, limit, hostname)
        self.assertLessEqual(len(line), limit)
        self.assertFalse(any(octet < 0x20 or octet == 0x7F for octet in line))
        parts = parse(line)
        self.assertEqual(len(parts["message"].splitlines()) <= 1, True)
        if len(line) < limit - 8:
            self.assertEqual(parts["message"], escape_line(message))
        values = set(parse_data(parts["data"]).values())
        escaped = {escape_line(value) for value in fields.values()}
        self.assertTrue(all(value in escaped or value.endswith("…") for value in values))


class Rfc3164Tests(SynchronousTestCase):
    """RFC 3164."""

    def test_a_line_to_another_host(self) -> None:
        """R30."""
        line = format_rfc3164(
            "sent", pri=30, moment=MOMENT, hostname="h.example.org", app_name="netservices", process="7"
        )
        self.assertEqual(line, b"<30>Jan  2 03:04:05 h netservices[7]: sent")

    def test_a_line_to_the_local_socket_has_no_host(self) -> None:
        """R30, R31."""
        line = format_rfc3164("sent", pri=30, moment=MOMENT, hostname=None, app_name="net services", process=None)
        self.assertEqual(line, b"<30>Jan  2 03:04:05 net_services: sent")

    def test_an_address_as_host_is_kept_whole(self) -> None:
        for host in ("192.0.2.1", "2001:db8::1"):
            line = format_rfc3164("m", pri=30, moment=MOMENT, hostname=host, app_name="n", process=None)
            self.assertIn(f" {host} n: ".encode(), line)

    @settings(deadline=None, max_examples=200)
    @given(ANY_TEXT, ANY_TEXT)
    def test_any_text_gives_one_line_within_the_limit(self, message: str, hostname: str) -> None:
        """R33."""
        line = format_rfc3164(message, pri=30, moment=MOMENT, hostname=hostname, app_name="netservices", process="7")
        self.assertLessEqual(len(line), 1024)
        self.assertFalse(any(octet < 0x20 or octet == 0x7F for octet in line))
        self.assertRegex(line.decode(), r"^<30>Jan  2 03:04:05 [!-~]+ netservices\[7\]: ")


class FrameTests(SynchronousTestCase):
    """Octet counting."""

    def test_the_length_in_octets_stands_before_the_line(self) -> None:
        """R30: RFC 6587 3.4.1."""
        self.assertEqual(frame_octets("né".encode()), b"3 n\xc3\xa9")
