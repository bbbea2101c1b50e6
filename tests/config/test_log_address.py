"""``[log.syslog] address``."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from twisted.trial.unittest import SynchronousTestCase

from netservices.config import SyslogOptions
from netservices.config.log_address import LogAddress, parse_log_address


class ParseTests(SynchronousTestCase):
    """``parse_log_address``."""

    def test_every_transport_is_understood_and_written_back(self) -> None:
        """R30."""
        for text, address in (
            ("unix:/dev/log", LogAddress("unix", path="/dev/log")),
            ("udp:192.0.2.1:514", LogAddress("udp", "192.0.2.1", 514)),
            ("tcp:logs.example.org:601", LogAddress("tcp", "logs.example.org", 601)),
            ("tls:[2001:db8::1]:6514", LogAddress("tls", "2001:db8::1", 6514)),
        ):
            self.assertEqual(parse_log_address(text), address)
            self.assertEqual(str(address), text)

    def test_a_mistake_says_what_was_wanted(self) -> None:
        """R1."""
        for text, wanted in (
            (7, "not an address of syslog"),
            ("", 'wanted "unix:/dev/log"'),
            ("syslog:host:1", 'wanted "unix:/dev/log"'),
            ("unix:dev/log", "not an absolute path"),
            ("unix:/" + "x" * 107, "longer than the 107 octets"),
            ("udp:host", "is not an address of syslog"),
            ("udp:2001:db8::1:514", "IPv6 addresses in brackets"),
            ("udp:host:", '"" is not a port'),
            ("udp:host:0", "wanted a number from 1 to 65535"),
            ("udp:host:65536", "wanted a number from 1 to 65535"),
            ("tcp:[192.0.2.1]:601", "is not an IPv6 address"),
            ("tcp:[x]:601", "is not an IPv6 address"),
            ("tcp::601", '"" is not a host'),
            ("tcp:a b:601", '"a b" is not a host'),
            ("tcp:" + "a" * 254 + ":601", "is not a host"),
        ):
            with self.assertRaises(ValueError) as caught:
                parse_log_address(text)
            self.assertIn(wanted, str(caught.exception))

    @settings(deadline=None, max_examples=200)
    @given(st.text(alphabet="unixudtcpls:/[]19. a\0\udc80"))
    def test_any_text_gives_an_address_that_reads_back_or_a_value_error(self, text: str) -> None:
        try:
            address = parse_log_address(text)
        except ValueError:
            return
        self.assertEqual(parse_log_address(str(address)), address)


class ModelTests(SynchronousTestCase):
    """In the model."""

    def test_the_model_takes_text_and_gives_it_back(self) -> None:
        options = SyslogOptions.model_validate({"address": "tcp:[::1]:601"})
        self.assertEqual(options.address, LogAddress("tcp", "::1", 601))
        self.assertEqual(options.model_dump(mode="json")["address"], "tcp:[::1]:601")
        self.assertEqual(SyslogOptions.model_validate({"address": options.address}), options)

    def test_a_mistake_is_pydantics(self) -> None:
        """R1."""
        with self.assertRaises(ValidationError):
            SyslogOptions.model_validate({"address": "nowhere"})

    def test_the_schema_shows_the_default_as_text(self) -> None:
        self.assertEqual(SyslogOptions.model_json_schema()["properties"]["address"]["default"], "unix:/dev/log")
