"""Bound sockets for one ``listen`` entry: opened here, or handed over by the service manager."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import socket
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from netservices.config import InetListen, SystemdListen, UnixListen
from netservices.runtime import Address
from netservices.runtime.unixpaths import SocketPath

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from netservices.config import Listen

BACKLOG = 1024
"""Connections that wait to be accepted; the kernel lowers it to net.core.somaxconn."""


_MOST_DESCRIPTORS = 262_144
_FIRST_INHERITED = 3
"""sd_listen_fds(3), SD_LISTEN_FDS_START."""


class BindError(Exception):
    """A listener can't be had; the text names the address and the reason."""


@dataclass
class BoundSocket:
    """A socket that is bound and, if it is a stream's, listening; whoever holds it closes it.

    ``file`` is to be removed when it is closed for good.
    """

    socket: socket.socket
    address: Address
    file: SocketPath | None = None

    @property
    def is_stream(self) -> bool:
        """Whether connections are accepted from it; else datagrams are read."""
        return self.socket.type == socket.SOCK_STREAM

    @property
    def transport(self) -> str:
        """``tcp``, ``udp`` or ``unix``."""
        if self.socket.family == socket.AF_UNIX:
            return "unix"
        return "tcp" if self.is_stream else "udp"

    def close(self) -> None:
        """Close it, and remove its file if it has one."""
        self.socket.close()
        if self.file is not None:
            with contextlib.suppress(OSError):
                Path(self.file.name).unlink()
            self.file.close()
            self.file = None


def raise_descriptor_limit() -> None:
    """As many descriptors as this process may have: a login's usual 1024 are fewer than one service's sessions."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        # Whoever forbids it (a seccomp filter) leaves what there is.
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def parse_inherited(environment: Mapping[str, str], pid: int) -> dict[str, list[int]]:
    """sd_listen_fds(3): the descriptors handed over by the service manager, by name; a name may stand for several."""
    if environment.get("LISTEN_PID") != str(pid) or not environment.get("LISTEN_FDS", "").isdigit():
        return {}
    count = int(environment["LISTEN_FDS"])
    names = environment.get("LISTEN_FDNAMES", "").split(":")
    inherited: dict[str, list[int]] = {}
    for number in range(count):
        name = names[number] if number < len(names) and names[number] else "unknown"
        inherited.setdefault(name, []).append(_FIRST_INHERITED + number)
    return inherited


def load_inherited() -> dict[str, list[int]]:
    """What this process was handed when it started; importing Twisted's endpoints takes it out of ``os.environ``."""
    octets = Path("/proc/self/environ").read_bytes()
    entries = (entry.partition(b"=") for entry in octets.split(b"\0") if entry)
    return parse_inherited({os.fsdecode(name): os.fsdecode(value) for name, _, value in entries}, os.getpid())


def open_sockets(
    listen: Listen, *, device: str | None = None, inherited: Mapping[str, Sequence[int]] = {}
) -> list[BoundSocket]:
    """Every socket of one entry, non-blocking and closed on exec. Raises ``BindError``, with nothing left open.

    Without an interface both families are bound, by two sockets, the IPv6 one V6ONLY; a machine without IPv6 gets one.
    ``inherited`` maps a name to the descriptors that the service manager handed over under it.
    """
    opened: list[BoundSocket] = []
    try:
        match listen:
            case InetListen():
                for bound in _open_inet(listen, device):
                    opened.append(bound)  # noqa: PERF402 - what is open must be known when the next one fails
            case UnixListen():
                opened.append(_open_unix(listen))
            case SystemdListen():
                for bound in _open_inherited(listen, inherited):
                    opened.append(bound)  # noqa: PERF402 - as above
    except OSError as error:
        for bound in opened:
            bound.close()
        raise BindError(f"{listen} can't be bound: {_explain(error, listen)}") from error
    return opened


def _explain(error: OSError, listen: Listen) -> str:
    words = error.strerror or str(error)
    match error.errno:
        case errno.EADDRINUSE:
            return f"{words}: another program listens there"
        case errno.EACCES if isinstance(listen, InetListen):
            return f"{words}: ports below 1024 need root or CAP_NET_BIND_SERVICE"
        case errno.EPERM if isinstance(listen, InetListen):
            return f"{words}: binding to a device needs root or CAP_NET_RAW"
        case errno.EADDRNOTAVAIL:
            return f"{words}: no interface of this machine has the address"
        case errno.ENODEV:
            return f"{words}: this machine has no such interface"
    return words


