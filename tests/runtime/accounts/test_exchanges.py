"""SASL exchanges on real accounts, from the client's first word to the avatar (R25, R26, R27)."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING

from twisted.trial.unittest import SynchronousTestCase

from netservices.runtime.accounts import Account, ExchangeLogin, IAccount, LoginRefused, PasswordLogin, make_portal
from netservices.wire.sasl import (
    Challenge,
    ExchangeState,
    Facts,
    Failure,
    NeedKeys,
    NeedSecret,
    ScramKeys,
    SharedSecret,
    Step,
    Success,
    VerifyPassword,
    make_exchange,
)
from tests.runtime.accounts.doubles import Desk

if TYPE_CHECKING:
    from collections.abc import Generator


def scram(name: str, password: str) -> Generator[bytes | None, bytes, None]:
    """A client of SCRAM-SHA-256: yields what it says, is sent what it hears."""
    bare = f"n={name},r=clientnonce".encode()
    server_first = yield b"n,," + bare
    parts = dict(part.split(b"=", 1) for part in server_first.split(b","))
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(parts[b"s"]), int(parts[b"i"]))
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    final = b"c=biws,r=" + parts[b"r"]
    message = b",".join((bare, server_first, final))
    signature = hmac.digest(hashlib.sha256(client_key).digest(), message, "sha256")
    proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
    server_final = yield final + b",p=" + base64.b64encode(proof)
    expected = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), message, "sha256")
    if server_final != b"v=" + base64.b64encode(expected):
        raise AssertionError("the server does not know the password")
    yield b""


def cram(name: str, password: str) -> Generator[bytes | None, bytes, None]:
    """A client of CRAM-MD5, where the server speaks first."""
    challenge = yield None
    yield f"{name} {hmac.new(password.encode(), challenge, 'md5').hexdigest()}".encode()


def plain(name: str, password: str) -> Generator[bytes | None, bytes, None]:
    """A client of PLAIN."""
    yield f"\0{name}\0{password}".encode()


class ExchangeTests(SynchronousTestCase):
    """R25: whichever the mechanism, the same name and password are the same account."""

    def setUp(self) -> None:
        self.desk = Desk()
        self.successResultOf(self.desk.accounts.start())
        self.portal = make_portal(self.desk.accounts)
        self.desk.commands.add("zo\u00eb", "p\u00e4ss word", {"shared_secret": True})
        self.desk.commands.add("carl", "x", {})

    def converse(self, mechanism: str, client: Generator[bytes | None, bytes, None]) -> Account | None:
        """Let the client speak; what the portal gives at the end, None if it refuses."""
        exchange = make_exchange(mechanism, Facts("0123456789abcdef" * 2, "host", (mechanism,)))
        shown: ScramKeys | SharedSecret | None = None
        password: PasswordLogin | None = None
        step = exchange.start(next(client))
        while not isinstance(step, Success | Failure):
            if isinstance(step, Challenge):
                step = exchange.respond(client.send(step.data) or b"")
            elif isinstance(step, VerifyPassword):
                password = PasswordLogin(step.authcid, step.password, "mail")
                step = exchange.answer(True)
            else:
                shown = self.find_shown(step)
                step = exchange.answer(shown)
        return self.finish(exchange, step, password, shown)

    def find_shown(self, step: Step) -> ScramKeys | SharedSecret:
        """What the exchange asks for."""
        if isinstance(step, NeedKeys):
            return self.successResultOf(self.desk.accounts.find_scram_keys(step.authcid, "mail"))
        assert isinstance(step, NeedSecret)
        return self.successResultOf(self.desk.accounts.find_shared_secret(step.authcid, "mail"))

    def finish(
        self, exchange: ExchangeState, step: Success | Failure, password: PasswordLogin | None,
        shown: ScramKeys | SharedSecret | None,
    ) -> Account | None:  # fmt: skip
        """The portal has the last word."""
        assert exchange.identity is not None
        credentials: PasswordLogin | ExchangeLogin | None = password
        if shown is not None:
            credentials = ExchangeLogin(exchange.identity.authcid, shown, isinstance(step, Success), "mail")
        assert credentials is not None
        refused: list[object] = []
        login = self.portal.login(credentials, None, IAccount)
        login.addErrback(lambda failure: refused.append(failure.trap(LoginRefused)))
        result = self.successResultOf(login)
        if refused:
            return None
        assert isinstance(result, tuple)
        account = result[1]
        assert isinstance(account, Account)
        return account

    def test_every_mechanism_lets_in_with_the_same_password(self) -> None:
        for mechanism, client in (("PLAIN", plain), ("SCRAM-SHA-256", scram), ("CRAM-MD5", cram)):
            for name in ("zo\u00eb", "ZO\u00cb", "Zoe\u0308"):
                account = self.converse(mechanism, client(name, "p\u00e4ss word"))
                assert account is not None, mechanism
                self.assertEqual(account.name, "zo\u00eb")

    def test_wrong_password_unknown_name_and_missing_secret_are_refused_alike(self) -> None:
        for mechanism, client in (("PLAIN", plain), ("SCRAM-SHA-256", scram), ("CRAM-MD5", cram)):
            for name, password in (("zo\u00eb", "wrong"), ("nobody", "x")):
                self.assertIsNone(self.converse(mechanism, client(name, password)), (mechanism, name))
        # Carl did not opt in.
        self.assertIsNone(self.converse("CRAM-MD5", cram("carl", "x")))
        self.assertIsNotNone(self.converse("SCRAM-SHA-256", scram("carl", "x")))
