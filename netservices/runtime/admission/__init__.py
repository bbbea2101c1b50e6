"""Who may come in to a service, and how much of it: access lists, bans, limits, proxies, answers to datagrams."""

from netservices.runtime.admission.access import AccessList, Decision, Networks
from netservices.runtime.admission.admission import EVENTS as ADMISSION_EVENTS
from netservices.runtime.admission.admission import Admission
from netservices.runtime.admission.bans import EVENTS as BAN_EVENTS
from netservices.runtime.admission.bans import BanRegistry, BansFullError
from netservices.runtime.admission.banstore import Ban, BanStore, BanStoreError, MemoryBanStore
from netservices.runtime.admission.datagrams import GuardedDatagrams, may_answer
from netservices.runtime.admission.limits import SessionLimits, Ticket, make_peer_key
from netservices.runtime.admission.proxies import ProxyNetworks, is_proxy, make_proxies, make_true_ends
from netservices.runtime.admission.refusals import EVENTS as REFUSAL_EVENTS
from netservices.runtime.admission.refusals import Refusal, RefusalKind

EVENTS = (*ADMISSION_EVENTS, *BAN_EVENTS, *REFUSAL_EVENTS)

__all__ = [
    "EVENTS",
    "AccessList",
    "Admission",
    "Ban",
    "BanRegistry",
    "BanStore",
    "BanStoreError",
    "BansFullError",
    "Decision",
    "GuardedDatagrams",
    "MemoryBanStore",
    "Networks",
    "ProxyNetworks",
    "Refusal",
    "RefusalKind",
    "SessionLimits",
    "Ticket",
    "is_proxy",
    "make_peer_key",
    "make_proxies",
    "make_true_ends",
    "may_answer",
]
