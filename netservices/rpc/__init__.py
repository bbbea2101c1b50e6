"""XML-RPC calls: bytes to a call, a method's result to bytes. Nothing here knows how they travel."""

from netservices.rpc.calls import Call, make_fault, make_response, parse_call
from netservices.rpc.dispatch import Dispatcher
from netservices.rpc.faults import FaultCode

__all__ = ["Call", "Dispatcher", "FaultCode", "make_fault", "make_response", "parse_call"]
