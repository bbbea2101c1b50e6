"""What keeps the accounts: one small interface, for a database and for its twin in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from netservices.runtime.accounts.model import Record


class AccountStore(Protocol):
    """Every method may block, so it runs in a thread; any number of threads and processes may use the same store.

    Names, addresses and subjects are given prepared. All raise ``StoreError``. A method that returns has its change on
    the disk; one that raises, or is killed, has changed nothing.
    """

    def prepare(self) -> None:
        """Make the store, or bring it up to date. Raises ``StoreVersionError`` for one that is too new."""

    def close(self) -> None:
        """Let go of it; another call opens it again."""

    def secret(self) -> bytes:
        """32 random octets that are this installation's for good."""

    def find(self, name: str) -> Record:
        """Raises ``UnknownAccountError``."""

    def find_by_address(self, address: str) -> Record:
        """Whose address it is. Raises ``UnknownAccountError``."""

    def find_by_subject(self, subject: str) -> Record:
        """Whose certificate it is. Raises ``UnknownAccountError``."""

    def list_records(self, after: str = "", count: int = 100) -> list[Record]:
        """Up to ``count`` of them by name, from the first beyond ``after``."""

    def add(self, record: Record) -> None:
        """Raises ``AccountExistsError`` and ``TakenError``."""

    def add_new(self, records: Iterable[Record], *, dry_run: bool = False) -> list[str]:
        """Add those whose names are free, all at once; gives the names that were taken. A dry run only looks."""

    def change(self, name: str, edit: Callable[[Record], Record]) -> Record:
        """What ``edit`` makes of the record takes its place; the very same record leaves all as it is.

        The revision and ``last_login`` are the store's own. Raises ``UnknownAccountError`` and ``TakenError``, and what
        ``edit`` raises.
        """

    def remove(self, name: str) -> None:
        """Raises ``UnknownAccountError``."""

    def note_logins(self, times: Mapping[str, float]) -> None:
        """When somebody last logged in, by name; is no change of the account. Unknown names don't matter."""
