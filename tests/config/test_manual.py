"""The tables of options in the manual's pages."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from netservices.catalog import Catalogue
from netservices.config import KindError
from netservices.config.manual import fill_page
from tests.config.made_up import MadeUpKinds

PAGES = Path(__file__).parents[2] / "docs"


class FillPageTests(SynchronousTestCase):
    """The manual says what the models say."""

    def test_table_is_put_in_its_place(self) -> None:
        page = "# Lamp\n\n<!-- options: lamp -->\nold\n<!-- end -->\nmore\n"
        filled = fill_page(page, MadeUpKinds())
        self.assertEqual(
            filled,
            "# Lamp\n\n<!-- options: lamp -->\n"
            "| option | type | default | meaning |\n| --- | --- | --- | --- |\n"
            '| `greeting` | a text | `"on"` | What it says. |\n'
            "| `limits.sessions` | a whole number (above 0) | `10` | Sessions at once. |\n"
            "| `limits.per_peer` | a whole number (above 0) | `3` | "
            "Sessions of one peer at once; an IPv6 peer is its /64. |\n"
            "<!-- end -->\nmore\n",
        )
        self.assertEqual(fill_page(filled, MadeUpKinds()), filled)

    def test_tables_of_the_file_and_of_every_service_are_known(self) -> None:
        for name, key in (("every service", "`listen`"), ("tls", "`names.NAME.key`"), ("shop", "`places[].path`")):
            self.assertIn(key, fill_page(f"<!-- options: {name} -->\n<!-- end -->", MadeUpKinds()))

    def test_kind_without_options_of_its_own_says_so(self) -> None:
        filled = fill_page("<!-- options: echo -->\n<!-- end -->", Catalogue(bring=lambda: ()))
        self.assertEqual(filled, "<!-- options: echo -->\nNo options of its own.\n<!-- end -->")

    def test_unknown_name_is_refused(self) -> None:
        with self.assertRaisesRegex(KindError, "desk"):
            fill_page("<!-- options: desk -->\n<!-- end -->", MadeUpKinds())

    def test_every_page_is_up_to_date(self) -> None:
        kinds = Catalogue(bring=lambda: ())
        pages = sorted(PAGES.rglob("*.md"))
        self.assertIn(PAGES / "configuration.md", pages)
        for page in pages:
            text = page.read_text("utf-8")
            self.assertEqual(text, fill_page(text, kinds), f"bring it up to date: netservices manual {page}")
