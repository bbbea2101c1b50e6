"""What of an account can be set, as plain data from the command or over the control socket, to values and back."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from netservices.config.units import format_size, parse_size
from netservices.runtime.accounts.errors import AccountError
from netservices.runtime.accounts.names import prepare_address, prepare_home, prepare_name, prepare_subject, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from netservices.runtime.accounts.model import Record

# A section's name in the configuration.
_SERVICE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MOST_ITEMS = 256
_MOST_FILES = 2**31 - 1


@dataclass(frozen=True)
class Settings:
    """Values for some fields of ``Account``, and whether the shared secret is kept."""

    fields: Mapping[str, Any]
    keeps_shared: bool | None = None

    def names(self) -> list[str]:
        """What is set, in words for the log."""
        return sorted([*self.fields, *(() if self.keeps_shared is None else ("shared_secret",))])

    def apply(self, record: Record) -> Record:
        """The record with them. The secret itself goes at once, and comes with the next password that is seen."""
        keeps = record.keeps_shared if self.keeps_shared is None else self.keeps_shared
        kept = record.secrets if keeps else replace(record.secrets, shared=None)
        return replace(record, account=replace(record.account, **self.fields), secrets=kept, keeps_shared=keeps)


def parse_settings(given: object) -> Settings:
    """Plain data to values. Raises ``AccountError``."""
    if not isinstance(given, dict):
        raise AccountError("the settings are not a table")
    fields: dict[str, Any] = {}
    keeps_shared = None
    for key, value in given.items():
        parse = _PARSERS.get(key)
        if parse is None:
            raise AccountError(f'there is no setting "{printable(str(key))}"; there are {", ".join(_PARSERS)}')
        try:
            parsed = parse(value)
        except ValueError as error:
            raise AccountError(f"{key}: {error}") from error
        if key == "shared_secret":
            keeps_shared = parsed
        else:
            fields[key] = parsed
    return Settings(fields, keeps_shared)


def show_record(record: Record) -> dict[str, object]:
    """An account as plain data, without its secrets."""
    account, secrets = record.account, record.secrets
    return {
        "name": account.name,
        "enabled": account.enabled,
        "services": None if account.services is None else list(account.services),
        "home": account.home,
        "mailbox": account.mailbox,
        "addresses": list(account.addresses),
        "admin": account.admin,
        # As text: an XML-RPC number has 32 bits.
        "quota_bytes": None if account.quota_bytes is None else format_size(account.quota_bytes),
        "quota_files": account.quota_files,
        "subjects": list(account.subjects),
        "shared_secret": record.keeps_shared,
        "password": _name_form(secrets.password_hash),
        "scram": secrets.scram is not None,
        "created": account.created,
        "changed": account.changed,
        "last_login": account.last_login,
    }


def _name_form(stored: str) -> str:
    """``argon2id``, or the name of an imported hash."""
    form = stored.split("$")[1]
    return {
        "2a": "bcrypt",
        "2b": "bcrypt",
        "2y": "bcrypt",
        "5": "sha256crypt",
        "6": "sha512crypt",
        "y": "yescrypt",
    }.get(form, form)


def _parse_truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("wanted true or false")  # noqa: TRY004 - one kind of error for all that is not fit
    return value


def _parse_text(prepare: Callable[[str], str]) -> Callable[[object], str | None]:
    def parse(value: object) -> str | None:
        if value is not None and not isinstance(value, str):
            raise ValueError("wanted text")
        return None if value is None else prepare(value)

    return parse


def _parse_list(prepare: Callable[[str], str]) -> Callable[[object], tuple[str, ...]]:
    def parse(value: object) -> tuple[str, ...]:
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
            raise ValueError("wanted a list of texts")
        if len(value) > _MOST_ITEMS:
            raise ValueError(f"wanted at most {_MOST_ITEMS}")
        return tuple(sorted({prepare(item) for item in value}))

    return parse


def _parse_services(value: object) -> tuple[str, ...] | None:
    return None if value is None else _parse_list(_prepare_service)(value)


def _prepare_service(name: str) -> str:
    if not _SERVICE.fullmatch(name):
        raise ValueError(f'"{printable(name)}" is not the name of a section of [services]')
    return name


def _parse_count(value: object) -> int | None:
    if value is not None and (type(value) is not int or not 0 <= value <= _MOST_FILES):
        raise ValueError(f"wanted a number from 0 to {_MOST_FILES}, or nothing for no limit")
    return value if isinstance(value, int) else None


def _parse_octets(value: object) -> int | None:
    return None if value is None else parse_size(value)


_PARSERS: dict[str, Callable[[object], Any]] = {
    "enabled": _parse_truth,
    "services": _parse_services,
    "home": _parse_text(prepare_home),
    "mailbox": _parse_text(prepare_name),
    "addresses": _parse_list(prepare_address),
    "admin": _parse_truth,
    "quota_bytes": _parse_octets,
    "quota_files": _parse_count,
    "subjects": _parse_list(prepare_subject),
    "shared_secret": _parse_truth,
}
