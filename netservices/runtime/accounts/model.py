"""An account, and the secrets that are kept beside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zope.interface import Attribute, Interface, implementer

if TYPE_CHECKING:
    from netservices.wire.sasl import ScramKeys


class IAccount(Interface):
    """The avatar that the portal gives."""

    name = Attribute("The name, in the one form of ``prepare_name``.")


@implementer(IAccount)
@dataclass(frozen=True)
class Account:
    """Who somebody is, and what they may; no secrets in it.

    ``services`` are names of sections; None is all of them, those to come too. ``home`` and ``mailbox`` None are the
    account's own: a folder, or a mailbox, of its name. Quotas None are no limit. Times are seconds since 1970.
    """

    name: str
    enabled: bool = True
    services: tuple[str, ...] | None = None
    home: str | None = None
    mailbox: str | None = None
    addresses: tuple[str, ...] = ()
    admin: bool = False
    quota_bytes: int | None = None
    quota_files: int | None = None
    subjects: tuple[str, ...] = ()
    """Of client certificates that log in as this account."""
    created: float = 0.0
    changed: float = 0.0
    last_login: float | None = None
    """To the minute or so."""

    def may_use(self, service: str | None) -> bool:
        """Whether it may log in to a section; None is one that did not say its name, and is open to all or nobody."""
        return self.enabled and (self.services is None or service in self.services)


@dataclass(frozen=True)
class Secrets:
    """What a password becomes. ``shared`` is the password itself, kept only if the account opted in (R26)."""

    password_hash: str = field(repr=False)
    scram: ScramKeys | None = None
    shared: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Record:
    """All that is stored of one account. ``keeps_shared`` is the opting in; ``revision`` counts the changes."""

    account: Account
    secrets: Secrets
    keeps_shared: bool = False
    revision: int = 1
