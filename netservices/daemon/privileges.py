"""The rights of the process: who it runs as, and that it keeps nothing else.

Three steps, in this order: ``forgo`` before any thread is made (and after the spawner is), ``drop`` once everything is
bound; ``acting_as`` for files that are made in between.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from netservices.config.rights import Reader
from netservices.runtime.children.kernel import (
    NET_BIND_SERVICE,
    clear_ambient,
    drop_bounding,
    forbid_inspection,
    forbid_new_privileges,
    keep_capabilities,
    make_mask,
    read_permitted,
    read_status,
    set_capabilities,
)
from netservices.runtime.children.users import RunAs, UserError, find_user

if TYPE_CHECKING:
    from collections.abc import Iterator

KEPT = frozenset({NET_BIND_SERVICE})
"""What the daemon keeps, so that a reload can bind a low port."""

_TASKS = Path("/proc/self/task")


class PrivilegeError(Exception):
    """The process can't run as it should, or would hold more than it should; the text says why, in one line."""


def choose_user(name: str | None, *, uid: int) -> RunAs | None:
    """Whom a process that was started as ``uid`` has to become for ``[daemon] user``; None: nobody else.

    Raises ``PrivilegeError`` when the file names nobody though root starts it, or somebody whom it can't become.
    """
    if name is None:
        if uid == 0:
            raise PrivilegeError(
                'started by root, and [daemon] user is not set; wanted the user to run as, such as "netservices" '
                '("root": stay root)'
            )
        return None
    try:
        found = find_user(name)
    except UserError as error:
        raise PrivilegeError(f"[daemon] user: {error}") from None
    if found.uid == uid:
        return None
    if uid != 0:
        raise PrivilegeError(f"[daemon] user is {name}, and only root or {name} can start it; this is user {uid}")
    return found


def make_reader_of(run_as: RunAs) -> Reader:
    """The user by whose rights files are judged, whoever asks."""
    return Reader(run_as.uid, frozenset({run_as.gid, *run_as.groups}))


def forgo(becoming: RunAs | None = None) -> None:
    """Give up what nobody here needs: gaining rights by running a program, and handing capabilities on to one.

    Call it before any thread is made, since the kernel keeps all of this by thread. Root that is ``becoming`` somebody
    keeps its other rights until ``drop``, and root that is not keeps them; anybody else is left with ``KEPT`` at most.
    Raises ``PrivilegeError``.
    """
    try:
        forbid_new_privileges()
        clear_ambient()
        if becoming is not None or os.geteuid() != 0:
            drop_bounding()
        if os.geteuid() != 0:
            set_capabilities(KEPT & read_permitted())
            _check_rights(bounding=False)
    except OSError as error:
        raise PrivilegeError(f"the process can't give up its rights: {error.strerror or error}") from error


def drop(run_as: RunAs) -> None:
    """Become that user for good, with its groups and ``KEPT``. Raises ``PrivilegeError``; the process must then end.

    What is read back from the kernel decides, for every thread there is.
    """
    if run_as.uid == 0:
        raise PrivilegeError("root is no user to drop to")
    try:
        forgo(run_as)
        # Without CAP_SETPCAP, as in some containers, the bounding set stays; no_new_privs makes it worth nothing.
        bounded = drop_bounding()
        kept = KEPT & read_permitted()
        keep_capabilities(keep=True)
        os.setgroups(run_as.groups)
        os.setresgid(run_as.gid, run_as.gid, run_as.gid)
        os.setresuid(run_as.uid, run_as.uid, run_as.uid)
        keep_capabilities(keep=False)
        set_capabilities(kept)
        forbid_inspection()
    except OSError as error:
        raise PrivilegeError(f"the process can't become user {run_as.name}: {error.strerror or error}") from error
    _check_identity(run_as)
    _check_rights(bounding=bounded)


def _check_identity(run_as: RunAs) -> None:
    if os.getresuid() != (run_as.uid,) * 3 or os.getresgid() != (run_as.gid,) * 3:
        raise PrivilegeError(f"the process did not become user {run_as.name} whole")
    ids = {name: {str(number)} for name, number in (("Uid", run_as.uid), ("Gid", run_as.gid))}
    ids["Groups"] = {str(number) for number in run_as.groups}
    for task, status in _read_tasks():
        for name, wanted in ids.items():
            if set(status[name].split()) != wanted:
                raise PrivilegeError(f"thread {task} has kept {name} {status[name]}, wanted {' '.join(sorted(wanted))}")


def _check_rights(*, bounding: bool) -> None:
    allowed = {"CapInh": 0, "CapAmb": 0, "CapPrm": make_mask(KEPT), "CapEff": make_mask(KEPT)}
    if bounding:
        allowed["CapBnd"] = 0
    for task, status in _read_tasks():
        if status["NoNewPrivs"] != "1":
            raise PrivilegeError(f"thread {task} was made before new privileges were forbidden")
        for name, mask in allowed.items():
            if int(status[name], 16) & ~mask:
                raise PrivilegeError(f"thread {task} has kept {name} {status[name]}")


def _read_tasks() -> Iterator[tuple[str, dict[str, str]]]:
    for task in sorted(_TASKS.iterdir()):
        # A thread may end meanwhile.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            yield task.name, read_status(str(task))


@contextlib.contextmanager
def acting_as(run_as: RunAs | None) -> Iterator[None]:
    """Make files as that user, and come back as root; None: as who we are. Raises ``PrivilegeError``.

    Files that root may read and the user may not can't be read meanwhile.
    """
    if run_as is None:
        yield
        return
    groups, gid, uid = os.getgroups(), os.getegid(), os.geteuid()
    try:
        os.setgroups(run_as.groups)
        os.setegid(run_as.gid)
        os.seteuid(run_as.uid)
    except OSError as error:
        _return(groups, gid, uid)
        raise PrivilegeError(f"the process can't act as user {run_as.name}: {error.strerror}") from error
    try:
        yield
    finally:
        _return(groups, gid, uid)


def _return(groups: list[int], gid: int, uid: int) -> None:
    os.seteuid(uid)
    os.setegid(gid)
    with contextlib.suppress(PermissionError):
        os.setgroups(groups)


def give(top: Path, run_as: RunAs) -> int:
    """Give what belongs to root in the folder ``top``, and the folder itself, to that user; how many were given.

    Symbolic links are not followed. A file with a second name is left alone: whoever could write here may have linked a
    file of root's from elsewhere. Raises ``PrivilegeError``.
    """
    given = 0
    try:
        for _, _, names, folder in os.fwalk(top, follow_symlinks=False):
            for name in [".", *names]:
                given += _give_one(name, folder, run_as)
    except OSError as error:
        raise PrivilegeError(f"{top} can't be given to user {run_as.name}: {error.strerror}") from error
    return given


def _give_one(name: str, folder: int, run_as: RunAs) -> int:
    # O_PATH opens sockets and devices too, and opens nothing of theirs; what it holds can't be swapped any more.
    found = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        facts = os.fstat(found)
        linked = facts.st_nlink > 1 and not stat.S_ISDIR(facts.st_mode)
        if facts.st_uid != 0 or linked or stat.S_ISLNK(facts.st_mode):
            return 0
        # fchown(2) refuses such a descriptor.
        os.chown(f"/proc/self/fd/{found}", run_as.uid, run_as.gid)
    finally:
        os.close(found)
    return 1
