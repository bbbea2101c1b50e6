"""Accounts in memory, for tests: the database's twin."""

from __future__ import annotations

import secrets
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING

from netservices.runtime.accounts.errors import AccountExistsError, TakenError, UnknownAccountError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from netservices.runtime.accounts.model import Record


class MemoryStore:
    """An ``AccountStore`` that ends with the process."""

    def __init__(self) -> None:
        self._records: dict[str, Record] = {}
        self._lock = Lock()
        self._secret = secrets.token_bytes(32)

    def prepare(self) -> None:
        """There is nothing to make."""

    def close(self) -> None:
        """There is nothing to let go of."""

    def secret(self) -> bytes:
        return self._secret

    def find(self, name: str) -> Record:
        with self._lock:
            return self._find(name)

    def find_by_address(self, address: str) -> Record:
        with self._lock:
            return self._find_owner(address, lambda record: record.account.addresses)

    def find_by_subject(self, subject: str) -> Record:
        with self._lock:
            return self._find_owner(subject, lambda record: record.account.subjects)

    def list_records(self, after: str = "", count: int = 100) -> list[Record]:
        with self._lock:
            return [self._records[name] for name in sorted(self._records) if name > after][:count]

    def add(self, record: Record) -> None:
        with self._lock:
            self._add(record)

    def add_new(self, records: Iterable[Record], *, dry_run: bool = False) -> list[str]:
        with self._lock:
            taken: list[str] = []
            before = dict(self._records)
            try:
                for record in records:
                    if record.account.name in self._records:
                        taken.append(record.account.name)
                    else:
                        self._add(record)
            except TakenError:
                self._records = before
                raise
            if dry_run:
                self._records = before
            return taken

    def change(self, name: str, edit: Callable[[Record], Record]) -> Record:
        with self._lock:
            before = self._find(name)
            edited = edit(before)
            if edited is before:
                return before
            account = replace(edited.account, name=name, last_login=before.account.last_login)
            after = _sort(replace(edited, account=account, revision=before.revision + 1))
            self._refuse_taken(after)
            self._records[name] = after
            return after

    def remove(self, name: str) -> None:
        with self._lock:
            self._find(name)
            del self._records[name]

    def note_logins(self, times: Mapping[str, float]) -> None:
        with self._lock:
            for name, time in times.items():
                record = self._records.get(name)
                if record is not None:
                    self._records[name] = replace(record, account=replace(record.account, last_login=time))

    def _find(self, name: str) -> Record:
        if name not in self._records:
            raise UnknownAccountError(name)
        return self._records[name]

    def _find_owner(self, key: str, keys: Callable[[Record], tuple[str, ...]]) -> Record:
        for record in self._records.values():
            if key in keys(record):
                return record
        raise UnknownAccountError(key)

    def _add(self, record: Record) -> None:
        if record.account.name in self._records:
            raise AccountExistsError(record.account.name)
        self._refuse_taken(record)
        self._records[record.account.name] = _sort(record)

    def _refuse_taken(self, record: Record) -> None:
        for other in self._records.values():
            if other.account.name == record.account.name:
                continue
            shared = {*record.account.addresses, *record.account.subjects}
            shared &= {*other.account.addresses, *other.account.subjects}
            if shared:
                raise TakenError(min(shared), other.account.name)


def _sort(record: Record) -> Record:
    account = record.account
    return replace(
        record,
        account=replace(
            account, addresses=tuple(sorted(set(account.addresses))), subjects=tuple(sorted(set(account.subjects)))
        ),
    )
