"""The verbs of ``netservices user`` on a store, with plain data in and out: in the command itself, or in the daemon."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from netservices.runtime.accounts.crypts import is_imported
from netservices.runtime.accounts.errors import AccountError
from netservices.runtime.accounts.model import Account, Record, Secrets
from netservices.runtime.accounts.names import prepare_home, prepare_name, prepare_password
from netservices.runtime.accounts.settings import parse_settings, show_record

if TYPE_CHECKING:
    from collections.abc import Callable

    from netservices.runtime.accounts.hashing import Hasher
    from netservices.runtime.accounts.store import AccountStore

Names = list[str]
"""``list`` is a method below."""
PAGE = 100
"""Accounts in one answer of ``list``."""
MOST_IMPORTED = 1000
"""Accounts in one call of ``import``."""


class AccountCommands:
    """Every method blocks, raises ``AccountError`` or ``StoreError``, and checks its parameters, whoever calls."""

    def __init__(self, store: AccountStore, hasher: Hasher, now: Callable[[], float] = time.time) -> None:
        self._store = store
        self._hasher = hasher
        self._now = now

    def add(self, name: object, password: object, settings: object) -> dict[str, object]:
        """A new account, as ``show`` gives it."""
        known, text, wanted = _name(name), _password(password), parse_settings(settings)
        now = self._now()
        secrets = self._hasher.make_secrets(text, keeps_shared=bool(wanted.keeps_shared))
        record = wanted.apply(Record(Account(known, created=now, changed=now), Secrets(secrets.password_hash)))
        self._store.add(replace(record, secrets=secrets))
        return self.show(known)

    def passwd(self, name: object, password: object) -> dict[str, object]:
        """Another password, in today's form. The shared secret follows if the account keeps one."""
        known, text = _name(name), _password(password)
        # Asked before, so that an unknown name does not cost a hash.
        self._store.find(known)
        secrets = self._hasher.make_secrets(text, keeps_shared=True)

        def edit(record: Record) -> Record:
            kept = secrets if record.keeps_shared else replace(secrets, shared=None)
            return replace(record, secrets=kept, account=replace(record.account, changed=self._now()))

        return show_record(self._store.change(known, edit))

    def set(self, name: object, settings: object) -> dict[str, object]:
        """Other settings; what is not named stays."""
        known, wanted = _name(name), parse_settings(settings)

        def edit(record: Record) -> Record:
            changed = wanted.apply(record)
            return replace(changed, account=replace(changed.account, changed=self._now()))

        return show_record(self._store.change(known, edit))

    def remove(self, name: object) -> str:
        """The account is gone; its files and mail are not. Gives the name."""
        known = _name(name)
        self._store.remove(known)
        return known

    def show(self, name: object) -> dict[str, object]:
        """One account, without its secrets."""
        return show_record(self._store.find(_name(name)))

    def list(self, after: object = "") -> list[dict[str, object]]:
        """The next ``PAGE`` accounts by name, from the first beyond ``after``; fewer are the last."""
        if not isinstance(after, str):
            raise AccountError("wanted the name to go on from")
        return [show_record(record) for record in self._store.list_records(after, PAGE)]

    def import_accounts(self, entries: object, dry_run: object = False) -> Names:  # noqa: FBT002 - XML-RPC has no names for parameters
        """Add accounts with hashes from elsewhere, each ``[name, hash, home]``; gives the names that were taken."""
        if not isinstance(entries, list) or len(entries) > MOST_IMPORTED or not isinstance(dry_run, bool):
            raise AccountError(f"wanted a list of at most {MOST_IMPORTED} accounts, and whether it is a dry run")
        return self._store.add_new([self._make_imported(entry) for entry in entries], dry_run=dry_run)

    def _make_imported(self, entry: object) -> Record:
        if not isinstance(entry, list) or len(entry) != 3 or not all(isinstance(part, str) for part in entry):
            raise AccountError("wanted each account as its name, its hash and its home")
        name, stored, home = entry
        if not is_imported(stored):
            raise AccountError(f"the hash of {_name(name)} is of no form that is taken")
        now = self._now()
        try:
            place = prepare_home(home) if home else None
        except ValueError as error:
            raise AccountError(f"{_name(name)}: {error}") from error
        return Record(Account(_name(name), home=place, created=now, changed=now), Secrets(stored))


def _name(value: object) -> str:
    return _prepare(prepare_name, value, "the name is not text")


def _password(value: object) -> str:
    return _prepare(prepare_password, value, "the password is not text")


def _prepare(prepare: Callable[[str], str], value: object, otherwise: str) -> str:
    try:
        return prepare(value) if isinstance(value, str) else _no(otherwise)
    except ValueError as error:
        raise AccountError(str(error)) from error


def _no(reason: str) -> str:
    raise AccountError(reason)
