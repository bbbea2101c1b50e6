"""Paths in the file: those that must be readable when it is loaded, and those that a check looks at.

Both are taken from the configuration file's own folder when they are relative.
"""

from __future__ import annotations

import os
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, ValidationInfo

from netservices.config.words import Worded

if TYPE_CHECKING:
    from collections.abc import Mapping


def find_base(context: object) -> Path:
    """The folder that relative paths start from; a model made in code, without a file, has the working directory."""
    base = context.get("base") if isinstance(context, dict) else None
    return base if isinstance(base, Path) else Path()


def make_context(base: Path) -> Mapping[str, object]:
    """What the validation of a file in folder ``base`` is given."""
    return {"base": base}


def read_file(path: Path, largest: int) -> bytes:
    """A regular file's contents. Raises ``ValueError`` saying what is wrong with it, in words that follow its name."""
    try:
        # O_NONBLOCK: a FIFO that nobody writes to would wait for ever.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            regular = S_ISREG(os.fstat(file.fileno()).st_mode)
            octets = file.read(largest + 1) if regular else b""
    except OSError as error:
        raise ValueError(f"can't be read: {error.strerror}") from None
    except ValueError:
        raise ValueError("can't be read: its name holds a NUL") from None
    if not regular:
        raise ValueError("is not a file")
    if len(octets) > largest:
        raise ValueError(f"is larger than {largest // 1024} KiB")
    return octets


LARGEST_INPUT = 2**20


def _require_file(path: Path, info: ValidationInfo) -> Path:
    full = find_base(info.context) / path
    try:
        read_file(full, LARGEST_INPUT)
    except ValueError as error:
        raise ValueError(f"{full} {error}, wanted a file that can be read") from None
    return full


def _place(path: Path, info: ValidationInfo) -> Path:
    return find_base(info.context) / path


class _FolderMark:
    """Tells ``examine`` that a path is a folder which should be there."""


FOLDER = _FolderMark()

InputFile = Annotated[Path, AfterValidator(_require_file), Worded("a file's path", "paths of files", '"/path/file"')]
"""A file; that it is missing, unreadable or larger than 1 MiB when the configuration is loaded is a mistake."""

Folder = Annotated[Path, AfterValidator(_place), FOLDER, Worded("a folder's path", "paths of folders", '"/path"')]
"""A folder; that it is missing or can't be read is a warning, since it may come later."""
