"""What can go wrong with accounts: in an operator's words, or in the few that a peer may hear."""

from __future__ import annotations

from twisted.cred.error import UnauthorizedLogin


class AccountError(Exception):
    """An operator asked for what can't be done; the text says why and what was wanted."""


class UnknownAccountError(AccountError):
    """There is no account of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no account {name}")


class AccountExistsError(AccountError):
    """The name is taken."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is an account {name} already")


class TakenError(AccountError):
    """An address or a certificate's subject belongs to another account."""

    def __init__(self, what: str, owner: str) -> None:
        super().__init__(f"{what} belongs to the account {owner}")


class StoreError(Exception):
    """The database can't be used; the text names its file."""


class StoreBusyError(StoreError):
    """Another process keeps the database locked; later it may work."""


class StoreCorruptError(StoreError):
    """The file is damaged, or is no database."""


class StoreVersionError(StoreError):
    """A newer netservices made the database."""


class HashUnusableError(Exception):
    """A stored hash can't be checked on this machine; the text says why, without the hash."""


class LoginRefused(UnauthorizedLogin):
    """The one answer to every login that fails for good; says nothing about the reason."""

    def __init__(self) -> None:
        super().__init__("the name or the password is wrong")


class LoginBusy(Exception):  # noqa: N818 - a state, not a fault of whoever asks
    """The login could not be looked at now; the protocol's temporary failure is the answer."""

    def __init__(self) -> None:
        super().__init__("too many logins at once, try again later")
