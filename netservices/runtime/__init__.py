"""What the daemon lends to every service: one object, no globals."""

from netservices.runtime.addresses import Address, make_address
from netservices.runtime.events import Event, EventLog
from netservices.runtime.lent import Runtime
from netservices.runtime.session import Reason, Session, Sessions, TlsState

__all__ = [
    "Address",
    "Event",
    "EventLog",
    "Reason",
    "Runtime",
    "Session",
    "Sessions",
    "TlsState",
    "make_address",
]
