"""SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677).

The client proves that it knows the password, the server that it holds its keys, and neither shows anything to replay:

    C: n,,n=user,r=C-NONCE                     client-first-message
    S: r=C-NONCE S-NONCE,s=SALT,i=COUNT        server-first-message
    C: c=biws,r=C-NONCE S-NONCE,p=PROOF        client-final-message
    S: v=SIGNATURE                             server-final-message

With -PLUS the proof also covers data of the TLS connection (the channel binding), so that nobody can sit between two
connections. A name without keys meets the same dialogue, and fails at its end as a wrong password does. RFC 5802 5.1
lets a server fail without its final message, so no ``e=`` is ever sent, which could tell the cases apart.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netservices.wire.sasl.exchange import ExchangeState, RefusedError
from netservices.wire.sasl.scram_keys import HASH_SIZE, ScramKeys, hmac_sha256
from netservices.wire.sasl.scram_messages import ClientFirst, is_nonce, parse_client_final, parse_client_first
from netservices.wire.sasl.steps import Challenge, NeedKeys, Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netservices.wire.sasl.steps import Answer, Failure, Step, Success


@dataclass(frozen=True, slots=True)
class Binding:
    """What the exchange knows of the channel.

    ``data`` is the channel binding data by its name: ``tls-exporter`` (RFC 9266, for TLS 1.3), ``tls-unique`` (RFC
    5929, below it); empty without TLS. ``plus`` tells which of the two mechanisms this is, ``plus_offered`` whether
    the client could have seen -PLUS in the list.
    """

    data: Mapping[str, bytes]
    plus: bool
    plus_offered: bool


@dataclass(frozen=True, slots=True)
class _Dialogue:
    """All that the second half of an exchange needs of the first."""

    keys: ScramKeys
    nonce: bytes
    binding: bytes
    messages: bytes


class ScramState(ExchangeState):
    """Either mechanism; ``nonce`` is the server's part, printable without a comma, random, never used before.

    Raises ``ValueError`` for any other nonce.
    """

    def __init__(self, nonce: bytes, binding: Binding, *, data_with_success: bool = False) -> None:
        super().__init__(data_with_success=data_with_success)
        if not is_nonce(nonce):
            raise ValueError("a nonce is printable ASCII without a comma")
        self._nonce = nonce
        self._binding = binding
        self._first: ClientFirst | None = None
        self._dialogue: _Dialogue | None = None

    def _respond(self, data: bytes) -> Step:
        if self._dialogue is not None:
            return self._finish(data, self._dialogue)
        self._first = parse_client_first(data)
        self._check_flag(self._first)
        identity = self._identify(self._first.authcid, self._first.authzid)
        return NeedKeys(identity.authcid, identity.authzid)

    def _answer(self, answer: Answer) -> Step:
        if not isinstance(answer, ScramKeys) or self._first is None:
            raise TypeError(f"the answer is ScramKeys, not {type(answer).__name__}")
        first = self._first
        nonce = first.nonce + self._nonce
        # RFC 5802 7: server-first-message = [reserved-mext ","] nonce "," salt "," iteration-count ["," extensions]
        server_first = b"r=%b,s=%b,i=%d" % (nonce, base64.b64encode(answer.salt), answer.iterations)
        # cbind-input = gs2-header [ cbind-data ], the data only after the flag "p".
        data = self._binding.data[first.binding] if first.flag == "p" else b""
        self._dialogue = _Dialogue(answer, nonce, first.gs2_header + data, first.bare + b"," + server_first + b",")
        return Challenge(server_first)

    def _check_flag(self, first: ClientFirst) -> None:
        # RFC 5802 6, and what the client says by each flag.
        if first.flag == "p":
            if not self._binding.plus:
                raise RefusedError(Reason.CHANNEL_BINDING, "a channel binding in the mechanism without one")
            # If the channel binding flag was "p" and the server does not support the indicated channel binding type,
            # then the server MUST fail authentication.
            if first.binding not in self._binding.data:
                raise RefusedError(
                    Reason.CHANNEL_BINDING, f"the channel binding {first.binding[:40]}, which is not here"
                )
        elif self._binding.plus:
            raise RefusedError(Reason.CHANNEL_BINDING, "no channel binding in the mechanism with one")
        elif first.flag == "y" and self._binding.plus_offered:
            # "y": the client supports channel binding but thinks the server does not. If it does, somebody took -PLUS
            # off the list: the server MUST fail authentication.
            raise RefusedError(Reason.CHANNEL_BINDING, "the client was not shown the mechanism with channel binding")

    def _finish(self, data: bytes, dialogue: _Dialogue) -> Success | Failure:
        final = parse_client_final(data)
        # RFC 5802 5.1: the server MUST verify that the nonce sent by the client is the same as its own.
        if final.nonce != dialogue.nonce:
            raise RefusedError(Reason.MALFORMED, "another nonce than the one of this exchange")
        if len(final.proof) != HASH_SIZE:
            raise RefusedError(Reason.MALFORMED, f"a proof of {len(final.proof)} octets")
        if not hmac.compare_digest(final.binding, dialogue.binding):
            raise RefusedError(Reason.CHANNEL_BINDING, "another channel than this one, or another first message")
        keys = dialogue.keys
        # RFC 5802 3: AuthMessage := client-first-message-bare + "," + server-first-message + "," +
        # client-final-message-without-proof; ClientProof := ClientKey XOR HMAC(StoredKey, AuthMessage).
        message = dialogue.messages + final.without_proof
        signature = hmac_sha256(keys.stored_key, message)
        client_key = bytes(a ^ b for a, b in zip(final.proof, signature, strict=True))
        right = hmac.compare_digest(hashlib.sha256(client_key).digest(), keys.stored_key)
        verifier = b"v=" + base64.b64encode(hmac_sha256(keys.server_key, message))
        return self._conclude(good=right and keys.genuine, data=verifier)
