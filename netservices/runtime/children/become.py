"""How a child gets what is its own: lent by the spawner, or set by a copy of it between fork and exec."""

from __future__ import annotations

import os
import resource

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from netservices.runtime.children.job import Job

NOT_RUN = 127
"""The exit status of a child that could not become the program, as a shell has it."""

REPORT = 256
"""Octets that such a child writes, whole in one write: its process id, a space, the reason, padded with spaces."""

# What the C type of a limit can't hold is refused where it is set.
_UNKNOWN = 2**63

_LIMITS = (resource.RLIMIT_CPU, resource.RLIMIT_AS, resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC)


SMALLEST_MEMORY = 64 * 2**20
SMALLEST_FILES = 64
"""Below these the spawner itself could not go on."""


def may_keep(job: Job) -> bool:
    """Whether the spawner can live with the job's limits for good, so that every child inherits them."""
    _, memory, files, processes = job.limits
    return (
        (memory is None or SMALLEST_MEMORY <= memory < _UNKNOWN)
        and (files is None or files >= SMALLEST_FILES)
        and processes is None
    )


def keep_limits(job: Job) -> None:
    """Take the job's limits on for good, but for the processor time. Raises ``OSError`` or ``ValueError``."""
    for which, both in list_limits(job):
        if which != resource.RLIMIT_CPU:
            resource.setrlimit(which, both)


class Lending:
    """Has a child inherit a job's umask and processor time from this process, while the ``with`` block starts it.

    A spawner runs for years, a child for seconds: only the soft limit is lent, since nobody can raise a hard one again;
    ``fix`` lowers the child's hard one right after. SIGXCPU must be handled: the lender may have used more.
    """

    def __init__(self, job: Job) -> None:
        self._umask = job.umask
        self._cpu = job.limits[0]
        self._before = resource.getrlimit(resource.RLIMIT_CPU)

    def __enter__(self) -> None:
        if self._umask is not None:
            self._umask = os.umask(self._umask)
        if self._cpu is not None:
            resource.setrlimit(resource.RLIMIT_CPU, (self._cpu, self._before[1]))

    def __exit__(self, *_: object) -> None:
        if self._cpu is not None:
            resource.setrlimit(resource.RLIMIT_CPU, self._before)
        if self._umask is not None:
            os.umask(self._umask)

    def fix(self, pid: int) -> None:
        """Take from the child the right to raise what it was lent."""
        if self._cpu is not None:
            resource.prlimit(pid, resource.RLIMIT_CPU, (self._cpu, self._cpu + 1))


def list_limits(job: Job) -> list[tuple[int, tuple[int, int]]]:
    """The limits of a job, soft and hard; SIGXCPU can be caught, a second later nothing helps."""
    return [
        (which, (most, most + 1 if which == resource.RLIMIT_CPU else most))
        for which, most in zip(_LIMITS, job.limits, strict=True)
        if most is not None
    ]


def become(
    report: int, job: Job, program: bytes, environment: dict[bytes, bytes], descriptors: Sequence[int]
) -> NoReturn:
    """In a copy of the spawner: turn into the program, or say why not. Whatever happens, it never returns.

    ``report`` is the descriptor that a failure is written to; closed on exec. Signals have their default effect
    already, or a handler, which exec(2) takes away; none is blocked.
    """
    doing = b"its process group"
    try:
        os.setpgid(0, 0)
        doing = b"its descriptors"
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
        doing = b"its limits"
        limit(job)
        doing = b"its folder"
        folder = job.find_folder(program)
        # The spawner is there already.
        if folder != b"/":
            os.chdir(folder)
        doing = program
        os.execve(program, job.find_arguments(program), environment)  # noqa: S606 - no shell is meant
    except BaseException as error:  # noqa: BLE001 - a copy of the spawner must not go on, whatever went wrong
        words = getattr(error, "strerror", None) or str(error) or type(error).__name__
        told = b"%d %s: %s" % (os.getpid(), doing, words.encode("utf-8", "replace"))
        os.write(report, told[:REPORT].ljust(REPORT))
    finally:
        os._exit(NOT_RUN)


def limit(job: Job) -> None:
    """Give this process the job's umask and limits. Raises ``OSError`` or ``ValueError``."""
    if job.umask is not None:
        os.umask(job.umask)
    for which, both in list_limits(job):
        resource.setrlimit(which, both)


def change_user(uid: int, gid: int, groups: Sequence[int]) -> None:
    """Become that user for good, and make sure of it. Raises ``OSError``."""
    # Without user 0, neither groups nor group can be set.
    os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    if os.getresuid() != (uid,) * 3 or os.getresgid() != (gid,) * 3 or set(os.getgroups()) != set(groups):
        raise PermissionError("the change was not whole")
