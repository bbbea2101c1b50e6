"""Tables as TOML has them."""

from __future__ import annotations

import tomllib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netservices.config.writing import format_table, format_value

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
VALUES = st.recursive(
    TEXTS | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=10,
)


class FormatTableTests(SynchronousTestCase):
    """What is written is what is read."""

    @settings(deadline=None, max_examples=200)
    @given(st.dictionaries(TEXTS, VALUES, max_size=4))
    def test_any_table_is_read_back(self, table: dict[str, Any]) -> None:
        self.assertEqual(tomllib.loads("\n".join(format_table("a.b", table))), {"a": {"b": table}})

    def test_long_list_has_a_line_for_each_entry(self) -> None:
        lines = [*format_table("a", {"b": ["x" * 60, "y" * 60]})]
        self.assertEqual(lines, ["[a]", "b = [", f'  "{"x" * 60}",', f'  "{"y" * 60}",', "]"])

    def test_what_toml_lacks_is_refused(self) -> None:
        with self.assertRaisesRegex(TypeError, "NoneType"):
            format_value(None)
