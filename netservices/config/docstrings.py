"""The docstrings below the options of a model, read from its source when they are asked for.

pydantic could read them as each class is made, but then every start of the daemon would pay for it.
"""

from __future__ import annotations

import ast
import inspect
import sys
from functools import lru_cache
from typing import TYPE_CHECKING

from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def load_docstrings(model: type[BaseModel]) -> Mapping[str, str]:
    """What each option of ``model`` means, by its key in the file, in one paragraph; nothing without its source.

    A ``Field(description=…)`` goes before a docstring, and a class before those it inherits from.
    """
    told: dict[str, str] = {}
    for ancestor in reversed(model.__mro__):
        if issubclass(ancestor, BaseModel) and ancestor is not BaseModel:
            told.update(_read_module(ancestor.__module__).get(ancestor.__qualname__, {}))
    meanings = {}
    for name, option in model.model_fields.items():
        meaning = option.description or told.get(name)
        if meaning:
            meanings[option.alias or name] = meaning
    return meanings


@lru_cache(maxsize=256)
def _read_module(name: str) -> Mapping[str, Mapping[str, str]]:
    """The attribute docstrings of every class in a module, by the class's qualified name."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[name]))
    except (KeyError, OSError, TypeError, SyntaxError):
        return {}
    return dict(_walk_classes(tree, ""))


def _walk_classes(node: ast.AST, prefix: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield f"{prefix}{child.name}", dict(_read_class(child))
            yield from _walk_classes(child, f"{prefix}{child.name}.")
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _walk_classes(child, f"{prefix}{child.name}.<locals>.")


def _read_class(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for statement, following in zip(node.body, node.body[1:], strict=False):
        match statement, following:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, " ".join(text.split())
