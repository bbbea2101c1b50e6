"""Where a verb finds the bans: with the daemon if it runs, else in its state directory."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast
from xmlrpc.client import Fault

from netservices.cli.client import DaemonClient, NoAnswerError
from netservices.runtime.admission.access import unmap_network
from netservices.runtime.admission.bansqlite import SqliteBanStore
from netservices.runtime.admission.banstore import (
    OPERATOR,
    Ban,
    BanStoreError,
    parse_ban_data,
    say_network,
)

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address
    from pathlib import Path

    from netservices.runtime.admission.access import Network


class BanError(Exception):
    """The bans can't be asked or changed; the text says why. ``unreachable`` where the daemon does not answer."""

    def __init__(self, text: str, *, unreachable: bool = False) -> None:
        super().__init__(text)
        self.unreachable = unreachable


class _NotRunningError(Exception):
    """No daemon has this state directory."""


class BanSource:
    """The bans of the daemon that has its state in ``state``. Every method raises ``BanError``."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._client = DaemonClient(state / "control")

    def list_bans(self) -> list[Ban]:
        """All that hold."""
        bans: list[Ban] = []
        after = 0
        try:
            while page := cast("list[dict[str, object]]", self._call("list", after)):
                bans += [_parse(entry) for entry in page]
                after = cast("int", page[-1]["number"])
        except _NotRunningError:
            return self._read()
        return bans

    def find(self, ip: IPv4Address | IPv6Address) -> Ban | None:
        """The one that holds for ``ip``: of the longest prefix, if there are several."""
        try:
            found = self._call("find", str(ip))
        except _NotRunningError:
            around = [ban for ban in self._read() if ip in ban.network]
            return max(around, key=lambda ban: ban.network.prefixlen, default=None)
        return None if found is None else _parse(cast("dict[str, object]", found))

    def add(self, network: Network, seconds: float | None, reason: str) -> Ban:
        """Ban ``network`` for ``seconds``, or until it is removed (None)."""
        network = unmap_network(network)
        try:
            return self._parse_call("add", str(network), seconds, reason)
        except _NotRunningError:
            now = time.time()
            until = None if seconds is None else now + seconds
            ban = Ban(network, now, until, reason, OPERATOR, manual=True)
            self._save(network, ban)
        try:
            # A daemon that came up meanwhile may have read its bans before this one was among them.
            return self._parse_call("add", str(network), seconds, reason)
        except _NotRunningError:
            return ban

    def remove(self, network: Network) -> Ban:
        """Lift the ban of exactly ``network``."""
        network = unmap_network(network)
        try:
            return self._parse_call("remove", str(network))
        except _NotRunningError:
            bans = self._read()
        found = next((ban for ban in bans if ban.network == network), None)
        if found is None:
            around = next((f"; {ban}" for ban in bans if network.network_address in ban.network), "")
            raise BanError(f"there is no ban of {say_network(network)}{around}")
        self._save(network, None)
        try:
            return self._parse_call("remove", str(network))
        except (_NotRunningError, BanError):
            # A daemon that came up meanwhile may know of it still, or not any more.
            return found

    def _call(self, verb: str, *parameters: object) -> object:
        try:
            return self._client.call(f"netservices.ban.{verb}", *parameters)
        except Fault as fault:
            raise BanError(fault.faultString) from None
        except NoAnswerError as error:
            if isinstance(error.__cause__, FileNotFoundError | ConnectionRefusedError):
                raise _NotRunningError from None
            raise BanError(str(error), unreachable=True) from None

    def _parse_call(self, verb: str, *parameters: object) -> Ban:
        return _parse(cast("dict[str, object]", self._call(verb, *parameters)))

    def _read(self) -> list[Ban]:
        store = self._open()
        if store is None:
            return []
        now = time.time()
        try:
            return [ban for ban in store.load() if ban.until is None or now < ban.until]
        except BanStoreError as error:
            raise BanError(str(error)) from None
        finally:
            store.close()

    def _save(self, network: Network, ban: Ban | None) -> None:
        from netservices.daemon.state import StateError, make_state  # noqa: PLC0415 - only without a daemon

        try:
            make_state(self._state)
            store = cast("SqliteBanStore", self._open(make=True))
            try:
                store.save([(network, ban)])
            finally:
                store.close()
        except (BanStoreError, StateError) as error:
            raise BanError(str(error)) from None

    def _open(self, *, make: bool = False) -> SqliteBanStore | None:
        """The store; None where there is none and none is to be made."""
        from netservices.cli.ownership import become_owner  # noqa: PLC0415 - only without a daemon

        path = self._state / "accounts.db"
        become_owner(self._state)
        return SqliteBanStore(path) if make or path.exists() else None


def _parse(data: dict[str, object]) -> Ban:
    try:
        return parse_ban_data(data)
    except (KeyError, ValueError) as error:
        raise BanError(f"the daemon's answer is no ban: {error}") from None
