"""Bytes that the kernel can send without copying them."""

from __future__ import annotations

import os
import resource

WORTH_PINNING = 32 * 1024
"""Octets. Below it, copying costs less than a second system call."""


class Pinned(bytes):
    """Bytes that also lie in a memory file, whose pages sendfile(2) hands to the network as they are.

    Everywhere else they are bytes like any others. The memory file goes with the object.
    """

    fd: int

    def __del__(self) -> None:
        """Let go of the memory file."""
        os.close(self.fd)


def pin(octets: bytes) -> bytes:
    """The same bytes, pinned if they are worth it and the machine has a descriptor to spare. Blocks for a copy."""
    if len(octets) < WORTH_PINNING:
        return octets
    try:
        fd = os.memfd_create("netservices", os.MFD_CLOEXEC)
    except OSError:
        return octets
    # The kernel gives the lowest number that is free. Whoever asks for a thousand files must not use up what sessions
    # need, so the upper half is theirs.
    if fd >= resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2:
        os.close(fd)
        return octets
    try:
        left = memoryview(octets)
        while left:
            left = left[os.write(fd, left) :]
    except OSError:
        os.close(fd)
        return octets
    pinned = Pinned(octets)
    pinned.fd = fd
    return pinned
