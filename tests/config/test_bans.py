"""The table of bans, whose key "for" is a word of Python's."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from netservices.config import Bans, ConfigError
from tests.config.made_up import load_made_up

LAMP = '[services.lamp]\nlisten = ["tcp:7"]\n'


class BansTests(SynchronousTestCase):
    """R1, R13."""

    def test_defaults_are_those_of_the_manual(self) -> None:
        bans = load_made_up(LAMP).services["lamp"].bans
        self.assertEqual((bans.failures, bans.within, bans.duration, bans.loopback), (10, 600.0, 3600.0, False))
        self.assertEqual(
            bans.model_dump(mode="json", by_alias=True),
            {"failures": 10, "within": "10m", "for": "1h", "loopback": False},
        )

    def test_section_changes_only_the_keys_it_names(self) -> None:
        text = '[admission]\nbans = { failures = 5, for = "2h" }\n' + LAMP + 'bans = { within = "1m", for = "3h" }\n'
        config = load_made_up(text)
        expected = Bans.model_validate({"failures": 5, "within": 60.0, "for": 10800.0})
        self.assertEqual(config.services["lamp"].bans, expected)
        self.assertEqual(config.origin("services.lamp.bans.for"), "f.toml:5: services.lamp.bans.for")
        self.assertEqual(config.origin("services.lamp.bans.failures"), "f.toml:2: admission.bans.failures")
        self.assertEqual(config.origin("services.lamp.bans"), "f.toml:5: services.lamp.bans")

    def test_mistakes_are_told_by_the_keys_of_the_file(self) -> None:
        with self.assertRaises(ConfigError) as caught:
            load_made_up(LAMP + 'bans = { failures = 1001, within = "0s", for = "x", duration = "1h" }\n')
        self.assertEqual(
            sorted(problem.path for problem in caught.exception.problems),
            [f"services.lamp.bans.{key}" for key in ("duration", "failures", "for", "within")],
        )
