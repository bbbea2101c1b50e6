"""twisted.cred is the way in (R25)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.cred.credentials import ICredentials, IUsernamePassword, UsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import Interface
from zope.interface.verify import verifyObject

from netservices.runtime import EventLog
from netservices.runtime.accounts import (
    CertificateLogin,
    ExchangeLogin,
    IAccount,
    LoginRefused,
    PasswordLogin,
    make_portal,
)
from netservices.runtime.accounts.credentials import IExchangeProof, IVerifiedSubject
from netservices.wire.sasl import SharedSecret
from tests.runtime.accounts.doubles import Desk

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred


class PortalTests(SynchronousTestCase):
    """R25: any credential leads to the same account."""

    def setUp(self) -> None:
        self.desk = Desk()
        self.successResultOf(self.desk.accounts.start())
        self.desk.commands.add("anna", "right", {"shared_secret": True, "subjects": ["CN=Anna"]})
        self.portal = make_portal(self.desk.accounts)
        self.log = EventLog(self.desk.events, peer="192.0.2.7")

    def log_in(self, credentials: ICredentials, *interfaces: type[Interface]) -> Deferred[Any]:
        return self.portal.login(credentials, None, *(interfaces or (IAccount,)))

    def test_every_credential_gives_the_account(self) -> None:
        keys = self.successResultOf(self.desk.accounts.find_scram_keys("anna", "files"))
        for credentials in (
            PasswordLogin("Anna", "right", "files", self.log), PasswordLogin(b"anna", b"right", "files"),
            UsernamePassword(b"anna", b"right"),
            ExchangeLogin("anna", keys, proved=True, service="files", log=self.log),
            ExchangeLogin("anna", SharedSecret(b"right"), proved=True, service="files", log=self.log),
            CertificateLogin("CN=Anna", "files", self.log),
        ):  # fmt: skip
            interface, account, log_out = self.successResultOf(self.log_in(credentials))
            self.assertIs(interface, IAccount)
            self.assertEqual(account.name, "anna")
            self.assertTrue(verifyObject(IAccount, account))
            log_out()
        events = self.desk.events.named("account.login.accepted")
        self.assertEqual([event.get("peer") for event in events].count("192.0.2.7"), 4)

    def test_every_refusal_is_twisteds_too(self) -> None:
        for credentials in (
            PasswordLogin("anna", "wrong", "files"), UsernamePassword(b"nobody", b"x"),
            ExchangeLogin("anna", SharedSecret(b"right"), proved=False, service="files"),
            CertificateLogin("CN=Nobody", "files"),
        ):  # fmt: skip
            failure = self.failureResultOf(self.log_in(credentials), LoginRefused)
            self.assertTrue(failure.check(UnauthorizedLogin))

    def test_service_of_the_credential_counts(self) -> None:
        self.desk.commands.set("anna", {"services": ["mail"]})
        self.failureResultOf(self.log_in(PasswordLogin("anna", "right", "files")), LoginRefused)
        self.failureResultOf(self.log_in(UsernamePassword(b"anna", b"right")), LoginRefused)
        self.successResultOf(self.log_in(PasswordLogin("anna", "right", "mail")))

    def test_other_avatars_are_not_given(self) -> None:
        self.failureResultOf(self.log_in(PasswordLogin("anna", "right", None), Interface), NotImplementedError)

    def test_credentials_are_what_they_say_and_show_no_secret(self) -> None:
        login = PasswordLogin("anna", "hunter2", None)
        for interface, credentials in (
            (IUsernamePassword, login), (IExchangeProof, ExchangeLogin("a", SharedSecret(b"hunter2"), True, None)),
            (IVerifiedSubject, CertificateLogin("CN=a", None)),
        ):  # fmt: skip
            self.assertTrue(verifyObject(interface, credentials))
            self.assertNotIn("hunter2", repr(credentials))
        self.assertTrue(login.checkPassword(b"hunter2"))
        self.assertFalse(PasswordLogin("anna", b"x", None).checkPassword(b"hunter2"))
