"""Every log event there is, for the manual."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

import netservices
from netservices.runtime import Event

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import ModuleType


def find_modules() -> Iterator[ModuleType]:
    """Every module of the package, imported."""
    yield netservices
    for found in pkgutil.walk_packages(netservices.__path__, "netservices."):
        yield importlib.import_module(found.name)


def collect_events() -> list[Event]:
    """What the modules declare in their ``EVENTS``, each once, by name."""
    declared = {event for module in find_modules() for event in getattr(module, "EVENTS", ())}
    return sorted((event for event in declared if isinstance(event, Event)), key=lambda event: event.name)


def make_event_table(events: Iterable[Event]) -> str:
    """The manual's table, in Markdown."""
    rows = [f"| `{event.name}` | {event.level.name} | {event.meaning} |" for event in events]
    return "\n".join(["| event | level | what it means |", "| --- | --- | --- |", *rows]) + "\n"