def _open_inet(listen: InetListen, device: str | None) -> Iterator[BoundSocket]:
    if listen.interface is not None:
        family = socket.AF_INET6 if ":" in listen.interface else socket.AF_INET
        yield _bind_inet(listen, family, listen.interface, listen.port, device)
        return
    first = _bind_inet(listen, socket.AF_INET, "0.0.0.0", listen.port, device)  # noqa: S104 - what the entry asks for
    yield first
    if has_ipv6("::"):
        # Port 0: both families get the port that the first one took.
        yield _bind_inet(listen, socket.AF_INET6, "::", first.address.port, device)


def has_ipv6(host: str) -> bool:
    """Whether this machine speaks IPv6 and has the address ``host``."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True


def _bind_inet(listen: InetListen, family: int, host: str, port: int, device: str | None) -> BoundSocket:
    kind = socket.SOCK_DGRAM if listen.transport == "udp" else socket.SOCK_STREAM
    host, _, zone = host.partition("%")
    # RFC 4007 11.2: a zone is an interface by name, or its number.
    place = (host, port, 0, int(zone) if zone.isdecimal() else socket.if_nametoindex(zone)) if zone else (host, port)
    opened = socket.socket(family, kind)
    try:
        opened.setblocking(False)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:
            # Without it a restart waits for the old connections' TIME_WAIT; another listener is refused all the same.
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if device is not None:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        opened.bind(place)
        if kind == socket.SOCK_STREAM:
            opened.listen(BACKLOG)
    except BaseException:
        opened.close()
        raise
    return BoundSocket(opened, Address(host, opened.getsockname()[1]))


def _open_unix(listen: UnixListen) -> BoundSocket:
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path = SocketPath(listen.path)
    except BaseException:
        opened.close()
        raise
    try:
        _remove_stale(path.name)
        opened.setblocking(False)
        # The file must not be open to others between bind and chmod. Linux makes it with the socket's own mode, less
        # the umask, which is the whole process's and none of ours to change while other threads make files.
        os.fchmod(opened.fileno(), listen.mode)
        opened.bind(path.name)
        Path(path.name).chmod(listen.mode)
        opened.listen(BACKLOG)
    except BaseException:
        opened.close()
        path.close()
        raise
    return BoundSocket(opened, Address("", 0, listen.path), path)


def _remove_stale(path: str) -> None:
    """A socket that nobody listens on any more was left by a process that was killed."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise FileExistsError(errno.EEXIST, "something that is not a socket is there", path)
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        # Whoever listens may be too busy to accept, and must not keep us waiting.
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink()
            return
        except BlockingIOError:
            pass
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def _open_inherited(listen: SystemdListen, inherited: Mapping[str, Sequence[int]]) -> Iterator[BoundSocket]:
    descriptors = inherited.get(listen.name, ())
    if not descriptors:
        known = ", ".join(sorted(inherited)) or "none at all"
        raise OSError(f"the service manager handed over no socket of that name (it handed over: {known})")
    for descriptor in descriptors:
        # A copy, so that closing ours leaves the manager's in place for a later reload.
        copy = os.dup(descriptor)
        try:
            adopted = socket.socket(fileno=copy)
        except OSError:
            os.close(copy)
            raise
        adopted.setblocking(False)
        os.set_inheritable(adopted.fileno(), False)
        if adopted.type != socket.SOCK_STREAM and (
            adopted.type != socket.SOCK_DGRAM or adopted.family == socket.AF_UNIX
        ):
            adopted.close()
            raise OSError("the socket handed over is neither a stream socket nor one for UDP")
        yield BoundSocket(adopted, _name(adopted))


def _name(opened: socket.socket) -> Address:
    name = opened.getsockname()
    if opened.family == socket.AF_UNIX:
        return Address("", 0, name if isinstance(name, str) else name.decode("utf-8", "surrogateescape"))
    return Address(name[0], name[1])
