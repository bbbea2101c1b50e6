"""Every statement that the accounts speak, in the SQL that SQLite and PostgreSQL have in common.

Parameters are named ``:name``, for a driver with another style to rewrite. BYTEA is no word of SQLite's, which keeps
octets under it as they are. Truth is 0 or 1. What only SQLite knows (pragmas) stands in ``sqlite.py``.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from netservices.runtime.accounts.model import Account, Record, Secrets
from netservices.wire.sasl import ScramKeys

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE accounts (
            name TEXT PRIMARY KEY,
            enabled INTEGER NOT NULL,
            services TEXT,
            home TEXT,
            mailbox TEXT,
            admin INTEGER NOT NULL,
            quota_bytes BIGINT,
            quota_files BIGINT,
            created DOUBLE PRECISION NOT NULL,
            changed DOUBLE PRECISION NOT NULL,
            last_login DOUBLE PRECISION,
            password_hash TEXT NOT NULL,
            scram_salt BYTEA,
            scram_iterations INTEGER,
            scram_stored_key BYTEA,
            scram_server_key BYTEA,
            keeps_shared INTEGER NOT NULL,
            shared BYTEA,
            revision BIGINT NOT NULL
        )""",
        """CREATE TABLE account_addresses (
            address TEXT PRIMARY KEY,
            name TEXT NOT NULL REFERENCES accounts (name) ON DELETE CASCADE
        )""",
        "CREATE INDEX account_addresses_by_name ON account_addresses (name)",
        """CREATE TABLE account_subjects (
            subject TEXT PRIMARY KEY,
            name TEXT NOT NULL REFERENCES accounts (name) ON DELETE CASCADE
        )""",
        "CREATE INDEX account_subjects_by_name ON account_subjects (name)",
        "CREATE TABLE installation (fact TEXT PRIMARY KEY, value BYTEA NOT NULL)",
    ),
)
"""What takes the schema from version N to N + 1; a step that was ever released is never changed."""

_COLUMNS = (
    "name", "enabled", "services", "home", "mailbox", "admin", "quota_bytes", "quota_files", "created", "changed",
    "last_login", "password_hash", "scram_salt", "scram_iterations", "scram_stored_key", "scram_server_key",
    "keeps_shared", "shared", "revision",
)  # fmt: skip
# All of these are put together from the constants above.
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM accounts"  # noqa: S608 - names of our own columns
FIND = f"{_SELECT} WHERE name = :name"
LIST = f"{_SELECT} WHERE name > :after ORDER BY name LIMIT :count"
FIND_ADDRESS = "SELECT name FROM account_addresses WHERE address = :key"
FIND_SUBJECT = "SELECT name FROM account_subjects WHERE subject = :key"
LIST_ADDRESSES = "SELECT name, address FROM account_addresses WHERE name >= :first AND name <= :last ORDER BY address"
LIST_SUBJECTS = "SELECT name, subject FROM account_subjects WHERE name >= :first AND name <= :last ORDER BY subject"
INSERT = f"INSERT INTO accounts ({', '.join(_COLUMNS)}) VALUES ({', '.join(':' + name for name in _COLUMNS)})"  # noqa: S608 - likewise
UPDATE = (
    f"UPDATE accounts SET {', '.join(f'{name} = :{name}' for name in _COLUMNS if name not in {'name', 'last_login'})}"  # noqa: S608 - likewise
    " WHERE name = :name AND revision = :before"
)
INSERT_ADDRESS = "INSERT INTO account_addresses (address, name) VALUES (:key, :name)"
INSERT_SUBJECT = "INSERT INTO account_subjects (subject, name) VALUES (:key, :name)"
REMOVE_ADDRESSES = "DELETE FROM account_addresses WHERE name = :name"
REMOVE_SUBJECTS = "DELETE FROM account_subjects WHERE name = :name"
REMOVE = "DELETE FROM accounts WHERE name = :name"
NOTE_LOGIN = "UPDATE accounts SET last_login = :time WHERE name = :name"
INSERT_FACT = "INSERT INTO installation (fact, value) VALUES (:fact, :value) ON CONFLICT (fact) DO NOTHING"
FIND_FACT = "SELECT value FROM installation WHERE fact = :fact"


def make_row(record: Record) -> dict[str, object]:
    """A record as the parameters of ``INSERT`` and ``UPDATE``."""
    account, secrets = record.account, record.secrets
    scram = secrets.scram
    return {
        "name": account.name,
        "enabled": int(account.enabled),
        "services": None if account.services is None else json.dumps(account.services),
        "home": account.home,
        "mailbox": account.mailbox,
        "admin": int(account.admin),
        "quota_bytes": account.quota_bytes,
        "quota_files": account.quota_files,
        "created": account.created,
        "changed": account.changed,
        "last_login": account.last_login,
        "password_hash": secrets.password_hash,
        "scram_salt": scram.salt if scram else None,
        "scram_iterations": scram.iterations if scram else None,
        "scram_stored_key": scram.stored_key if scram else None,
        "scram_server_key": scram.server_key if scram else None,
        "keeps_shared": int(record.keeps_shared),
        "shared": secrets.shared,
        "revision": record.revision,
    }


def make_record(values: Sequence[Any]) -> Record:
    """A row of ``FIND`` or ``LIST`` as a record, still without addresses and subjects."""
    row = dict(zip(_COLUMNS, values, strict=True))
    scram = None
    if row["scram_salt"] is not None:
        scram = ScramKeys(row["scram_stored_key"], row["scram_server_key"], row["scram_salt"], row["scram_iterations"])
    account = Account(
        row["name"],
        enabled=bool(row["enabled"]),
        services=None if row["services"] is None else tuple(json.loads(row["services"])),
        home=row["home"],
        mailbox=row["mailbox"],
        admin=bool(row["admin"]),
        quota_bytes=row["quota_bytes"],
        quota_files=row["quota_files"],
        created=row["created"],
        changed=row["changed"],
        last_login=row["last_login"],
    )
    secrets = Secrets(row["password_hash"], scram, row["shared"])
    return Record(account, secrets, bool(row["keeps_shared"]), row["revision"])


def attach(record: Record, addresses: Mapping[str, list[str]], subjects: Mapping[str, list[str]]) -> Record:
    """The record with what belongs to its name."""
    name = record.account.name
    account = replace(record.account, addresses=tuple(addresses.get(name, ())), subjects=tuple(subjects.get(name, ())))
    return replace(record, account=account)
