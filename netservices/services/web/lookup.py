"""From a target to what is on the disk. Everything here blocks: it runs in a file thread."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netservices.runtime.confined import Forbidden, NotFound
from netservices.runtime.pinned import pin

if TYPE_CHECKING:
    from netservices.runtime.confined import ConfinedRoot, Opened
    from netservices.services.web.hotfiles import State

_SETTLED = 0.05
"""Seconds after which a file that is changed once more looks another: the clocks of file systems tick."""


@dataclass(frozen=True)
class Missing:
    """There is nothing to serve: ``status`` says why."""

    status: int


@dataclass(frozen=True)
class Moved:
    """A directory that was asked for without its slash."""


@dataclass(frozen=True)
class Unchanged:
    """It is as it was when it had the state that was given."""


@dataclass(frozen=True)
class Found:
    """A file. ``content`` is the whole of it if it is small enough, and ``file`` is open if not.

    ``settled`` says that its state will tell whether it was changed again.
    """

    name: bytes
    stat: os.stat_result
    content: bytes | None
    file: Opened | None
    settled: bool

    def close(self) -> None:
        """Nobody wants it any more."""
        if self.file is not None:
            self.file.close()


def make_state(stat: os.stat_result) -> State:
    """What tells one state of a file from another, a change of its owner or rights included."""
    return (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


def is_hidden(segments: tuple[bytes, ...]) -> bool:
    """Dotfiles are not served; RFC 8615's ``.well-known`` at the root is."""
    rest = segments[1:] if segments[:1] == (b".well-known",) else segments
    return any(segment.startswith(b".") for segment in rest)


@dataclass(frozen=True)
class Tree:
    """A root, the names of the files that stand for a directory, and up to how many bytes a file is read whole."""

    root: ConfinedRoot
    index: tuple[bytes, ...]
    small: int

    def look_up(
        self, segments: tuple[bytes, ...], *, directory: bool, now: float, known: State | None = None
    ) -> Found | Moved | Missing | Unchanged:
        """What is there, at ``now`` in seconds of the epoch. Raises ``OSError`` when the machine is at fault."""
        if is_hidden(segments):
            return Missing(404)
        try:
            file = self.root.open(segments)
            if not file.is_directory and not directory:
                return self._read(file, segments[-1], now, known)
            file.close()
            if not file.is_directory:
                return Missing(404)
            return self._look_up_index(segments, now, known) if directory else Moved()
        except NotFound:
            return Missing(404)
        except Forbidden:
            return Missing(403)

    def _look_up_index(
        self, segments: tuple[bytes, ...], now: float, known: State | None
    ) -> Found | Missing | Unchanged:
        for name in self.index:
            try:
                file = self.root.open((*segments, name))
            except NotFound:
                continue
            if not file.is_directory:
                return self._read(file, name, now, known)
            file.close()
        # There is a directory, and nothing of it is for showing.
        return Missing(403)

    def _read(self, file: Opened, name: bytes, now: float, known: State | None) -> Found | Unchanged:
        stat = file.stat
        if known is not None and known == make_state(stat):
            file.close()
            return Unchanged()
        if stat.st_size > self.small:
            return Found(name, stat, None, file, settled=True)
        with file:
            content = pin(_read_all(file.fd, stat.st_size))
            after = os.fstat(file.fd)
        # A file that is being written is answered as far as it got, and looked at anew for the next request.
        whole = make_state(after) == make_state(stat) and len(content) == stat.st_size
        settled = whole and max(after.st_mtime, after.st_ctime) + _SETTLED < now
        return Found(name, after, content, None, settled)


def _read_all(fd: int, size: int) -> bytes:
    pieces: list[bytes] = []
    offset = 0
    while offset < size:
        piece = os.pread(fd, size - offset, offset)
        if not piece:
            break
        pieces.append(piece)
        offset += len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
