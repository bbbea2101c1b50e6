"""The mechanisms and their offer."""

from __future__ import annotations

import dataclasses

from twisted.trial.unittest import SynchronousTestCase

from netservices.wire.sasl import MECHANISMS, Challenge, Facts, Failure, NeedKeys, Reason, make_exchange, offer
from netservices.wire.sasl.cram import CramMd5State
from netservices.wire.sasl.external import ExternalState
from netservices.wire.sasl.plain import LoginState, PlainState
from netservices.wire.sasl.scram import ScramState

EVERY = ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "EXTERNAL")


class OfferTests(SynchronousTestCase):
    """What a client is shown."""

    def test_all_there_is_the_strongest_first(self) -> None:
        self.assertEqual(
            offer(EVERY, plaintext=True, channel_bindings=("tls-unique",), external="anna"),
            ["EXTERNAL", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "CRAM-MD5", "PLAIN", "LOGIN"],
        )

    def test_what_carries_the_password_only_where_it_may_go(self) -> None:
        """M31, and the option plaintext."""
        self.assertEqual(offer(EVERY, plaintext=False), ["SCRAM-SHA-256", "CRAM-MD5"])
        carriers = [mechanism.name for mechanism in MECHANISMS.values() if mechanism.carries_password]
        self.assertEqual(carriers, ["PLAIN", "LOGIN"])

    def test_only_what_is_allowed(self) -> None:
        self.assertEqual(offer(["PLAIN"], plaintext=True, channel_bindings=("tls-unique",)), ["PLAIN"])
        self.assertEqual(offer([], plaintext=True), [])

    def test_a_mechanism_there_is_not_is_refused(self) -> None:
        error = self.assertRaises(LookupError, offer, ["PLAIN", "NTLM"], plaintext=True)
        self.assertIn("NTLM", str(error))

    def test_strength_gives_each_its_own_place(self) -> None:
        strengths = [mechanism.strength for mechanism in MECHANISMS.values()]
        self.assertEqual(strengths, sorted(set(strengths), reverse=True))
        self.assertEqual([mechanism.name for mechanism in MECHANISMS.values()], list(MECHANISMS))


class MakeTests(SynchronousTestCase):
    """How an exchange begins."""

    facts = Facts("nonce", "host.example.org", EVERY, {"tls-exporter": b"E" * 32}, external="anna")

    def test_each_name_makes_its_exchange(self) -> None:
        kinds = (PlainState, LoginState, CramMd5State, ScramState, ScramState, ExternalState)
        for name, kind in zip(EVERY, kinds, strict=True):
            self.assertIsInstance(make_exchange(name, self.facts), kind)
            self.assertIsInstance(make_exchange(name.lower(), self.facts), kind)

    def test_what_was_not_offered_is_refused(self) -> None:
        """M31: accepted only where it is announced."""
        facts = dataclasses.replace(self.facts, offered=("SCRAM-SHA-256", "NTLM"))
        for name in ("PLAIN", "NTLM", "", "SCRAM-SHA-1"):
            self.assertRaises(LookupError, make_exchange, name, facts)

    def test_external_without_a_proved_name_is_refused(self) -> None:
        facts = dataclasses.replace(self.facts, external=None)
        self.assertRaises(LookupError, make_exchange, "EXTERNAL", facts)

    def test_the_facts_reach_the_exchange(self) -> None:
        self.assertEqual(make_exchange("CRAM-MD5", self.facts).start(), Challenge(b"<nonce@host.example.org>"))
        plus = make_exchange("SCRAM-SHA-256-PLUS", self.facts)
        self.assertEqual(plus.start(b"p=tls-exporter,,n=anna,r=abc"), NeedKeys("anna", "anna"))

    def test_a_client_may_think_plus_is_missing_only_if_it_was_not_offered(self) -> None:
        step = make_exchange("SCRAM-SHA-256", self.facts).start(b"y,,n=anna,r=abc")
        assert isinstance(step, Failure)
        self.assertIs(step.reason, Reason.CHANNEL_BINDING)
        without = dataclasses.replace(self.facts, offered=("SCRAM-SHA-256",))
        self.assertEqual(make_exchange("SCRAM-SHA-256", without).start(b"y,,n=anna,r=abc"), NeedKeys("anna", "anna"))

    def test_facts_show_nothing_secret(self) -> None:
        self.assertNotIn("EEE", repr(self.facts))
        self.assertNotIn("'nonce'", repr(self.facts))
