"""``twisted.cred``: the only way in. ``portal.login(credentials, None, IAccount)`` gives the ``Account``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.portal import IRealm, Portal
from zope.interface import implementer

from netservices.runtime.accounts.credentials import IExchangeProof, IVerifiedSubject
from netservices.runtime.accounts.model import IAccount

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.defer import Deferred
    from zope.interface import Interface

    from netservices.runtime.accounts.accounts import Accounts
    from netservices.runtime.accounts.model import Account


@implementer(ICredentialsChecker)
class AccountsChecker:
    """Asks the accounts about any of our credentials, or about Twisted's name and password.

    Credentials that name no section get in where an account may use all.
    """

    credentialInterfaces = (IUsernamePassword, IExchangeProof, IVerifiedSubject)

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def requestAvatarId(self, credentials: Any) -> Deferred[Any]:  # noqa: ANN401 - any of the three
        # Twisted has avatar ids as octets; ours is the account itself, so that it is not looked up twice.
        service, log = getattr(credentials, "service", None), getattr(credentials, "log", None)
        if IExchangeProof.providedBy(credentials):
            return self._accounts.check_proof(
                credentials.name, credentials.shown, service, proved=credentials.proved, log=log
            )
        if IVerifiedSubject.providedBy(credentials):
            return self._accounts.check_subject(credentials.subject, service, log=log)
        return self._accounts.check_password(credentials.username, credentials.password, service, log=log)


@implementer(IRealm)
class AccountsRealm:
    """The avatar is the account that the checker found; nothing is to be done when it logs out."""

    def requestAvatar(
        self,
        avatarId: Any,  # noqa: ANN401 - Twisted has octets, ours is the account
        mind: object,  # noqa: ARG002 - Twisted's hook
        *interfaces: type[Interface],
    ) -> tuple[type[Interface], Account, Callable[[], None]]:
        if IAccount not in interfaces:
            raise NotImplementedError("accounts are known as IAccount only")
        return IAccount, avatarId, _log_out


def _log_out() -> None:
    """A session ends by itself."""


def make_portal(accounts: Accounts) -> Portal:
    """The portal to ``accounts``; fails with ``LoginRefused`` or ``LoginBusy``."""
    return Portal(AccountsRealm(), [AccountsChecker(accounts)])
