"""What this floor is told of the kinds of service, by whoever knows them: the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from netservices.config.findings import ExamineContext, Finding
    from netservices.config.models import ServiceOptions


class KindError(Exception):
    """A kind that is named but can't be used; the text names it and says why."""


class KindModels(Protocol):
    """What loading needs."""

    def names(self) -> Iterable[str]:
        """Every kind there is."""

    def options(self, name: str) -> type[ServiceOptions]:
        """The model of a kind's section. Raises ``KindError``."""


class KindExaminer(Protocol):
    """What a check needs beside: each kind knows its own traps."""

    def examine(self, options: ServiceOptions, context: ExamineContext) -> Iterable[Finding]:
        """The findings of the section's kind. Raises ``KindError``."""


class KindCatalogue(KindModels, KindExaminer, Protocol):
    """All of it."""

    def summary(self, name: str) -> str:
        """A kind in one line. Raises ``KindError``."""

    def tryout(self, name: str) -> Mapping[str, object]:
        """A kind's section in the try-out and the starter file, in TOML's types. Raises ``KindError``."""
