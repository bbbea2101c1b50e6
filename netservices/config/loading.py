"""From a file to a ``Config``, or to every mistake in it at once."""

from __future__ import annotations

import json
import math
import re
import tomllib
from datetime import date, time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from netservices.config.errors import ConfigError, Problem
from netservices.config.kinds import KindError
from netservices.config.models import AdmissionOptions, Config, ServiceOptions
from netservices.config.origins import Origins
from netservices.config.paths import make_context
from netservices.config.positions import find_lines, flatten, format_path
from netservices.config.saying import say_errors, say_unknown
from netservices.config.shape import list_options
from netservices.config.words import name_type

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netservices.config.kinds import KindModels
    from netservices.config.positions import Keys

LARGEST_FILE = 2**20
"""Octets; a configuration is written by people."""
_DEEPEST = 20
"""Tables and lists in each other; what comes after works its way down by recursion."""
M = TypeVar("M", bound=BaseModel)
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def load(path: Path, kinds: KindModels) -> Config:
    """Read and check a file. Raises ``ConfigError`` with every mistake. Relative paths in it start at its folder."""
    file = str(path)
    try:
        with path.open("rb") as opened:
            octets = opened.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its name holds a NUL"
        raise ConfigError([Problem(file, 0, "", f"can't be read: {reason}, wanted a TOML file")]) from None
    if len(octets) > LARGEST_FILE:
        raise ConfigError([Problem(file, 0, "", f"is too large, wanted at most {LARGEST_FILE // 2**20} MiB")])
    try:
        text = octets.decode()
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        raise ConfigError([Problem(file, line, "", "is not UTF-8, wanted TOML in UTF-8")]) from None
    return load_text(text, kinds, file=file, base=path.parent.absolute())


def load_text(text: str, kinds: KindModels, *, file: str, base: Path | None = None) -> Config:
    """Check a text; ``file`` is the name its problems carry. Raises ``ConfigError``.

    ``base`` is where relative paths start: the working directory, if it is left out.
    """
    data = _parse(text, file)
    if _is_deep(data):
        raise _refuse_deep(file)
    return _Loading(data, find_lines(text), file, base or Path.cwd(), kinds).run()


