"""What the mechanisms have in common: whose turn it is, how an exchange ends, and how big a message may be.

    START     -- start            --> CLIENT or SERVICE or CLOSING or OVER
    CLIENT    -- respond          --> CLIENT or SERVICE or CLOSING or OVER
    SERVICE   -- answer           --> CLIENT or CLOSING or OVER
    CLOSING   -- respond, empty   --> OVER        (the last data of the server went as a challenge)
    any but OVER -- cancel        --> OVER

A call out of turn is the caller's mistake and raises ``RuntimeError``; nothing the client sends raises anything.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum, auto
from typing import TYPE_CHECKING

from netservices.wire.sasl.prepare import PrepareError, prepare_name
from netservices.wire.sasl.steps import Challenge, Failure, Identity, Reason, Success

if TYPE_CHECKING:
    from netservices.wire.sasl.steps import Answer, Step

LARGEST_MESSAGE = 8192
"""Octets of a client's message; the longest right one of any mechanism is under half of it."""


class _Turn(Enum):
    START = auto()
    CLIENT = auto()
    SERVICE = auto()
    CLOSING = auto()
    OVER = auto()


class RefusedError(Exception):
    """The exchange has failed; raised by a mechanism, turned into its step by ``ExchangeState``."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.failure = Failure(reason, detail)


class ExchangeState(ABC):
    """One exchange of one mechanism.

    ``data_with_success`` tells that the protocol can carry data with its word of success. SMTP, POP3, IMAP and IRC
    cannot: then the data goes as a challenge, which the client answers with nothing.
    """

    takes_initial = True
    """Whether the client may speak first; RFC 4954 4: else a server MUST reject an initial response."""

    def __init__(self, *, data_with_success: bool = False) -> None:
        self.identity: Identity | None = None
        """Who the client says it is, as soon as it has; for the log, until there is a ``Success``."""
        self._data_with_success = data_with_success
        self._turn = _Turn.START

    def start(self, initial: bytes | None = None) -> Step:
        """Begin; ``initial`` is the initial response, None for none and empty for an empty one."""
        self._require(_Turn.START)
        if initial is None:
            return self._settle(Challenge(self._first_challenge()))
        if not self.takes_initial:
            return self._settle(Failure(Reason.MALFORMED, "an initial response, where the server speaks first"))
        self._turn = _Turn.CLIENT
        return self.respond(initial)

    def respond(self, data: bytes) -> Step:
        """What the client answered to the last ``Challenge``."""
        self._require(_Turn.CLIENT, _Turn.CLOSING)
        if len(data) > LARGEST_MESSAGE:
            return self._settle(Failure(Reason.MALFORMED, f"a message of {len(data)} octets"))
        if self._turn is _Turn.CLOSING:
            return self._settle(self._close(data))
        try:
            return self._settle(self._respond(data))
        except RefusedError as error:
            return self._settle(error.failure)

    def answer(self, answer: Answer) -> Step:
        """What the service says to the last ``Verify…`` or ``Need…``; each says what it wants."""
        self._require(_Turn.SERVICE)
        return self._settle(self._answer(answer))

    def cancel(self) -> Step:
        """The client gave up, or its message could not be decoded."""
        if self._turn is _Turn.OVER:
            raise RuntimeError("the exchange is over")
        return self._settle(Failure(Reason.CANCELLED, "the client gave up"))

    def _first_challenge(self) -> bytes:
        """What the server says first; of a mechanism where the client is first, nothing."""
        return b""

    @abstractmethod
    def _respond(self, data: bytes) -> Step:
        """The client's next message; raises ``RefusedError``."""

    @abstractmethod
    def _answer(self, answer: Answer) -> Step:
        """The service's answer to what was asked last; raises ``TypeError`` for one of another kind."""

    def _identify(self, authcid: bytes | str, authzid: bytes | str) -> Identity:
        try:
            name = prepare_name(authcid)
            self.identity = Identity(name, prepare_name(authzid) if authzid else name)
        except PrepareError as error:
            raise RefusedError(Reason.CREDENTIALS, str(error)) from None
        return self.identity

    def _decide(self, answer: Answer) -> Step:
        """The end of an exchange that the service decides by yes or no."""
        if not isinstance(answer, bool):
            raise TypeError(f"the answer is true or false, not {type(answer).__name__}")
        return self._conclude(good=answer)

    def _conclude(self, *, good: bool, data: bytes | None = None) -> Success | Failure:
        if not good or self.identity is None:
            return Failure(Reason.CREDENTIALS, "wrong name or credentials")
        return Success(self.identity, data)

    def _close(self, data: bytes) -> Step:
        if data:
            return Failure(Reason.MALFORMED, "a message after the end")
        return self._conclude(good=True)

    def _settle(self, step: Step) -> Step:
        if isinstance(step, Success) and step.data is not None and not self._data_with_success:
            # RFC 4422 3.6: where the protocol has no such field, the data is sent as a challenge whose response is
            # empty.
            self._turn = _Turn.CLOSING
            return Challenge(step.data)
        if isinstance(step, Challenge):
            self._turn = _Turn.CLIENT
        elif isinstance(step, Success | Failure):
            self._turn = _Turn.OVER
        else:
            self._turn = _Turn.SERVICE
        return step

    def _require(self, *turns: _Turn) -> None:
        if self._turn not in turns:
            raise RuntimeError(f"not now: the exchange is at {self._turn.name}")
