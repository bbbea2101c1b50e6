"""The try-out: what runs without a configuration, every kind on loopback, out of the way of the real ports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from netservices.config.errors import ConfigError, Problem
from netservices.config.kinds import KindError
from netservices.config.listen import LISTEN, InetListen, parse_listen
from netservices.config.loading import load_text
from netservices.config.shape import find_type
from netservices.config.words import unwrap
from netservices.config.writing import format_table

if TYPE_CHECKING:
    from pydantic import BaseModel

    from netservices.config.kinds import KindCatalogue
    from netservices.config.models import Config
    from netservices.config.positions import Keys

TRYOUT_FILE = "(try-out)"
"""What stands for the file's name where the try-out has none."""
TRYOUT_STATE = "./netservices-state"
_PRIVILEGED = 1024
_SHIFT = 8000


def load_tryout(kinds: KindCatalogue, *, ipv6: bool) -> Config:
    """The try-out; ``ipv6`` says whether this machine has ``::1``. Raises ``ConfigError`` for a kind that is broken."""
    try:
        text = make_tryout(kinds, ipv6=ipv6)
    except KindError as error:
        raise ConfigError([Problem(TRYOUT_FILE, 0, "services", str(error))]) from error
    return load_text(text, kinds, file=TRYOUT_FILE)


def make_tryout(kinds: KindCatalogue, *, ipv6: bool) -> str:
    """The try-out as a file's text: ports below 1024 go up by 8000, and every port is bound on loopback only."""
    lines = [*format_table("daemon", {"state": TRYOUT_STATE})]
    for name in sorted(kinds.names()):
        section = _move(kinds.tryout(name), kinds.options(name), (), ipv6=ipv6)
        lines += ["", *format_table(f"services.{name}", section)]
    return "\n".join(lines) + "\n"


def _move(table: Mapping[str, object], model: type[BaseModel], keys: Keys, *, ipv6: bool) -> dict[str, object]:
    moved: dict[str, object] = {}
    for key, value in table.items():
        below = (*keys, key)
        found = find_type(model, (*below, 0)) if isinstance(value, list | tuple) else None
        if isinstance(value, Mapping):
            moved[key] = _move(value, model, below, ipv6=ipv6)
        elif isinstance(value, list | tuple) and found is not None and LISTEN in (*unwrap(found[0])[1], *found[1]):
            moved[key] = [text for entry in value for text in _move_entry(str(entry), ipv6=ipv6)]
        else:
            moved[key] = value
    return moved


def _move_entry(text: str, *, ipv6: bool) -> list[str]:
    entry = parse_listen(text)
    if not isinstance(entry, InetListen):
        return [text]
    port = entry.port + _SHIFT if 0 < entry.port < _PRIVILEGED else entry.port
    interfaces = ["127.0.0.1", "::1"] if ipv6 else ["127.0.0.1"]
    return [str(replace(entry, port=port, interface=interface)) for interface in interfaces]
