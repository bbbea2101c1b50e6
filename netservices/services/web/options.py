"""What a section of kind ``web`` may say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from netservices.config import Duration, ServiceOptions, Size, Timeouts
from netservices.config.paths import Folder


def _require_name(name: str) -> str:
    if name in {"", ".", ".."} or "/" in name or "\0" in name:
        raise ValueError(f'"{name}" is not the name of a file, wanted one such as "index.html"')
    return name


FileName = Annotated[str, AfterValidator(_require_name)]


class WebOptions(ServiceOptions):
    """A directory tree over HTTP/1.1 and HTTPS."""

    root: Folder | None = None
    """The directory that is served; nothing outside it ever is. Left out: STATE/www, made at start with a page that
    says what this is."""
    index: tuple[FileName, ...] = ("index.html",)
    """Which file of a directory stands for it; the first that is there."""
    access_log: Path | None = None
    """A file of one line a request, in the combined form; reopened on SIGHUP. A relative path is below the state
    directory. Left out: none."""
    hot_file: Size = 256 * 1024
    """Files up to this size are kept in memory while they are asked for; a change is noticed within one second."""
    hot_cache: Size = 64 * 1024 * 1024
    """How much memory the bodies of such files may take, all together."""
    request_line: Annotated[Size, Field(ge=256, le=65536)] = 8192
    """The longest request line, and the longest header field, that is read; beyond it the answer is 414 or 431."""
    request_head: Annotated[Size, Field(ge=256, le=1048576)] = 32768
    """The longest request head, all fields together; beyond it the answer is 431."""
    head_timeout: Duration = 10.0
    """From the first byte of a request to the end of its head; beyond it the answer is 408."""
    requests: Annotated[int, Field(ge=1)] = 10_000
    """Requests of one connection before it is closed."""
    timeouts: Timeouts = Timeouts(idle=15.0, write=30.0)
    """How long a session may wait; idle is how long a connection is kept open for another request."""
