"""What an exchange says and what it is told: values only."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from netservices.wire.sasl.scram_keys import ScramKeys


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose credentials were shown, ``authcid``, and as whom to act, ``authzid``: the same name unless asked for.

    Both are prepared names.
    """

    authcid: str
    authzid: str


class Reason(Enum):
    """Why an exchange failed; what the client is told of it is the protocol's business."""

    MALFORMED = "malformed"
    """The client's message breaks the mechanism's grammar."""
    CREDENTIALS = "credentials"
    """Wrong, whatever is wrong: name, password, key or right to act as another."""
    CHANNEL_BINDING = "channel binding"
    """The client and this server do not see the same TLS connection, or not the same offer of mechanisms."""
    UNSUPPORTED = "unsupported"
    """The client demands an extension."""
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Challenge:
    """Send this to the client and give its answer to ``respond``, or ``cancel``."""

    data: bytes


@dataclass(frozen=True, slots=True)
class VerifyPassword:
    """Is this the account's password, and may it act as ``authzid``? Answered with a bool."""

    authcid: str
    password: str = field(repr=False)
    authzid: str


@dataclass(frozen=True, slots=True)
class VerifyExternal:
    """May ``authcid``, whom a lower layer has proved, log in and act as ``authzid``? Answered with a bool."""

    authcid: str
    authzid: str


@dataclass(frozen=True, slots=True)
class NeedKeys:
    """The SCRAM keys of ``authcid``, answered with ``ScramKeys``.

    Who has no account or no keys, is disabled, or may not act as ``authzid``, gets fake ones: the exchange then looks
    like one with a wrong password.
    """

    authcid: str
    authzid: str


@dataclass(frozen=True, slots=True)
class NeedSecret:
    """The shared secret of ``authcid``, answered with ``SharedSecret``, a fake one for whom there is none."""

    authcid: str


@dataclass(frozen=True, slots=True)
class SharedSecret:
    """A secret both sides know in clear; ``genuine`` is false for one that stands for none."""

    secret: bytes = field(repr=False)
    genuine: bool = True


@dataclass(frozen=True, slots=True)
class Success:
    """The client is ``identity``; ``data`` goes with the protocol's word of success, where it has room for it."""

    identity: Identity
    data: bytes | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """The client is nobody; ``detail`` is for the log and holds no secret."""

    reason: Reason
    detail: str


Step = Challenge | VerifyPassword | VerifyExternal | NeedKeys | NeedSecret | Success | Failure
Answer = bool | ScramKeys | SharedSecret
