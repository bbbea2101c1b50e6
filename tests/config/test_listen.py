"""The listen grammar."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netservices.config.listen import InetListen, Listen, SystemdListen, UnixListen, parse_listen

PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=0x17F).filter(str.isprintable), max_size=30)
INTERFACES = st.none() | st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map(str)
ENTRIES: st.SearchStrategy[Listen] = st.one_of(
    st.builds(InetListen, st.just("tcp"), st.integers(0, 65535), INTERFACES, st.booleans()),
    st.builds(InetListen, st.just("udp"), st.integers(0, 65535), INTERFACES),
    st.builds(UnixListen, PRINTABLE.map("/{}".format), st.integers(0, 0o777)),
    st.builds(SystemdListen, PRINTABLE.filter(lambda name: name and ":" not in name), st.booleans()),
)


class ParseListenTests(SynchronousTestCase):
    """R1: an entry that is not understood is a mistake that says what was wanted."""

    def test_each_form_is_understood(self) -> None:
        for text, entry in (
            ("tcp:80", InetListen("tcp", 80)),
            ("tls:443", InetListen("tcp", 443, tls=True)),
            ("udp:69:interface=127.0.0.1", InetListen("udp", 69, "127.0.0.1")),
            ("tcp:0:interface=[::1]", InetListen("tcp", 0, "::1")),
            ("tcp:80:interface=[0:0::0001]", InetListen("tcp", 80, "::1")),
            ("unix:/run/x", UnixListen("/run/x")),
            ("unix:/run/a:b:mode=600", UnixListen("/run/a:b", 0o600)),
            ("systemd:name=web", SystemdListen("web")),
            ("systemd:name=web:tls=yes", SystemdListen("web", tls=True)),
            ("systemd:name=web:tls=no", SystemdListen("web")),
        ):
            self.assertEqual(parse_listen(text), entry, text)

    def test_what_is_not_understood_says_what_was_wanted(self) -> None:
        for text, said in (
            (80, "not a listen entry"),
            ("", "not a listen entry, wanted"),
            ("80", "not a listen entry"),
            ("ssl:443", "not a listen entry"),
            ("tcp:", "not a port, wanted a number from 0 to 65535"),
            ("tcp:65536", "not a port"),
            ("tcp:-1", "not a port"),
            ("tcp:٣", "not a port"),
            ("tcp:80:", '"" is not known here, wanted "interface=ADDRESS"'),
            ("tcp:80:127.0.0.1", "is not known here"),
            ("tcp:80:interface=", "is not an address"),
            ("tcp:80:interface=eth0", "is not an address"),
            ("tcp:80:interface=::1", "IPv6 addresses in brackets"),
            ("tcp:80:interface=[127.0.0.1]", "and only those"),
            ("unix:run/x", "is not an absolute path"),
            ("unix:", "is not an absolute path"),
            ("unix:/x:mode=9", "is not a mode, wanted three octal digits"),
            ("unix:/a\nb", "can't be shown"),
            ("unix:/" + "x" * 107, "longer than the 107 octets"),
            ("unix:/" + "é" * 54, "longer than the 107 octets"),
            ("systemd:web", "is not understood"),
            ("systemd:name=", "is not understood"),
            ("systemd:name=a\tb", "is not understood"),
            ("systemd:name=web:tls=maybe", "is not understood"),
        ):
            error = self.assertRaises(ValueError, parse_listen, text)
            self.assertIn(said, str(error))

    @settings(deadline=None, max_examples=300)
    @given(ENTRIES)
    def test_every_entry_is_read_back(self, entry: Listen) -> None:
        if not (isinstance(entry, UnixListen) and len(entry.path.encode()) > 107):
            self.assertEqual(parse_listen(str(entry)), entry)

    @settings(deadline=None, max_examples=200)
    @given(st.text(max_size=40) | st.from_regex(r"(tcp|tls|udp|unix|systemd):.*"))
    def test_any_text_is_an_entry_or_refused(self, text: str) -> None:
        try:
            entry = parse_listen(text)
        except ValueError:
            return
        self.assertEqual(parse_listen(str(entry)), entry)
