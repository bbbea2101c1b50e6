"""The wheel and the sdist: built, and used from a place where the checkout can't be seen."""

from __future__ import annotations

import sys
import tarfile
import zipfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.live.harness import make_directory, make_environ, run

ROOT = Path(__file__).parent.parent.parent


class WheelTests(SynchronousTestCase):
    """Twisted looks for plugins in folders of ``sys.path``, so the layout of what is installed decides."""

    def build(self, target: str) -> Path:
        folder = make_directory(self)
        built = run(sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder), cwd=ROOT, timeout=120)
        self.assertEqual(built.returncode, 0, built.stderr)
        [made] = folder.iterdir()
        return made

    def test_plugin_is_found_in_an_installed_wheel(self) -> None:
        site = make_directory(self)
        with zipfile.ZipFile(self.build("wheel")) as wheel:
            names = wheel.namelist()
            wheel.extractall(site)  # noqa: S202 - it was built from here a moment ago
        self.assertIn("twisted/plugins/netservices_plugin.py", names)
        self.assertNotIn("twisted/plugins/__init__.py", names)
        self.assertNotIn("twisted/__init__.py", names)
        self.assertFalse([name for name in names if name.startswith("tests/") or "dropin.cache" in name])
        # -P keeps the working directory off the path, -S -E would hide Twisted as well; the wheel comes first.
        environ = make_environ({"PYTHONPATH": str(site)})
        said = run(sys.executable, "-P", "-m", "twisted", "--help", environ=environ, cwd=site, timeout=60)
        self.assertIn(b"netservices", said.stdout)
        script = "import netservices; print(netservices.__file__)"
        where = run(sys.executable, "-P", "-c", script, environ=environ, cwd=site, timeout=60)
        self.assertTrue(where.stdout.decode().startswith(str(site)), where.stdout)
        verb = run(sys.executable, "-P", "-m", "netservices.cli", "kinds", environ=environ, cwd=site, timeout=60)
        self.assertIn(b"echo", verb.stdout)

    def test_sdist_holds_what_a_packager_needs(self) -> None:
        with tarfile.open(self.build("sdist")) as sdist:
            names = {name.partition("/")[2] for name in sdist.getnames()}
        for wanted in (
            "LICENSE",
            "Makefile",
            "README.md",
            "constraints.txt",
            "docs/configuration.md",
            "etc/netservices.toml",
            "netservices/tap.py",
            "tests/run.py",
            "twisted/plugins/netservices_plugin.py",
        ):
            self.assertIn(wanted, names)
