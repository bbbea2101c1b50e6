"""The docstrings below options."""

from __future__ import annotations

import sys
import types

from pydantic import BaseModel, Field
from twisted.trial.unittest import SynchronousTestCase

from netservices.config import Config, Limits, ServiceOptions
from netservices.config.docstrings import load_docstrings
from netservices.config.shape import list_options
from tests.config.made_up import LampOptions, ShopOptions


class LoadDocstringsTests(SynchronousTestCase):
    """Section 3 of the design: every option has a docstring that becomes its line in the manual."""

    def test_every_option_of_every_table_has_one(self) -> None:
        waiting: list[type[BaseModel]] = [Config, ServiceOptions]
        while waiting:
            model = waiting.pop()
            self.assertEqual(load_docstrings(model).keys(), list_options(model).keys(), model)
            for _, option in list_options(model).values():
                if isinstance(option.annotation, type) and issubclass(option.annotation, BaseModel):
                    waiting.append(option.annotation)

    def test_it_is_one_paragraph(self) -> None:
        self.assertEqual(
            load_docstrings(ServiceOptions)["listen"].split(":")[0],
            "Where it is reached",
        )
        self.assertNotIn("\n", "".join(load_docstrings(ServiceOptions).values()))

    def test_class_goes_before_its_ancestors(self) -> None:
        told = load_docstrings(LampOptions)
        self.assertEqual(told["limits"], "A lamp is small.")
        self.assertEqual(told["deny"], load_docstrings(ServiceOptions)["deny"])
        self.assertEqual(load_docstrings(ShopOptions)["for"], "An option whose key is a word of Python's.")

    def test_description_goes_before_a_docstring(self) -> None:
        class Local(BaseModel):
            """Inside a function."""

            one: int = Field(default=1, description="By field.")
            """By docstring."""
            two: int = 2
            """Two."""
            three: int = 3

        self.assertEqual(load_docstrings(Local), {"one": "By field.", "two": "Two."})

    def test_without_its_source_a_model_is_silent(self) -> None:
        module = types.ModuleType("made_up_without_source")
        sys.modules[module.__name__] = module
        self.addCleanup(sys.modules.pop, module.__name__)
        gone = type("Gone", (BaseModel,), {"__module__": module.__name__, "__qualname__": "Gone"})
        self.assertEqual(load_docstrings(gone), {})
        self.assertTrue(load_docstrings(Limits))
