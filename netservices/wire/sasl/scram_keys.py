"""SCRAM's keys (RFC 5802 3, RFC 7677): made of a password, or made up for a name that has none."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field

from netservices.wire.sasl.prepare import prepare_password

HASH = "sha256"
HASH_SIZE = 32
# RFC 7677 4: the iteration count SHOULD be at least 4096.
FEWEST_ITERATIONS = 4096


@dataclass(frozen=True, slots=True)
class ScramKeys:
    """What is stored of a password for SCRAM-SHA-256; ``genuine`` is false for keys that stand for none.

    Raises ``ValueError`` for keys that cannot be right.
    """

    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)
    salt: bytes = field(repr=False)
    iterations: int
    genuine: bool = True

    def __post_init__(self) -> None:
        if len(self.stored_key) != HASH_SIZE or len(self.server_key) != HASH_SIZE or not self.salt:
            raise ValueError(f"SCRAM-SHA-256 keys have {HASH_SIZE} octets each, and a salt")
        if self.iterations < FEWEST_ITERATIONS:
            raise ValueError(f"{self.iterations} iterations; SCRAM-SHA-256 wants {FEWEST_ITERATIONS} at least")


def hmac_sha256(key: bytes, text: bytes) -> bytes:
    """RFC 5802 2.2: HMAC(key, str)."""
    return hmac.digest(key, text, HASH)


def make_scram_keys(password: bytes | str, salt: bytes, iterations: int) -> ScramKeys:
    """The keys of a password; takes milliseconds, so a thread calls it. Raises ``PrepareError``."""
    # RFC 5802 3: SaltedPassword := Hi(Normalize(password), salt, i); Hi is PBKDF2.
    salted = hashlib.pbkdf2_hmac(HASH, prepare_password(password).encode(), salt, iterations)
    # ClientKey := HMAC(SaltedPassword, "Client Key"); StoredKey := H(ClientKey).
    stored_key = hashlib.sha256(hmac_sha256(salted, b"Client Key")).digest()
    return ScramKeys(stored_key, hmac_sha256(salted, b"Server Key"), salt, iterations)


def make_fake_scram_keys(secret: bytes, name: str, *, iterations: int, salt_size: int) -> ScramKeys:
    """Keys that no password has, always the same for a name, so that asking twice does not show that it is unknown.

    ``secret`` is the server's own and lasts; ``iterations`` and ``salt_size`` (at most 32) are those of real keys.
    """
    if salt_size > HASH_SIZE:
        raise ValueError(f"a salt of {salt_size} octets; a fake one has at most {HASH_SIZE}")
    octets = name.encode()
    salt = hmac_sha256(secret, b"scram salt\0" + octets)[:salt_size]
    stored_key = hmac_sha256(secret, b"scram stored key\0" + octets)
    server_key = hmac_sha256(secret, b"scram server key\0" + octets)
    return ScramKeys(stored_key, server_key, salt, iterations, genuine=False)
