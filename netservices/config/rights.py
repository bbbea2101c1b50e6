"""Whether the user that the daemon runs as may read a folder."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet
    from pathlib import Path


@dataclass(frozen=True)
class Reader:
    """A user of this machine: the number, and those of all its groups."""

    uid: int
    gids: AbstractSet[int]

    def may_enter(self, facts: os.stat_result) -> bool:
        """Whether it may pass through a folder."""
        return self._has(facts, stat.S_IXOTH)

    def may_list(self, facts: os.stat_result) -> bool:
        """Whether it may pass through a folder and see what is in it."""
        return self._has(facts, stat.S_IXOTH | stat.S_IROTH)

    def _has(self, facts: os.stat_result, wanted: int) -> bool:
        # path_resolution(7): the first class that fits decides, even where a later one would allow more.
        if self.uid == 0:
            return True
        if facts.st_uid == self.uid:
            wanted <<= 6
        elif facts.st_gid in self.gids:
            wanted <<= 3
        return facts.st_mode & wanted == wanted


def make_reader() -> Reader:
    """The user that this process runs as."""
    return Reader(os.geteuid(), frozenset({os.getegid(), *os.getgroups()}))


def find_folder_fault(path: Path, reader: Reader) -> str:
    """What is wrong with a folder, in words that follow its name; empty if it is there and can be read."""
    full = path.absolute()
    try:
        for parent in reversed(full.parents):
            if not reader.may_enter(parent.stat()):
                return f"can't be reached by user {reader.uid}, who may not enter {parent}"
        facts = full.stat()
    except (OSError, ValueError) as error:
        return f"can't be read: {getattr(error, 'strerror', None) or 'its name holds a NUL'}"
    if not stat.S_ISDIR(facts.st_mode):
        return "is not a folder"
    return "" if reader.may_list(facts) else f"can't be read by user {reader.uid}"
