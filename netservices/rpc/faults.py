"""The numbers that faults carry, as the "Specification for Fault Code Interoperability" gives them."""

from __future__ import annotations

from enum import IntEnum


class FaultCode(IntEnum):
    """What went wrong, in the caller's eyes."""

    NOT_WELL_FORMED = -32700
    UNSUPPORTED_ENCODING = -32701
    INVALID_REQUEST = -32600
    METHOD_NOT_FOUND = -32601
    INVALID_PARAMETERS = -32602
    APPLICATION_ERROR = -32500
    # Ours, for the control socket: the exit status of the command that is told.
    FAILED = 1
    BAD_CONFIGURATION = 2
