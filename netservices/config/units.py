"""Units as people write them: ``"5m"``, ``"10MiB"``, ``"30/10s"``.

Each unit is one pure ``parse_x`` (text to value, ``ValueError`` saying what was wanted), one ``format_x`` back, and one
annotated type for the models, whose JSON Schema is the text form.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, ClassVar

from pydantic import (
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import core_schema

from netservices.config.words import Worded

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION_PATTERN = r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d|w)$"
_OCTETS = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_SIZE_PATTERN = r"^[0-9]+(\.[0-9]+)?(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)$"
_RATE_PATTERN = r"^[1-9][0-9]{0,8}/([0-9]+(\.[0-9]+)?)?(ms|s|m|h|d|w)$"
_LONGEST = 100 * 365 * 86400.0
_LARGEST = 2**63 - 1


def parse_duration(text: object) -> float:
    """``"5m"`` to seconds. Raises ``ValueError``."""
    match = re.fullmatch(_DURATION_PATTERN[1:-1], text) if isinstance(text, str) else None
    if match is None:
        raise ValueError('not a duration, wanted a number and a unit: "500ms", "10s", "5m", "12h", "1d" or "2w"')
    unit = match[2]
    seconds = float(match[0].removesuffix(unit)) * _SECONDS[unit]
    if seconds > _LONGEST:
        raise ValueError("too long a duration, wanted at most 100 years")
    return seconds


def format_duration(seconds: float) -> str:
    """Seconds to a short text that ``parse_duration`` reads back as the very same number."""
    for unit in ("w", "d", "h", "m", "s"):
        count = seconds / _SECONDS[unit]
        if count >= 1 and count == int(count):
            return f"{int(count)}{unit}"
    if seconds == 0:
        return "0s"
    in_ms = f"{_plain(seconds * 1000)}ms"
    return in_ms if 0 < seconds < 1 and parse_duration(in_ms) == seconds else f"{_plain(seconds)}s"


def _plain(number: float) -> str:
    """Without an exponent, without a trailing ``.0``."""
    return format(Decimal(repr(number)), "f").removesuffix(".0")


def parse_size(text: object) -> int:
    """``"10MiB"`` to octets. Raises ``ValueError``."""
    match = re.fullmatch(_SIZE_PATTERN[1:-1], text) if isinstance(text, str) else None
    if match is None:
        raise ValueError('not a size, wanted a number and a unit: "512B", "64KiB", "10MiB", "2GiB" (or kB, MB, GB)')
    unit = match[2]
    octets = int(Fraction(match[0].removesuffix(unit)) * _OCTETS[unit]) if len(match[0]) <= 40 else _LARGEST + 1
    if octets > _LARGEST:
        raise ValueError("too large a size, wanted less than 8388608TiB")
    return octets


def format_size(octets: int) -> str:
    """Octets to the shortest text that ``parse_size`` reads back."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if octets and octets % _OCTETS[unit] == 0:
            return f"{octets // _OCTETS[unit]}{unit}"
    return f"{octets}B"


@dataclass(frozen=True)
class Rate:
    """At most ``count`` in any ``per`` seconds."""

    count: int
    per: float
    worded: ClassVar[Worded] = Worded("a rate", "rates", '"30/10s"')

    def __str__(self) -> str:
        """As the file has it: ``200/10s``."""
        return f"{self.count}/{format_duration(self.per)}"

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Tell pydantic that a rate is written as text."""
        return core_schema.no_info_plain_validator_function(
            lambda value: value if isinstance(value, cls) else parse_rate(value),
            serialization=core_schema.plain_serializer_function_ser_schema(str),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _core: core_schema.CoreSchema, _handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Tell editors what a rate looks like."""
        return {"type": "string", "pattern": _RATE_PATTERN, "examples": ["30/10s"]}


def parse_rate(text: object) -> Rate:
    """``"30/10s"`` to a rate; the number before the unit may be left out (``"30/s"``). Raises ``ValueError``."""
    if isinstance(text, str) and re.fullmatch(_RATE_PATTERN[1:-1], text):
        count, _, per = text.partition("/")
        seconds = parse_duration(per if per[0].isdigit() else f"1{per}")
        if seconds > 0:
            return Rate(int(count), seconds)
    raise ValueError('not a rate, wanted a count and a duration: "30/10s", "600/1m" or "5/s"')


def _load_duration(value: object, info: ValidationInfo) -> object:
    # A file always comes as JSON; only code may give the seconds themselves.
    return value if info.mode == "python" and type(value) in {int, float} else parse_duration(value)


def _load_size(value: object, info: ValidationInfo) -> object:
    return value if info.mode == "python" and type(value) is int else parse_size(value)


Duration = Annotated[
    float,
    BeforeValidator(_load_duration),
    PlainSerializer(format_duration),
    WithJsonSchema({"type": "string", "pattern": _DURATION_PATTERN, "examples": ["5m"]}),
    Worded("a duration", "durations", '"5m"'),
]
"""Seconds as a float; in the file a text with a unit, in code the seconds."""

PositiveDuration = Annotated[Duration, Field(gt=0)]
"""A ``Duration`` that is not zero."""

Size = Annotated[
    int,
    BeforeValidator(_load_size),
    PlainSerializer(format_size),
    WithJsonSchema({"type": "string", "pattern": _SIZE_PATTERN, "examples": ["10MiB"]}),
    Worded("a size", "sizes", '"10MiB"'),
]
"""Octets as an int; in the file a text with a unit, in code the octets."""
