"""PLAIN (RFC 4616) and LOGIN (draft-murchison-sasl-login): the password itself goes over the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netservices.wire.sasl.exchange import ExchangeState, RefusedError
from netservices.wire.sasl.prepare import PrepareError, prepare_password
from netservices.wire.sasl.steps import Challenge, Reason, VerifyPassword

if TYPE_CHECKING:
    from netservices.wire.sasl.steps import Answer, Identity, Step


def _prepare_password(password: bytes) -> str:
    try:
        return prepare_password(password)
    except PrepareError as error:
        raise RefusedError(Reason.CREDENTIALS, str(error)) from None


def _make_question(identity: Identity, password: bytes) -> VerifyPassword:
    return VerifyPassword(identity.authcid, _prepare_password(password), identity.authzid)


class PlainState(ExchangeState):
    """PLAIN, one message.

    RFC 4616 2: message = [authzid] UTF8NUL authcid UTF8NUL passwd
    """

    def _respond(self, data: bytes) -> Step:
        parts = data.split(b"\0")
        if len(parts) != 3:
            raise RefusedError(Reason.MALFORMED, f"a message with {len(parts) - 1} NULs; wanted two")
        authzid, authcid, password = parts
        return _make_question(self._identify(authcid, authzid), password)

    def _answer(self, answer: Answer) -> Step:
        return self._decide(answer)


class LoginState(ExchangeState):
    """LOGIN, name and password one by one; an initial response is the name.

    The challenges' words are those that clients look for, not the draft's own.
    """

    def __init__(self, *, data_with_success: bool = False) -> None:
        super().__init__(data_with_success=data_with_success)
        self._name: bytes | None = None

    def _first_challenge(self) -> bytes:
        return b"Username:"

    def _respond(self, data: bytes) -> Step:
        if self._name is None:
            self._name = data
            return Challenge(b"Password:")
        return _make_question(self._identify(self._name, b""), data)

    def _answer(self, answer: Answer) -> Step:
        return self._decide(answer)
