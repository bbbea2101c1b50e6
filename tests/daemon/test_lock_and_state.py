"""The state directory: found, made, held by one, told about."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import cast

from twisted.trial.unittest import SynchronousTestCase

from netservices.config import DaemonOptions, parse_listen
from netservices.daemon.listener import Listener
from netservices.daemon.lock import LockedError, StateLock
from netservices.daemon.sockets import open_sockets
from netservices.daemon.state import ListenersFile, StateError, find_state, make_state


class FindStateTests(SynchronousTestCase):
    """Where it is, by what is said."""

    def test_file_decides(self) -> None:
        options = DaemonOptions(state=Path("/srv/state"))
        self.assertEqual(find_state(options, {"STATE_DIRECTORY": "/x"}, root=True), Path("/srv/state"))

    def test_service_manager_decides_next_with_its_first(self) -> None:
        self.assertEqual(find_state(DaemonOptions(), {"STATE_DIRECTORY": "/a:/b"}, root=False), Path("/a"))

    def test_root_has_the_system_one(self) -> None:
        self.assertEqual(find_state(DaemonOptions(), {}, root=True), Path("/var/lib/netservices"))

    def test_anybody_else_has_one_here(self) -> None:
        found = find_state(DaemonOptions(), {"STATE_DIRECTORY": ""}, root=False)
        self.assertEqual(found, Path.cwd() / "netservices-state")


class MakeStateTests(SynchronousTestCase):
    """It is ours alone."""

    def setUp(self) -> None:
        self.state = Path(self.mktemp()).absolute() / "deep"

    def test_missing_one_is_made_private(self) -> None:
        make_state(self.state)
        self.assertEqual(stat.S_IMODE(self.state.stat().st_mode), 0o700)

    def test_open_one_is_closed(self) -> None:
        self.state.mkdir(parents=True, mode=0o755)
        make_state(self.state)
        self.assertEqual(stat.S_IMODE(self.state.stat().st_mode), 0o700)

    def test_file_in_its_place_is_refused(self) -> None:
        self.state.parent.mkdir()
        self.state.write_text("")
        self.assertIn(str(self.state), str(self.assertRaises(StateError, make_state, self.state)))

    def test_one_of_somebody_else_is_refused(self) -> None:
        if os.geteuid() == 0:
            self.state.mkdir(parents=True)
            os.chown(self.state, 65534, 65534)
            place = self.state
        else:
            place = Path("/")
        self.assertIn("belongs to user", str(self.assertRaises(StateError, make_state, place)))


class StateLockTests(SynchronousTestCase):
    """A second start names the first."""

    def setUp(self) -> None:
        self.state = Path(self.mktemp()).absolute()
        self.state.mkdir()
        self.lock = StateLock(self.state)
        self.addCleanup(self.lock.release)

    def test_second_is_told_who_was_first(self) -> None:
        self.lock.acquire()
        error = self.assertRaises(LockedError, StateLock(self.state).acquire)
        self.assertIn(f"process {os.getpid()}", str(error))
        self.assertIn(str(self.state), str(error))

    def test_released_one_is_free(self) -> None:
        self.lock.acquire()
        self.lock.release()
        second = StateLock(self.state)
        second.acquire()
        second.release()

    def test_file_left_by_a_killed_daemon_is_free(self) -> None:
        """R4."""
        (self.state / "lock").write_text("4711\n")
        self.lock.acquire()
        self.assertEqual((self.state / "lock").read_text(), f"{os.getpid()}\n")

    def test_lock_that_cannot_be_had_is_named(self) -> None:
        """R2: a read-only or full disk is a plain line, too."""
        (self.state / "lock").mkdir()
        error = self.assertRaises(StateError, self.lock.acquire)
        self.assertIn(f"the lock {self.state}/lock can't be had: Is a directory", str(error))

    def test_releasing_what_is_not_held_does_nothing(self) -> None:
        self.lock.release()
        self.assertFalse((self.state / "lock").exists())


class ListenersFileTests(SynchronousTestCase):
    """What others are told of the listeners."""

    def test_every_socket_is_listed_with_its_real_port(self) -> None:
        state = Path(self.mktemp()).absolute()
        state.mkdir()
        entry = parse_listen("tls:0:interface=127.0.0.1")
        [bound] = open_sockets(entry)
        self.addCleanup(bound.close)

        class Door:
            option = "listen"

            class section:  # noqa: N801 - stands in for an instance
                name = "web"

        Door.entry = entry  # type: ignore[attr-defined]
        listeners = ListenersFile(state)
        listeners.write([Listener(cast("object", Door), [bound])])  # type: ignore[arg-type]
        told = json.loads((state / "listeners.json").read_text())
        self.assertEqual(told["pid"], os.getpid())
        [only] = told["services"]["web"]
        wanted = {"listen": str(entry), "option": "listen", "transport": "tcp", "tls": True, "address": "127.0.0.1"}
        self.assertEqual({key: only[key] for key in wanted}, wanted)
        self.assertEqual(only["port"], bound.socket.getsockname()[1])
        listeners.remove()
        listeners.remove()
        self.assertEqual(list(state.iterdir()), [])

    def test_file_that_cannot_be_written_leaves_the_one_before(self) -> None:
        state = Path(self.mktemp()).absolute()
        state.mkdir()
        (state / "listeners.json").write_text("before")
        (state / "listeners.new").mkdir()
        error = self.assertRaises(StateError, ListenersFile(state).write, [])
        self.assertIn("listeners.json can't be written: Is a directory", str(error))
        self.assertEqual((state / "listeners.json").read_text(), "before")

    def test_file_that_cannot_be_removed_is_named(self) -> None:
        state = Path(self.mktemp()).absolute()
        (state / "listeners.json").mkdir(parents=True)
        error = self.assertRaises(StateError, ListenersFile(state).remove)
        self.assertIn("listeners.json can't be removed", str(error))
