"""Names and passwords in the one form in which they are stored and compared, whatever protocol they came by.

The profiles are those of RFC 8265, with the project's case folding: a name is ``UsernameCaseMapped`` with full case
folding in place of lower case, a password is ``OpaqueString``. Two rules of PRECIS are left out on purpose: those that
look at a character's neighbours (RFC 5892 appendix A), since the characters concerned are refused in names and kept in
passwords, and the refusal of invisible characters in passwords, since telephones put them into emoji.
"""

from __future__ import annotations

import re
import unicodedata

# RFC 4616 2: implementations MUST be capable of names and passwords of up to 255 octets.
LONGEST_NAME = 255
LONGEST_PASSWORD = 1024
"""Octets in UTF-8; a password that is longer only makes work for the hash."""

# RFC 8264 9.1: letters, digits and the marks that belong to them; 9.11: all of printable ASCII.
_NAME_CATEGORIES = frozenset({"Ll", "Lu", "Lo", "Lm", "Nd", "Mn", "Mc"})
_PRINTABLE_ASCII = re.compile(r"[!-~]+")
# RFC 8264 9.13, 9.9: those of these categories that are shown as nothing (Default_Ignorable_Code_Point), and the
# conjoining Jamo of old Hangul.
_REFUSED_IN_NAMES = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef"
    "\u1100-\u11ff\ua960-\ua97f\ud7b0-\ud7ff]"
)
_CONTROL, _SURROGATE, _UNASSIGNED = "Cc", "Cs", "Cn"

# RFC 5893 2: the bidirectional properties of the Bidi Rule.
_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN"})
_IN_RTL = frozenset({"R", "AL", "AN", "EN", "ES", "CS", "ET", "ON", "BN", "NSM"})


class PrepareError(ValueError):
    """No name or password looks like this; the text says why, never with a password in it."""


def prepare_name(name: bytes | str) -> str:
    """A name as it is stored: width mapped, NFC, case folded, at most 255 octets of UTF-8. Raises ``PrepareError``.

    Preparing a prepared name changes nothing. The result may hold any printable ASCII character, ``/`` and ``.`` too,
    so it is no file name.
    """
    text = _decode(name, "name", LONGEST_NAME)
    if _PRINTABLE_ASCII.fullmatch(text):
        return text.lower()
    folded = _fold(text)
    for character in folded:
        _check_name_character(character)
    # RFC 8264 9.17: a character that compatibility would change is another one in disguise.
    if unicodedata.normalize("NFKC", folded) != folded:
        raise PrepareError("a name with a compatibility character")
    _check_direction(folded)
    _check_length(folded, "name", LONGEST_NAME)
    return folded


def prepare_password(password: bytes | str) -> str:
    """A password as it is hashed: any blank a space, NFC, at most 1024 octets of UTF-8. Raises ``PrepareError``."""
    text = _decode(password, "password", LONGEST_PASSWORD)
    if not text.isascii():
        # RFC 8265 4.2.2: map any non-ASCII space to SPACE; Normalization Form C.
        text = "".join(" " if unicodedata.category(character) == "Zs" else character for character in text)
        text = unicodedata.normalize("NFC", text)
        _check_length(text, "password", LONGEST_PASSWORD)
    for character in text:
        # RFC 8264 9.12: control characters, NUL among them. 9.10: what is not assigned yet may be normalised in
        # another way when it is, and then the password would be wrong.
        if unicodedata.category(character) in {_CONTROL, _SURROGATE, _UNASSIGNED}:
            raise PrepareError("a password with a control or unassigned character")
    return text


def _decode(value: bytes | str, what: str, longest: int) -> str:
    try:
        text = value.decode() if isinstance(value, bytes) else value
        octets = value if isinstance(value, bytes) else value.encode()
    except UnicodeError:
        raise PrepareError(f"a {what} that is not UTF-8") from None
    if not octets:
        raise PrepareError(f"an empty {what}")
    if len(octets) > longest:
        raise PrepareError(f"a {what} of {len(octets)} octets; {longest} is the most")
    return text


def _check_length(text: str, what: str, longest: int) -> None:
    size = len(text.encode())
    if size > longest:
        raise PrepareError(f"a {what} of {size} octets in its normal form; {longest} is the most")


def _fold(text: str) -> str:
    # RFC 8265 3.3.2: width mapping, case mapping, NFC. Unicode D145: caseless matching folds the canonical
    # decomposition; folding what is composed could leave a text that would fold again.
    text = "".join(_map_width(character) for character in text)
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())


def _map_width(character: str) -> str:
    kind, _, code = unicodedata.decomposition(character).partition(" ")
    return chr(int(code, 16)) if kind in {"<wide>", "<narrow>"} else character


def _check_name_character(character: str) -> None:
    if "!" <= character <= "~":
        return
    if unicodedata.category(character) not in _NAME_CATEGORIES or _REFUSED_IN_NAMES.match(character):
        raise PrepareError(f"a name with U+{ord(character):04X}, which is no letter, digit or ASCII sign")


def _check_direction(text: str) -> None:
    # RFC 5893 2, the Bidi Rule, which RFC 8265 3.3.2 asks for where any character goes from right to left.
    kinds = [unicodedata.bidirectional(character) for character in text]
    if _RIGHT_TO_LEFT.isdisjoint(kinds):
        return
    last = next((kind for kind in reversed(kinds) if kind != "NSM"), "")
    mixed_digits = "EN" in kinds and "AN" in kinds
    if (
        kinds[0] not in {"R", "AL"}
        or not _IN_RTL.issuperset(kinds)
        or mixed_digits
        or last not in {"R", "AL", "EN", "AN"}
    ):
        raise PrepareError("a name that mixes the directions of writing")
