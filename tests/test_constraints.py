"""constraints.txt pins everything that an installation brings, and nothing names where it comes from."""

from __future__ import annotations

import re
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from twisted.trial.unittest import SynchronousTestCase

from tests.run import ROOT


def load_pins() -> dict[str, str]:
    """The pinned version of each package, by its canonical name."""
    lines = (ROOT / "constraints.txt").read_text().split()
    return {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines)}


def find_needed(name: str, extras: frozenset[str], seen: dict[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    """Everything the installed package needs, itself included, with the extras asked of each; gathered in ``seen``."""
    if extras <= seen.get(name, frozenset()) and name in seen:
        return seen
    seen[name] = seen.get(name, frozenset()) | extras
    for text in metadata.requires(name) or []:
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in (*seen[name], "")):
            find_needed(canonicalize_name(requirement.name), frozenset(requirement.extras), seen)
    return seen


class ConstraintsTests(SynchronousTestCase):
    """The known-good set is whole."""

    def test_every_package_an_installation_brings_is_pinned(self) -> None:
        needed = set(find_needed("netservices", frozenset({"dev"}), {})) - {"netservices"}
        self.assertEqual(needed - set(load_pins()), set())

    def test_what_nothing_needs_is_not_pinned(self) -> None:
        self.assertEqual(set(load_pins()) - set(find_needed("netservices", frozenset({"dev"}), {})), set())

    def test_every_line_is_a_name_and_a_version(self) -> None:
        for line in (ROOT / "constraints.txt").read_text().splitlines():
            self.assertTrue(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.+!]*", line), line)
