"""Whose files a verb writes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def become_owner(state: Path) -> None:
    """Root writes as whoever has the directory, so that the daemon can read and write what is made there.

    There is no way back. Does nothing for anybody else, or where there is no directory yet.
    """
    if os.geteuid() != 0 or not state.exists():
        return
    owner = state.stat()
    if owner.st_uid != 0:
        os.setgroups([])
        os.setresgid(owner.st_gid, owner.st_gid, owner.st_gid)
        os.setresuid(owner.st_uid, owner.st_uid, owner.st_uid)
