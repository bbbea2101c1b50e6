"""The ``listen`` grammar: where a service is reached.

tcp:PORT   tls:PORT   udp:PORT      each with :interface=ADDRESS (IPv6 in brackets)
unix:PATH[:mode=660]
systemd:name=NAME[:tls=yes]
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Annotated, ClassVar, Literal

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from netservices.config.words import Worded

_GRAMMAR = (
    '"tcp:PORT", "tls:PORT" or "udp:PORT", each with ":interface=ADDRESS" (IPv6 in brackets); '
    '"unix:PATH" with ":mode=660"; or "systemd:name=NAME" with ":tls=yes"'
)
_PATTERN = r"^(tcp|tls|udp):[0-9]+(:interface=.+)?$|^unix:/.+$|^systemd:name=[^:]+(:tls=(yes|no))?$"


@dataclass(frozen=True)
class InetListen:
    """A port on one interface, or (``interface`` None) on every interface of both families.

    ``transport`` is what the kernel binds; ``tls`` says that TLS starts with the first byte. Port 0 takes a free one.
    """

    transport: Literal["tcp", "udp"]
    port: int
    interface: str | None = None
    tls: bool = False

    def __str__(self) -> str:
        """As the file has it."""
        scheme = "tls" if self.tls else self.transport
        if self.interface is None:
            return f"{scheme}:{self.port}"
        interface = f"[{self.interface}]" if ":" in self.interface else self.interface
        return f"{scheme}:{self.port}:interface={interface}"


@dataclass(frozen=True)
class UnixListen:
    """A stream socket in the file system; ``mode`` is its permission bits."""

    path: str
    mode: int = 0o660
    transport: ClassVar[Literal["unix"]] = "unix"
    tls: ClassVar[bool] = False

    def __str__(self) -> str:
        """As the file has it."""
        return f"unix:{self.path}:mode={self.mode:03o}"


@dataclass(frozen=True)
class SystemdListen:
    """Sockets that the service manager hands over under a name (``FileDescriptorName=``), stream or datagram."""

    name: str
    tls: bool = False
    transport: ClassVar[Literal["systemd"]] = "systemd"

    def __str__(self) -> str:
        """As the file has it."""
        return f"systemd:name={self.name}{':tls=yes' if self.tls else ''}"


Listen = InetListen | UnixListen | SystemdListen


def parse_listen(text: object) -> Listen:
    """One entry of a ``listen`` list. Raises ``ValueError`` saying what was wanted."""
    if not isinstance(text, str):
        raise ValueError(f"not a listen entry, wanted {_GRAMMAR}")  # noqa: TRY004 - pydantic collects ValueError only
    scheme, _, rest = text.partition(":")
    if scheme in {"tcp", "tls", "udp"}:
        return _parse_inet(scheme, rest)
    if scheme == "unix":
        return _parse_unix(rest)
    if scheme == "systemd":
        return _parse_systemd(rest)
    raise ValueError(f'"{text}" is not a listen entry, wanted {_GRAMMAR}')


def _parse_inet(scheme: str, rest: str) -> InetListen:
    port_text, colon, option = rest.partition(":")
    if not re.fullmatch(r"[0-9]{1,5}", port_text) or int(port_text) > 65535:
        raise ValueError(f'"{port_text}" is not a port, wanted a number from 0 to 65535')
    interface = None
    if colon:
        name, _, value = option.partition("=")
        if name != "interface":
            raise ValueError(f'"{option}" is not known here, wanted "interface=ADDRESS"')
        interface = _parse_interface(value)
    return InetListen("udp" if scheme == "udp" else "tcp", int(port_text), interface, scheme == "tls")


def _parse_interface(value: str) -> str:
    bracketed = re.fullmatch(r"\[(.*)\]", value)
    try:
        address = ip_address(bracketed[1] if bracketed else value)
    except ValueError:
        raise ValueError(f'"{value}" is not an address, wanted one such as 127.0.0.1 or [::1]') from None
    if (address.version == 6) != bool(bracketed):
        raise ValueError(f'"{value}": wanted IPv6 addresses in brackets, and only those: "interface=[::1]"')
    return str(address)


def _parse_unix(rest: str) -> UnixListen:
    if not rest.isprintable():
        raise ValueError("the path holds a character that can't be shown, wanted a plain one")
    path, mode = rest, 0o660
    match = re.fullmatch(r"(.*):mode=(.*)", rest)
    if match:
        path = match[1]
        if not re.fullmatch(r"0?[0-7]{3}", match[2]):
            raise ValueError(f'"{match[2]}" is not a mode, wanted three octal digits such as 660')
        mode = int(match[2], 8)
    if not path.startswith("/"):
        raise ValueError(f'"{path}" is not an absolute path, wanted one such as "unix:/run/netservices/web.sock"')
    # unix(7): sun_path holds 108 octets, the last of them NUL.
    if len(path.encode()) > 107:
        raise ValueError(f'"{path}" is longer than the 107 octets a socket path may have')
    return UnixListen(path, mode)


def _parse_systemd(rest: str) -> SystemdListen:
    match = re.fullmatch(r"name=([^:]{1,255})(?::tls=(yes|no))?", rest)
    if match is None or not rest.isprintable():
        raise ValueError(
            f'"systemd:{rest}" is not understood, wanted "systemd:name=NAME" or "systemd:name=NAME:tls=yes"'
        )
    return SystemdListen(match[1], match[2] == "yes")


def _load_listen(value: object) -> Listen:
    return value if isinstance(value, Listen) else parse_listen(value)


LISTEN = Worded("a listen entry", "listen entries", '"tcp:8080"')

ListenList = tuple[
    Annotated[
        Listen,
        PlainValidator(_load_listen),
        PlainSerializer(str),
        WithJsonSchema({"type": "string", "pattern": _PATTERN, "examples": ["tcp:8080", "tls:443"]}),
        LISTEN,
    ],
    ...,
]
"""Every address a service is reached at."""
