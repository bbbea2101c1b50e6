"""Where the configuration comes from, at start and at every reload."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from netservices.config import ConfigError, Severity
from netservices.config.loading import load
from netservices.config.meaning import examine
from netservices.config.tryout import load_tryout

if TYPE_CHECKING:
    from pathlib import Path

    from netservices.catalog import Catalogue
    from netservices.config import Config, Problem


@dataclass(frozen=True)
class Loaded:
    """A configuration that may run, and what is worth a warning in it."""

    config: Config
    warnings: tuple[Problem, ...]


@dataclass(frozen=True)
class Source:
    """A file, or (``path`` None) the built-in try-out configuration; ``ipv6`` says whether that one is on [::1] too."""

    path: Path | None
    catalog: Catalogue
    ipv6: bool = False

    @property
    def name(self) -> str:
        """As a person would call it."""
        return str(self.path) if self.path else "the built-in try-out configuration"

    def load(self) -> Loaded:
        """Read and check it. Blocks on the disk. Raises ``ConfigError`` with every mistake."""
        config = load(self.path, self.catalog) if self.path else load_tryout(self.catalog, ipv6=self.ipv6)
        problems = examine(config, self.catalog)
        mistakes = [problem for problem in problems if problem.severity is Severity.MISTAKE]
        if mistakes:
            raise ConfigError(mistakes)
        return Loaded(config, problems)
