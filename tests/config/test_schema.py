"""The JSON Schema of a file."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from netservices.config.schema import make_schema
from netservices.config.starter import make_starter
from tests.config.made_up import MadeUpKinds

TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool,
}  # fmt: skip
IGNORED = {
    "$schema",
    "$defs",
    "title",
    "description",
    "default",
    "examples",
    "format",
    "exclusiveMinimum",
    "minimum",
    "maximum",
}


class Checker:
    """As much of JSON Schema 2020-12 as ours uses; a keyword it does not know is an error."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._whole = schema

    def fits(self, value: object, schema: Any = None) -> bool:  # noqa: ANN401 - a table, true or false
        schema = self._whole if schema is None else schema
        if isinstance(schema, bool):
            return schema
        return all(self._keyword(key, content, value, schema) for key, content in schema.items() if key not in IGNORED)

    def _keyword(self, key: str, content: Any, value: Any, schema: dict[str, Any]) -> bool:  # noqa: ANN401, C901, PLR0912 - one case a keyword
        match key:
            case "$ref":
                return self.fits(value, self._whole["$defs"][content.removeprefix("#/$defs/")])
            case "type":
                return isinstance(value, TYPES[content]) and (content == "boolean" or not isinstance(value, bool))
            case "const":
                return bool(value == content)
            case "enum":
                return value in content
            case "anyOf":
                return any(self.fits(value, choice) for choice in content)
            case "allOf":
                return all(self.fits(value, choice) for choice in content)
            case "if":
                return self.fits(value, schema.get("then" if self.fits(value, content) else "else", True))
            case "then" | "else":
                return True
            case "required":
                return not isinstance(value, dict) or all(name in value for name in content)
            case "properties":
                return all(self.fits(value[name], below) for name, below in content.items() if name in value)
            case "additionalProperties":
                return all(
                    self.fits(value[name], content) for name in value.keys() - schema.get("properties", {}).keys()
                )
            case "propertyNames":
                return all(self.fits(name, content) for name in value)
            case "pattern":
                return not isinstance(value, str) or re.search(content, value) is not None
            case "items":
                return all(self.fits(entry, content) for entry in value[len(schema.get("prefixItems", ())) :])
            case "prefixItems":
                return all(self.fits(entry, below) for entry, below in zip(value, content, strict=False))
            case "minItems" | "minLength":
                return len(value) >= int(content)
            case "maxItems" | "maxLength":
                return len(value) <= int(content)
        raise AssertionError(f"keyword {key} is new here")


class MakeSchemaTests(SynchronousTestCase):
    """Section 3 of the design: a JSON Schema of the whole file, every kind's section in it."""

    def setUp(self) -> None:
        self.schema = make_schema(MadeUpKinds())

    def fits(self, text: str) -> bool:
        return Checker(self.schema).fits(tomllib.loads(text))

    def test_good_files_fit(self) -> None:
        for text in (
            "", make_starter(MadeUpKinds()), '[services.lamp]\nlisten = ["tcp:7"]\ngreeting = "x"',
            '[services.x]\nkind = "shop"\nlisten = ["unix:/x"]\ntoken = { env = "A" }\nwait = "5m"\nfor = "1h"',
            '[services.lamp]\nkind = "shop"\nlisten = ["tcp:7"]\nlargest = "2KiB"', "[admission.limits]\nsessions = 5",
        ):  # fmt: skip
            self.assertTrue(self.fits(text), text)

    def test_bad_files_do_not(self) -> None:
        for text in (
            "[deamon]", "[daemon]\nx = 1", "[daemon]\nshutdown = 5", "[services.desk]\nlisten = ['tcp:7']",
            "[services.lamp]", "[services.lamp]\nlisten = []", "[services.lamp]\nlisten = ['x:7']",
            "[services.lamp]\nlisten = ['tcp:7']\nroot = '/x'",
            "[services.x]\nkind = 'lamp'\nlisten = ['tcp:7']\nroot = '/x'",
            "[services.lamp]\nkind = 'shop'\nlisten = ['tcp:7']\ngreeting = 'x'", "[services.x]\nkind = 'desk'",
            "[services.'a b']\nkind = 'lamp'\nlisten = ['tcp:7']", "[services.shop]\nlisten = ['tcp:7']\nwait = 5",
            "[services.shop]\nlisten = ['tcp:7']\nhours = '1h'",
            "[services.shop]\nlisten = ['tcp:7']\nport_range = [1]",
        ):  # fmt: skip
            self.assertFalse(self.fits(text), text)

    def test_options_have_their_meaning_and_default(self) -> None:
        shutdown = self.schema["$defs"]["DaemonOptions"]["properties"]["shutdown"]
        self.assertEqual(shutdown["default"], "10s")
        self.assertTrue(shutdown["description"].startswith("How long sessions may go on"))

    def test_toml_has_no_null(self) -> None:
        self.assertNotIn("null", repr(self.schema))
        self.assertNotIn("None", repr(self.schema))

    def test_every_reference_leads_somewhere(self) -> None:
        self.assertEqual(self.schema["$schema"], "https://json-schema.org/draft/2020-12/schema")
        for name in re.findall(r"#/\$defs/([^'\"]+)", repr(self.schema)):
            self.assertIn(name, self.schema["$defs"])
