"""What the kernel can be told about a process's rights, and Python's library cannot say.

Everything here is of the calling thread alone, as prctl(2) and capset(2) are; threads made later inherit it. Imports
little: the spawner is made of it too.
"""

from __future__ import annotations

import ctypes
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# linux/prctl.h
_DEATH_SIGNAL = 1
_SET_DUMPABLE = 4
_SET_KEEP_CAPABILITIES = 8
_BOUNDING_READ = 23
_BOUNDING_DROP = 24
_SET_NO_NEW_PRIVILEGES = 38
_AMBIENT = 47
_AMBIENT_CLEAR_ALL = 4

# linux/capability.h: the form with two words of 32 capabilities each.
_VERSION_3 = 0x20080522


# linux/capability.h: the one that is named here.
NET_BIND_SERVICE = 10


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Word(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def forbid_new_privileges() -> None:
    """From now on no program that is run gains rights, be it set-user-ID; children inherit this, nothing undoes it."""
    _prctl(_SET_NO_NEW_PRIVILEGES, 1)


def keep_capabilities(*, keep: bool) -> None:
    """Whether the permitted capabilities outlast the change from root to another user."""
    _prctl(_SET_KEEP_CAPABILITIES, int(keep))


def forbid_inspection() -> None:
    """No memory image, and no debugger of the same user: what the process has read as root stays in it."""
    _prctl(_SET_DUMPABLE, 0)


def die_with_parent(number: int) -> None:
    """Be sent signal ``number`` when the parent's thread ends; a change of user forgets it."""
    _prctl(_DEATH_SIGNAL, number)


def clear_ambient() -> None:
    """Programs that are run inherit no capability."""
    _prctl(_AMBIENT, _AMBIENT_CLEAR_ALL)


def drop_bounding() -> bool:
    """Take every capability out of what a program can ever gain; False where the right to do so lacks."""
    for number in range(64):
        try:
            if _prctl(_BOUNDING_READ, number):
                _prctl(_BOUNDING_DROP, number)
        except PermissionError:
            return False
        except OSError:
            # EINVAL: beyond the last one that this kernel has.
            break
    return True


def set_capabilities(held: Iterable[int]) -> None:
    """Hold exactly these, permitted and effective, none inheritable. Raises ``PermissionError`` for one not held."""
    mask = make_mask(held)
    words = (_Word * 2)(*(_Word(mask >> shift & 0xFFFFFFFF, mask >> shift & 0xFFFFFFFF, 0) for shift in (0, 32)))
    header = _Header(_VERSION_3, 0)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.capset(ctypes.byref(header), words) != 0:
        raise _make_error("capset")


def make_mask(capabilities: Iterable[int]) -> int:
    """A set of capabilities as /proc writes it."""
    return sum(1 << number for number in set(capabilities))


def read_status(task: str = "/proc/self") -> dict[str, str]:
    """proc(5): the lines of a process's or a thread's status by their names, such as ``CapEff`` and ``NoNewPrivs``."""
    with open(f"{task}/status", encoding="utf-8", errors="replace") as lines:  # noqa: PTH123 - pathlib costs memory
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def read_permitted() -> frozenset[int]:
    """The capabilities that this process may use."""
    mask = int(read_status()["CapPrm"], 16)
    return frozenset(number for number in range(64) if mask >> number & 1)


def _find_prctl() -> Callable[..., int]:
    """prctl(2) itself: an option and four numbers; -1 is an error, which it does not raise."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)
    found: Callable[..., int] = prctl
    return found


def _prctl(option: int, argument: int) -> int:
    result = _find_prctl()(option, argument, 0, 0, 0)
    if result < 0:
        raise _make_error("prctl")
    return result


def _make_error(call: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{call}: {os.strerror(number)}")
