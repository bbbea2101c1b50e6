"""What only the meaning of a configuration shows: ``netservices check`` beyond the single values."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

from netservices.config.certificates import examine_authorities, examine_pair
from netservices.config.errors import Problem, Severity
from netservices.config.findings import ExamineContext, Finding
from netservices.config.listen import InetListen, Listen, SystemdListen, UnixListen
from netservices.config.paths import FOLDER
from netservices.config.positions import format_path
from netservices.config.rights import Reader, find_folder_fault, make_reader
from netservices.config.shape import walk_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from netservices.config.kinds import KindExaminer
    from netservices.config.models import Config, ServiceOptions

_UNSAFE = ("1.0", "1.1")


def examine(config: Config, kinds: KindExaminer | None = None, *, reader: Reader | None = None) -> tuple[Problem, ...]:
    """Every mistake and warning, in the order of the file.

    ``reader`` is the user that the daemon will run as; left out, the one that asks.
    """
    whose = reader or make_reader()
    found = [*_examine_general(config), *_examine_listeners(config)]
    for name, options in config.services.items():
        own = [*_examine_section(options, whose)]
        if kinds is not None and options.enabled:
            own += kinds.examine(options, ExamineContext(config, name, whose))
        found += _below(f"services.{name}", own)
    problems = [
        Problem(config.file, config.line(finding.path), finding.path, finding.text, finding.severity)
        for finding in found
    ]
    return tuple(sorted(problems, key=lambda problem: problem.line))


def _below(table: str, findings: Iterable[Finding]) -> Iterator[Finding]:
    for finding in findings:
        yield Finding(f"{table}.{finding.path}" if finding.path else table, finding.text, finding.severity)


def _examine_general(config: Config) -> Iterator[Finding]:
    tls = config.tls
    yield from _below("tls", examine_pair(tls.certificate, tls.key, tls.password))
    for name, other in tls.names.items():
        yield from _below(
            format_path(["tls", "names", name]), examine_pair(other.certificate, other.key, other.password)
        )
    if config.log.syslog.authority is not None:
        yield from _below("log.syslog", examine_authorities(config.log.syslog.authority))
    if not any(options.enabled for options in config.services.values()):
        yield Finding("services", "no service is enabled, wanted at least one")


def _examine_section(options: ServiceOptions, reader: Reader) -> Iterator[Finding]:
    if not options.enabled:
        return
    if options.tls_minimum in _UNSAFE:
        yield Finding(
            "tls_minimum", f"TLS {options.tls_minimum} is unsafe, wanted 1.2 or 1.3 unless a peer knows no better"
        )
    if options.client_authority is not None:
        yield from examine_authorities(options.client_authority, "client_authority")
        if options.client_certificates == "off":
            yield Finding("client_authority", 'is of no use while client_certificates is "off"')
    for path, value, marks in walk_values(options, type(options)):
        if FOLDER in marks and value is not None:
            folder: Path = value  # type: ignore[assignment]  # the mark is only on paths
            fault = find_folder_fault(folder, reader)
            if fault:
                yield Finding(path, f"{folder} {fault}, wanted a folder that can be read")


@dataclass(frozen=True)
class _Taken:
    """A listen entry, where it stands, and the network interface it is bound to."""

    path: str
    listen: Listen
    device: str | None


def _examine_listeners(config: Config) -> Iterator[Finding]:
    taken: list[_Taken] = []
    for name, options in config.services.items():
        if not options.enabled:
            continue
        for path, value, _ in walk_values(options, type(options)):
            if not isinstance(value, Listen):
                continue
            entry = _Taken(f"services.{name}.{path}", value, options.device)
            other = next((earlier for earlier in taken if _overlap(earlier, entry)), None)
            if other is not None:
                where = (
                    f" ({config.origin(other.path).removesuffix(f': {other.path}')})" if config.line(other.path) else ""
                )
                yield Finding(
                    entry.path,
                    f'"{value}" is taken by "{other.listen}" of {other.path}{where}, wanted another place',
                    Severity.MISTAKE,
                )
            taken.append(entry)


def _overlap(one: _Taken, other: _Taken) -> bool:
    match one.listen, other.listen:
        case InetListen() as first, InetListen() as second:
            # socket(7), SO_BINDTODEVICE: two sockets on two interfaces do not meet.
            apart = one.device and other.device and one.device != other.device
            return not apart and _ports_overlap(first, second)
        case UnixListen(path=first_path), UnixListen(path=second_path):
            return first_path == second_path
        case SystemdListen(name=first_name), SystemdListen(name=second_name):
            return first_name == second_name
    return False


def _ports_overlap(one: InetListen, other: InetListen) -> bool:
    if one.port != other.port or one.port == 0 or one.transport != other.transport:
        return False
    if one.interface is None or other.interface is None:
        return True
    first, second = ip_address(one.interface), ip_address(other.interface)
    # Our IPv6 sockets are V6ONLY: the families never meet.
    return first.version == second.version and (first == second or first.is_unspecified or second.is_unspecified)
