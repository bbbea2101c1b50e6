"""Good logins of the last minute, so that a client which logs in again and again costs one hash."""

from __future__ import annotations

import hmac
import secrets
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from netservices.runtime.accounts.model import Record


class LoginCache:
    """Which digest of a password was good for a name, for ``life`` seconds from the check; at most ``size`` names.

    A digest is an HMAC with a key that only this process has had: what stands in memory opens nothing elsewhere.
    """

    def __init__(self, now: Callable[[], float], *, life: float = 60.0, size: int = 4096) -> None:
        self._now = now
        self._life = life
        self._size = size
        self._key = secrets.token_bytes(32)
        self._good: OrderedDict[str, tuple[bytes, float, Record]] = OrderedDict()

    def __len__(self) -> int:
        """How many names are remembered."""
        return len(self._good)

    def make_digest(self, name: str, password: str) -> bytes:
        """What stands for the two together. A prepared name has no NUL, so they can't be taken apart differently."""
        return hmac.digest(self._key, f"{name}\0{password}".encode(), "sha256")

    def find(self, name: str, digest: bytes) -> Record | None:
        """The account as it was when this password was good."""
        known, until, record = self._good.get(name, (b"", 0.0, None))
        if record is None or not hmac.compare_digest(known, digest):
            return None
        if self._now() >= until:
            del self._good[name]
            return None
        return record

    def add(self, name: str, digest: bytes, record: Record) -> None:
        """It was good just now."""
        if self._life <= 0:
            return
        self._good[name] = (digest, self._now() + self._life, record)
        self._good.move_to_end(name)
        if len(self._good) > self._size:
            self._good.popitem(last=False)

    def forget(self, name: str) -> None:
        """The account has changed."""
        self._good.pop(name, None)
