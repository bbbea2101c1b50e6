"""Kinds of service made up for the tests of this floor, which knows no real one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from netservices.config import (
    Config,
    Duration,
    Finding,
    Folder,
    KindError,
    Limits,
    Secret,
    ServiceOptions,
    Severity,
    Size,
    Table,
    Timeouts,
    load_text,
)
from netservices.config.listen import ListenList

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from netservices.config import ExamineContext


class LampOptions(ServiceOptions):
    """A lamp that can be asked whether it is on.

    It has next to nothing to choose.
    """

    greeting: str = "on"
    """What it says."""
    limits: Limits = Limits(sessions=10, per_peer=3)
    """A lamp is small."""


class PlaceOptions(Table):
    """One place of a shop."""

    path: str
    """Where it is."""
    open: bool = True
    """Whether one may go in."""


class LineOptions(Table):
    """A way of talking."""

    listen: ListenList = ()
    """Where it is reached."""
    width: Annotated[int, Field(ge=20, le=200)] = 80
    """How long a line may be."""


class ShopOptions(ServiceOptions):
    """A shop with an option of every type."""

    root: Folder | None = None
    """The folder."""
    stock: Path | None = None
    """Any path."""
    token: Secret | None = None
    """A secret."""
    largest: Annotated[Size, Field(ge=1024)] = 65536
    """A size."""
    ratio: float = 0.5
    """A number."""
    wait: Duration | Literal["never"] = "never"
    """A duration or a word."""
    port_range: tuple[int, int] = (1000, 2000)
    """Two numbers."""
    names: tuple[str, ...] = ()
    """Texts."""
    prices: dict[str, int] = Field(default_factory=dict)
    """Numbers by name."""
    places: tuple[PlaceOptions, ...] = ()
    """Tables in a list."""
    rooms: dict[str, PlaceOptions] = Field(default_factory=dict)
    """Tables by name."""
    line: LineOptions = LineOptions()
    """A table."""
    corner: PlaceOptions | None = None
    """A table that may be left out."""
    hours: str = Field(default="1h", alias="for", pattern="^[0-9]+h$")
    """An option whose key is a word of Python's."""
    timeouts: Timeouts = Timeouts(idle=30.0)
    """How long a session may wait."""

    @model_validator(mode="after")
    def _require_order(self) -> ShopOptions:
        if self.port_range[0] > self.port_range[1]:
            raise ValueError("port_range runs backwards, wanted the lower number first")
        return self


class MadeUpKinds:
    """A catalogue of both, and of one that is broken."""

    def __init__(self, *, broken: bool = False) -> None:
        self._models: dict[str, type[ServiceOptions]] = {"lamp": LampOptions, "shop": ShopOptions}
        self._tryouts: dict[str, dict[str, object]] = {
            "lamp": {"listen": ["tcp:7", "udp:7"]},
            "shop": {"listen": ["tcp:6667", "unix:/run/shop"], "names": ["a"], "line": {"listen": ["tls:990"]}},
        }
        self._broken = broken

    def names(self) -> Iterable[str]:
        return [*self._models, "wreck"] if self._broken else [*self._models]

    def options(self, name: str) -> type[ServiceOptions]:
        if name not in self._models:
            raise KindError(f'the kind "{name}" can\'t be loaded')
        return self._models[name]

    def summary(self, name: str) -> str:
        return f"what a {name} does"

    def tryout(self, name: str) -> Mapping[str, object]:
        if name not in self._tryouts:
            raise KindError(f'the kind "{name}" can\'t be loaded')
        return self._tryouts[name]

    def examine(self, options: ServiceOptions, context: ExamineContext) -> Iterable[Finding]:
        if isinstance(options, LampOptions) and options.greeting == "off":
            yield Finding("greeting", f"{context.service} says off, wanted on")
        if isinstance(options, LampOptions) and options.greeting == "broken":
            yield Finding("", "is broken, wanted a whole one", Severity.MISTAKE)


def load_made_up(text: str, *, base: Path | None = None) -> Config:
    """A configuration with these kinds, in a file called ``f.toml``."""
    return load_text(text, MadeUpKinds(), file="f.toml", base=base)
