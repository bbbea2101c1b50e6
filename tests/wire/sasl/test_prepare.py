"""Names and passwords in their one form."""
# ruff: noqa: RUF001 - letters that look like others are what this is about

from __future__ import annotations

import unicodedata

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netservices.wire.sasl import PrepareError, prepare_name, prepare_password

ANY_TEXT = st.text(st.characters() | st.sampled_from("aſßẞİıKΣςΐ\u0345\u0301\u0308ﬁＡｱﾞ가ǅאב١1 \0-@"), max_size=12)


class NameTests(SynchronousTestCase):
    """What a name is."""

    def test_one_name_in_all_its_forms(self) -> None:
        """R25: the same account by whatever bytes or text."""
        for forms in (
            ("user", "USER", b"User", "ＵＳＥＲ", "uſer"),
            ("müller", "MÜLLER", "mu\u0308ller", "Mu\u0308ller".encode()),
            ("strasse", "straße", "STRAẞE"),
            ("σισυφοσ", "Σίσυφος".replace("ί", "ι"), "ΣΙΣΥΦΟΣ"),
            ("user@example.org", "User@Example.ORG"),
            ("アイ", "ｱｲ"),
            ("أحمد", "أحمد".encode()),
            ("דוד1", "דוד1"),
        ):
            self.assertEqual([prepare_name(form) for form in forms], [forms[0]] * len(forms))

    def test_what_is_no_name_is_refused(self) -> None:
        for name in (
            "", "a b", "a\0b", "a\r\nb", "a\x7f", "a\u00a0b", "a\u2028", "a\u200db", "a\ufe0f", "\u3164", "a\u202eb",
            "a☃", "a€", "①", "a\u0378", "\ue000", "\U0001f600", "\u1100", "a\u034f", "\ud800", b"\xff", b"caf\xe9",
            "ª", "ĳ", "aא", "אa", "א1\u0661", "1א", "א-",
        ):  # fmt: skip
            self.assertRaises(PrepareError, prepare_name, name)

    def test_the_longest_name_has_255_octets(self) -> None:
        self.assertEqual(prepare_name("x" * 255), "x" * 255)
        self.assertRaises(PrepareError, prepare_name, "x" * 256)
        self.assertRaises(PrepareError, prepare_name, "é" * 128)
        # The form that is stored may be longer than what came.
        self.assertEqual(len("ŉ".encode()), 2)
        self.assertEqual(prepare_name("ŉ" * 85), "ʼn" * 85)
        self.assertRaises(PrepareError, prepare_name, "ŉ" * 86)

    @settings(deadline=None, max_examples=300)
    @given(ANY_TEXT)
    @example("İ")
    @example("ΐ\u0345")
    def test_a_prepared_name_stays_as_it_is(self, text: str) -> None:
        try:
            name = prepare_name(text)
        except PrepareError:
            return
        self.assertEqual(prepare_name(name), name)
        self.assertEqual(prepare_name(name.encode()), name)
        self.assertTrue(unicodedata.is_normalized("NFC", name))
        self.assertEqual(name.split(), [name])
        for other in (text.casefold(), unicodedata.normalize("NFD", text), unicodedata.normalize("NFC", text)):
            self.assertEqual(prepare_name(other), name)


class PasswordTests(SynchronousTestCase):
    """What a password is."""

    def test_one_password_in_all_its_forms(self) -> None:
        """R25."""
        for forms in (
            ("Correct Horse", b"Correct Horse"),
            ("pässwörd", "pa\u0308sswo\u0308rd", "pässwörd".encode()),
            ("a b c", "a\u00a0b\u3000c"),
            ("ＦＵＬＬ",),
            ("❤\ufe0f\U0001f469\u200d\U0001f680",),
        ):
            self.assertEqual([prepare_password(form) for form in forms], [forms[0]] * len(forms))

    def test_case_and_width_are_kept(self) -> None:
        self.assertEqual(prepare_password("ＡaA"), "ＡaA")

    def test_what_is_no_password_is_refused(self) -> None:
        for password in ("", "a\0", "a\tb", "a\n", "\x7f", "\x85", "\u0378", "\ufffe", "\udcff", b"\xff", b"\0"):
            self.assertRaises(PrepareError, prepare_password, password)

    def test_the_longest_password_has_1024_octets(self) -> None:
        self.assertEqual(prepare_password("x" * 1024), "x" * 1024)
        self.assertRaises(PrepareError, prepare_password, "x" * 1025)
        # U+0958 is three octets, and six in its normal form.
        self.assertRaises(PrepareError, prepare_password, "\u0958" * 171)

    def test_no_error_shows_a_password(self) -> None:
        for password in ("secret\0", "secret" * 200, b"secret\xff"):
            error = self.assertRaises(PrepareError, prepare_password, password)
            self.assertNotIn("secret", str(error))

    @settings(deadline=None, max_examples=300)
    @given(ANY_TEXT)
    def test_a_prepared_password_stays_as_it_is(self, text: str) -> None:
        try:
            password = prepare_password(text)
        except PrepareError:
            return
        self.assertEqual(prepare_password(password), password)
        self.assertEqual(prepare_password(password.encode()), password)
