"""Small files that are in demand, kept ready in a bounded amount of memory, never older than a second.

Everything here runs in the reactor's thread. Looking at the disk is the owner's business: a file is *put* with the time
at which it was looked at, *confirmed* by another look, or *dropped*.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netservices.http.fastpath import FastTable, Prepared
from netservices.runtime.pinned import Pinned

if TYPE_CHECKING:
    from collections.abc import Callable

    from netservices.http.answers import Answer
    from netservices.http.conditions import Validators

Key = tuple[tuple[bytes, ...], bool]
"""The segments of a target, and whether it ended with a slash."""
State = tuple[int, ...]
"""What tells one state of a file on the disk from another."""

_OVERHEAD = 2048
"""Bytes a kept file takes besides its body, roughly: many empty files must be bounded too."""


@dataclass(eq=False)
class HotFile:
    """One file kept ready. ``renewing`` says that the disk is being looked at."""

    key: Key
    state: State
    validators: Validators
    answer: Answer
    prepared: Prepared
    renewing: bool = False

    @property
    def weight(self) -> int:
        """What it counts for."""
        content = self.prepared.content
        # A pinned body is in memory twice.
        return len(content) * (2 if isinstance(content, Pinned) else 1) + _OVERHEAD


class HotFiles:
    """The files kept, the least lately confirmed first; ``most`` bounds the sum of their weights."""

    def __init__(self, fast: FastTable, *, most: int, renew: Callable[[HotFile], object]) -> None:
        """``renew`` is called when a file is in demand and was last looked at a while ago."""
        self._fast = fast
        self._most = most
        self._renew = renew
        self._files: OrderedDict[Key, HotFile] = OrderedDict()
        self._weight = 0

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._files)

    def find(self, key: Key) -> HotFile | None:
        """The file kept for ``key``, fresh or not."""
        return self._files.get(key)

    def put(self, key: Key, state: State, validators: Validators, answer: Answer, seen: float) -> HotFile | None:
        """Keep ``answer``, a 200 with its body in memory; None if it is too large for that."""
        self.drop(key)
        prepared = Prepared(answer, lambda: self._renew(hot))
        hot = HotFile(key, state, validators, answer, prepared)
        if hot.weight > self._most:
            return None
        prepared.confirm(seen)
        self._files[key] = hot
        self._weight += hot.weight
        while self._weight > self._most:
            self.drop(next(iter(self._files)))
        return hot

    def confirm(self, hot: HotFile, seen: float) -> None:
        """The disk was looked at, at ``seen`` or later, and is as it was."""
        if self._files.get(hot.key) is hot:
            hot.prepared.confirm(seen)
            # Files in demand are confirmed every half second, so this is the order in which they were last asked for.
            self._files.move_to_end(hot.key)

    def drop(self, key: Key) -> None:
        """Forget it."""
        hot = self._files.pop(key, None)
        if hot is not None:
            self._weight -= hot.weight
            self._fast.drop(hot.prepared)

    def offer(self, hot: HotFile, method: bytes, raw_target: bytes) -> None:
        """From now on, the fast path may answer this spelling of the request itself."""
        if self._files.get(hot.key) is hot:
            self._fast.put(method, raw_target, hot.prepared)
