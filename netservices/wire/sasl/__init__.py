"""SASL (RFC 4422), the server's side: each mechanism a state machine, without accounts, hashing or sockets.

An exchange is fed what the client said, base64 taken off, and gives one step at a time. Some steps go to the client
(``Challenge``), some end the exchange (``Success``, ``Failure``), and the others ask the service for what only it can
know, and wait for ``answer``:

    client                 exchange                              service
    ------                 --------                              -------
    AUTH PLAIN ...   -->   start(initial)
                           VerifyPassword(authcid, ...)   -->    hashes, in a thread
                           answer(True)                   <--
                           Success(identity)              -->    235

Names and passwords leave here prepared (``prepare``); whether a name has an account is nothing this package knows, and
what it tells the client does not depend on it.
"""

from __future__ import annotations

from netservices.wire.sasl.exchange import ExchangeState
from netservices.wire.sasl.framing import (
    CANCELLED,
    Cancelled,
    ResponseError,
    decode_initial,
    decode_response,
    encode_challenge,
)
from netservices.wire.sasl.mechanisms import MECHANISMS, Facts, Mechanism, make_exchange, offer
from netservices.wire.sasl.prepare import PrepareError, prepare_name, prepare_password
from netservices.wire.sasl.scram_keys import ScramKeys, make_fake_scram_keys, make_scram_keys
from netservices.wire.sasl.steps import (
    Answer,
    Challenge,
    Failure,
    Identity,
    NeedKeys,
    NeedSecret,
    Reason,
    SharedSecret,
    Step,
    Success,
    VerifyExternal,
    VerifyPassword,
)

__all__ = [
    "CANCELLED",
    "MECHANISMS",
    "Answer",
    "Cancelled",
    "Challenge",
    "ExchangeState",
    "Facts",
    "Failure",
    "Identity",
    "Mechanism",
    "NeedKeys",
    "NeedSecret",
    "PrepareError",
    "Reason",
    "ResponseError",
    "ScramKeys",
    "SharedSecret",
    "Step",
    "Success",
    "VerifyExternal",
    "VerifyPassword",
    "decode_initial",
    "decode_response",
    "encode_challenge",
    "make_exchange",
    "make_fake_scram_keys",
    "make_scram_keys",
    "offer",
    "prepare_name",
    "prepare_password",
]
