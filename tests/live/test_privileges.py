"""What the kernel says of a process that gave up its rights.

Each is a process of its own, since there is no way back.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.live.harness import require
from tests.run import ROOT

NET_BIND_SERVICE = 1 << 10
PLACES = os.pathsep.join([str(ROOT), *filter(None, sys.path)])

BEGIN = """
import errno, json, os, socket, subprocess, sys, threading
from pathlib import Path
from netservices.daemon.privileges import PrivilegeError, drop, forgo
from netservices.runtime.children import RunAs
from netservices.runtime.children.kernel import read_status
nobody = RunAs("nobody", 65534, 65534, (65534,))
def tell(**more):
    wanted = ("Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs")
    found = [read_status(str(task)) for task in sorted(Path("/proc/self/task").iterdir())]
    print(json.dumps({**more, "tasks": [{name: status[name] for name in wanted} for status in found]}))
def can(function, *arguments):
    try:
        function(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "yes"
"""


def run(code: str, *before: str) -> dict[str, Any]:
    """What a Python program says; ``before`` are the words of a program that starts it."""
    ended = subprocess.run(
        [*before, sys.executable, "-c", BEGIN + code],
        env={"PYTHONPATH": PLACES, "PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    if ended.returncode != 0:
        raise AssertionError(ended.stderr.decode())
    told: dict[str, Any] = json.loads(ended.stdout)
    return told


def run_as_nobody(code: str, *flags: str) -> dict[str, Any]:
    """The same as user 65534, whom only root can become."""
    setpriv = [require("setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups", *flags]
    tried = [*setpriv, sys.executable, "-c", "import json, pydantic"]
    if subprocess.run(tried, env={"PYTHONPATH": PLACES}, capture_output=True, check=False).returncode != 0:
        raise SkipTest("user 65534 can't run this Python")
    return run(code, *setpriv)


class RootTests(SynchronousTestCase):
    """R7: root binds, then holds the configured user's rights and one capability."""

    def setUp(self) -> None:
        if os.geteuid() != 0:
            raise SkipTest("only root has rights to give up")

    def assert_nobody(self, tasks: list[dict[str, str]]) -> None:
        for task in tasks:
            self.assertEqual(task["Uid"].split(), ["65534"] * 4)
            self.assertEqual(task["Gid"].split(), ["65534"] * 4)
            self.assertEqual(task["Groups"].split(), ["65534"])
            self.assertEqual(task["NoNewPrivs"], "1")
            self.assertEqual([int(task[name], 16) for name in ("CapInh", "CapAmb", "CapBnd")], [0, 0, 0])
            self.assertEqual(int(task["CapPrm"], 16) & ~NET_BIND_SERVICE, 0)
            self.assertEqual(int(task["CapEff"], 16) & ~NET_BIND_SERVICE, 0)

    def test_only_the_user_and_one_capability_are_left(self) -> None:
        """R7."""
        code = """
os.setgroups([0, 4, 27])
forgo(nobody)
drop(nobody)
low = [port for port in range(600, 1023)]
def bind():
    for port in low:
        with socket.socket() as sock:
            try:
                return sock.bind(("127.0.0.1", port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
child = subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True).stdout
tell(
    root=can(os.setuid, 0), groups=can(os.setgroups, [0]), shadow=can(os.open, "/etc/shadow", os.O_RDONLY),
    low=can(bind), child=child, inspect=can(os.open, "/proc/self/mem", os.O_RDONLY),
    descriptors=len(list(Path("/proc/self/fd").iterdir())) > 2,
    image=Path("/proc/self/coredump_filter").stat().st_uid,
)
"""
        told = run(code)
        self.assert_nobody(told["tasks"])
        self.assertEqual(int(told["tasks"][0]["CapEff"], 16), NET_BIND_SERVICE)
        self.assertEqual((told["root"], told["groups"], told["shadow"]), ("EPERM", "EPERM", "EACCES"))
        self.assertEqual(told["low"], "yes", "a reload must be able to bind a low port")
        # proc(5): what may not be looked at belongs to root.
        self.assertEqual(told["image"], 0)
        self.assertTrue(told["descriptors"], "files are opened through /proc/self/fd")
        child = dict(line.split(":", 1) for line in told["child"].splitlines())
        for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            self.assertEqual(int(child[name].strip(), 16), 0, f"{name} of a program that is run")
        self.assertEqual(child["NoNewPrivs"].strip(), "1")

    def test_threads_made_in_between_hold_no_more(self) -> None:
        """R7: the log has one before everything is bound."""
        code = """
forgo(nobody)
end = threading.Event()
thread = threading.Thread(target=end.wait)
thread.start()
drop(nobody)
tell()
end.set()
"""
        told = run(code)
        self.assertEqual(len(told["tasks"]), 2)
        self.assert_nobody(told["tasks"])

    def test_thread_that_could_gain_rights_is_an_error(self) -> None:
        """R7: read back, not believed."""
        code = """
end = threading.Event()
thread = threading.Thread(target=end.wait)
thread.start()
try:
    drop(nobody)
    said = ""
except PrivilegeError as error:
    said = str(error)
end.set()
thread.join()
tell(said=said)
"""
        self.assertIn("thread", run(code)["said"])


class RootThatStaysTests(SynchronousTestCase):
    """R7: on purpose, but no program that it runs gains anything."""

    def test_root_stays_root_without_new_privileges(self) -> None:
        """R7."""
        if os.geteuid() != 0:
            raise SkipTest("only root can stay root")
        [task] = run("forgo()\ntell()")["tasks"]
        self.assertEqual(task["Uid"].split(), ["0"] * 4)
        self.assertEqual(task["NoNewPrivs"], "1")
        self.assertNotEqual(int(task["CapBnd"], 16), 0)


class OrdinaryTests(SynchronousTestCase):
    """R7: an ordinary user has less to give up, and gives it up too."""

    def start(self, code: str) -> dict[str, Any]:
        return run(code) if os.geteuid() != 0 else run_as_nobody(code)

    def test_nothing_is_held_and_nothing_can_be_gained(self) -> None:
        """R7."""
        [task] = self.start("forgo()\nforgo()\ntell()")["tasks"]
        self.assertEqual(task["NoNewPrivs"], "1")
        self.assertEqual([int(task[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")], [0, 0, 0, 0])

    def test_becoming_somebody_else_is_one_clear_line(self) -> None:
        """R7."""
        code = """
try:
    drop(RunAs("daemon", 1, 1, (1,)))
except PrivilegeError as error:
    tell(said=str(error))
"""
        told = self.start(code)
        self.assertIn("can't become user daemon", told["said"])
        self.assertNotIn("\n", told["said"])


class AmbientTests(SynchronousTestCase):
    """R8: what systemd hands the daemon, the daemon does not hand on."""

    def test_programs_do_not_inherit_the_capability_of_the_unit(self) -> None:
        """R7, R8."""
        if os.geteuid() != 0:
            raise SkipTest("only root can start a process as systemd does")
        code = """
before = read_status()["CapAmb"]
forgo()
child = subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True).stdout
tell(child=child, before=before)
"""
        only = "-all,+net_bind_service"
        told = run_as_nobody(code, f"--inh-caps={only}", f"--ambient-caps={only}", f"--bounding-set={only}")
        self.assertEqual(int(told["before"], 16), NET_BIND_SERVICE)
        self.assertEqual(int(told["tasks"][0]["CapEff"], 16), NET_BIND_SERVICE)
        self.assertEqual([int(told["tasks"][0][name], 16) for name in ("CapInh", "CapAmb")], [0, 0])
        child = dict(line.split(":", 1) for line in told["child"].splitlines())
        self.assertEqual(int(child["CapPrm"].strip(), 16), 0)
