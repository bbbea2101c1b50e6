"""EXTERNAL."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from netservices.wire.sasl import Challenge, Failure, Identity, Reason, Success, VerifyExternal
from netservices.wire.sasl.external import ExternalState


class ExternalTests(SynchronousTestCase):
    """RFC 4422 appendix A; R21."""

    def test_an_empty_response_asks_for_ones_own_name(self) -> None:
        exchange = ExternalState("Fred")
        self.assertEqual(exchange.start(), Challenge(b""))
        self.assertEqual(exchange.respond(b""), VerifyExternal("fred", "fred"))
        self.assertEqual(exchange.answer(True), Success(Identity("fred", "fred")))

    def test_another_name_is_the_services_decision(self) -> None:
        exchange = ExternalState("fred")
        self.assertEqual(exchange.start(b"Berta@example.org"), VerifyExternal("fred", "berta@example.org"))
        self.assertEqual(exchange.answer(False), Failure(Reason.CREDENTIALS, "wrong name or credentials"))

    def test_what_is_no_name_is_refused(self) -> None:
        for response in (b"\0", b"a\0b", b"\xff", b"a b"):
            step = ExternalState("fred").start(response)
            assert isinstance(step, Failure)
            self.assertIs(step.reason, Reason.CREDENTIALS)
