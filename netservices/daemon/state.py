"""The state directory, and what the daemon tells others in it."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from netservices.config import DaemonOptions
    from netservices.daemon.listener import Listener


class StateError(Exception):
    """The state directory can't be used; the text says why."""


def find_state(options: DaemonOptions, environment: Mapping[str, str], *, root: bool) -> Path:
    """Where state is kept, absolute: as the file says, else $STATE_DIRECTORY, else by who runs us."""
    if options.state is not None:
        return options.state.absolute()
    # systemd.exec(5): several directories are separated by colons.
    given = environment.get("STATE_DIRECTORY", "").partition(":")[0]
    if given:
        return Path(given).absolute()
    return Path("/var/lib/netservices") if root else Path("netservices-state").absolute()


def make_state(state: Path) -> None:
    """Make sure that it exists and that it is ours alone. Raises ``StateError``."""
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = state.stat()
        if found.st_uid != os.geteuid():
            raise StateError(f"the state directory {state} belongs to user {found.st_uid}, not to {os.geteuid()}")
        if found.st_mode & 0o077:
            state.chmod(0o700)
    except OSError as error:
        raise StateError(f"the state directory {state} can't be used: {error.strerror}") from error


class ListenersFile:
    """``STATE/listeners.json``: which service is reached where, while the daemon runs; written whole or not at all."""

    def __init__(self, state: Path) -> None:
        self._path = state / "listeners.json"

    def write(self, listeners: Iterable[Listener]) -> None:
        """Replace it. Raises ``StateError``; what was there before is then left."""
        services: dict[str, list[dict[str, object]]] = {}
        for listener in listeners:
            entry = listener.door.entry
            for bound in listener.sockets:
                services.setdefault(listener.door.section.name, []).append(
                    {
                        "listen": str(entry),
                        "option": listener.door.option,
                        "transport": bound.transport,
                        "tls": entry.tls,
                        "address": bound.address.host,
                        "port": bound.address.port,
                        "path": bound.address.path,
                    }
                )
        text = json.dumps({"pid": os.getpid(), "services": services}, indent=1)
        fresh = self._path.with_suffix(".new")
        try:
            fresh.write_text(text)
            fresh.replace(self._path)
        except OSError as error:
            with contextlib.suppress(OSError):
                fresh.unlink()
            raise StateError(f"{self._path} can't be written: {error.strerror}") from error

    def remove(self) -> None:
        """Nothing is reached any more, or nothing yet. Raises ``StateError``."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            raise StateError(f"{self._path} can't be removed: {error.strerror}") from error
