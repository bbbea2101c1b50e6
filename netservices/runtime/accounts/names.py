"""Names, passwords, addresses and certificate subjects in the one form in which they are kept and compared.

Each ``prepare_x`` takes text, or bytes in UTF-8 as a protocol carries them, and raises ``ValueError`` in words for an
operator; a peer never hears them.
"""

from __future__ import annotations

import unicodedata

from netservices.wire import sasl

LONGEST_NAME = 64
"""Characters of an account's name; it is also the name of a folder, which may have 255 octets."""
# RFC 5321 4.5.3.1.3: a path has at most 256 octets, two of them the angle brackets.
_LONGEST_ADDRESS = 254
_LONGEST_TEXT = 1024
_SIGNS = frozenset("._-@")


def decode(value: str | bytes, what: str = "it") -> str:
    """Text, from UTF-8 where it is bytes."""
    try:
        text = value.decode("utf-8") if isinstance(value, bytes) else value
        # Half a surrogate pair is no character, and can't be written anywhere.
        text.encode("utf-8")
    except UnicodeError:
        raise ValueError(f"{what} is not UTF-8") from None
    return text


def fold(text: str) -> str:
    """Case-folded and NFC; Unicode D145 has the folding done on what is decomposed."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())


def prepare_name(value: str | bytes) -> str:
    """An account's name: what any protocol's name becomes, of letters, marks, digits and ``. _ - @`` only.

    It begins with a letter, a digit or ``_``, and may be the name of a folder.
    """
    name = sasl.prepare_name(value)
    if not all(char in _SIGNS or not char.isascii() or char.isalnum() for char in name):
        raise ValueError("a name has letters, digits and . _ - @ only")
    if name[0] in ".-@" or unicodedata.category(name[0]).startswith("M"):
        raise ValueError("a name begins with a letter, a digit or _")
    if len(name) > LONGEST_NAME or len(name.encode()) > 3 * LONGEST_NAME:
        raise ValueError(f"a name has 1 to {LONGEST_NAME} characters")
    return name


def prepare_password(value: str | bytes) -> str:
    """What any protocol's password becomes: 1 to 1024 octets without control characters (R25)."""
    return sasl.prepare_password(value)


def prepare_address(value: str | bytes) -> str:
    """A mail address without angle brackets, case-folded on both sides."""
    address = fold(decode(value, "the address"))
    local, at, domain = address.rpartition("@")
    unfit = has_controls(address) or any(char.isspace() or char in "<>," for char in address)
    if not (local and at and domain) or unfit or len(address.encode()) > _LONGEST_ADDRESS:
        raise ValueError(f'"{printable(address)}" is not an address, wanted one such as "anna@example.org"')
    return address


def prepare_subject(value: str | bytes) -> str:
    """A certificate's subject as RFC 4514 text, compared exactly but for NFC."""
    subject = unicodedata.normalize("NFC", decode(value, "the subject")).strip()
    if not subject or "=" not in subject or has_controls(subject) or len(subject) > _LONGEST_TEXT:
        raise ValueError(f'"{printable(subject)}" is not a subject, wanted one such as "CN=anna,O=Example"')
    return subject


def prepare_home(value: str | bytes) -> str:
    """A folder: absolute, or below the daemon's folder of homes."""
    home = unicodedata.normalize("NFC", decode(value, "the home"))
    if not home or has_controls(home) or len(home.encode()) > _LONGEST_TEXT or ".." in home.split("/"):
        raise ValueError(f'"{printable(home)}" is not a home, wanted a folder without ".." in its path')
    return home


def has_controls(text: str) -> bool:
    """Whether there is a control character in it, what breaks a line, or what is no character and XML can't carry."""
    return any(unicodedata.category(char) in {"Cc", "Cn", "Cs", "Zl", "Zp"} for char in text)


def printable(text: str) -> str:
    """What may stand in a message: short, and nothing that moves the cursor."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text[:80])
