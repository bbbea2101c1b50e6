"""Which media type a file has, by the end of its name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

UNKNOWN = b"application/octet-stream"
"""What a browser stores and does not show. Anything else would let whoever may put a file there run a script."""

# The web's usual files, so that a machine without a mime.types serves them; one line a type, as mime.types has it.
_BASE = b"""
text/html html htm
text/css css
text/javascript js mjs
text/plain txt text log conf
text/markdown md markdown
text/csv csv
text/calendar ics
text/vtt vtt
application/json json map
application/ld+json jsonld
application/manifest+json webmanifest
application/xml xml xsl
application/xhtml+xml xhtml
application/atom+xml atom
application/rss+xml rss
application/pdf pdf
application/zip zip
application/gzip gz tgz
application/x-bzip2 bz2
application/x-xz xz
application/zstd zst
application/x-7z-compressed 7z
application/x-tar tar
application/java-archive jar
application/vnd.debian.binary-package deb
application/x-rpm rpm
application/epub+zip epub
application/wasm wasm
image/svg+xml svg
image/png png
image/jpeg jpg jpeg
image/gif gif
image/webp webp
image/avif avif
image/vnd.microsoft.icon ico
image/bmp bmp
image/tiff tif tiff
font/woff woff
font/woff2 woff2
font/ttf ttf
font/otf otf
video/mp4 mp4 m4v
video/webm webm
video/ogg ogv
video/quicktime mov
video/x-matroska mkv
audio/mpeg mp3
audio/mp4 m4a
audio/ogg ogg oga opus
audio/wav wav
audio/flac flac
"""

SYSTEM_FILES = ("/etc/mime.types", "/usr/local/etc/mime.types")
"""Where systems keep their lists; those that are missing are passed over."""

# RFC 6838 4.2: restricted names. What is written otherwise could break out of its header field.
_TYPE = re.compile(rb"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}")


class MediaTypes:
    """Media types by the end of a name, in lower case and without its dot; they stand over the built-in ones."""

    def __init__(self, types: Mapping[bytes, bytes] | None = None) -> None:
        self._types = {
            end.lower(): _with_charset(media_type)
            for table in (_parse(_BASE), types or {})
            for end, media_type in table.items()
        }

    @classmethod
    def load(cls, paths: Iterable[Path]) -> MediaTypes:
        """Read mime.types files, the later over the earlier; a missing one is passed over. Blocks: call it at start."""
        types: dict[bytes, bytes] = {}
        for path in paths:
            try:
                types.update(_parse(path.read_bytes()))
            except FileNotFoundError:
                continue
        return cls(types)

    def of(self, name: bytes | str) -> bytes:
        """The value of Content-Type for a file of that name.

        Only the last end counts: ``x.tar.gz`` is application/gzip, which is what its bytes are, and gets no
        Content-Encoding. A name that is all end, as ``.html``, has none.
        """
        raw = name.encode("utf-8", "surrogateescape") if isinstance(name, str) else name
        stem, _, end = raw.rpartition(b"/")[2].rpartition(b".")
        return self._types.get(end.lower(), UNKNOWN) if stem else UNKNOWN


def _parse(text: bytes) -> dict[bytes, bytes]:
    types: dict[bytes, bytes] = {}
    for line in text.splitlines():
        words = line.partition(b"#")[0].split()
        if words and _TYPE.fullmatch(words[0]):
            types.update((end.lower(), words[0].lower()) for end in words[1:])
    return types


def _with_charset(media_type: bytes) -> bytes:
    # XML says itself how it is written, and a charset here would overrule it: RFC 7303 3.
    if media_type.startswith(b"text/") and media_type != b"text/xml":
        return media_type + b"; charset=utf-8"
    return media_type
