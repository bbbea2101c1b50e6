"""The mechanisms there are, which of them to offer, and how an exchange of one begins."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from netservices.wire.sasl.cram import CramMd5State, make_cram_challenge
from netservices.wire.sasl.external import ExternalState
from netservices.wire.sasl.plain import LoginState, PlainState
from netservices.wire.sasl.scram import Binding, ScramState

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from netservices.wire.sasl.exchange import ExchangeState


@dataclass(frozen=True, slots=True)
class Facts:
    """What an exchange is told of its connection.

    ``nonce`` is random, printable and without a comma, at least 128 bits, new for every exchange. ``offered`` is what
    the client was shown. ``channel_bindings`` is the TLS connection's data by name, empty without TLS; ``external`` the
    account that a lower layer has proved, None for none. ``data_with_success``: see ``ExchangeState``.
    """

    nonce: str = field(repr=False)
    hostname: str
    offered: Collection[str]
    channel_bindings: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    external: str | None = None
    data_with_success: bool = False


@dataclass(frozen=True, slots=True)
class Mechanism:
    """One mechanism.

    ``carries_password``: the password itself goes over the wire, so the option ``plaintext`` governs it.
    ``needs_binding``: only with channel binding data; ``needs_external``: only where a lower layer has proved a name.
    ``strength`` orders the list that a client sees, the most first.
    """

    name: str
    strength: int
    make: Callable[[Facts], ExchangeState] = field(repr=False)
    carries_password: bool = False
    needs_binding: bool = False
    needs_external: bool = False


def _make_external(facts: Facts) -> ExchangeState:
    if facts.external is None:
        raise LookupError("EXTERNAL without a name that a lower layer has proved")
    return ExternalState(facts.external, data_with_success=facts.data_with_success)


def _make_scram(facts: Facts, *, plus: bool) -> ExchangeState:
    binding = Binding(facts.channel_bindings, plus=plus, plus_offered=_SCRAM_PLUS in facts.offered)
    return ScramState(facts.nonce.encode(), binding, data_with_success=facts.data_with_success)


def _make_cram(facts: Facts) -> ExchangeState:
    challenge = make_cram_challenge(facts.nonce, facts.hostname)
    return CramMd5State(challenge, data_with_success=facts.data_with_success)


_SCRAM_PLUS = "SCRAM-SHA-256-PLUS"

_ALL = (
    Mechanism("EXTERNAL", 60, _make_external, needs_external=True),
    Mechanism(_SCRAM_PLUS, 50, lambda facts: _make_scram(facts, plus=True), needs_binding=True),
    Mechanism("SCRAM-SHA-256", 40, lambda facts: _make_scram(facts, plus=False)),
    Mechanism("CRAM-MD5", 30, _make_cram),
    Mechanism("PLAIN", 20, lambda facts: PlainState(data_with_success=facts.data_with_success), carries_password=True),
    Mechanism("LOGIN", 10, lambda facts: LoginState(data_with_success=facts.data_with_success), carries_password=True),
)

MECHANISMS: Mapping[str, Mechanism] = MappingProxyType(
    {mechanism.name: mechanism for mechanism in sorted(_ALL, key=lambda mechanism: -mechanism.strength)}
)
"""Every mechanism by the name that goes over the wire, the strongest first."""


def offer(
    allowed: Collection[str], *, plaintext: bool, channel_bindings: Collection[str] = (), external: str | None = None
) -> list[str]:
    """The mechanisms a client is shown and may use, the strongest first: those of ``allowed`` that can work here.

    ``plaintext`` tells whether a password may go over this connection as it is. Raises ``LookupError`` if ``allowed``
    names one there is not.
    """
    unknown = [name for name in allowed if name not in MECHANISMS]
    if unknown:
        raise LookupError(f"no mechanism is called {', '.join(unknown)}")
    return [
        name
        for name, mechanism in MECHANISMS.items()
        if name in allowed
        and (plaintext or not mechanism.carries_password)
        and (channel_bindings or not mechanism.needs_binding)
        and (external is not None or not mechanism.needs_external)
    ]


def make_exchange(name: str, facts: Facts) -> ExchangeState:
    """An exchange of the mechanism a client asked for, in any case. Raises ``LookupError`` if it was not offered."""
    # RFC 4422 3.1: mechanism names are upper case, but protocols compare their words without regard to case.
    name = name.upper()
    if name not in facts.offered or name not in MECHANISMS:
        raise LookupError("a mechanism that was not offered")
    return MECHANISMS[name].make(facts)
