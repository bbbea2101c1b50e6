"""From a password to what is kept of it, and back to yes or no. Takes tens of milliseconds: never on the reactor."""

from __future__ import annotations

import base64
import os

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError
from argon2.low_level import error_to_str

from netservices.runtime.accounts.crypts import check_imported, is_imported
from netservices.runtime.accounts.errors import HashUnusableError
from netservices.runtime.accounts.model import Record, Secrets
from netservices.wire.sasl import make_scram_keys

MEMORY = 19 * 1024 * 1024
"""Octets for one argon2id; with ``PASSES``, the least memory that OWASP's cheat sheet of 2023 advises."""
PASSES = 2
SCRAM_ITERATIONS = 100_000
SALT_LENGTH = 16
_HASH_LENGTH = 32
_ARGON2 = "$argon2id$"
# argon2.h: ARGON2_MEMORY_ALLOCATION_ERROR.
_NO_MEMORY = -22


class Hasher:
    """Makes and checks hashes with one set of parameters; any number of threads may share it.

    ``memory`` is in octets. There is always one lane: what runs side by side is whole hashes, in a pool.
    """

    def __init__(self, *, memory: int = MEMORY, passes: int = PASSES, scram_iterations: int = SCRAM_ITERATIONS) -> None:
        self._argon2 = PasswordHasher(
            time_cost=passes, memory_cost=memory // 1024, parallelism=1, hash_len=_HASH_LENGTH, salt_len=SALT_LENGTH
        )
        self.scram_iterations = scram_iterations
        salt, nothing = (_encode(os.urandom(length)) for length in (SALT_LENGTH, _HASH_LENGTH))
        self._decoy = f"{_ARGON2}v=19$m={memory // 1024},t={passes},p=1${salt}${nothing}"

    def make_secrets(self, password: str, *, keeps_shared: bool = False) -> Secrets:
        """All that is kept of a prepared password."""
        return Secrets(
            self._argon2.hash(password),
            make_scram_keys(password, os.urandom(SALT_LENGTH), self.scram_iterations),
            password.encode() if keeps_shared else None,
        )

    def check(self, stored: str | None, password: str) -> bool:
        """Whether the prepared password is the one; ``stored`` None takes its time and is never right.

        Raises ``HashUnusableError`` for a hash that can't be checked here, and ``MemoryError``.
        """
        if stored is not None and not stored.startswith(_ARGON2):
            if not is_imported(stored):
                raise HashUnusableError("the stored hash is of no form that is known")
            return check_imported(stored, password.encode())
        try:
            self._argon2.verify(stored or self._decoy, password)
        except VerifyMismatchError:
            return False
        except InvalidHashError as error:
            raise HashUnusableError("the stored hash is not well formed") from error
        except VerificationError as error:
            if str(error) == error_to_str(_NO_MEMORY):
                raise MemoryError(str(error)) from error
            raise HashUnusableError(f"the stored hash can't be computed: {error}") from error
        return stored is not None

    def is_current(self, record: Record) -> bool:
        """Whether all that should be kept of its password is, as it would be made today."""
        kept = record.secrets
        if not kept.password_hash.startswith(_ARGON2) or self._argon2.check_needs_rehash(kept.password_hash):
            return False
        strong = kept.scram is not None and kept.scram.iterations >= self.scram_iterations
        return strong and record.keeps_shared == (kept.shared is not None)


def _encode(octets: bytes) -> str:
    return base64.b64encode(octets).decode().rstrip("=")
