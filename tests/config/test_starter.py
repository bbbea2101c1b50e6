"""The file that init writes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from netservices.catalog import Catalogue
from netservices.config import Severity, examine, load, load_text
from netservices.config.starter import make_starter
from tests.config.made_up import MadeUpKinds, load_made_up

SHIPPED = Path(__file__).parents[2] / "etc" / "netservices.toml"


class MakeStarterTests(SynchronousTestCase):
    """Section 2 of the design: every kind once, commented, passes check."""

    def setUp(self) -> None:
        self.text = make_starter(MadeUpKinds())

    def test_it_has_every_table_and_every_kind_as_its_tryout(self) -> None:
        data = tomllib.loads(self.text)
        self.assertEqual([*data], ["daemon", "log", "tls", "accounts", "admission", "services"])
        self.assertEqual(data["services"], {name: MadeUpKinds().tryout(name) for name in ("lamp", "shop")})

    def test_it_is_good(self) -> None:
        self.assertEqual(examine(load_made_up(self.text), MadeUpKinds()), ())

    def test_every_option_is_there_with_its_default(self) -> None:
        for line in (
            '#hostname = "host.example.org"', '#shutdown = "10s"', "#limits.sessions = 1000", "#limits.sessions = 10",
            '#greeting = "on"', "# What it says.", '#largest = "64KiB"', '#wait = "never"', '#timeouts.idle = "30s"',
            '#for = "1h"',
        ):  # fmt: skip
            self.assertIn(line, self.text.splitlines())

    def test_every_line_may_lose_its_mark(self) -> None:
        bare = re.sub(r"^#(?=\w)", "", self.text, flags=re.MULTILINE)
        bare = re.sub(r"^.* = .*/path/file.*$|^(names\.NAME\.)?(certificate|key) = .*$", "", bare, flags=re.MULTILINE)
        config = load_made_up(bare)
        self.assertEqual(config.daemon.hostname, "host.example.org")
        self.assertEqual(config.services["lamp"].limits.sessions, 10)

    def test_lines_are_short(self) -> None:
        self.assertEqual([line for line in self.text.splitlines() if len(line) > 120], [])


class ShippedTests(SynchronousTestCase):
    """Section 2 of the design: etc/netservices.toml is generated from the kinds."""

    kinds = Catalogue(bring=lambda: ())

    def test_it_is_what_init_writes(self) -> None:
        made = make_starter(self.kinds)
        self.assertEqual(
            SHIPPED.read_text("utf-8"), made, "bring it up to date: netservices init --force etc/netservices.toml"
        )

    def test_it_passes_check(self) -> None:
        problems = examine(load(SHIPPED, self.kinds), self.kinds)
        self.assertEqual([problem for problem in problems if problem.severity is Severity.MISTAKE], [])
        load_text(make_starter(self.kinds), self.kinds, file="starter")
