"""Where syslog is reached: ``unix:PATH``, ``udp:HOST:PORT``, ``tcp:HOST:PORT`` or ``tls:HOST:PORT``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Literal

from pydantic_core import core_schema

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler

_GRAMMAR = '"unix:/dev/log", "udp:HOST:514", "tcp:HOST:601" or "tls:HOST:6514" (IPv6 addresses in brackets)'
_PATTERN = r"^unix:/.+$|^(udp|tcp|tls):(\[.+\]|[^:]+):[0-9]+$"
_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?"


@dataclass(frozen=True)
class LogAddress:
    """A syslog collector. ``host`` is a name or a numeric address without brackets; ``path`` is for unix only."""

    transport: Literal["unix", "udp", "tcp", "tls"]
    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        """As the file has it."""
        if self.transport == "unix":
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.transport}:{host}:{self.port}"

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Tell pydantic that an address is written as text."""
        return core_schema.no_info_plain_validator_function(
            lambda value: value if isinstance(value, cls) else parse_log_address(value),
            serialization=core_schema.plain_serializer_function_ser_schema(str),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, _core: object, _handler: object) -> dict[str, Any]:
        """Tell editors what an address looks like."""
        return {"type": "string", "pattern": _PATTERN, "examples": ["unix:/dev/log", "tls:logs.example.org:6514"]}


def parse_log_address(text: object) -> LogAddress:
    """The text of ``[log.syslog] address`` to an address. Raises ``ValueError`` saying what was wanted."""
    if not isinstance(text, str):
        raise ValueError(f"not an address of syslog, wanted {_GRAMMAR}")  # noqa: TRY004 - pydantic collects ValueError only
    transport, _, rest = text.partition(":")
    match transport:
        case "unix":
            return LogAddress("unix", path=_parse_path(rest))
        case "udp" | "tcp" | "tls":
            host, port = _parse_host_and_port(text, rest)
            return LogAddress(transport, host, port)
        case _:
            raise ValueError(f'"{text}" is not an address of syslog, wanted {_GRAMMAR}')


def _parse_path(path: str) -> str:
    if not path.startswith("/") or "\0" in path:
        raise ValueError(f'"{path}" is not an absolute path, wanted one such as "unix:/dev/log"')
    # unix(7): sun_path holds 108 octets, the last of them NUL.
    if len(path.encode("utf-8", "surrogateescape")) > 107:
        raise ValueError(f'"{path}" is longer than the 107 octets a socket path may have')
    return path


def _parse_host_and_port(text: str, rest: str) -> tuple[str, int]:
    match = re.fullmatch(r"(?:\[(?P<address>[^\]]*)\]|(?P<name>[^:\[\]]*)):(?P<port>[^:]*)", rest)
    if match is None:
        raise ValueError(f'"{text}" is not an address of syslog, wanted {_GRAMMAR}')
    port = match["port"]
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
        raise ValueError(f'"{port}" is not a port, wanted a number from 1 to 65535')
    if match["address"] is not None:
        return _parse_ipv6(match["address"]), int(port)
    return _parse_name(match["name"]), int(port)


def _parse_ipv6(text: str) -> str:
    try:
        address = ip_address(text)
    except ValueError:
        address = None
    if address is None or address.version != 6:
        raise ValueError(f'"[{text}]" is not an IPv6 address, wanted one such as "[2001:db8::1]"')
    return str(address)


def _parse_name(name: str) -> str:
    # RFC 1123 2.1: a label is letters, digits and hyphens; the whole name at most 253 characters.
    if len(name) > 253 or not re.fullmatch(rf"{_LABEL}(\.{_LABEL})*\.?", name):
        raise ValueError(
            f'"{name}" is not a host, wanted a name or an address such as "logs.example.org" or "192.0.2.1"'
        )
    return name
