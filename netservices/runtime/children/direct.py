"""Starting a program as the daemon's own user: one posix_spawn(3), which copies nothing of the daemon.

``os.posix_spawn`` lacks the two actions that matter here, the folder and the descriptors that must not leak, so the C
library is called as it is. Its calls hold Python's lock: for as long as the child needs to become the program.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# spawn.h; the same numbers in glibc and musl.
_SET_SIGNALS = 0x04
_SET_MASK = 0x08
_SET_SESSION = 0x80

# Larger than what any C library has for posix_spawnattr_t, posix_spawn_file_actions_t and sigset_t.
_ROOM = 1024

_FIRST = 3


class DirectSpawner:
    """Makes processes; whoever asks reaps them."""

    def __init__(self) -> None:
        self._libc = libc = ctypes.PyDLL(None)
        self._attributes = ctypes.create_string_buffer(_ROOM)
        _check(libc.posix_spawnattr_init(self._attributes))
        _check(libc.posix_spawnattr_setflags(self._attributes, ctypes.c_short(_SET_SIGNALS | _SET_MASK | _SET_SESSION)))
        signals = ctypes.create_string_buffer(_ROOM)
        libc.sigemptyset(signals)
        _check(libc.posix_spawnattr_setsigmask(self._attributes, signals))
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            libc.sigaddset(signals, ctypes.c_int(number))
        _check(libc.posix_spawnattr_setsigdefault(self._attributes, signals))
        # glibc 2.34 has it. Elsewhere it is enough that every descriptor of ours is closed on exec, see ``seal``.
        self._closes = hasattr(libc, "posix_spawn_file_actions_addclosefrom_np")

    def spawn(
        self,
        program: bytes,
        argv: Sequence[bytes],
        environment: Mapping[bytes, bytes],
        folder: bytes,
        descriptors: Sequence[int],
    ) -> int:
        """Start a program in a session of its own with its first three descriptors; its process id.

        Each descriptor is above 2, or the very one that it becomes. Raises ``OSError``, also when the folder or the
        program can't be had.
        """
        libc, actions = self._libc, ctypes.create_string_buffer(_ROOM)
        _check(libc.posix_spawn_file_actions_init(actions))
        try:
            for number, descriptor in enumerate(descriptors):
                if descriptor < _FIRST and descriptor != number:
                    raise ValueError(f"descriptor {descriptor} can't become {number}")
                _check(libc.posix_spawn_file_actions_adddup2(actions, ctypes.c_int(descriptor), ctypes.c_int(number)))
            if self._closes:
                _check(libc.posix_spawn_file_actions_addclosefrom_np(actions, ctypes.c_int(_FIRST)))
            _check(libc.posix_spawn_file_actions_addchdir_np(actions, folder))
            words = _make_array(argv)
            settings = _make_array([b"%s=%s" % pair for pair in environment.items()])
            pid = ctypes.c_int()
            place = ctypes.byref(pid)
            _check(libc.posix_spawn(place, program, actions, self._attributes, words, settings))
        finally:
            libc.posix_spawn_file_actions_destroy(actions)
        return pid.value

    def close(self) -> None:
        """Give back what the C library has for it."""
        self._libc.posix_spawnattr_destroy(self._attributes)


def seal() -> None:
    """Close every descriptor but the standard three on exec, those too that the service manager handed over."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - pathlib costs the spawner memory and time
        descriptor = int(name)
        if descriptor >= _FIRST:
            try:
                flags = fcntl.fcntl(descriptor, fcntl.F_GETFD)
            except OSError:
                # The one that the folder was read with.
                continue
            fcntl.fcntl(descriptor, fcntl.F_SETFD, flags | fcntl.FD_CLOEXEC)


def _make_array(texts: Sequence[bytes]) -> ctypes.Array[ctypes.c_char_p]:
    # A NULL is its end.
    return (ctypes.c_char_p * (len(texts) + 1))(*texts)


def _check(number: int) -> None:
    # These calls return the error instead of setting errno.
    if number != 0:
        raise OSError(number, os.strerror(number))
