"""CRAM-MD5 (RFC 2195): a digest over a challenge and a secret that the server must hold in clear."""

from __future__ import annotations

import hmac
import re
from typing import TYPE_CHECKING

from netservices.wire.sasl.exchange import ExchangeState, RefusedError
from netservices.wire.sasl.steps import NeedSecret, Reason, SharedSecret

if TYPE_CHECKING:
    from netservices.wire.sasl.steps import Answer, Step

# RFC 2195 2: the user name, a space, and the digest, 16 octets as 32 lower-case hexadecimal digits. A name may hold
# spaces, so the last one counts.
_RESPONSE = re.compile(rb"(.*) ([0-9a-f]{32})", re.DOTALL)


def make_cram_challenge(nonce: str, hostname: str) -> bytes:
    """RFC 2195 2: a challenge of the form of a message id; ``nonce`` must never have been used before."""
    return f"<{nonce}@{hostname}>".encode()


class CramMd5State(ExchangeState):
    """CRAM-MD5 with a challenge that was never used before."""

    takes_initial = False

    def __init__(self, challenge: bytes, *, data_with_success: bool = False) -> None:
        super().__init__(data_with_success=data_with_success)
        self._challenge = challenge
        self._digest = b""

    def _first_challenge(self) -> bytes:
        return self._challenge

    def _respond(self, data: bytes) -> Step:
        match = _RESPONSE.fullmatch(data)
        if match is None:
            raise RefusedError(Reason.MALFORMED, "wanted a name, a space and 32 lower-case hexadecimal digits")
        identity = self._identify(match[1], b"")
        self._digest = match[2]
        return NeedSecret(identity.authcid)

    def _answer(self, answer: Answer) -> Step:
        if not isinstance(answer, SharedSecret):
            raise TypeError(f"the answer is a SharedSecret, not {type(answer).__name__}")
        expected = hmac.new(answer.secret, self._challenge, "md5").hexdigest().encode()
        right = hmac.compare_digest(expected, self._digest)
        return self._conclude(good=right and answer.genuine)
