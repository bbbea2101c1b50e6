"""A call's document to a value, and a result or a fault to a document.

The parser is the standard library's, on expat; what it must not see is refused before: a document type, whose entities
can be made to grow without end.
"""

from __future__ import annotations

import re
import xmlrpc.client
from dataclasses import dataclass
from typing import Any, cast
from xml.parsers.expat import ExpatError
from xmlrpc.client import Fault

from netservices.rpc.faults import FaultCode

# XML 1.0 2.8: what may stand before the first element, but for a document type. Possessive, to take linear time.
_PROLOG = re.compile(rb"(?:\xef\xbb\xbf)?(?:\s++|<\?(?>.*?\?>)|<!--(?>.*?-->))*+<methodCall", re.DOTALL)


@dataclass(frozen=True)
class Call:
    """A method by name, and what it is given."""

    method: str
    parameters: tuple[object, ...]


def parse_call(document: bytes) -> Call:
    """Raises ``Fault`` with the code that says what is wrong with the document."""
    if b"\0" in document:
        # UTF-16 and UTF-32, in which the next check would see nothing.
        raise Fault(FaultCode.UNSUPPORTED_ENCODING, "wanted UTF-8")
    if _PROLOG.match(document) is None:
        code = FaultCode.NOT_WELL_FORMED if b"<methodCall" in document else FaultCode.INVALID_REQUEST
        raise Fault(code, "wanted a methodCall, without a document type")
    try:
        parameters, method = xmlrpc.client.loads(document, use_builtin_types=True)
    except (xmlrpc.client.ResponseError, Fault):
        # A document may hold a fault instead, which the library raises.
        raise Fault(FaultCode.INVALID_REQUEST, "wanted a methodCall with a methodName and params") from None
    except (ExpatError, ValueError, TypeError, LookupError, AssertionError, ArithmeticError) as error:
        raise Fault(FaultCode.NOT_WELL_FORMED, f"not a call: {error}") from error
    if not isinstance(method, str) or not method:
        raise Fault(FaultCode.INVALID_REQUEST, "the call names no method")
    return Call(method, parameters)


def make_response(value: object) -> bytes:
    """The answer to a call that went well, UTF-8.

    Raises ``TypeError`` or ``OverflowError`` for what XML-RPC can't say.
    """
    return xmlrpc.client.dumps((cast("Any", value),), methodresponse=True, allow_none=True, encoding="utf-8").encode()


def make_fault(fault: Fault) -> bytes:
    """The answer to a call that did not."""
    # The marshaller knows int itself only, not what inherits from it.
    plain = Fault(int(fault.faultCode), fault.faultString)
    return xmlrpc.client.dumps(plain, methodresponse=True, encoding="utf-8").encode()
