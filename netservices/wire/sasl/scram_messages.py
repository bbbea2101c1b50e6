"""The messages of a SCRAM client, read (RFC 5802 7).

    client-first-message      = gs2-header client-first-message-bare
    gs2-header                = gs2-cbind-flag "," [ authzid ] ","
    gs2-cbind-flag            = ("p=" cb-name) / "n" / "y"
    authzid                   = "a=" saslname
    client-first-message-bare = [reserved-mext ","] username "," nonce ["," extensions]
    username                  = "n=" saslname
    nonce                     = "r=" c-nonce [s-nonce]
    client-final-message      = channel-binding "," nonce ["," extensions] "," proof
    channel-binding           = "c=" base64
    proof                     = "p=" base64
    saslname                  = 1*(value-safe-char / "=2C" / "=3D")
    attr-val                  = ALPHA "=" value

A comma stands nowhere but between the parts, so a message is split at its commas.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from netservices.wire.sasl.exchange import RefusedError
from netservices.wire.sasl.framing import ResponseError, decode_base64
from netservices.wire.sasl.steps import Reason

LONGEST_NONCE = 256
"""Octets of a client's nonce; clients send 18 to 36."""

_FLAG = re.compile(rb"n|y|p=([A-Za-z0-9.-]+)")
# RFC 5802 7: printable = %x21-2B / %x2D-7E.
_NONCE = re.compile(rb"[\x21-\x2b\x2d-\x7e]+")
_NAME = re.compile(rb"(?:[^=\0]|=2C|=3D)+")
_EXTENSION = re.compile(rb"[A-Za-z]=[^\0]+", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ClientFirst:
    """The first message: ``flag`` is ``n``, ``y`` or ``p``, ``binding`` the name that follows ``p=``.

    Names are raw UTF-8, ``authzid`` empty for none. ``gs2_header`` and ``bare`` are the octets as they came.
    """

    gs2_header: bytes
    flag: str
    binding: str
    authzid: bytes
    bare: bytes
    authcid: bytes
    nonce: bytes


@dataclass(frozen=True, slots=True)
class ClientFinal:
    """The last message; ``without_proof`` is as it came."""

    binding: bytes = field(repr=False)
    nonce: bytes
    proof: bytes = field(repr=False)
    without_proof: bytes = field(repr=False)


def is_nonce(text: bytes) -> bool:
    """Whether a nonce may look like this."""
    return _NONCE.fullmatch(text) is not None


def parse_client_first(message: bytes) -> ClientFirst:
    """Raises ``RefusedError``."""
    parts = message.split(b",")
    if len(parts) < 4:
        raise RefusedError(Reason.MALFORMED, "a first message of too few parts")
    flag, authzid, first, *_ = parts
    match = _FLAG.fullmatch(flag)
    if match is None:
        raise RefusedError(Reason.MALFORMED, "no channel binding flag")
    bare = parts[2:]
    # RFC 5802 5.1: "m" is reserved; its presence MUST cause authentication failure.
    if first.startswith(b"m="):
        raise RefusedError(Reason.UNSUPPORTED, "a mandatory extension")
    authcid = _parse_name(first, b"n=")
    nonce = _parse_nonce(bare[1])
    if len(nonce) > LONGEST_NONCE:
        raise RefusedError(Reason.MALFORMED, f"a nonce of {len(nonce)} octets")
    _check_extensions(bare[2:])
    return ClientFirst(
        gs2_header=flag + b"," + authzid + b",",
        flag=flag[:1].decode(),
        binding=(match[1] or b"").decode(),
        authzid=_parse_name(authzid, b"a=") if authzid else b"",
        bare=b",".join(bare),
        authcid=authcid,
        nonce=nonce,
    )


def parse_client_final(message: bytes) -> ClientFinal:
    """Raises ``RefusedError``."""
    parts = message.split(b",")
    if len(parts) < 3:
        raise RefusedError(Reason.MALFORMED, "a last message of too few parts")
    binding, nonce, *extensions, proof = parts
    _check_extensions(extensions)
    return ClientFinal(
        binding=_parse_base64(binding, b"c="),
        nonce=_parse_nonce(nonce),
        proof=_parse_base64(proof, b"p="),
        without_proof=message[: -len(proof) - 1],
    )


def _parse_name(part: bytes, key: bytes) -> bytes:
    name = part[2:]
    # RFC 5802 5.1: if the server receives a username that contains "=" not followed by either "2C" or "3D", then the
    # server MUST fail the authentication.
    if not part.startswith(key) or _NAME.fullmatch(name) is None:
        raise RefusedError(Reason.MALFORMED, f"no name where {key.decode()} was wanted")
    return name.replace(b"=2C", b",").replace(b"=3D", b"=")


def _parse_nonce(part: bytes) -> bytes:
    nonce = part[2:]
    if not part.startswith(b"r=") or not is_nonce(nonce):
        raise RefusedError(Reason.MALFORMED, "no nonce where r= was wanted")
    return nonce


def _parse_base64(part: bytes, key: bytes) -> bytes:
    if not part.startswith(key):
        raise RefusedError(Reason.MALFORMED, f"something else where {key.decode()} was wanted")
    try:
        return decode_base64(part[2:])
    except ResponseError as error:
        raise RefusedError(Reason.MALFORMED, f"{key.decode()} with {error}") from None


def _check_extensions(parts: list[bytes]) -> None:
    # RFC 5802 7: extensions are attr-val; as yet unknown optional ones MUST be ignored.
    for part in parts:
        if _EXTENSION.fullmatch(part) is None:
            raise RefusedError(Reason.MALFORMED, "an extension that is none")
        if part.startswith(b"m="):
            raise RefusedError(Reason.UNSUPPORTED, "a mandatory extension")
