"""Users of this machine, as what a process can run as."""

from __future__ import annotations

import grp
import os
import pwd
from dataclasses import dataclass


class UserError(Exception):
    """There is no such user or group; the text names it."""


@dataclass(frozen=True)
class RunAs:
    """A user's numbers: ``groups`` are all of them, the first one of the account (``gid``) too."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]


def find_user(name: str, group: str | None = None) -> RunAs:
    """Look an account up by its name or its number; ``group`` in place of the account's own. Raises ``UserError``.

    A number without an account stands for itself, with a group of the same number.
    """
    try:
        found = pwd.getpwuid(int(name)) if _is_number(name) else pwd.getpwnam(name)
    except (KeyError, OverflowError, ValueError):
        # 2**32 - 1 means "leave it" to the kernel.
        if not _is_number(name) or int(name) >= 2**32 - 1:
            raise UserError(f'this machine has no user "{name}"') from None
        uid = int(name)
        gid = uid if group is None else find_group(group)
        return RunAs(name, uid, gid, (gid,))
    gid = found.pw_gid if group is None else find_group(group)
    return RunAs(found.pw_name, found.pw_uid, gid, tuple(sorted({*os.getgrouplist(found.pw_name, gid)})))


def find_group(name: str) -> int:
    """The number of a group that is given by its name or its number. Raises ``UserError``."""
    try:
        return (grp.getgrgid(int(name)) if _is_number(name) else grp.getgrnam(name)).gr_gid
    except (KeyError, OverflowError, ValueError):
        raise UserError(f'this machine has no group "{name}"') from None


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit()
