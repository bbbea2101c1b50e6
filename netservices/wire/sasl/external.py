"""EXTERNAL (RFC 4422 appendix A): a lower layer, such as TLS with a client's certificate, has proved who it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netservices.wire.sasl.exchange import ExchangeState
from netservices.wire.sasl.steps import VerifyExternal

if TYPE_CHECKING:
    from netservices.wire.sasl.steps import Answer, Step


class ExternalState(ExchangeState):
    """EXTERNAL for a client whom a lower layer has proved to be ``authcid``.

    RFC 4422 A.2: extern-initial-resp = *( UTF8-char-no-nul ), the identity to act as; empty for its own.
    """

    def __init__(self, authcid: str, *, data_with_success: bool = False) -> None:
        super().__init__(data_with_success=data_with_success)
        self._authcid = authcid

    def _respond(self, data: bytes) -> Step:
        identity = self._identify(self._authcid, data)
        return VerifyExternal(identity.authcid, identity.authzid)

    def _answer(self, answer: Answer) -> Step:
        return self._decide(answer)
