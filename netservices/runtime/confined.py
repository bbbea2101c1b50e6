"""Files below a root, opened without ever leaving it, whatever is renamed or linked meanwhile.

Every component is opened by itself below the directory opened before, never following a symbolic link; links are read
and walked by hand. So there is no moment between a check and its use. See docs/decisions/confined-files.md.
"""

from __future__ import annotations

import errno
import os
import stat as modes
import warnings
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

Follow = Literal["inside", "none"]

# path_resolution(7): the kernel itself follows at most 40 links.
_MOST_LINKS = 40
# A link whose target goes down and up a thousand times must not keep a thread busy; no sane path comes near.
_MOST_STEPS = 4096
# limits.h, PATH_MAX.
_LONGEST_PATH = 4096

_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

_NOT_FOUND = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ESTALE})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM})


class ConfinedError(Exception):
    """There is nothing to open, for the peer at least."""


class NotFound(ConfinedError):  # noqa: N818 - named as what the peer is told
    """Nothing of that name, or something that is not served: a link that leads out, a device, a socket, a FIFO."""


class Forbidden(ConfinedError):  # noqa: N818 - named as what the peer is told
    """It is there, and the daemon's user may not read it."""


class Opened:
    """An open file or directory; whoever has it closes it, or uses it in ``with``.

    ``fd`` reads from a file; that of a directory can only be walked from. ``stat`` was taken of what is open.
    """

    __slots__ = ("fd", "is_directory", "stat")

    def __init__(self, fd: int, stat: os.stat_result) -> None:
        self.fd = fd
        self.stat = stat
        self.is_directory = modes.S_ISDIR(stat.st_mode)

    def close(self) -> None:
        """Close it, if it still is open."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if self.fd >= 0:
            message = f"descriptor {self.fd} was not closed"
            self.close()
            warnings.warn(message, ResourceWarning, source=self, stacklevel=2)


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in a directory, and what opening it would find."""

    name: bytes
    stat: os.stat_result
    is_directory: bool