def _parse(text: str, file: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise _refuse_deep(file) from None
    except ValueError as error:
        # tomllib says "… (at line 3, column 5)" or "… (at end of document)"; Python adds a ValueError of its own for a
        # number of thousands of digits, without a line.
        said = re.fullmatch(r"(.*) \(at (?:line ([0-9]+), column [0-9]+|end of document)\)", str(error), re.DOTALL)
        if said is None:
            raise ConfigError([Problem(file, 0, "", "holds a number that is too long, wanted a shorter one")]) from None
        line = int(said[2]) if said[2] else text.rstrip("\n").count("\n") + 1
        what = said[1][:1].lower() + said[1][1:]
        raise ConfigError([Problem(file, line, "", f"not TOML: {what}, wanted KEY = VALUE or [TABLE]")]) from None


def _is_deep(data: dict[str, Any]) -> bool:
    layer: list[object] = [data]
    for _ in range(_DEEPEST):
        tables = [
            value.values() if isinstance(value, dict) else value for value in layer if isinstance(value, dict | list)
        ]
        layer = [below for table in tables for below in table]
    return bool(layer)


def _refuse_deep(file: str) -> ConfigError:
    return ConfigError([Problem(file, 0, "", f"is nested too deeply, wanted at most {_DEEPEST} tables in each other")])


class _Loading:
    """The checking of one file."""

    def __init__(
        self, data: dict[str, Any], lines: Mapping[Keys, int], file: str, base: Path, kinds: KindModels
    ) -> None:
        self._data = data
        self._lines = lines
        self._file = file
        self._context = make_context(base)
        self._kinds = kinds
        self._problems: dict[tuple[int, str, str], Problem] = {}
        self._faulty: set[Keys] = set()

    def run(self) -> Config:
        self._refuse_exotic(self._data, ())
        sections = self._data.pop("services", {})
        general = self._validate(Config, self._data, ())
        services = self._load_services(sections)
        if self._problems:
            raise ConfigError(sorted(self._problems.values(), key=lambda problem: problem.line))
        assert general is not None  # noqa: S101 - without problems there is a value
        config = general.model_copy(update={"services": services})
        return config.with_origins(Origins(self._file, flatten(self._lines)))

    def _add(self, keys: Keys, text: str) -> None:
        self._faulty.add(keys)
        line, place = self._find_line(keys), format_path(keys)
        self._problems.setdefault((line, place, text), Problem(self._file, line, place, text))

    def _find_line(self, keys: Keys) -> int:
        """Of the key; else of what the section inherited; else of the nearest table around it."""
        if keys in self._lines:
            return self._lines[keys]
        inherited = ("admission", *keys[2:])
        if keys[:1] == ("services",) and len(keys) > 2 and inherited in self._lines:
            return self._lines[inherited]
        return self._find_line(keys[:-1]) if keys else 0

    def _refuse_exotic(self, value: object, keys: Keys) -> bool:
        """Dates, and numbers without an end, are TOML but no option's value; they can't go on. True if it is one."""
        if isinstance(value, date | time) or (isinstance(value, float) and not math.isfinite(value)):
            what = value if isinstance(value, float) else name_type(value)
            self._add(keys, f"is {what}, wanted something else: no option takes that")
            return True
        if isinstance(value, dict):
            for key in [key for key, below in value.items() if self._refuse_exotic(below, (*keys, key))]:
                del value[key]
        elif isinstance(value, list):
            value[:] = [below for index, below in enumerate(value) if not self._refuse_exotic(below, (*keys, index))]
        return False

    def _validate(self, model: type[M], data: dict[str, Any], keys: Keys) -> M | None:
        try:
            # As JSON and strictly: a list may become a tuple and a text a path, but "5" is not 5 and 1 is not true.
            return model.model_validate_json(json.dumps(data), strict=True, context=self._context)
        except ValidationError as error:
            for below, text in say_errors(error, model, data):
                place = (*keys, *below)
                # What was refused before was left out, which would be found once more as missing or empty.
                if not self._is_faulty(place, whole=True):
                    self._add(place, text)
            return None

    def _load_services(self, sections: object) -> dict[str, ServiceOptions]:
        services: dict[str, ServiceOptions] = {}
        if not isinstance(sections, dict):
            self._add(("services",), f"is {name_type(sections)}, wanted a table for each service: [services.NAME]")
            return services
        inherited = self._sound(self._data.get("admission"), ("admission",))
        for name, section in sections.items():
            options = self._load_section(name, section, inherited)
            if options is not None:
                services[name] = options
        return services

    def _load_section(self, name: str, section: object, inherited: object) -> ServiceOptions | None:
        keys: Keys = ("services", name)
        if not _NAME.fullmatch(name):
            self._add(keys, "is not a name for a service, wanted 1 to 64 letters, digits, hyphens and underscores")
        if not isinstance(section, dict):
            self._add(keys, f"is {name_type(section)}, wanted a table")
            return None
        model = self._find_model(name, section)
        if model is None:
            # Nobody knows this kind's own keys, but those that every service has can still be checked.
            known = list_options(ServiceOptions).keys() - {"kind"}
            section = {key: value for key, value in section.items() if key in known}
            self._validate(ServiceOptions, merge({"kind": name}, section), keys)
            return None
        whole = merge({"kind": name}, merge(_list_defaults(model, inherited, section), section))
        return self._validate(model, whole, keys)

    def _find_model(self, name: str, section: Mapping[str, object]) -> type[ServiceOptions] | None:
        keys: Keys = ("services", name, "kind")
        kind = section.get("kind", name)
        if not isinstance(kind, str):
            self._add(keys, f"is {name_type(kind)}, wanted the name of a kind of service")
            return None
        names = sorted(self._kinds.names())
        if kind not in names:
            missing = "" if "kind" in section else "is missing, and "
            self._add(keys, missing + say_unknown(kind, "a kind of service", names))
            return None
        try:
            return self._kinds.options(kind)
        except KindError as error:
            self._add(keys, str(error))
            return None

    def _sound(self, value: object, keys: Keys) -> object:
        """What services inherit of ``[admission]``: without its mistakes, which are told once, not by each service."""
        if not isinstance(value, dict):
            return value
        return {
            key: self._sound(below, (*keys, key))
            for key, below in value.items()
            if not self._is_faulty((*keys, key), whole=not isinstance(below, dict))
        }

    def _is_faulty(self, keys: Keys, *, whole: bool) -> bool:
        """Whether there is a mistake right at ``keys``, or, with ``whole``, anywhere in there."""
        return any(faulty[: len(keys)] == keys and (whole or len(faulty) == len(keys)) for faulty in self._faulty)


def merge(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    """Both tables in one; where both have a key, ``high`` wins, and two tables are merged in turn."""
    merged = {**low, **high}
    for key, value in high.items():
        below = low.get(key)
        if isinstance(value, dict) and isinstance(below, dict):
            merged[key] = merge(below, value)
    return merged


def _list_defaults(model: type[ServiceOptions], inherited: object, section: Mapping[str, object]) -> dict[str, Any]:
    """What holds where the section is silent: ``[admission]``, and below it the kind's own tables that it touches.

    A kind's default that nobody touches is left to pydantic; a table that is named in part is filled up from it here.
    """
    admission = list_options(AdmissionOptions)
    given = inherited if isinstance(inherited, dict) else {}
    lower = {key: value for key, value in given.items() if key in admission}
    named = merge(lower, section)
    return merge(_fill(model, named), lower)


def _fill(model: type[BaseModel], named: Mapping[str, object]) -> dict[str, Any]:
    filled: dict[str, Any] = {}
    for key, (_, option) in list_options(model).items():
        default = option.get_default(call_default_factory=True, validated_data={})
        value = named.get(key)
        if isinstance(default, BaseModel) and isinstance(value, dict):
            own = default.model_dump(mode="json", by_alias=True, exclude_unset=True)
            filled[key] = merge(own, _fill(type(default), value))
    return filled
