"""Apache's variant of the MD5 crypt, which no libcrypt has; only ever checked, never made for keeping.

Its steps are those of md5-crypt (FreeBSD 2.0), with ``$apr1$`` for ``$1$``.
"""

from __future__ import annotations

import time
from hashlib import md5

_ALPHABET = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ROUNDS = 1000
# How many rounds, some microseconds each, before other threads have a turn.
_TURN = 25
_MAGIC = b"$apr1$"
# The order in which three octets of the digest become four characters; the last stands alone.
_ORDER = ((0, 6, 12), (1, 7, 13), (2, 8, 14), (3, 9, 15), (4, 10, 5))


def make_apr1(password: bytes, salt: str) -> str:
    """The whole hash, ``$apr1$SALT$…``. Takes about a millisecond, and lets other threads run meanwhile."""
    octets = salt.encode("ascii")
    return f"$apr1${salt}${_encode(_digest(password, octets))}"


def _digest(password: bytes, salt: bytes) -> bytes:
    inner = _md5(password + salt + password)
    start = password + _MAGIC + salt
    start += (inner * (len(password) // 16 + 1))[: len(password)]
    count = len(password)
    while count:
        start += b"\0" if count & 1 else password[:1]
        count >>= 1
    digest = _md5(start)
    for number in range(_ROUNDS):
        text = password if number & 1 else digest
        text += salt if number % 3 else b""
        text += password if number % 7 else b""
        text += digest if number & 1 else password
        digest = _md5(text)
        if number % _TURN == 0:
            # A digest this short is made without letting go of the interpreter. Left to itself, the interpreter changes
            # threads every 5 ms, several times for one turn of the reactor: many logins would hold it up for 80 ms.
            time.sleep(0)
    return digest


def _md5(octets: bytes) -> bytes:
    return md5(octets, usedforsecurity=False).digest()


def _encode(digest: bytes) -> str:
    groups = [(digest[a] << 16 | digest[b] << 8 | digest[c], 4) for a, b, c in _ORDER]
    groups.append((digest[11], 2))
    return "".join(_ALPHABET[value >> 6 * place & 63] for value, length in groups for place in range(length))