class ConfinedRoot:
    """A directory to open things below.

    ``follow`` says what happens at a symbolic link: ``inside`` follows it as long as it stays below the root, ``none``
    takes it for absent. A link to an absolute path stays inside when that path begins with the root's. The root itself
    is opened each time: it may appear, go away or be replaced, and it may be a link.
    """

    def __init__(self, path: Path, *, follow: Follow = "inside") -> None:
        self.path = path
        self._follow = follow

    def open(self, segments: Sequence[bytes]) -> Opened:
        """Open the regular file or the directory of that name; of an empty sequence, the root.

        Blocks: call it in a thread. Raises ``NotFound``, ``Forbidden``, and ``OSError`` for what is nobody's fault but
        the machine's (no descriptors left, a broken disk).
        """
        found = self._find(segments)
        if found.is_directory:
            return found
        with found:
            # This opens the very file that was looked at, whatever has its name by now.
            try:
                fd = os.open(f"/proc/self/fd/{found.fd}", _READ)
            except PermissionError as error:
                raise Forbidden(str(error)) from None
            return Opened(fd, found.stat)

    def stat(self, segments: Sequence[bytes]) -> os.stat_result:
        """What ``open`` would find, without opening it for reading. Blocks, and raises as ``open`` does."""
        with self._find(segments) as found:
            return found.stat

    def entries(self, segments: Sequence[bytes], *, most: int = 10_000) -> list[Entry]:
        """What a directory holds and ``open`` would find, ``most`` names of it at the most, in no order.

        Links that lead out, devices and the like are left out. Blocks, and raises as ``open`` does.
        """
        with self._find(segments) as directory:
            if not directory.is_directory:
                raise NotFound("not a directory")
            try:
                fd = os.open(b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory.fd)
            except OSError as error:
                raise _told(error) from error
            try:
                with os.scandir(fd) as scan:
                    names = [os.fsencode(entry.name) for entry, _ in zip(scan, range(most), strict=False)]
            finally:
                os.close(fd)
        found: list[Entry] = []
        for name in names:
            try:
                stat = self.stat([*segments, name])
            except ConfinedError:
                continue
            found.append(Entry(name, stat, modes.S_ISDIR(stat.st_mode)))
        return found

    def _find(self, segments: Sequence[bytes]) -> Opened:
        """The file or directory of that name, opened with O_PATH only."""
        if sum(map(len, segments)) + len(segments) > _LONGEST_PATH:
            raise NotFound("longer than any path")
        if any(segment in {b"", b".", b".."} or b"/" in segment or b"\0" in segment for segment in segments):
            raise NotFound("not the name of a file")
        try:
            fd = os.open(self.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise _told(error) from error
        with _Walk(self.path, fd, self._follow) as walk:
            try:
                return walk.walk(segments)
            except OSError as error:
                raise _told(error) from error


class _Walk:
    """One way down from the root; it owns the descriptors of the root and of the directory it has come to."""

    def __init__(self, path: Path, root: int, follow: Follow) -> None:
        self._path = path
        self._root = root
        self._follow = follow
        self._at = root
        self._names: list[bytes] = []
        """Those of the directories from the root to here; no links among them."""
        self._ahead: deque[bytes] = deque()
        self._links = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._go_to_root()
        os.close(self._root)

    def walk(self, segments: Sequence[bytes]) -> Opened:
        """Go down all the way; the caller closes what is returned."""
        self._ahead.extend(segments)
        for _ in range(_MOST_STEPS):
            if not self._ahead:
                return self._here()
            name = self._ahead.popleft()
            if name in {b"", b"."}:
                continue
            if name == b"..":
                self._up()
                continue
            fd = os.open(name, _LOOK, dir_fd=self._at)
            found = self._step(name, Opened(fd, os.fstat(fd)))
            if found is not None:
                return found
        raise NotFound("too many steps")

    def _step(self, name: bytes, found: Opened) -> Opened | None:
        """Go on from what the next name stands for; a regular file is where the way ends."""
        if found.is_directory:
            self._leave()
            self._at, found.fd = found.fd, -1
            self._names.append(name)
            return None
        if modes.S_ISREG(found.stat.st_mode) and not self._ahead:
            return found
        with found:
            if not modes.S_ISLNK(found.stat.st_mode):
                raise NotFound("a file among the directories, or one that is neither a file nor a directory")
            self._links += 1
            if self._follow == "none" or self._links > _MOST_LINKS:
                raise NotFound("a link, or too many of them")
            # The link that was looked at, not what has its name by now: readlinkat(2) with an empty name.
            target = os.readlink(b"", dir_fd=found.fd)
        self._ahead.extendleft(reversed(self._turn(target).split(b"/")))
        return None

    def _turn(self, target: bytes) -> bytes:
        """The rest of a link's target, to be walked from where the walk now is."""
        if not target.startswith(b"/"):
            return target
        # Only text is compared here: what remains is walked below the root like everything else.
        for root in (self._path.resolve(), self._path.absolute()):
            prefix = os.fsencode(root).rstrip(b"/") + b"/"
            if (target + b"/").startswith(prefix):
                self._go_to_root()
                return target[len(prefix) :]
        raise NotFound("a link that leads out")

    def _up(self) -> None:
        """One directory up. It is walked to anew: what is ``..`` there now need not be where we came from."""
        if not self._names:
            raise NotFound("a link that leads out")
        self._ahead.extendleft(reversed(self._names[:-1]))
        self._go_to_root()

    def _here(self) -> Opened:
        fd = os.dup(self._root) if self._at == self._root else self._at
        self._at = self._root
        return Opened(fd, os.fstat(fd))

    def _go_to_root(self) -> None:
        self._leave()
        self._at = self._root
        self._names.clear()

    def _leave(self) -> None:
        if self._at != self._root:
            os.close(self._at)


def _told(error: OSError) -> Exception:
    """What an error of the system is called here; itself, when it is the machine's."""
    if error.errno in _NOT_FOUND:
        return NotFound(str(error))
    return Forbidden(str(error)) if error.errno in _FORBIDDEN else error
