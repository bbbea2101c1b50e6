"""Clients of the mechanisms, written from the RFCs alone: they share no line with the servers they are tried on."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode


class ScramClient:
    """RFC 5802 3, the client's side, for any hash; ``header`` is the gs2-header."""

    def __init__(
        self,
        name: str,
        password: str,
        nonce: str,
        *,
        algorithm: str = "sha256",
        header: str = "n,,",
        binding: bytes = b"",
    ) -> None:
        self._password = password
        self._algorithm = algorithm
        self._header = header
        self._binding = binding
        self._bare = f"n={name.replace('=', '=3D').replace(',', '=2C')},r={nonce}"
        self._nonce = nonce
        self.signature = b""

    def first(self) -> bytes:
        """The client-first-message."""
        return (self._header + self._bare).encode()

    def final(self, server_first: bytes) -> bytes:
        """The client-final-message."""
        fields = dict(part.split("=", 1) for part in server_first.decode().split(","))
        if not fields["r"].startswith(self._nonce) or fields["r"] == self._nonce:
            raise AssertionError("the server added nothing to the nonce")
        salted = hashlib.pbkdf2_hmac(self._algorithm, self._password.encode(), b64decode(fields["s"]), int(fields["i"]))
        client_key = self._hmac(salted, b"Client Key")
        bare = f"c={b64encode(self._header.encode() + self._binding).decode()},r={fields['r']}"
        message = f"{self._bare},{server_first.decode()},{bare}".encode()
        client_signature = self._hmac(hashlib.new(self._algorithm, client_key).digest(), message)
        proof = int.from_bytes(client_key) ^ int.from_bytes(client_signature)
        self.signature = self._hmac(self._hmac(salted, b"Server Key"), message)
        return f"{bare},p={b64encode(proof.to_bytes(len(client_key))).decode()}".encode()

    def accepts(self, server_final: bytes) -> bool:
        """Whether the server has shown that it holds the keys."""
        return server_final == b"v=" + b64encode(self.signature)

    def _hmac(self, key: bytes, text: bytes) -> bytes:
        return hmac.new(key, text, self._algorithm).digest()


def answer_cram(name: str, secret: bytes, challenge: bytes) -> bytes:
    """RFC 2195 2 by the definition of HMAC in RFC 2104 2."""
    key = (hashlib.md5(secret, usedforsecurity=False).digest() if len(secret) > 64 else secret).ljust(64, b"\0")
    inner = hashlib.md5(bytes(octet ^ 0x36 for octet in key) + challenge, usedforsecurity=False).digest()
    outer = hashlib.md5(bytes(octet ^ 0x5C for octet in key) + inner, usedforsecurity=False)
    return f"{name} {outer.hexdigest()}".encode()
