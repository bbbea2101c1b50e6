"""A command as the spawner keeps it: octets, ready for exec(3), and the rules for what a call may say.

Pure but for ``Job.find_program``, which resolves links.
"""

from __future__ import annotations

import os

from netservices.runtime.children.fields import MessageError, decode, parse_number, parse_optional, unpack

# What makes a dynamic linker, a shell or an interpreter run other code than the program named.
_DANGEROUS = (
    b"BASH_ENV", b"ENV", b"GCONV_PATH", b"GLIBC_TUNABLES", b"IFS", b"JAVA_TOOL_OPTIONS", b"LD_AUDIT",
    b"LD_LIBRARY_PATH", b"LD_PRELOAD", b"LOCPATH", b"LUA_INIT", b"NODE_OPTIONS", b"PATH", b"PERL5LIB", b"PERL5OPT",
    b"PHPRC", b"PS4", b"PYTHONHOME", b"PYTHONPATH", b"PYTHONSTARTUP", b"RUBYLIB", b"RUBYOPT", b"SHELLOPTS", b"TMPDIR",
)  # fmt: skip

# setuid(2): -1 means "leave it"; the kernel's numbers have 32 bits.
_MOST_ID = 2**32 - 2


def matches(pattern: bytes, name: bytes) -> bool:
    """Whether a name, or a name's beginning with a star, is or covers ``name``."""
    return name.startswith(pattern[:-1]) if pattern.endswith(b"*") else name == pattern


def is_dangerous(pattern: bytes) -> bool:
    """Whether a variable of such a name can change which code is run."""
    return pattern.startswith(b"LD_") or any(matches(pattern, name) for name in _DANGEROUS)


def find_below(folder: bytes, asked: bytes | None) -> bytes:
    """The program that ``asked`` leads to. Raises ``ValueError`` unless it lies in ``folder`` or deeper.

    Links are resolved once, here; what runs is the file at their end.
    """
    if asked is None or not asked.startswith(b"/") or b"\0" in asked:
        raise ValueError("no program is named, wanted an absolute path")
    program, top = os.path.realpath(asked), os.path.realpath(folder)
    if not program.startswith(top.rstrip(b"/") + b"/"):
        raise ValueError(f"{os.fsdecode(asked)} is not below {os.fsdecode(folder)}")
    return program


class Job:
    """One command; it never changes."""

    __slots__ = (
        "_below", "_folder", "_variables", "argv", "environment", "gid", "groups", "keep_group", "limits", "name",
        "uid", "umask",
    )  # fmt: skip

    def __init__(self, octets: bytes) -> None:
        """Raises ``MessageError`` unless ``octets`` are what ``pack_command`` makes."""
        fields = unpack(octets)
        if len(fields) != 9 or b"\0" in b"".join(
            [fields[2], *unpack(fields[0]), *unpack(fields[3]), *unpack(fields[7])]
        ):
            raise MessageError("no command")
        argv, who, self._folder, environment, variables, umask, bounds, below, keep = fields
        self.argv = unpack(argv)
        self.name, self.uid, self.gid, self.groups = _parse_user(unpack(who))
        self.environment = dict(map(split_variable, unpack(environment)))
        self._variables = unpack(variables)
        self.umask = parse_optional(umask)
        self.limits = [parse_optional(bound) for bound in unpack(bounds)]
        self._below = next(iter(unpack(below)), None)
        self.keep_group = bool(parse_number(keep))
        if len(self.limits) != 4 or (self._below is None and not self.argv):
            raise MessageError("no command")
        if self.uid is not None and any(is_dangerous(pattern) for pattern in self._variables):
            raise MessageError("a variable that could make another program of this one")

    def merge(self, given: list[bytes]) -> dict[bytes, bytes]:
        """The whole environment. Raises ``ValueError`` for a variable that the command does not name."""
        environment: dict[bytes, bytes] = {}
        for field in given:
            name, value = split_variable(field)
            if not any(matches(pattern, name) for pattern in self._variables):
                raise ValueError(f"{decode(name)!r} is no variable that this command is given")
            environment[name] = value
        environment.update(self.environment)
        return environment

    def find_program(self, asked: bytes | None) -> bytes:
        """The program's path. Raises ``ValueError``."""
        if self._below is not None:
            return find_below(self._below, asked)
        if asked is not None:
            raise ValueError("this command's program is always the same")
        return self.argv[0]

    def find_arguments(self, program: bytes) -> list[bytes]:
        """The program's own name and its arguments."""
        return self.argv if self._below is None else [program, *self.argv]

    def find_folder(self, program: bytes) -> bytes:
        """Where it starts."""
        return self._folder or os.path.dirname(program)  # noqa: PTH120 - pathlib costs the spawner memory and time


def split_variable(field: bytes) -> tuple[bytes, bytes]:
    """``NAME=value``. Raises ``MessageError``."""
    name, equals, value = field.partition(b"=")
    if not name or not equals or b"\0" in field:
        raise MessageError("no variable")
    return name, value


def _parse_user(fields: list[bytes]) -> tuple[str, int | None, int, list[int]]:
    if not fields:
        return "", None, 0, []
    if len(fields) < 3:
        raise MessageError("no user")
    uid, gid, *groups = map(parse_number, fields[1:])
    if max(uid, gid, *groups) > _MOST_ID:
        raise MessageError("no user")
    return decode(fields[0]), uid, gid, groups
