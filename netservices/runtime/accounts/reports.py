"""What accounts say to the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.logger import LogLevel

from netservices.runtime.events import Event

if TYPE_CHECKING:
    from collections.abc import Callable

LOGIN_ACCEPTED = Event(
    "account.login.accepted",
    LogLevel.info,
    "{account} logged in to {service} by {method}",
    "`method` is password, scram, secret (CRAM-MD5, APOP) or certificate.",
)
LOGIN_REFUSED = Event(
    "account.login.refused",
    LogLevel.warn,
    "a login to {service} by {method} was refused: {why}",
    "The peer heard only that the name or the password is wrong; `why` tells which, or that the account is disabled or "
    "may not use the service. `account` is given only if there is one of the name: what is typed for a name may be a "
    "password.",
)
LOGIN_DEFERRED = Event(
    "account.login.deferred",
    LogLevel.warn,
    "{count} logins were put off: {why}",
    "More logins wait than may, or the database or memory could not be had; the peers were asked to come again. At "
    "most one line a minute, with the count since the last one. If they are no attack, raise `[accounts] queue`.",
)
ACCOUNT_CHANGED = Event(
    "account.entry.changed",
    LogLevel.info,
    "the account {account} was changed: {change}",
    "A verb of `netservices user` reached the running daemon. It holds from this moment.",
)
ACCOUNTS_IMPORTED = Event(
    "account.entry.imported",
    LogLevel.info,
    "{count} accounts were imported",
    "`netservices user import` reached the running daemon; a long file makes several of these lines.",
)
HASH_UPGRADED = Event(
    "account.hash.upgraded",
    LogLevel.info,
    "the password of {account} is kept in today's form",
    "An imported hash, or one made with older parameters, was replaced at a good login.",
)
HASH_REJECTED = Event(
    "account.hash.rejected",
    LogLevel.error,
    "the stored password of {account} can't be checked: {why}",
    "Nobody can log in to the account. Set a new password with `netservices user passwd`, or install libcrypt.",
)
STORE_FAILED = Event(
    "account.store.failed",
    LogLevel.error,
    "the account database failed: {why}",
    "Logins are put off until it works again. The text names the file and what is wrong with it. At most one line a "
    "minute, with the `count` since the last one.",
)

_MINUTE = 60.0


class Sparse:
    """Decides when to say what happens often: at most once a minute, with how often it happened since."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._count = 0
        self._next: float | None = None

    def note(self) -> int:
        """It happened again: the count to say now, or 0 for not yet."""
        self._count += 1
        if self._next is not None and self._now() < self._next:
            return 0
        count, self._count = self._count, 0
        self._next = self._now() + _MINUTE
        return count


EVENTS = (
    LOGIN_ACCEPTED, LOGIN_REFUSED, LOGIN_DEFERRED, ACCOUNT_CHANGED, ACCOUNTS_IMPORTED, HASH_UPGRADED, HASH_REJECTED,
    STORE_FAILED,
)  # fmt: skip
