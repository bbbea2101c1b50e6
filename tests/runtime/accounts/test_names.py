"""Names and passwords have one form (R25)."""

from __future__ import annotations

import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netservices.runtime.accounts.names import (
    fold,
    prepare_address,
    prepare_home,
    prepare_name,
    prepare_password,
    prepare_subject,
    printable,
)


class NameTests(SynchronousTestCase):
    """R25: the same name, whatever carries it."""

    def test_composed_and_decomposed_text_and_bytes_are_one_name(self) -> None:
        composed, decomposed = "Zo\u00eb", "Zoe\u0308"
        for form in (composed, decomposed, composed.upper(), decomposed.encode(), composed.encode()):
            self.assertEqual(prepare_name(form), "zo\u00eb")

    def test_sharp_s_is_folded(self) -> None:
        self.assertEqual(prepare_name("Wei\u00df"), "weiss")

    def test_ordinary_names_are_taken(self) -> None:
        for name in (
            "anna",
            "_apt",
            "anna.b-c_d",
            "anna@example.org",
            "4711",
            "\u0430\u043d\u043d\u0430",
            "\u5c0f\u660e",
        ):
            self.assertEqual(prepare_name(name), name)

    def test_what_no_name_may_have_is_refused(self) -> None:
        for name in (
            "", "a" * 65, ".hidden", "-x", "@x", "a/b", "a b", "a:b", "a\0", "a\nb", "a+b", "a\u200bb", "a\u202eb",
            "\u00aan", "\u0301a", "a$", "\ud800", b"\xff", "\U00020000" * 64,
        ):  # fmt: skip
            self.assertRaises(ValueError, prepare_name, name)

    @settings(max_examples=200, deadline=None)
    @given(st.text(max_size=20))
    def test_prepared_name_is_its_own_prepared_form(self, text: str) -> None:
        try:
            name = prepare_name(text)
        except ValueError:
            return
        self.assertEqual(prepare_name(name), name)
        self.assertEqual(prepare_name(unicodedata.normalize("NFD", name).encode()), name)
        self.assertNotIn("/", name)

    @settings(max_examples=200, deadline=None)
    @given(st.text(max_size=20))
    def test_folding_again_changes_nothing(self, text: str) -> None:
        self.assertEqual(fold(fold(text)), fold(text))


class PasswordTests(SynchronousTestCase):
    """R25: the same password."""

    def test_composed_and_decomposed_text_and_bytes_are_one_password(self) -> None:
        for form in ("\u00c4 b", "A\u0308 b", "\u00c4 b".encode(), "A\u0308 b".encode()):
            self.assertEqual(prepare_password(form), "\u00c4 b")

    def test_case_and_spaces_count(self) -> None:
        self.assertEqual(prepare_password(" Ab "), " Ab ")

    def test_length_is_bounded(self) -> None:
        self.assertEqual(len(prepare_password("x" * 1000)), 1000)
        self.assertEqual(prepare_password("\u00e4" * 512), "\u00e4" * 512)
        for password in ("x" * 1025, "\u00e4" * 513, b"x" * 1025):
            self.assertRaisesRegex(ValueError, "1024", prepare_password, password)

    def test_empty_controls_and_other_encodings_are_refused(self) -> None:
        for password in ("", b"", "a\0b", "a\rb", "a\x85b", b"\xe4", "\udc80"):
            self.assertRaises(ValueError, prepare_password, password)


class OtherTests(SynchronousTestCase):
    """Addresses, subjects, homes."""

    def test_address_is_folded(self) -> None:
        self.assertEqual(prepare_address("Anna@Example.ORG"), "anna@example.org")
        for address in ("anna", "@x", "a@", "a b@x", "a@x\n", "a\ufffe@x", "<a@x>", "a" * 251 + "@x.y", b"\xff@x"):
            self.assertRaises(ValueError, prepare_address, address)

    def test_subject_keeps_its_case(self) -> None:
        self.assertEqual(prepare_subject(" CN=Anna,O=X "), "CN=Anna,O=X")
        for subject in ("", "Anna", "CN=a\nb", "CN=" + "a" * 1024):
            self.assertRaises(ValueError, prepare_subject, subject)

    def test_home_stays_where_it_is(self) -> None:
        self.assertEqual(prepare_home("/srv/anna"), "/srv/anna")
        self.assertEqual(prepare_home("shared/a..b"), "shared/a..b")
        for home in ("", "../x", "/a/../b", "a\0b", "x" * 1025):
            self.assertRaises(ValueError, prepare_home, home)

    def test_messages_show_no_controls(self) -> None:
        self.assertEqual(printable("a\x1b[31m\u202e"), "a\ufffd[31m\ufffd")
        self.assertEqual(len(printable("x" * 500)), 80)
