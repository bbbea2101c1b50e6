"""SCRAM-SHA-256 and SCRAM-SHA-256-PLUS."""

from __future__ import annotations

from base64 import b64decode, b64encode

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netservices.wire.sasl import (
    Challenge,
    Failure,
    Identity,
    NeedKeys,
    Reason,
    ScramKeys,
    Step,
    Success,
    make_fake_scram_keys,
    make_scram_keys,
)
from netservices.wire.sasl.scram import Binding, ScramState
from tests.wire.sasl.clients import ScramClient

SALT = b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
KEYS = make_scram_keys("pencil", SALT, 4096)
NONCE = b"%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
CHANNEL = {"tls-exporter": b"E" * 32, "tls-unique": b"U" * 12}
PLAIN_CHANNEL = Binding({}, plus=False, plus_offered=False)
TLS = Binding(CHANNEL, plus=False, plus_offered=True)
PLUS = Binding(CHANNEL, plus=True, plus_offered=True)
WRONG = Failure(Reason.CREDENTIALS, "wrong name or credentials")


def converse(client: ScramClient, binding: Binding = PLAIN_CHANNEL, keys: ScramKeys = KEYS) -> list[Step]:
    """All steps of one exchange, the client's way."""
    exchange = ScramState(NONCE, binding)
    steps = [exchange.start(client.first())]
    if isinstance(steps[0], NeedKeys):
        server_first = exchange.answer(keys)
        assert isinstance(server_first, Challenge)
        server_final = exchange.respond(client.final(server_first.data))
        steps += [server_first, server_final]
        if isinstance(server_final, Challenge):
            assert client.accepts(server_final.data)
            steps.append(exchange.respond(b""))
    return steps


def fail(step: Step) -> Reason:
    """The reason of a failure."""
    assert isinstance(step, Failure), step
    return step.reason


