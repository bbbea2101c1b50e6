"""Which file is the configuration."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from netservices.config.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE = "NETSERVICES_CONFIG"
FILE_NAME = "netservices.toml"
SYSTEM_FILE = Path("/etc/netservices/netservices.toml")


def find_path(
    explicit: str | None,
    environment: Mapping[str, str],
    *,
    folder: Path | None = None,
    system: Path = SYSTEM_FILE,
    uid: int | None = None,
) -> Path | None:
    """The file to load, or None: the built-in try-out configuration.

    What was asked for by name is taken at its word, there or not. Root takes a file from the current directory only
    when root owns it and nobody else may write it; else ``ConfigError``. Left out, ``folder`` is the current directory
    and ``uid`` the process's.
    """
    named = explicit or environment.get(VARIABLE)
    if named:
        return Path(named)
    here = Path(FILE_NAME) if folder is None else folder / FILE_NAME
    if os.path.lexists(here):
        if (os.geteuid() if uid is None else uid) == 0:
            _require_roots_own(here)
        return here
    return system if system.exists() else None


def _require_roots_own(path: Path) -> None:
    try:
        # A link counts with its owner: whoever made it chooses the file.
        facts = (path.lstat(), path.stat())
    except OSError:
        return
    for fact in facts:
        writable = not stat.S_ISLNK(fact.st_mode) and fact.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if fact.st_uid != 0 or writable:
            what = "may be written by others" if fact.st_uid == 0 else "does not belong to root"
            raise ConfigError(
                [
                    Problem(
                        str(path),
                        0,
                        "",
                        f"{what}, wanted a file that only root can change before root takes it from the current "
                        "directory; --config takes any file",
                    )
                ]
            )
