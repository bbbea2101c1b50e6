"""CRAM-MD5."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netservices.wire.sasl import Challenge, Failure, Identity, NeedSecret, Reason, SharedSecret, Success
from netservices.wire.sasl.cram import CramMd5State, make_cram_challenge
from tests.wire.sasl.clients import answer_cram

CHALLENGE = b"<1896.697170952@postoffice.reston.mci.net>"
WRONG = Failure(Reason.CREDENTIALS, "wrong name or credentials")


class CramMd5Tests(SynchronousTestCase):
    """RFC 2195."""

    def test_the_example_of_rfc_2195(self) -> None:
        exchange = CramMd5State(CHALLENGE)
        self.assertEqual(exchange.start(), Challenge(CHALLENGE))
        self.assertEqual(exchange.respond(b"tim b913a602c7eda7a495b4e6e7334d3890"), NeedSecret("tim"))
        self.assertEqual(exchange.answer(SharedSecret(b"tanstaaftanstaaf")), Success(Identity("tim", "tim")))

    def test_a_wrong_secret_and_an_unknown_name_are_one_failure(self) -> None:
        """R27."""
        for secret in (SharedSecret(b"other"), SharedSecret(b"tanstaaftanstaaf", genuine=False)):
            exchange = CramMd5State(CHALLENGE)
            exchange.start()
            exchange.respond(b"tim b913a602c7eda7a495b4e6e7334d3890")
            self.assertEqual(exchange.answer(secret), WRONG)

    @settings(deadline=None, max_examples=50)
    @given(st.binary(max_size=100), st.sampled_from(["tim", "Åsa", "a=b,c"]))
    def test_a_client_of_its_own_is_understood(self, secret: bytes, name: str) -> None:
        exchange = CramMd5State(make_cram_challenge("17.42", "host.example.org"))
        challenge = exchange.start()
        assert isinstance(challenge, Challenge)
        self.assertEqual(challenge.data, b"<17.42@host.example.org>")
        exchange.respond(answer_cram(name, secret, challenge.data))
        self.assertEqual(exchange.answer(SharedSecret(secret)), Success(Identity(name.lower(), name.lower())))

    def test_an_initial_response_is_refused(self) -> None:
        """RFC 4954 4: the server speaks first."""
        for initial in (b"", b"tim"):
            step = CramMd5State(CHALLENGE).start(initial)
            assert isinstance(step, Failure)
            self.assertIs(step.reason, Reason.MALFORMED)

    def test_responses_of_another_form_are_refused(self) -> None:
        for response in (b"", b"tim", b"tim ", b"tim b913", b"tim " + b"A" * 32, b"tim  " + b"0" * 33, b"0" * 32):
            exchange = CramMd5State(CHALLENGE)
            exchange.start()
            step = exchange.respond(response)
            assert isinstance(step, Failure)
            self.assertIs(step.reason, Reason.MALFORMED)

    def test_a_name_that_nobody_has_is_refused(self) -> None:
        for name in (b"", b"a b", b"\xff"):
            exchange = CramMd5State(CHALLENGE)
            exchange.start()
            step = exchange.respond(name + b" " + b"0" * 32)
            assert isinstance(step, Failure)
            self.assertIs(step.reason, Reason.CREDENTIALS)

    def test_a_secret_never_shows(self) -> None:
        self.assertNotIn("tanstaaf", repr(SharedSecret(b"tanstaaf")))
