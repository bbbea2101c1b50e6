"""Which kinds of service there are: our own, found by looking, and those that other packages bring.

A kind of ours is a module or package in ``netservices.services``; another package's is an entry point in the group
``netservices.kinds``, named as the kind and pointing at its ``ServiceKind``. Nothing is imported until it is needed.
"""

from __future__ import annotations

import importlib
import pkgutil
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from netservices.config import KindError
from netservices.kind import ServiceKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from netservices.config import ExamineContext, Finding, ServiceOptions

ENTRY_POINTS = "netservices.kinds"
_PACKAGE = "netservices.services"


def find_entry_points() -> Iterable[EntryPoint]:
    """What the installed packages bring."""
    return entry_points(group=ENTRY_POINTS)


class Catalogue:
    """The kinds, by name; of two with one name ours counts.

    ``package`` is where ours are, ``bring`` tells of the others'.
    """

    def __init__(
        self, *, package: str = _PACKAGE, bring: Callable[[], Iterable[EntryPoint]] = find_entry_points
    ) -> None:
        self._package = package
        self._bring = bring
        self._brought: Mapping[str, EntryPoint] | None = None

    def names(self) -> tuple[str, ...]:
        """Every kind, in order, whether it can be used or not."""
        return tuple(sorted({*self._list_own(), *self._list_brought()}))

    def find(self, name: str) -> ServiceKind[Any]:
        """A kind, imported now if it was not yet. Raises ``KindError``, naming it, if there is none or it is broken."""
        if name in self._list_own():
            return self._check(name, f"{self._package}.{name}", self._import_own)
        brought = self._list_brought().get(name)
        if brought is None:
            raise KindError(f'there is no kind of service "{name}"')
        return self._check(name, brought.value, lambda _: brought.load())

    def options(self, name: str) -> type[ServiceOptions]:
        """The model of a kind's section. Raises ``KindError``."""
        return self.find(name).options

    def summary(self, name: str) -> str:
        """A kind in one line. Raises ``KindError``."""
        return self.find(name).summary

    def tryout(self, name: str) -> Mapping[str, object]:
        """A kind's section in the try-out and the starter file. Raises ``KindError``."""
        return self.find(name).tryout

    def examine(self, options: ServiceOptions, context: ExamineContext) -> Iterable[Finding]:
        """What only the section's kind can find in it. Raises ``KindError``."""
        return self.find(options.kind).examine(options, context)

    def _list_own(self) -> set[str]:
        path = importlib.import_module(self._package).__path__
        return {module.name for module in pkgutil.iter_modules(path) if not module.name.startswith("_")}

    def _list_brought(self) -> Mapping[str, EntryPoint]:
        # Looking through every installed package takes a while, and what is installed does not change under us.
        if self._brought is None:
            self._brought = {point.name: point for point in self._bring()}
        return self._brought

    def _import_own(self, module: str) -> object:
        return importlib.import_module(module).KIND

    def _check(self, name: str, place: str, bring: Callable[[str], object]) -> ServiceKind[Any]:
        try:
            kind = bring(place)
        except Exception as error:
            # Whatever another package raises while it is imported must not look like a bug of ours.
            raise KindError(
                f'the kind "{name}" can\'t be loaded from {place}: {type(error).__name__}: {error}'
            ) from error
        if not isinstance(kind, ServiceKind):
            raise KindError(f'the kind "{name}" can\'t be used: {place} is not a ServiceKind')
        if kind.name != name:
            raise KindError(f'the kind "{name}" can\'t be used: {place} calls itself "{kind.name}"')
        return kind


def kind_names() -> tuple[str, ...]:
    """Every kind of service on this machine, in order."""
    return Catalogue().names()


def find_kind(name: str) -> ServiceKind[Any]:
    """A kind of service, imported now if it was not yet. Raises ``KindError``, naming it."""
    return Catalogue().find(name)