class DialogueTests(SynchronousTestCase):
    """The dialogue itself."""

    def test_the_example_of_rfc_7677(self) -> None:
        nonce = b"rOprNGfwEbeRWgbNEkqO" + NONCE
        final = b"c=biws,r=%b,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=" % nonce
        verifier = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
        for with_success in (False, True):
            exchange = ScramState(NONCE, PLAIN_CHANNEL, data_with_success=with_success)
            self.assertEqual(exchange.start(), Challenge(b""))
            self.assertEqual(exchange.respond(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"), NeedKeys("user", "user"))
            self.assertEqual(exchange.answer(KEYS), Challenge(b"r=%b,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096" % nonce))
            step = exchange.respond(final)
            if with_success:
                self.assertEqual(step, Success(Identity("user", "user"), verifier))
            else:
                self.assertEqual(step, Challenge(verifier))
                self.assertEqual(exchange.respond(b""), Success(Identity("user", "user")))

    def test_a_message_after_the_servers_last_is_refused(self) -> None:
        client = ScramClient("user", "pencil", "abc")
        exchange = ScramState(NONCE, PLAIN_CHANNEL)
        exchange.start(client.first())
        step = exchange.answer(KEYS)
        assert isinstance(step, Challenge)
        exchange.respond(client.final(step.data))
        self.assertIs(fail(exchange.respond(b"x")), Reason.MALFORMED)

    def test_names_are_unescaped_and_prepared(self) -> None:
        """R25."""
        steps = converse(ScramClient("Åsa,=b", "pencil", "abc", header="n,a=Berta=2C=3D,"))
        self.assertEqual(steps[0], NeedKeys("åsa,=b", "berta,="))
        self.assertEqual(steps[-1], Success(Identity("åsa,=b", "berta,=")))
        self.assertEqual(converse(ScramClient("a=2C", "pencil", "abc"))[0], NeedKeys("a=2c", "a=2c"))

    def test_unknown_name_and_wrong_password_look_the_same(self) -> None:
        """R27: the same steps, and the same failure at the same place."""
        fake = make_fake_scram_keys(b"secret", "user", iterations=4096, salt_size=16)
        unknown = converse(ScramClient("user", "pencil", "abc"), keys=fake)
        wrong = converse(ScramClient("user", "other", "abc"))
        self.assertEqual([type(step) for step in unknown], [type(step) for step in wrong])
        self.assertEqual((unknown[-1], wrong[-1]), (WRONG, WRONG))
        lengths = [len(step.data) for step in (unknown[1], wrong[1]) if isinstance(step, Challenge)]
        self.assertEqual(lengths[0], lengths[1])

    def test_keys_that_are_not_genuine_never_succeed(self) -> None:
        keys = ScramKeys(KEYS.stored_key, KEYS.server_key, KEYS.salt, KEYS.iterations, genuine=False)
        self.assertEqual(converse(ScramClient("user", "pencil", "abc"), keys=keys)[-1], WRONG)

    def test_every_changed_octet_of_the_last_message_fails(self) -> None:
        client = ScramClient("user", "pencil", "abc")
        first = b"r=abc%b,s=%b,i=4096" % (NONCE, b64encode(SALT))
        final = client.final(first)
        for place in range(len(final)):
            exchange = ScramState(NONCE, PLAIN_CHANNEL)
            exchange.start(client.first())
            self.assertEqual(exchange.answer(KEYS), Challenge(first))
            changed = final[:place] + bytes([final[place] ^ 1]) + final[place + 1 :]
            self.assertIsInstance(exchange.respond(changed), Failure)

    def test_a_nonce_that_cannot_be_sent_is_refused(self) -> None:
        for nonce in (b"", b"a,b", b"a b", b"\xff", b"a\n"):
            self.assertRaises(ValueError, ScramState, nonce, PLAIN_CHANNEL)

    @settings(deadline=None, max_examples=60)
    @given(
        st.text("aZé,=-@", min_size=1, max_size=20), st.text("ab ,=\u00e9", min_size=1, max_size=20),
        st.text(st.characters(codec="ascii", min_codepoint=0x21, exclude_characters=",\x7f"), min_size=1, max_size=256),
        st.sampled_from(["n,,", "y,,", "p=tls-exporter,,", "p=tls-unique,,"]),
    )  # fmt: skip
    def test_a_client_of_its_own_is_understood(self, name: str, password: str, nonce: str, header: str) -> None:
        keys = make_scram_keys(password, b"salt", 4096)
        data = CHANNEL.get(header[2:-2], b"")
        client = ScramClient(name, password, nonce, header=header, binding=data)
        steps = converse(client, PLUS if data else PLAIN_CHANNEL, keys)
        self.assertEqual(steps[-1], Success(Identity(name.lower(), name.lower())))


class BindingTests(SynchronousTestCase):
    """RFC 5802 6: the channel, and who was shown what."""

    def reach(self, header: str, binding: Binding, data: bytes = b"") -> Step:
        """The last step of an exchange with this gs2-header."""
        return converse(ScramClient("user", "pencil", "abc", header=header, binding=data), binding)[-1]

    def test_flags_that_are_right(self) -> None:
        good = Success(Identity("user", "user"))
        self.assertEqual(self.reach("n,,", PLAIN_CHANNEL), good)
        self.assertEqual(self.reach("n,,", TLS), good)
        self.assertEqual(self.reach("y,,", PLAIN_CHANNEL), good)
        self.assertEqual(self.reach("p=tls-exporter,,", PLUS, CHANNEL["tls-exporter"]), good)
        self.assertEqual(self.reach("p=tls-unique,a=user,", PLUS, CHANNEL["tls-unique"]), good)

    def test_a_client_that_was_kept_from_seeing_plus_is_told_of_it(self) -> None:
        """The downgrade: the client could bind, thinks this server cannot, and it can."""
        self.assertIs(fail(self.reach("y,,", TLS)), Reason.CHANNEL_BINDING)

    def test_flags_that_do_not_fit_the_mechanism_are_refused(self) -> None:
        for header in ("n,,", "y,,", "p=tls-server-end-point,,"):
            self.assertIs(fail(self.reach(header, PLUS)), Reason.CHANNEL_BINDING)
        self.assertIs(fail(self.reach("p=tls-exporter,,", TLS, CHANNEL["tls-exporter"])), Reason.CHANNEL_BINDING)

    def test_another_channel_is_refused(self) -> None:
        """Whoever sits between two TLS connections has other data on each."""
        for data in (b"", b"F" * 32, CHANNEL["tls-unique"], CHANNEL["tls-exporter"] + b"E"):
            self.assertIs(fail(self.reach("p=tls-exporter,,", PLUS, data)), Reason.CHANNEL_BINDING)

    def test_another_header_in_the_last_message_is_refused(self) -> None:
        exchange = ScramState(NONCE, PLAIN_CHANNEL)
        exchange.start(b"y,,n=user,r=abc")
        exchange.answer(KEYS)
        final = b"c=biws,r=abc%b,p=%b" % (NONCE, b64encode(bytes(32)))
        self.assertIs(fail(exchange.respond(final)), Reason.CHANNEL_BINDING)


class MessageTests(SynchronousTestCase):
    """RFC 5802 7: the grammar."""

    def test_first_messages_of_another_form_are_refused(self) -> None:
        for message in (
            b"", b"n", b"n,,", b"n,,n=user", b"x,,n=user,r=abc", b"p=,,n=user,r=abc", b"p,,n=user,r=abc",
            b"p=tls_x,,n=user,r=abc", b"nn,,n=user,r=abc", b"n,user,n=user,r=abc", b"n,a=,n=user,r=abc",
            b"n,,user,r=abc", b"n,,n=,r=abc", b"n,,n=a=b,r=abc", b"n,,n=a=2c,r=abc", b"n,,n=a\0,r=abc",
            b"n,,n=user,r=", b"n,,n=user,abc", b"n,,n=user,r=a b", b"n,,n=user,r=\xff", b"n,,r=abc,n=user",
            b"n,,n=user,r=" + b"x" * 257, b"n,,n=user,r=abc,", b"n,,n=user,r=abc,x", b"n,,n=user,r=abc,1=x",
            b"n,,n=user,r=abc,x=a\0",
        ):  # fmt: skip
            self.assertIs(fail(ScramState(NONCE, TLS).start(message)), Reason.MALFORMED, message)

    def test_names_that_nobody_has_are_refused(self) -> None:
        for message in (
            b"n,,n=us er,r=abc",
            b"n,,n=\xff,r=abc",
            b"n,a=\xff,n=user,r=abc",
            b"n,,n=" + b"x" * 256 + b",r=abc",
        ):
            self.assertIs(fail(ScramState(NONCE, TLS).start(message)), Reason.CREDENTIALS, message)

    def test_a_mandatory_extension_is_refused_and_an_optional_one_ignored(self) -> None:
        for message in (b"n,,m=x,n=user,r=abc", b"n,,n=user,r=abc,m=x"):
            self.assertIs(fail(ScramState(NONCE, TLS).start(message)), Reason.UNSUPPORTED)
        exchange = ScramState(NONCE, TLS)
        self.assertEqual(exchange.start(b"n,,n=user,r=abc,x=y=,Z=\xc3\xa9"), NeedKeys("user", "user"))
        exchange.answer(KEYS)
        final = b"c=biws,r=abc%b,x=y,p=%b" % (NONCE, b64encode(bytes(32)))
        self.assertEqual(exchange.respond(final), WRONG)

    def test_last_messages_of_another_form_are_refused(self) -> None:
        proof = b64encode(bytes(32))
        for message, reason in (
            (b"", Reason.MALFORMED),
            (b"c=biws,r=abc%b" % NONCE, Reason.MALFORMED),
            (b"c=biws,r=abc,p=%b" % proof, Reason.MALFORMED),
            (b"c=biws,r=abc%bx,p=%b" % (NONCE, proof), Reason.MALFORMED),
            (b"c=biw,r=abc%b,p=%b" % (NONCE, proof), Reason.MALFORMED),
            (b"x=biws,r=abc%b,p=%b" % (NONCE, proof), Reason.MALFORMED),
            (b"c=biws,r=abc%b,q=%b" % (NONCE, proof), Reason.MALFORMED),
            (b"c=biws,r=abc%b,p=%b" % (NONCE, proof[:-1]), Reason.MALFORMED),
            (b"c=biws,r=abc%b,p=AAAA" % NONCE, Reason.MALFORMED),
            (b"c=biws,r=abc%b,p=%b,x=y" % (NONCE, proof), Reason.MALFORMED),
            (b"c=biws,r=abc%b,m=x,p=%b" % (NONCE, proof), Reason.UNSUPPORTED),
        ):
            exchange = ScramState(NONCE, TLS)
            exchange.start(b"n,,n=user,r=abc")
            exchange.answer(KEYS)
            self.assertIs(fail(exchange.respond(message)), reason, message)

    @settings(deadline=None, max_examples=300)
    @given(
        st.lists(
            st.sampled_from(
                [b"n", b"y", b"p=tls-exporter", b",", b",", b",", b"n=", b"r=", b"a=", b"m=", b"user", b"=2C", b"\0"]
            ),
            max_size=12,
        ).map(b"".join)
    )
    def test_no_first_message_raises(self, message: bytes) -> None:
        for binding in (TLS, PLUS):
            self.assertIsInstance(ScramState(NONCE, binding).start(message), NeedKeys | Failure)
