"""The clients the servers are tried on, held against the RFCs' own dialogues."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.wire.sasl.clients import ScramClient, answer_cram


class ClientTests(SynchronousTestCase):
    """Each client says what the RFC has it say."""

    def test_scram_sha_1_is_the_dialogue_of_rfc_5802(self) -> None:
        client = ScramClient("user", "pencil", "fyko+d2lbbFgONRv9qkxdawL", algorithm="sha1")
        self.assertEqual(client.first(), b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL")
        self.assertEqual(
            client.final(b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096"),
            b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        )
        self.assertTrue(client.accepts(b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ="))

    def test_scram_sha_256_is_the_dialogue_of_rfc_7677(self) -> None:
        client = ScramClient("user", "pencil", "rOprNGfwEbeRWgbNEkqO")
        nonce = b"rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
        self.assertEqual(client.first(), b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO")
        self.assertEqual(
            client.final(b"r=%b,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096" % nonce),
            b"c=biws,r=%b,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=" % nonce,
        )
        self.assertTrue(client.accepts(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="))

    def test_cram_is_the_dialogue_of_rfc_2195(self) -> None:
        self.assertEqual(
            answer_cram("tim", b"tanstaaftanstaaf", b"<1896.697170952@postoffice.reston.mci.net>"),
            b"tim b913a602c7eda7a495b4e6e7334d3890",
        )
