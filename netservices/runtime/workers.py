"""What a worker of a section may be besides a Twisted service."""

from __future__ import annotations

from zope.interface import Interface


class IReopenable(Interface):
    """Something that holds a file which is renamed under it by log rotation."""

    def reopen() -> None:
        """Open the file anew by its name; called on SIGHUP. Must not block and must not raise."""
