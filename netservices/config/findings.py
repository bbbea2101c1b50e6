"""What a kind may add to ``netservices check``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from netservices.config.errors import Severity

if TYPE_CHECKING:
    from netservices.config.models import Config
    from netservices.config.rights import Reader


@dataclass(frozen=True)
class Finding:
    """Something that only the meaning of a section shows.

    ``path`` is the option, dotted, below the section (``limits.per_peer``; empty: the section as a whole). ``text``
    says what is wrong and what was wanted, in one line. With a mistake the daemon does not start; a warning is told.
    """

    path: str
    text: str
    severity: Severity = Severity.WARNING


@dataclass(frozen=True)
class ExamineContext:
    """What a kind may look at beside its options: the whole configuration, its section's name, whose rights count."""

    config: Config
    service: str
    reader: Reader
