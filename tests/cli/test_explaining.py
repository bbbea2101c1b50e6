"""What decides, step by step; the verb's own tests go through most of it."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Literal

from twisted.trial.unittest import SynchronousTestCase

from netservices.cli.explaining import Case, Verdict, explain_case, explain_passwords, find_decisive
from netservices.config import Config, InetListen, ServiceOptions


class LoginOptions(ServiceOptions):
    """A service with passwords."""

    plaintext: Literal["never", "loopback", "always"] = "loopback"
    """Where they are taken."""


class PasswordTests(SynchronousTestCase):
    """Where a user's password is taken."""

    def case(self, plaintext: str, host: str, user: str | None = "ada") -> Case:
        """A question about a service with passwords."""
        options = LoginOptions.model_validate({"kind": "x", "listen": (InetListen("tcp", 7),), "plaintext": plaintext})
        return Case(Config(services={"mail": options}), "mail", ip_address(host), user, lambda _: None)

    def test_each_word_says_where(self) -> None:
        for plaintext, host, how in (
            ("never", "127.0.0.1", "under TLS only"), ("loopback", "192.0.2.1", "under TLS only"),
            ("loopback", "127.0.0.1", "with or without TLS"), ("always", "192.0.2.1", "with or without TLS"),
        ):  # fmt: skip
            (step,) = explain_passwords(self.case(plaintext, host))
            text = f'plaintext = "{plaintext}": from there a password is taken {how}'
            self.assertEqual((step.verdict, str(step)), (Verdict.NOTE, f"{text} (built in)"))

    def test_nobody_asked_for_nothing_said(self) -> None:
        self.assertEqual(list(explain_passwords(self.case("never", "::1", None))), [])

    def test_notes_decide_nothing(self) -> None:
        steps = explain_case(self.case("never", "192.0.2.1"))
        self.assertEqual((find_decisive(steps).subject, find_decisive(steps).verdict), ("access", Verdict.ALLOW))
