"""Which kinds of service there are."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from textwrap import dedent

from twisted.trial.unittest import SynchronousTestCase

from netservices.catalog import ENTRY_POINTS, Catalogue, find_kind, kind_names
from netservices.config import Config, ExamineContext, Finding, KindError
from netservices.config.rights import make_reader

KIND = """
from netservices.config import Finding, ServiceOptions
from netservices.kind import Parts, ServiceKind

KIND = ServiceKind(
    name={name!r}, summary="a lamp", options=ServiceOptions, make=lambda options, runtime: Parts(),
    tryout={{"listen": ["tcp:7"]}}, examine=lambda options, context: [Finding("kind", context.service)],
)
"""


class CatalogueTests(SynchronousTestCase):
    """Section 6 of the design: a kind is found by looking; there is no list."""

    def setUp(self) -> None:
        folder = Path(self.mktemp()).absolute()
        self.package = f"made_up_{folder.parent.name.replace('-', '_')}"
        place = folder / self.package
        (place / "parcel").mkdir(parents=True)
        for name, text in (
            ("__init__", ""), ("lamp", KIND.format(name="lamp")), ("parcel/__init__", KIND.format(name="parcel")),
            ("_private", KIND.format(name="_private")), ("alias", KIND.format(name="other")), ("empty", ""),
            ("odd", "KIND = 5"), ("broken", "raise RuntimeError('no lamp oil')"), ("exits", "raise SystemError('x')"),
        ):  # fmt: skip
            (place / f"{name}.py").write_text(dedent(text))
        sys.path.insert(0, str(folder))
        self.addCleanup(sys.path.remove, str(folder))
        self.addCleanup(self.forget)

    def forget(self) -> None:
        for name in [name for name in sys.modules if name.split(".")[0] == self.package]:
            del sys.modules[name]

    def make(self, *points: EntryPoint) -> Catalogue:
        return Catalogue(package=self.package, bring=lambda: points)

    def point(self, name: str, value: str) -> EntryPoint:
        return EntryPoint(name, value, ENTRY_POINTS)

    def test_kinds_are_found_without_being_imported(self) -> None:
        self.assertEqual(self.make().names(), ("alias", "broken", "empty", "exits", "lamp", "odd", "parcel"))
        self.assertNotIn(f"{self.package}.lamp", sys.modules)

    def test_kind_tells_of_itself(self) -> None:
        kinds = self.make()
        for name in ("lamp", "parcel"):
            self.assertEqual(kinds.find(name).name, name)
        self.assertIs(kinds.options("lamp"), kinds.find("lamp").options)
        self.assertEqual((kinds.summary("lamp"), kinds.tryout("lamp")), ("a lamp", {"listen": ["tcp:7"]}))
        options = kinds.options("lamp").model_validate({"kind": "lamp", "listen": ["tcp:7"]})
        context = ExamineContext(Config(), "desk", make_reader())
        self.assertEqual(kinds.examine(options, context), [Finding("kind", "desk")])

    def test_unknown_kind_is_refused(self) -> None:
        for name in ("desk", "_private", "lamp.x", ""):
            error = self.assertRaises(KindError, self.make().find, name)
            self.assertEqual(str(error), f'there is no kind of service "{name}"')

    def test_broken_kind_is_refused_by_name(self) -> None:
        for name, said in (
            ("broken", f'the kind "broken" can\'t be loaded from {self.package}.broken: RuntimeError: no lamp oil'),
            ("exits", f'the kind "exits" can\'t be loaded from {self.package}.exits: SystemError: x'),
            ("odd", f'the kind "odd" can\'t be used: {self.package}.odd is not a ServiceKind'),
            ("alias", f'the kind "alias" can\'t be used: {self.package}.alias calls itself "other"'),
        ):
            self.assertEqual(str(self.assertRaises(KindError, self.make().find, name)), said)
        self.assertIn("has no attribute 'KIND'", str(self.assertRaises(KindError, self.make().find, "empty")))

    def test_other_packages_bring_kinds(self) -> None:
        (Path(sys.path[0]) / f"{self.package}_other.py").write_text(KIND.format(name="desk"))
        self.addCleanup(sys.modules.pop, f"{self.package}_other", None)
        kinds = self.make(
            self.point("desk", f"{self.package}_other:KIND"), self.point("gone", "nowhere_at_all:KIND"),
            self.point("lamp", "nowhere_at_all:KIND"),
        )  # fmt: skip
        self.assertLess({"desk", "gone", "lamp"}, set(kinds.names()))
        self.assertEqual(kinds.find("desk").name, "desk")
        self.assertEqual(kinds.summary("lamp"), "a lamp")
        error = self.assertRaises(KindError, kinds.find, "gone")
        self.assertIn('the kind "gone" can\'t be loaded from nowhere_at_all:KIND: ModuleNotFoundError', str(error))

    def test_what_is_installed_is_looked_up_once(self) -> None:
        asked: list[int] = []

        def bring() -> list[EntryPoint]:
            asked.append(1)
            return []

        kinds = Catalogue(package=self.package, bring=bring)
        kinds.names()
        kinds.names()
        self.assertEqual(len(asked), 1)


class OurKindsTests(SynchronousTestCase):
    """Section 6 of the design, of the kinds that are there."""

    def test_every_kind_of_ours_can_be_used(self) -> None:
        names = kind_names()
        self.assertIn("echo", names)
        for name in names:
            self.assertEqual(find_kind(name).name, name)
