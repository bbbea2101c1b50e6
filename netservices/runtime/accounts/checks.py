"""One look at a name and a password, for all who ask for the same at the same time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from twisted.python.failure import Failure

    from netservices.runtime.accounts.model import Record


@dataclass(frozen=True)
class Verdict:
    """What was found: the account, if there is one of the name, and whether what was shown is good for it."""

    record: Record | None
    good: bool
    fresh: bool = True
    """False if it was only remembered."""


class Check:
    """A look under way; ``name`` is whose. When the last who waits goes away, it is given up if it has not begun."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.stale = False
        """Set when the account changes meanwhile: what was seen does not count any more."""
        self._waiting: list[Deferred[Verdict]] = []
        self._work: Deferred[Verdict] | None = None

    def join(self) -> Deferred[Verdict]:
        """Fires with the verdict, or fails as the look does; cancel it to go away."""
        waiting: Deferred[Verdict] = Deferred(self._leave)
        self._waiting.append(waiting)
        return waiting

    def begin(self, look: Callable[[], Coroutine[Deferred[Any], Any, Verdict]], ended: Callable[[], object]) -> None:
        """Look; ``ended`` is called first when it is done, however it ends."""
        self._work = Deferred.fromCoroutine(self._repeat(look))
        self._work.addBoth(self._end, ended)

    async def _repeat(self, look: Callable[[], Coroutine[Deferred[Any], Any, Verdict]]) -> Verdict:
        while True:
            self.stale = False
            verdict = await look()
            if not self.stale:
                return verdict

    def _end(self, result: Verdict | Failure, ended: Callable[[], object]) -> None:
        ended()
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            deferred.callback(result)

    def give_up(self) -> None:
        """Whoever waits hears what a cancelled look ends with."""
        if self._work is not None:
            self._work.cancel()

    def _leave(self, waiting: Deferred[Verdict]) -> None:
        if waiting in self._waiting:
            self._waiting.remove(waiting)
            if not self._waiting:
                self.give_up()
