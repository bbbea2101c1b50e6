"""The control methods behind ``netservices ban``: plain data in, plain data out."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, NoReturn
from xmlrpc.client import Fault

from netservices.config.models import parse_network
from netservices.rpc import FaultCode
from netservices.runtime.admission import BansFullError, BanStoreError
from netservices.runtime.admission.access import unmap_ip
from netservices.runtime.admission.banstore import LONGEST_REASON, make_ban_data

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.python.failure import Failure

    from netservices.rpc import Dispatcher
    from netservices.runtime.admission import BanRegistry
    from netservices.runtime.admission.access import Network

_LONGEST = 100 * 365 * 86400.0
PAGE = 100
"""Bans told in one answer, so that making it takes the reactor a few milliseconds at most."""


class BanCommands:
    """``netservices.ban.list``, ``find``, ``add`` and ``remove``.

    A ban is told as ``network``, ``since`` and ``until`` (seconds of the epoch; nil: until it is removed), ``reason``,
    ``by`` and ``manual``.
    """

    def __init__(self, bans: BanRegistry) -> None:
        self._bans = bans

    def register(self, dispatcher: Dispatcher) -> None:
        """Offer the methods."""
        dispatcher.add("netservices.ban.list", self.list)
        dispatcher.add("netservices.ban.find", self.find)
        dispatcher.add("netservices.ban.add", self.add)
        dispatcher.add("netservices.ban.remove", self.remove)

    def list(self, after: int = 0) -> list[dict[str, object]]:
        """The next bans, at most a hundred, in the order they were made: those whose ``number`` is above ``after``."""
        if not _is_int(after):
            raise Fault(FaultCode.INVALID_PARAMETERS, "after: wanted a number")
        return [{**make_ban_data(ban), "number": number} for number, ban in self._bans.list_bans(after, PAGE)]

    def find(self, address: str) -> dict[str, object] | None:
        """The ban that holds for a numeric address; nil where there is none."""
        try:
            ip = unmap_ip(ip_address(address))
        except ValueError:
            raise Fault(FaultCode.INVALID_PARAMETERS, "address: wanted a numeric IPv4 or IPv6 address") from None
        ban = self._bans.find(ip)
        return None if ban is None else make_ban_data(ban)

    def add(self, network: object, seconds: float | None, reason: object) -> Deferred[dict[str, object]]:
        """Ban ``network`` for ``seconds``, nil for until it is removed. Told when the ban is on the disk."""
        if seconds is not None and not (_is_number(seconds) and 0 < seconds <= _LONGEST):
            raise Fault(FaultCode.INVALID_PARAMETERS, "seconds: wanted a number above 0, at most 100 years, or nil")
        if not isinstance(reason, str) or len(reason) > LONGEST_REASON:
            raise Fault(FaultCode.INVALID_PARAMETERS, f"reason: wanted a text of at most {LONGEST_REASON} characters")
        added = self._bans.add(_load_network(network), seconds=seconds, reason=reason)
        return added.addErrback(_refuse, "the ban holds, but it would not outlast the daemon").addCallback(
            make_ban_data
        )

    def remove(self, network: object) -> Deferred[dict[str, object]]:
        """Lift the ban of exactly ``network``; gives the ban that was lifted, when that is on the disk."""
        wanted = _load_network(network)
        try:
            removed = self._bans.remove(wanted)
        except LookupError as error:
            around = self._bans.find(wanted.network_address)
            hint = f"; {around}" if around is not None else ""
            raise Fault(FaultCode.FAILED, f"{error.args[0]}{hint}") from None
        return removed.addErrback(_refuse, "the ban is lifted, but it would be back after a restart").addCallback(
            make_ban_data
        )


def _load_network(text: object) -> Network:
    try:
        return parse_network(text)
    except ValueError as error:
        raise Fault(FaultCode.INVALID_PARAMETERS, f"network: {error}") from None


def _is_int(value: object) -> bool:
    return type(value) is int


def _is_number(value: object) -> bool:
    return type(value) in {int, float}


def _refuse(failure: Failure, what: str) -> NoReturn:
    failure.trap(BanStoreError, BansFullError)
    text = str(failure.value)
    raise Fault(FaultCode.FAILED, f"{what}: {text}" if failure.check(BanStoreError) else text)
