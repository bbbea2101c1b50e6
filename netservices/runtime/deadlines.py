"""How long a session may wait: one lazily re-armed timer a session, whatever the number of deadlines.

A byte that moves only notes the time; nothing is rescheduled for it. When the timer fires it looks at what is due and
sleeps until the next moment at which something can be. Twisted finds a timer that is moved to an earlier time by a
linear search, so none ever is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IDelayedCall, IReactorTime

    from netservices.config import Timeouts


class Deadlines:
    """The deadlines of one session, in seconds of ``clock``.

    ``expired`` is called with the name of the key under ``timeouts`` that ran out: at most once with another name than
    ``write``, and once with ``write``. Whoever ends the session calls ``cancel``.
    """

    def __init__(self, clock: IReactorTime, timeouts: Timeouts, expired: Callable[[str], object]) -> None:
        now = clock.seconds()
        self._clock = clock
        self._timeouts = timeouts
        self._expired = expired
        self._due = {"session": now + timeouts.session}
        self._active = now
        self._unsent_since: float | None = None
        self._closing = False
        self._call: IDelayedCall | None = None
        self._arm(now)

    def start(self, name: str) -> None:
        """Start ``handshake`` or ``login`` now."""
        now = self._clock.seconds()
        self._due[name] = now + float(getattr(self._timeouts, name))
        self._arm(now)

    def stop(self, name: str) -> None:
        """What ``name`` was waiting for has happened."""
        self._due.pop(name, None)

    def active(self) -> None:
        """A byte moved, in whichever direction."""
        self._active = self._clock.seconds()

    def unsent(self) -> None:
        """There is something to send, or some of it was taken and more is left."""
        self._active = self._unsent_since = self._clock.seconds()

    def sent(self) -> None:
        """Everything was taken."""
        if not self._closing:
            self._unsent_since = None

    def closing(self) -> None:
        """We have said goodbye; from now on only ``write`` can expire, and it waits for the peer's goodbye too.

        A peer that goes on taking a little at a time has until the whole session's end, and once more if that is past.
        """
        now = self._clock.seconds()
        if not self._closing:
            self._due = {"write": max(self._due["session"], now + self._timeouts.write)}
        self._closing = True
        self._unsent_since = now
        self._arm(now)

    def cancel(self) -> None:
        """The session is over."""
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None

    def _dues(self) -> dict[str, float]:
        dues = dict(self._due)
        if not self._closing:
            dues["idle"] = self._active + self._timeouts.idle
        if self._unsent_since is not None:
            stalled = self._unsent_since + self._timeouts.write
            dues["write"] = min(dues.get("write", stalled), stalled)
        return dues

    def _arm(self, now: float) -> None:
        # A stall can begin at any moment, so the look after this one comes at most one write timeout later.
        due = min(now + self._timeouts.write, *self._dues().values())
        if self._call is not None and self._call.active():
            if self._call.getTime() <= due:
                return
            self._call.cancel()
        self._call = self._clock.callLater(max(0.0, due - now), self._look)

    def _look(self) -> None:
        now = self._clock.seconds()
        expired = [name for name, due in self._dues().items() if due <= now]
        if not expired:
            self._arm(now)
        elif "write" in expired:
            self.cancel()
            self._expired("write")
        else:
            self.closing()
            self._expired(expired[0])
