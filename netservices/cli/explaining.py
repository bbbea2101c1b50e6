"""What decides whether a peer is let in to a service, step by step, as the daemon would go about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from netservices.config.listen import InetListen, Listen, UnixListen
from netservices.config.shape import walk_values
from netservices.config.units import format_duration
from netservices.runtime.addresses import parse_host
from netservices.runtime.admission.access import AccessList, unmap_network

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from netservices.config.models import Config, ServiceOptions
    from netservices.runtime.admission.access import IP
    from netservices.runtime.admission.banstore import Ban


class Verdict(StrEnum):
    """What one step comes to; a note decides nothing."""

    ALLOW = "allow"
    DENY = "deny"
    NOTE = "note"


@dataclass(frozen=True)
class Step:
    """One thing that was looked at; ``origin`` is the line that has it so, empty where no line has."""

    subject: str
    verdict: Verdict
    text: str
    origin: str = ""

    def __str__(self) -> str:
        """As a sentence's end."""
        return f"{self.text} ({self.origin})" if self.origin else self.text


@dataclass(frozen=True)
class Case:
    """Who wants to get in where. ``find_ban`` may raise ``BanError``."""

    config: Config
    service: str
    ip: IP
    user: str | None
    find_ban: Callable[[IP], Ban | None]

    @property
    def options(self) -> ServiceOptions:
        """The section's."""
        return self.config.services[self.service]

    def origin(self, key: str) -> str:
        """Where an option of the service is set."""
        return self.config.origin(f"services.{self.service}.{key}")


def explain_service(case: Case) -> Iterator[Step]:
    """Whether it is on, and can be reached from there at all."""
    options = case.options
    if not options.enabled:
        yield Step("service", Verdict.DENY, "the service is off", case.origin("enabled"))
    values = walk_values(options, type(options))
    entries = [value for _, value, _ in values if isinstance(value, Listen)]
    # By a proxy's connection, anybody may come to any listener.
    if not options.proxies and not any(_reaches(entry, case.ip) for entry in entries):
        listed = ", ".join(dict.fromkeys(str(entry) for entry in entries))
        text = f"no connection from there arrives at {listed}" if listed else "it listens nowhere"
        yield Step("service", Verdict.DENY, text, case.origin("listen"))


def explain_proxies(case: Case) -> Iterator[Step]:
    """Whether somebody else is judged in its place."""
    proxies = case.options.proxies
    if not proxies:
        return
    listed = next((network for network in proxies if case.ip in unmap_network(network)), None)
    if listed is None:
        text = "it is none of the proxies, so a PROXY header from it is not read"
    else:
        text = (
            f"it is a proxy ({listed}) and has to send a PROXY header; whom the header names is judged instead, and "
            "what is said here holds only for a connection that the proxy makes for itself"
        )
    yield Step("proxies", Verdict.NOTE, text, case.origin("proxies"))


def explain_access(case: Case) -> Iterator[Step]:
    """``allow`` and ``deny``."""
    options = case.options
    decision = AccessList(options.allow, options.deny).decide(case.ip)
    verdict = Verdict.ALLOW if decision.allowed else Verdict.DENY
    yield Step("access", verdict, decision.rule, case.origin(decision.key))


def explain_bans(case: Case) -> Iterator[Step]:
    """Whether it is banned; and what would get it banned."""
    options = case.options.bans
    ban = case.find_ban(case.ip)
    if case.ip.is_loopback and not options.loopback:
        yield Step("bans", Verdict.ALLOW, "no ban holds for loopback addresses", case.origin("bans.loopback"))
        return
    if ban is not None:
        yield Step("bans", Verdict.DENY, str(ban), "netservices ban add" if ban.manual else case.origin("bans"))
        return
    yield Step("bans", Verdict.ALLOW, "it is not banned")
    if options.failures:
        text = (
            f"bans.failures = {options.failures} within {format_duration(options.within)} on all services together "
            f"would ban it for {format_duration(options.duration)}"
        )
    else:
        text = "bans.failures = 0, so its failures here do not count"
    yield Step("bans", Verdict.NOTE, text, case.origin("bans.failures"))


def explain_limits(case: Case) -> Iterator[Step]:
    """What it may have once it is in."""
    limits = case.options.limits
    shown = {"sessions": str(limits.sessions), "per_peer": str(limits.per_peer), "rate": str(limits.rate)}
    if limits.total_rate is not None:
        shown |= {"total_rate": str(limits.total_rate), "pause": format_duration(limits.pause)}
    for name, value in shown.items():
        yield Step("limits", Verdict.NOTE, f"limits.{name} = {value}", case.origin(f"limits.{name}"))


def explain_passwords(case: Case) -> Iterator[Step]:
    """Where the service takes passwords of its users."""
    if case.user is None:
        return
    plaintext = getattr(case.options, "plaintext", None)
    if plaintext is None:
        yield Step("user", Verdict.NOTE, f"{case.service} asks nobody for a password")
        return
    without_tls = plaintext == "always" or (plaintext == "loopback" and case.ip.is_loopback)
    how = "with or without TLS" if without_tls else "under TLS only"
    text = f'plaintext = "{plaintext}": from there a password is taken {how}'
    yield Step("user", Verdict.NOTE, text, case.origin("plaintext"))


STEPS: tuple[Callable[[Case], Iterator[Step]], ...] = (
    explain_service, explain_proxies, explain_access, explain_bans, explain_limits, explain_passwords,
)  # fmt: skip
"""In the order in which the daemon asks. The first that denies decides."""


def explain_case(case: Case) -> tuple[Step, ...]:
    """Every step. Raises ``BanError``."""
    return tuple(step for explain_part in STEPS for step in explain_part(case))


def find_decisive(steps: Sequence[Step]) -> Step:
    """The step that decides: the first that denies, else the access list's."""
    denied = (step for step in steps if step.verdict is Verdict.DENY)
    return next(denied, None) or next(step for step in steps if step.subject == "access")


def _reaches(entry: Listen, ip: IP) -> bool:
    """Whether the kernel could hand a connection of ``ip`` to this listener."""
    if isinstance(entry, UnixListen):
        return False
    if not isinstance(entry, InetListen) or entry.interface is None:
        return True
    bound = parse_host(entry.interface)
    return bound.version == ip.version and (ip.is_loopback or not bound.is_loopback)
