"""What the section may say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError
from twisted.trial.unittest import SynchronousTestCase

from netservices.services.web.options import WebOptions


def load(**more: Any) -> WebOptions:  # noqa: ANN401 - as the file has it
    """A section with these keys."""
    return WebOptions.model_validate({"kind": "web", "listen": ["tcp:80"], **more})


class OptionsTests(SynchronousTestCase):
    """The model."""

    def test_units_are_read(self) -> None:
        """Sizes and times as people write them."""
        options = load(hot_file="1MiB", head_timeout="5s", root="/srv", index=["a"])
        self.assertEqual((options.hot_file, options.head_timeout, options.root), (2**20, 5.0, Path("/srv")))

    def test_web_waits_less_than_other_kinds(self) -> None:
        """H5: the kind's own default."""
        self.assertEqual((load().timeouts.idle, load().timeouts.write), (15.0, 30.0))

    def test_mistakes_are_told(self) -> None:
        """R1: an index that is no name, a limit that is none."""
        for more in ({"index": ["a/b"]}, {"index": [".."]}, {"requests": 0}, {"request_line": "1B"}, {"unknown": 1}):
            self.assertRaises(ValidationError, load, **more)
