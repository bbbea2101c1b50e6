"""PLAIN and LOGIN."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from netservices.wire.sasl import Challenge, Failure, Identity, Reason, Success, VerifyPassword
from netservices.wire.sasl.plain import LoginState, PlainState

WRONG = Failure(Reason.CREDENTIALS, "wrong name or credentials")


class PlainTests(SynchronousTestCase):
    """RFC 4616."""

    def test_the_first_example_of_rfc_4616(self) -> None:
        exchange = PlainState()
        self.assertEqual(exchange.start(), Challenge(b""))
        self.assertEqual(exchange.respond(b"\0tim\0tanstaaftanstaaf"), VerifyPassword("tim", "tanstaaftanstaaf", "tim"))
        self.assertEqual(exchange.identity, Identity("tim", "tim"))
        self.assertEqual(exchange.answer(True), Success(Identity("tim", "tim")))

    def test_the_second_example_of_rfc_4616(self) -> None:
        exchange = PlainState()
        step = exchange.start(b"Ursel\0Kurt\0xipj3plmq")
        self.assertEqual(step, VerifyPassword("kurt", "xipj3plmq", "ursel"))
        self.assertEqual(exchange.answer(False), WRONG)

    def test_a_name_asked_for_twice_is_one_name(self) -> None:
        step = PlainState().start("ÅSA\0åsa\0Pa\u0308ss".encode())
        self.assertEqual(step, VerifyPassword("åsa", "Päss", "åsa"))

    def test_a_password_never_shows(self) -> None:
        self.assertNotIn("pencil", repr(PlainState().start(b"\0user\0pencil")))

    def test_messages_of_another_form_are_refused(self) -> None:
        for message in (b"", b"user", b"\0user", b"\0user\0pencil\0", b"a\0b\0c\0d"):
            step = PlainState().start(message)
            assert isinstance(step, Failure)
            self.assertIs(step.reason, Reason.MALFORMED)

    def test_names_and_passwords_that_nobody_has_are_refused(self) -> None:
        """R27: as wrong ones, not as broken messages."""
        for message in (
            b"\0\0pencil", b"\0user\0", b"\0us er\0pencil", b"\0\xff\0pencil", b"\0user\0\xff", b"\xff\0user\0pencil",
            b"\0user\0a\nb", b"\0" + b"x" * 256 + b"\0pencil", b"\0user\0" + b"x" * 1025,
        ):  # fmt: skip
            step = PlainState().start(message)
            assert isinstance(step, Failure)
            self.assertIs(step.reason, Reason.CREDENTIALS)


class LoginTests(SynchronousTestCase):
    """LOGIN as clients speak it."""

    def test_name_and_password_one_by_one(self) -> None:
        exchange = LoginState()
        self.assertEqual(exchange.start(), Challenge(b"Username:"))
        self.assertEqual(exchange.respond(b"User"), Challenge(b"Password:"))
        self.assertEqual(exchange.respond(b"pencil"), VerifyPassword("user", "pencil", "user"))
        self.assertEqual(exchange.answer(True), Success(Identity("user", "user")))

    def test_the_name_may_come_at_once(self) -> None:
        exchange = LoginState()
        self.assertEqual(exchange.start(b"user"), Challenge(b"Password:"))
        self.assertEqual(exchange.respond(b"pencil"), VerifyPassword("user", "pencil", "user"))
        self.assertEqual(exchange.answer(False), WRONG)

    def test_a_bad_name_still_meets_the_question_for_the_password(self) -> None:
        """R27."""
        for name, password in (
            (b"", b"pencil"),
            (b"a\0b", b"pencil"),
            (b"\xff", b"x"),
            (b"user", b""),
            (b"user", b"\0"),
        ):
            exchange = LoginState()
            self.assertEqual(exchange.start(name), Challenge(b"Password:"))
            step = exchange.respond(password)
            assert isinstance(step, Failure)
            self.assertIs(step.reason, Reason.CREDENTIALS)
