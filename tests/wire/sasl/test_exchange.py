"""What all mechanisms have in common, tried on each of them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netservices.wire.sasl import (
    MECHANISMS,
    Challenge,
    ExchangeState,
    Facts,
    Failure,
    NeedKeys,
    NeedSecret,
    Reason,
    ScramKeys,
    SharedSecret,
    Success,
    VerifyExternal,
    VerifyPassword,
    make_exchange,
    make_fake_scram_keys,
)

FACTS = Facts("nonce", "host.example.org", tuple(MECHANISMS), {"tls-exporter": b"E" * 32}, external="anna")
FAKE = make_fake_scram_keys(b"secret", "anna", iterations=4096, salt_size=16)
ANSWERS: tuple[bool | ScramKeys | SharedSecret, ...] = (True, False, FAKE, SharedSecret(b"x"))

# Messages that lead some mechanism on, good and bad ones.
MESSAGES = st.sampled_from(
    [
        b"", b"anna", b"\0anna\0pencil", b"berta\0anna\0pencil", b"\0\0", b"\0anna\0", b"anna " + b"0" * 32,
        b"n,,n=anna,r=abc", b"p=tls-exporter,,n=anna,r=abc", b"y,,n=anna,r=abc", b"n,a=berta,n=anna,r=abc",
        b"c=biws,r=abcnonce,p=" + b"A" * 43 + b"=", b"c=biws,r=abcnonce,p=AAAA", b"x" * 8193, b"\xff",
    ]
) | st.binary(max_size=40)  # fmt: skip


def wanted(step: object) -> type | None:
    """What kind of answer a step waits for."""
    kinds: dict[type, type] = {
        VerifyPassword: bool, VerifyExternal: bool, NeedKeys: ScramKeys, NeedSecret: SharedSecret,
    }  # fmt: skip
    return kinds.get(type(step))


class ExchangeTests(SynchronousTestCase):
    """Turns and ends."""

    def assert_over(self, exchange: ExchangeState) -> None:
        """Nothing more is taken."""
        for call in (exchange.start, lambda: exchange.respond(b""), lambda: exchange.answer(True), exchange.cancel):
            self.assertRaises(RuntimeError, call)

    def test_calls_out_of_turn_are_refused(self) -> None:
        for name in MECHANISMS:
            exchange = make_exchange(name, FACTS)
            self.assertRaises(RuntimeError, exchange.respond, b"")
            self.assertRaises(RuntimeError, exchange.answer, True)
            self.assertIsInstance(exchange.start(), Challenge)
            self.assertRaises(RuntimeError, exchange.start)
            self.assertRaises(RuntimeError, exchange.answer, True)
            step = exchange.cancel()
            self.assertIsInstance(step, Failure)
            self.assertEqual(step, Failure(Reason.CANCELLED, "the client gave up"))
            self.assert_over(exchange)

    def test_a_message_over_the_limit_ends_every_exchange(self) -> None:
        for name in MECHANISMS:
            exchange = make_exchange(name, FACTS)
            exchange.start()
            step = exchange.respond(b"x" * 8193)
            self.assertEqual(step, Failure(Reason.MALFORMED, "a message of 8193 octets"))
            self.assert_over(exchange)

    def test_an_answer_of_another_kind_is_the_callers_mistake(self) -> None:
        for name, message in (
            ("PLAIN", b"\0anna\0pencil"), ("EXTERNAL", b""), ("SCRAM-SHA-256", b"n,,n=anna,r=abc"),
            ("CRAM-MD5", b"anna " + b"0" * 32),
        ):  # fmt: skip
            for answer in ANSWERS:
                exchange = make_exchange(name, FACTS)
                exchange.start()
                step = exchange.respond(message)
                kind = wanted(step)
                assert kind is not None
                if not isinstance(answer, kind):
                    self.assertRaises(TypeError, exchange.answer, answer)

    @settings(deadline=None, max_examples=400)
    @given(
        name=st.sampled_from(sorted(MECHANISMS)),
        first=st.booleans(),
        messages=st.lists(MESSAGES, min_size=1, max_size=5),
        answers=st.lists(st.booleans(), min_size=5, max_size=5),
    )
    def test_no_message_raises_and_only_a_good_answer_leads_to_success(
        self, *, name: str, first: bool, messages: list[bytes], answers: list[bool]
    ) -> None:
        exchange = make_exchange(name, FACTS)
        steps = [exchange.start(messages.pop(0) if first else None)]
        said_yes = False
        while not isinstance(steps[-1], Success | Failure) and len(steps) < 12:
            kind = wanted(steps[-1])
            if kind is bool:
                said_yes = answers.pop()
                steps.append(exchange.answer(said_yes))
            elif kind is ScramKeys:
                steps.append(exchange.answer(FAKE))
            elif kind is SharedSecret:
                steps.append(exchange.answer(SharedSecret(b"x", genuine=False)))
            else:
                steps.append(exchange.respond(messages.pop(0)) if messages else exchange.cancel())
        self.assertEqual(isinstance(steps[-1], Success), said_yes)
        self.assert_over(exchange)
