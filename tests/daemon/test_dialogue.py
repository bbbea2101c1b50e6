"""Dialogues in the log, without their secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from netservices.daemon.dialogue import Dialogue, DialogueTransport, mask
from netservices.runtime import EventLog
from netservices.runtime.transport import is_plain
from tests.doubles import RecordedEvents

if TYPE_CHECKING:
    from netservices.runtime.transport import StreamTransport


class DialogueTests(SynchronousTestCase):
    """One event a line, secrets masked."""

    def setUp(self) -> None:
        self.events = RecordedEvents()
        self.dialogue = Dialogue(EventLog(self.events).bind(service="pop3", session="1"))

    def lines(self, name: str) -> list[object]:
        return [event["line"] for event in self.events.named(name)]

    def test_lines_are_told_one_by_one(self) -> None:
        self.dialogue.heard(b"USER alice\r\nSTAT\r\n")
        self.dialogue.said(b"+OK\r\n+OK 2 320\r\n")
        self.assertEqual(self.lines("daemon.line.received"), ["USER alice", "STAT"])
        self.assertEqual(self.lines("daemon.line.sent"), ["+OK", "+OK 2 320"])

    def test_secrets_are_masked(self) -> None:
        for line, shown in (
            (b"PASS open sesame", "PASS ***"),
            (b"pass x", "pass ***"),
            (b"APOP alice 0123456789abcdef", "APOP alice ***"),
            (b"AUTH PLAIN AGFsaWNlAHNlY3JldA==", "AUTH PLAIN ***"),
            (b"AUTHENTICATE AGFsaWNlAHNlY3JldA==", "AUTHENTICATE ***"),
            (b":nick!u@h OPER root toor", ":nick!u@h OPER root ***"),
            (b"@label=1 PASS secret", "@label=1 PASS ***"),
            (b"Authorization: Basic YWxpY2U6c2VjcmV0", "Authorization: ***"),
            (b"Proxy-Authorization:Basic YWxpY2U6c2VjcmV0", "Proxy-Authorization:***"),
            (b"Cookie: session=1", "Cookie: ***"),
            (b"NOOP PASS", "NOOP PASS"),
            (b"AUTH PLAIN", "AUTH PLAIN"),
        ):
            self.assertEqual(mask(line), shown)

    def test_response_to_a_challenge_is_masked_once(self) -> None:
        self.dialogue.said(b"334 VXNlcm5hbWU6\r\n")
        self.dialogue.heard(b"YWxpY2U=\r\n")
        self.dialogue.said(b"+ \r\n")
        self.dialogue.heard(b"c2VjcmV0\r\n")
        self.dialogue.said(b"235 welcome\r\n")
        self.dialogue.heard(b"NOOP\r\n")
        self.assertEqual(self.lines("daemon.line.received"), ["***", "***", "NOOP"])

    def test_long_line_is_cut(self) -> None:
        self.assertEqual(mask(b"x" * 600), "x" * 512 + "… (600 bytes)")

    @given(st.binary(max_size=100))
    @settings(deadline=None, max_examples=100)
    def test_any_bytes_are_told(self, data: bytes) -> None:
        self.events.events.clear()
        self.dialogue.heard(data)
        self.assertEqual(len(self.events.events), data.count(b"\n") + (not data.endswith(b"\n") and data != b""))

    def test_transport_shows_what_is_written_and_hands_on_the_rest(self) -> None:
        inner = StringTransport()
        transport = DialogueTransport(cast("StreamTransport", inner), self.dialogue)
        transport.write(b"one\r\n")
        transport.writeSequence([b"two", b"\r\n"])
        self.assertEqual(inner.value(), b"one\r\ntwo\r\n")
        self.assertEqual(self.lines("daemon.line.sent"), ["one", "two"])
        cast("StreamTransport", transport).loseConnection()
        self.assertTrue(inner.disconnecting)
        self.assertFalse(is_plain(transport))
