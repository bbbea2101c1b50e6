"""Hashes that were imported, checked as they are: apr1 here, all others by the system's libcrypt."""

from __future__ import annotations

import ctypes
import hmac
import re

from netservices.runtime.accounts.apr1 import make_apr1
from netservices.runtime.accounts.errors import HashUnusableError

# The costs are bounded, so that no imported line keeps a thread for seconds. crypt(5) has the forms.
_FORMS = (
    re.compile(r"\$2[aby]\$(0[4-9]|1[0-4])\$[./A-Za-z0-9]{53}"),
    re.compile(r"\$5\$(rounds=[1-9][0-9]{3,5}\$)?[^$:\s]{1,16}\$[./A-Za-z0-9]{43}"),
    re.compile(r"\$6\$(rounds=[1-9][0-9]{3,5}\$)?[^$:\s]{1,16}\$[./A-Za-z0-9]{86}"),
    re.compile(r"\$y\$j[7-9A-D]T\$[./A-Za-z0-9]{1,86}\$[./A-Za-z0-9]{43}"),
)
_APR1 = re.compile(r"\$apr1\$([./A-Za-z0-9]{1,8})\$[./A-Za-z0-9]{22}")
# libxcrypt's CRYPT_MAX_PASSPHRASE_SIZE is 512, the NUL included.
_LONGEST = 511
_LIBRARIES = ("libcrypt.so.2", "libcrypt.so.1")


def is_imported(stored: str) -> bool:
    """Whether it is a hash of one of the forms that are taken, whole and of a bearable cost."""
    return stored.isascii() and any(form.fullmatch(stored) for form in (*_FORMS, _APR1))


def check_imported(stored: str, password: bytes) -> bool:
    """Whether the password is the one. Raises ``HashUnusableError`` if this machine can't tell.

    Lets other threads run meanwhile.
    """
    # C's strings end at a NUL; what comes after it would not count.
    if b"\0" in password or len(password) > _LONGEST:
        return False
    match = _APR1.fullmatch(stored)
    made = make_apr1(password, match[1]).encode() if match else Libcrypt().crypt(password, stored.encode("ascii"))
    return hmac.compare_digest(made, stored.encode("ascii"))


class Libcrypt:
    """The system's library. Raises ``HashUnusableError`` if there is none of ``names`` with ``crypt_ra``."""

    def __init__(self, names: tuple[str, ...] = _LIBRARIES) -> None:
        self._library = _load_library(names)
        # crypt(3): crypt_ra allocates what it needs itself, so that the size of its structure is not ours to know.
        self._crypt = self._library.crypt_ra
        self._crypt.restype = ctypes.c_char_p
        self._crypt.argtypes = [
            ctypes.c_char_p, ctypes.c_char_p, ctypes.POINTER(ctypes.c_void_p), ctypes.POINTER(ctypes.c_int),
        ]  # fmt: skip
        self._free = self._library.free
        self._free.restype = None
        self._free.argtypes = [ctypes.c_void_p]

    def crypt(self, password: bytes, setting: bytes) -> bytes:
        """The hash of ``password`` made as ``setting`` says. Raises ``HashUnusableError``."""
        data, size = ctypes.c_void_p(None), ctypes.c_int(0)
        try:
            made = self._crypt(password, setting, ctypes.byref(data), ctypes.byref(size))
        finally:
            self._free(data)
        if made is None:
            raise HashUnusableError("this machine's libcrypt does not know the hash's form")
        return bytes(made)


def _load_library(names: tuple[str, ...]) -> ctypes.CDLL:
    for name in names:
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        if hasattr(library, "crypt_ra"):
            return library
    raise HashUnusableError("this machine has no libcrypt with crypt_ra")
