"""A ban, and where bans are kept over a restart."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from netservices.runtime.admission.access import Network

OPERATOR = "operator"
"""Who made a ban that was asked for with ``netservices ban add``."""
LONGEST_REASON = 200
"""Characters."""


class BanStoreError(Exception):
    """The bans can't be read or written; the text says where and why."""


@dataclass(frozen=True, slots=True)
class Ban:
    """Nobody in ``network`` is let in to any service.

    ``since`` and ``until`` are seconds of the epoch; a ban without ``until`` holds until it is removed. ``by`` is the
    service whose failed login brought it, or ``operator`` with ``manual``.
    """

    network: Network
    since: float
    until: float | None
    reason: str
    by: str
    manual: bool = False

    def __str__(self) -> str:
        """``203.0.113.9 is banned since …, until …: 10 failed logins within 10m (by files)``."""
        return f"{say_network(self.network)} is {self.rule}"

    @property
    def rule(self) -> str:
        """``banned since …, until …: 10 failed logins within 10m (by files)``; the times are in UTC."""
        return f"banned since {format_time(self.since)}, until {say_end(self.until)}: {self.reason} (by {self.by})"


def say_network(network: Network) -> str:
    """In CIDR form; one address without its prefix length."""
    return str(network.network_address if network.prefixlen == network.max_prefixlen else network)


def format_time(seconds: float) -> str:
    """Seconds of the epoch as RFC 3339 has them, in UTC, without fractions."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def say_end(until: float | None) -> str:
    """When a ban ends, for people."""
    return "it is removed" if until is None else format_time(until)


def make_ban_data(ban: Ban) -> dict[str, object]:
    """A ban as plain data, for the control socket and JSON."""
    return {
        "network": say_network(ban.network),
        "since": ban.since,
        "until": ban.until,
        "reason": ban.reason,
        "by": ban.by,
        "manual": ban.manual,
    }


def parse_ban_data(data: Mapping[str, object]) -> Ban:
    """Plain data back to a ban. Raises ``ValueError`` or ``KeyError``."""
    since, until = data["since"], data["until"]
    if not isinstance(since, int | float) or not (until is None or isinstance(until, int | float)):
        raise ValueError("wanted seconds")
    return Ban(
        ip_network(str(data["network"])),
        float(since),
        None if until is None else float(until),
        str(data["reason"]),
        str(data["by"]),
        bool(data["manual"]),
    )


class BanStore(Protocol):
    """Bans by network. One thread at a time uses it; every method may block, and raises ``BanStoreError``."""

    def load(self) -> list[Ban]:
        """Every ban that was saved, ended or not, in the order of ``since``; makes the store where there is none."""

    def save(self, changes: Iterable[tuple[Network, Ban | None]]) -> None:
        """Put each ban in the place of its network's, or remove it (None): all of them, or none.

        What was saved outlives the process, however it ends.
        """

    def close(self) -> None:
        """Let go of what is open; ``load`` opens it again."""


class MemoryBanStore:
    """A store for as long as the process lives."""

    def __init__(self) -> None:
        self._bans: dict[Network, Ban] = {}

    def load(self) -> list[Ban]:
        return sorted(self._bans.values(), key=lambda ban: ban.since)

    def save(self, changes: Iterable[tuple[Network, Ban | None]]) -> None:
        for network, ban in changes:
            self._bans.pop(network, None)
            if ban is not None:
                self._bans[network] = ban

    def close(self) -> None:
        """Nothing is open."""
