"""The JSON Schema (draft 2020-12) of a whole file, for editors and for checks elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic.json_schema import models_json_schema

from netservices.config.models import Config, ServiceOptions

if TYPE_CHECKING:
    from netservices.config.kinds import KindModels

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SECTION = "any-section"
_NAME = "^[A-Za-z0-9_-]{1,64}$"


def make_schema(kinds: KindModels) -> dict[str, Any]:
    """The schema, every kind's section in it. Raises ``KindError`` for a kind that can't be used."""
    models = {name: kinds.options(name) for name in sorted(kinds.names())}
    refs, document = models_json_schema([(Config, "validation"), *((model, "validation") for model in models.values())])
    definitions = document["$defs"]
    sections = {name: refs[model, "validation"] for name, model in models.items()}
    for section in sections.values():
        # Inherited from [admission] or not, what else is required must stand here; but the name may stand for the kind.
        definition = definitions[_name(section)]
        definition["required"] = [key for key in definition.get("required", []) if key != "kind"]
    whole = definitions.pop(_name(refs[Config, "validation"]))
    whole["properties"]["services"] = _make_services(sections)
    definitions.pop(ServiceOptions.__name__, None)
    definitions[_SECTION] = _make_section(sections)
    return {"$schema": _DIALECT, **whole, "title": "netservices.toml", "$defs": definitions}


def _name(ref: dict[str, Any]) -> str:
    return str(ref["$ref"]).rpartition("/")[2]


def _make_section(sections: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"enum": list(sections)}},
        "allOf": [
            {"if": {"properties": {"kind": {"const": name}}}, "then": section} for name, section in sections.items()
        ],
    }


def _make_services(sections: dict[str, Any]) -> dict[str, Any]:
    """Any section by its ``kind``; one that is called as a kind is, may leave ``kind`` out."""
    any_kind = {"$ref": f"#/$defs/{_SECTION}"}
    return {
        "type": "object",
        "description": "The services by name.",
        "propertyNames": {"pattern": _NAME},
        "properties": {
            name: {"if": {"required": ["kind"]}, "then": any_kind, "else": section}
            for name, section in sections.items()
        },
        "additionalProperties": any_kind,
    }
