"""What can be run: a program, whose rights it has, what it is given and how much it may use. Pure values."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netservices.runtime.children.fields import encode, pack, pack_number
from netservices.runtime.children.job import Job, is_dangerous

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from netservices.runtime.children.users import RunAs


@dataclass(frozen=True)
class ProcessLimits:
    """setrlimit(2) for one process and what it starts; None leaves what the daemon has."""

    cpu: int | None = None
    """Seconds of processor time: SIGXCPU then, and SIGKILL a second later."""
    memory: int | None = None
    """Octets of address space."""
    files: int | None = None
    """Open descriptors."""
    processes: int | None = None
    """Processes and threads of its user, all together."""

    def __bool__(self) -> bool:
        """Whether there is any."""
        return any(value is not None for value in (self.cpu, self.memory, self.files, self.processes))


@dataclass(frozen=True)
class Command:
    """One way to run a program; raises ``ValueError`` when it can't be one.

    With ``user`` it must be known before the daemon gives up root, and nothing in it can change after that.
    """

    argv: tuple[str, ...]
    """The program's absolute path, and its arguments. With ``below``: the arguments alone."""
    user: RunAs | None = None
    """Whose rights it has; None: the daemon's."""
    directory: str = "/"
    """Where it starts; empty: the program's own folder."""
    environment: tuple[tuple[str, str], ...] = ()
    """Variables that are the same each time."""
    variables: tuple[str, ...] = ()
    """Names of the variables that differ each time; with a star at its end, whatever begins like it."""
    umask: int | None = None
    """None: the daemon's."""
    limits: ProcessLimits = field(default_factory=ProcessLimits)
    below: str | None = None
    """A folder: any program in it or deeper, named by each call, as a CGI script is."""
    keep_group: bool = False
    """Whether what the program leaves running in its process group when it ends may go on."""

    def __post_init__(self) -> None:
        if self.below is None and not (self.argv and self.argv[0].startswith("/")):
            raise ValueError(f"{self.argv[:1]} is no program, wanted an absolute path")
        for folder in (self.directory, self.below):
            if folder and not folder.startswith("/"):
                raise ValueError(f"{folder} is no folder, wanted an absolute path")
        if self.umask is not None and not 0 <= self.umask <= 0o777:
            raise ValueError(f"{self.umask} is no umask, wanted 0 to 0o777")
        for name in self.variables:
            if not name.strip("*") or (self.user is not None and is_dangerous(encode(name))):
                raise ValueError(f"{name} may not differ each time: it could make another program of this one")
        # What the spawner would refuse is refused here.
        self.make_job()

    def make_job(self) -> Job:
        """The same, ready to be run."""
        return Job(pack_command(self))

    def __str__(self) -> str:
        """As a log line has it."""
        return os.fspath(self.below or self.argv[0])


@dataclass(frozen=True)
class ExitStatus:
    """How a program ended, and what it took."""

    code: int | None
    """What it gave to exit(3); None when a signal ended it, or it never ran."""
    signal: int | None
    duration: float
    """Seconds from its start to its end."""
    user_time: float
    system_time: float
    peak_memory: int
    """Octets that were resident at once, at most."""
    failure: str = ""
    """Why it could not be run, though a process for it was made; or why its end can't be known."""

    def __str__(self) -> str:
        """As a log line has it."""
        if self.failure:
            return f"failed: {self.failure}"
        return f"status {self.code}" if self.signal is None else f"signal {self.signal}"


def pack_command(command: Command) -> bytes:
    """A command to the one field that ``Job`` reads."""
    user, limits = command.user, command.limits
    who = [] if user is None else [encode(user.name), *map(pack_number, (user.uid, user.gid, *user.groups))]
    return pack(
        [
            _pack_texts(command.argv),
            pack(who),
            encode(command.directory),
            pack(pack_environment(dict(command.environment))),
            _pack_texts(command.variables),
            pack_number(command.umask),
            pack(map(pack_number, (limits.cpu, limits.memory, limits.files, limits.processes))),
            _pack_texts([] if command.below is None else [command.below]),
            pack_number(int(command.keep_group)),
        ]
    )


def pack_environment(variables: Mapping[str, str]) -> list[bytes]:
    """Variables to fields. Raises ``ValueError`` for a name with an equals sign."""
    for name in variables:
        if "=" in name:
            raise ValueError(f"{name!r} is no name of a variable")
    return [encode(f"{name}={value}") for name, value in variables.items()]


def _pack_texts(texts: Iterable[str]) -> bytes:
    return pack(map(encode, texts))
