"""The options of a table as rows."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from netservices.config import Config, ServiceOptions
from netservices.config.describe import Row, list_own_rows, list_rows, summarise
from tests.config.made_up import LampOptions, ShopOptions


class ListRowsTests(SynchronousTestCase):
    """What the manual, the starter file and the command say of an option is one thing."""

    def test_row_tells_all_of_an_option(self) -> None:
        rows = {row.key: row for row in list_rows(ShopOptions)}
        self.assertEqual(
            rows["largest"], Row("largest", "a size", '"64KiB"', "A size.", required=False, example='"64KiB"')
        )
        self.assertEqual(
            rows["root"], Row("root", "a folder's path", "", "The folder.", required=False, example='"/path"')
        )
        self.assertEqual(rows["wait"].default, '"never"')
        self.assertEqual(rows["line.width"].default, "80")
        self.assertEqual((rows["timeouts.idle"].default, rows["timeouts.login"].default), ('"30s"', '"1m"'))
        self.assertEqual(rows["places[].path"].required, True)
        self.assertEqual(rows["rooms.NAME.open"].default, "true")
        self.assertEqual(
            (rows["corner"].type, rows["corner"].default, rows["corner.path"].required), ("a table", "", True)
        )
        self.assertEqual(rows["listen"].required, True)
        self.assertEqual(rows["listen"].default, "")
        self.assertIn("for", rows)
        self.assertNotIn("limits", rows)

    def test_left_keys_are_left(self) -> None:
        self.assertNotIn("services", {row.key for row in list_rows(Config, leave=["services"])})

    def test_own_rows_are_what_the_kind_adds_or_changes(self) -> None:
        self.assertEqual(
            [(row.key, row.default) for row in list_own_rows(LampOptions)],
            [("greeting", '"on"'), ("limits.sessions", "10"), ("limits.per_peer", "3")],
        )
        self.assertEqual(list_own_rows(ServiceOptions), ())

    def test_summary_is_the_first_paragraph(self) -> None:
        self.assertEqual(summarise(LampOptions), "A lamp that can be asked whether it is on.")
