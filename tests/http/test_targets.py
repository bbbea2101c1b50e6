"""Request targets and Host fields."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes, urljoin, urlsplit

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netservices.http.targets import (
    BadTarget,
    Target,
    parse_host,
    parse_target,
    quote_path,
    quote_segment,
    redirect_location,
)

names = st.binary(min_size=1, max_size=8)


def segments_of(raw: bytes) -> tuple[bytes, ...]:
    """The segments alone."""
    return parse_target(raw).segments


class OriginFormTests(SynchronousTestCase):
    """Paths."""

    def test_root_has_no_segments_and_is_a_directory(self) -> None:
        self.assertEqual(parse_target(b"/"), Target((), directory=True))

    def test_path_is_decoded_once(self) -> None:
        """H8."""
        self.assertEqual(segments_of(b"/a%20b/%2541/c+d;e=f"), (b"a b", b"%41", b"c+d;e=f"))

    def test_slash_at_the_end_makes_a_directory(self) -> None:
        self.assertEqual(parse_target(b"/a/b/"), Target((b"a", b"b"), directory=True))
        self.assertEqual(parse_target(b"/a/b"), Target((b"a", b"b"), directory=False))

    def test_empty_segments_are_collapsed(self) -> None:
        self.assertEqual(parse_target(b"//evil.com//x"), Target((b"evil.com", b"x"), directory=False))
        self.assertEqual(parse_target(b"/////"), Target((), directory=True))

    def test_dot_segments_are_removed_before_anything_is_mapped(self) -> None:
        """H8."""
        for raw, segments in {
            b"/a/../b": (b"b",),
            b"/a/%2e%2E/b": (b"b",),
            b"/a/./b": (b"a", b"b"),
            b"/../../etc/passwd": (b"etc", b"passwd"),
            b"/a/b/../../../c": (b"c",),
            b"/.../..a/a..": (b"...", b"..a", b"a.."),
        }.items():
            self.assertEqual(parse_target(raw), Target(segments, directory=False), raw)
        for raw in (b"/a/.", b"/a/b/..", b"/a/b/%2e%2e", b"/a/b/../"):
            self.assertEqual(parse_target(raw), Target((b"a",), directory=True), raw)

    def test_backslash_is_a_byte_like_others(self) -> None:
        """H8."""
        self.assertEqual(segments_of(rb"/..\..\etc"), (rb"..\..\etc",))
        self.assertEqual(segments_of(b"/a%5c..%5Cb"), (rb"a\..\b",))

    def test_query_is_left_as_it_was(self) -> None:
        self.assertEqual(parse_target(b"/a?b=%zz&c=/../?d").query, b"b=%zz&c=/../?d")
        self.assertEqual(parse_target(b"/a?").query, b"")
        self.assertIsNone(parse_target(b"/a").query)
        self.assertIsNone(parse_target(b"/a%3Fb").query)

    def test_bad_targets_are_refused(self) -> None:
        """H8."""
        for raw in (
            b"",
            b"/a%",
            b"/a%2",
            b"/a%zz",
            b"/a%+1",
            b"/a% 1",
            b"/%0x",
            b"/%-1/",
            b"/%2/x",
            b"/a%00b",
            b"/a%2fb",
            b"/a%2Fb",
            b"/..%2f..",
            b"/a b",
            b"/a\tb",
            b"/a\x00b",
            b"/a\x7fb",
            b"/a\r\nb",
            "/é".encode(),
            b"/a#b",
            b"/a?b\x00",
            b"/a?b#c",
        ):
            with self.assertRaises(BadTarget, msg=raw):
                parse_target(raw)

    def test_overlong_utf8_is_refused(self) -> None:
        """H8."""
        for raw in (
            b"/%c0%af",
            b"/%c0%ae%c0%ae/etc",
            b"/%C1%9C",
            b"/%e0%80%af",
            b"/%f0%80%80%af",
            b"/%f8%80%80%80%af",
            b"/%fc%80%80%80%80%af",
            b"/%c0%80",
        ):
            with self.assertRaises(BadTarget, msg=raw):
                parse_target(raw)

    def test_names_that_are_no_utf8_pass(self) -> None:
        """H13."""
        self.assertEqual(segments_of(b"/%ff%fe/%e9t%e9"), (b"\xff\xfe", b"\xe9t\xe9"))
        self.assertEqual(segments_of(b"/%e0%a0%80%f0%90%80%80%c2%80"), ("\u0800\U00010000\u0080".encode(),))

    @settings(deadline=None, max_examples=300)
    @given(st.lists(st.sampled_from([b"a", b"..", b".", b"", b"%2e", b"%2E%2e", b".%2e", b"b%20", b"..."]), max_size=9))
    @example([b"a", b"..", b"..", b""])
    def test_segments_are_those_of_a_naive_walk(self, parts: list[bytes]) -> None:
        """H8."""
        expected: list[bytes] = []
        for part in parts:
            name = unquote_to_bytes(part)
            if name == b"..":
                expected = expected[:-1]
            elif name and name != b".":
                expected = [*expected, name]
        self.assertEqual(segments_of(b"/" + b"/".join(parts)), tuple(expected))

    @settings(deadline=None, max_examples=300)
    @given(st.binary(max_size=60) | st.text("/.%2efFcC0aA\\?#", max_size=40).map(str.encode))
    def test_no_target_yields_a_dangerous_segment(self, raw: bytes) -> None:
        """H8."""
        try:
            target = parse_target(b"/" + raw)
        except BadTarget:
            return
        for segment in target.segments:
            self.assertNotIn(segment, {b"", b".", b".."})
            self.assertNotIn(b"/", segment)
            self.assertNotIn(b"\0", segment)


class OtherFormTests(SynchronousTestCase):
    """Absolute, asterisk and authority form."""

    def test_absolute_form_has_its_authority(self) -> None:
        """H2."""
        self.assertEqual(
            parse_target(b"HTTP://Example.ORG:8080/a/?b"),
            Target((b"a",), directory=True, query=b"b", authority=b"Example.ORG:8080", form="absolute"),
        )

    def test_absolute_form_without_a_path_is_the_root(self) -> None:
        for raw, query in ((b"http://x", None), (b"https://x?q", b"q")):
            self.assertEqual(
                parse_target(raw), Target((), directory=True, query=query, authority=b"x", form="absolute")
            )

    def test_asterisk_is_only_an_asterisk(self) -> None:
        self.assertEqual(parse_target(b"*"), Target((), directory=False, form="asterisk"))
        with self.assertRaises(BadTarget):
            parse_target(b"*?a")

    def test_authority_form_needs_a_port(self) -> None:
        self.assertEqual(
            parse_target(b"example.org:443"),
            Target((), directory=False, authority=b"example.org:443", form="authority"),
        )
        for raw in (b"example.org", b"a/b", b"example.org:443/x", b"[::1]"):
            with self.assertRaises(BadTarget, msg=raw):
                parse_target(raw)

    def test_other_schemes_and_bad_authorities_are_refused(self) -> None:
        for raw in (b"ftp://x/", b"http:///a", b"http://", b"http://u:p@x/", b"http://x:y/", b"http:x", b"http://a,b/"):
            with self.assertRaises(BadTarget, msg=raw):
                parse_target(raw)


class HostTests(SynchronousTestCase):
    """``parse_host``."""

    def test_good_hosts_are_taken_apart(self) -> None:
        """H2."""
        for value, expected in {
            b"Example.org": (b"example.org", None),
            b"example.org.:80": (b"example.org", 80),
            b"example.org:": (b"example.org", None),
            b"a_b-c.x": (b"a_b-c.x", None),
            b"localhost:65535": (b"localhost", 65535),
            b"192.0.2.1:8080": (b"192.0.2.1", 8080),
            b"[::1]": (b"[::1]", None),
            b"[2001:DB8:0::1]:443": (b"[2001:db8::1]", 443),
            b"4chan.x2": (b"4chan.x2", None),
        }.items():
            self.assertEqual(parse_host(value), expected, value)

    def test_bad_hosts_are_refused(self) -> None:
        """H2."""
        for value in (
            b"",
            b".",
            b":80",
            b"a,b",
            b"a b",
            b" a",
            b"a ",
            b"a:b",
            b"a:0",
            b"a:65536",
            b"a:000080",
            b"a:-1",
            b"a:+80",
            b"a:8_0",
            b"a:80:80",
            b"::1",
            b"[::1",
            b"::1]",
            b"[::1]x",
            b"[::1]80",
            b"[fe80::1%25eth0]",
            b"[fe80::1%eth0]",
            b"[v1.x]",
            b"[]",
            b"a..b",
            b".a",
            b"-a",
            b"a-",
            b"1.2.3",
            b"256.1.1.1",
            b"1.2.3.4.5",
            b"01.2.3.4",
            b"user@host",
            b"a/b",
            b"a\\b",
            b"a%41",
            b"a" * 64,
            b".".join([b"a" * 63] * 4),
            "é".encode(),
            b"a\x00",
            b"a\n",
        ):
            with self.assertRaises(BadTarget, msg=value):
                parse_host(value)

    @settings(deadline=None, max_examples=300)
    @given(st.binary(max_size=20) | st.text("[]:.a1-%fF", max_size=16).map(str.encode))
    def test_what_is_taken_is_taken_again(self, value: bytes) -> None:
        try:
            name, port = parse_host(value)
        except BadTarget:
            return
        self.assertEqual(parse_host(name if port is None else b"%s:%d" % (name, port)), (name, port))


class QuoteTests(SynchronousTestCase):
    """What is written back."""

    def test_what_means_something_elsewhere_is_encoded(self) -> None:
        """H13."""
        self.assertEqual(
            quote_segment(b"a b<\"'&>\x00\r\n%/?#:\\\xff"), b"a%20b%3C%22%27%26%3E%00%0D%0A%25%2F%3F%23%3A%5C%FF"
        )
        self.assertEqual(quote_segment(b"Az09-._~!$()*+,;=@"), b"Az09-._~!$()*+,;=@")

    @settings(deadline=None, max_examples=200)
    @given(st.binary(max_size=20))
    def test_any_name_comes_back(self, name: bytes) -> None:
        self.assertEqual(unquote_to_bytes(quote_segment(name)), name)

    def test_path_has_one_slash_in_front(self) -> None:
        self.assertEqual(quote_path((), directory=True), b"/")
        self.assertEqual(quote_path((), directory=False), b"/")
        self.assertEqual(quote_path((b"", b"a", b"b c"), directory=False), b"/a/b%20c")

    def test_redirect_adds_the_slash_and_keeps_the_query(self) -> None:
        """H10."""
        for raw, location in {
            b"/a?b=c&d": b"/a/?b=c&d",
            b"/a?": b"/a/?",
            b"/a%20b%0d%0aX:y": b"/a%20b%0D%0AX%3Ay/",
            b"//evil.com/..": b"/",
            b"//evil.com/%2e%2e/b": b"/b/",
            b"//evil.com": b"/evil.com/",
            rb"/\evil.com": b"/%5Cevil.com/",
            b"http://evil.com/a": b"/a/",
        }.items():
            self.assertEqual(redirect_location(parse_target(raw)), location, raw)

    @settings(deadline=None, max_examples=300)
    @given(st.text("/\\.%2eE5cC:@?#evil\t", max_size=30).map(str.encode))
    @example(b"/%5c/evil.com")
    def test_no_redirect_leads_to_another_host(self, raw: bytes) -> None:
        """H10."""
        try:
            target = parse_target(b"/" + raw)
        except BadTarget:
            return
        location = redirect_location(target).decode("ascii")
        split = urlsplit(urljoin("http://good.example/x/y", location.replace("\\", "/")))
        self.assertEqual((split.scheme, split.netloc), ("http", "good.example"))
        self.assertTrue(location.partition("?")[0].endswith("/"))

    @settings(deadline=None, max_examples=200)
    @given(st.lists(names, max_size=5), st.booleans())
    def test_path_that_was_written_is_read_back(self, parts: list[bytes], directory: bool) -> None:  # noqa: FBT001 - given
        try:
            target = parse_target(quote_path(tuple(parts), directory=directory))
        except BadTarget:
            return  # a name with a slash, a NUL or an overlong form in it
        if not {b".", b".."} & set(parts):
            self.assertEqual(target, Target(tuple(parts), directory=directory or not parts))
