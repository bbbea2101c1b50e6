"""Media types by the end of a name."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from netservices.http.mediatypes import UNKNOWN, MediaTypes


class MediaTypesTests(SynchronousTestCase):
    """``MediaTypes``."""

    def test_usual_files_are_known_without_any_list(self) -> None:
        types = MediaTypes()
        for name, expected in {
            "index.html": b"text/html; charset=utf-8",
            "a/b.c/INDEX.HTM": b"text/html; charset=utf-8",
            "x.css": b"text/css; charset=utf-8",
            "x.mjs": b"text/javascript; charset=utf-8",
            "x.json": b"application/json",
            "x.svg": b"image/svg+xml",
            "x.xml": b"application/xml",
            "x.jpeg": b"image/jpeg",
            "x.wasm": b"application/wasm",
            "x.woff2": b"font/woff2",
            "README.md": b"text/markdown; charset=utf-8",
        }.items():
            self.assertEqual(types.of(name), expected, name)
            self.assertEqual(types.of(name.encode()), expected, name)

    def test_unknown_is_stored_and_not_shown(self) -> None:
        """``static.File``: an unknown end must not become text/html."""
        types = MediaTypes()
        for name in ("x", "x.", "x.unheard-of", ".html", "dir/.html", "a.html/x", "", "\udcff.\udcfe"):
            self.assertEqual(types.of(name), UNKNOWN, name)

    def test_packed_file_is_what_its_bytes_are(self) -> None:
        """``static.File``: no Content-Encoding for a file somebody packed."""
        self.assertEqual(MediaTypes().of("x.tar.gz"), b"application/gzip")
        self.assertEqual(MediaTypes().of("x.html.gz"), b"application/gzip")

    def test_file_stands_over_the_built_in_ones(self) -> None:
        path = Path(self.mktemp())
        path.write_bytes(
            b"# comment\n\ntext/x-one\tone ONE2 # more\nTEXT/XML xml\nimage/x-html html\nalone/type\n"
            b"bad bad\nb\xc3\xa4d/x bad\nx/y\x00z bad\na/b/c bad\n"
        )
        other = Path(self.mktemp())
        other.write_bytes(b"text/x-other one\n")
        types = MediaTypes.load([path, Path(self.mktemp()), other])
        self.assertEqual(types.of("x.One2"), b"text/x-one; charset=utf-8")
        self.assertEqual(types.of("x.one"), b"text/x-other; charset=utf-8")
        self.assertEqual(types.of("x.xml"), b"text/xml")
        self.assertEqual(types.of("x.html"), b"image/x-html")
        self.assertEqual(types.of("x.bad"), UNKNOWN)
        self.assertEqual(types.of("x.css"), b"text/css; charset=utf-8")
