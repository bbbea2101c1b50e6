"""Unix sockets in deep folders."""

from __future__ import annotations

import os
from pathlib import Path

# unix(7): sun_path holds 108 octets, the last of them NUL.
_LONGEST = 107


class SocketPath:
    """Another name for the socket's file at ``path``, short enough for the kernel; valid until ``close``.

    A path that is too long is reached through a descriptor of its folder, which is kept open. Raises ``OSError`` if
    there is no such folder.
    """

    def __init__(self, path: Path | str) -> None:
        self.name = str(path)
        self._folder: int | None = None
        if len(os.fsencode(self.name)) > _LONGEST:
            self._folder = os.open(Path(path).parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            self.name = f"/proc/self/fd/{self._folder}/{Path(path).name}"

    def close(self) -> None:
        """Let go of the folder."""
        if self._folder is not None:
            os.close(self._folder)
            self._folder = None
