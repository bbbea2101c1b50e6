"""The verbs of ``netservices user`` in the running daemon: what they change holds at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from netservices.runtime.accounts.errors import AccountError, StoreError
from netservices.runtime.accounts.names import prepare_name
from netservices.runtime.accounts.settings import parse_settings
from netservices.runtime.files import PoolFull

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from twisted.internet.defer import Deferred
    from twisted.python.failure import Failure

    from netservices.runtime.accounts.accounts import Accounts
    from netservices.runtime.accounts.commands import AccountCommands

T = TypeVar("T")


class AccountControl:
    """``AccountCommands`` in the threads of ``accounts``, which hear of every change.

    ``make_fault`` makes of a text the exception that the caller is told.
    """

    def __init__(self, accounts: Accounts, commands: AccountCommands, make_fault: Callable[[str], Exception]) -> None:
        self._accounts = accounts
        self._commands = commands
        self._make_fault = make_fault

    def list_methods(self) -> Mapping[str, Callable[..., Deferred[object]]]:
        """Each method's name, and what it does."""
        return {
            "netservices.user.add": self.add,
            "netservices.user.passwd": self.passwd,
            "netservices.user.set": self.set,
            "netservices.user.remove": self.remove,
            "netservices.user.show": self.show,
            "netservices.user.list": self.list,
            "netservices.user.import": self.import_accounts,
        }

    def add(self, name: object, password: object, settings: object) -> Deferred[object]:
        """See ``AccountCommands``, here and below."""
        return self._change(name, "added", self._commands.add, name, password, settings)

    def passwd(self, name: object, password: object) -> Deferred[object]:
        """Another password."""
        return self._change(name, "password", self._commands.passwd, name, password)

    def set(self, name: object, settings: object) -> Deferred[object]:
        """Other settings."""
        try:
            what = ", ".join(parse_settings(settings).names())
        except AccountError:
            # The command says so itself.
            what = ""
        return self._change(name, what, self._commands.set, name, settings)

    def remove(self, name: object) -> Deferred[object]:
        """The account goes."""
        return self._change(name, "removed", self._commands.remove, name)

    def show(self, name: object) -> Deferred[object]:
        """One account."""
        return self._run(self._commands.show, name)

    def list(self, after: object = "") -> Deferred[object]:
        """The next accounts."""
        return self._run(self._commands.list, after)

    def import_accounts(self, entries: object, dry_run: object = False) -> Deferred[object]:  # noqa: FBT002 - XML-RPC has no names for parameters
        """Accounts from elsewhere. Only names that were free are added, so nothing known is made wrong by it."""

        def report(taken: object) -> object:
            if isinstance(entries, list) and isinstance(taken, list) and not dry_run and len(entries) > len(taken):
                self._accounts.report_import(len(entries) - len(taken))
            return taken

        return self._run(self._commands.import_accounts, entries, dry_run).addCallback(report)

    def _change(self, name: object, change: str, command: Callable[..., object], *given: object) -> Deferred[object]:
        def report(result: object) -> object:
            self._accounts.report_change(prepare_name(str(name)), change)
            return result

        return self._run(command, *given).addCallback(report)

    def _run(self, command: Callable[..., object], *given: object) -> Deferred[object]:
        return self._accounts.run(command, *given).addErrback(self._tell)

    def _tell(self, failure: Failure) -> object:
        failure.trap(AccountError, StoreError, PoolFull)
        raise self._make_fault(failure.getErrorMessage())
