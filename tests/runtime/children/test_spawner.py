"""The spawner against a daemon that was taken over: what it is sent is data, and only the exact form is obeyed."""

from __future__ import annotations

import os
import random
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from netservices.runtime.children import Command, RunAs, SpawnError, make_privileged
from netservices.runtime.children.client import SpawnerClient
from netservices.runtime.children.command import pack_command
from netservices.runtime.children.exchange import (
    Ended,
    Refused,
    Started,
    pack_register,
    pack_signal,
    pack_spawn,
    parse_answer,
)
from netservices.runtime.children.fields import MessageError, pack, pack_number
from netservices.runtime.children.spawner import CLOSED, load_jobs
from netservices.runtime.events import EventLog
from tests.doubles import RecordedEvents
from tests.runtime.children.programs import NOBODY, is_alive, make_script, need_root, wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netservices.runtime.children.exchange import Answer

MARK = "marked-by-a-test"
NOBODY_ELSE = RunAs("somebody", 54321, 54321, (54321,))


class SpawnerTestCase(SynchronousTestCase):
    """A spawner's process, and its channel in the hands of the test."""

    def start(self, commands: Sequence[Command], *, learns: bool = False) -> SpawnerClient:
        client = SpawnerClient(commands, learns=learns)
        self.addCleanup(client.kill)
        client.wait_ready()
        self.channel = client._channel
        self.channel.settimeout(20.0)
        self.nothing = os.open(os.devnull, os.O_RDWR)
        self.addCleanup(os.close, self.nothing)
        return client

    def send(self, octets: bytes, descriptors: int = 0) -> None:
        socket.send_fds(self.channel, [octets], [self.nothing] * descriptors)

    def hear(self) -> Answer:
        return parse_answer(self.channel.recv(100_000))

    def assert_ends(self, client: SpawnerClient) -> None:
        """The channel is at its end, and so is the process."""
        try:
            while self.channel.recv(100_000):
                pass
        except ConnectionResetError:
            # It left messages of ours unread.
            pass
        self.assertEqual(client._process.wait(20.0), 0)


class HonestTests(SpawnerTestCase):
    """What it does for a daemon that is well."""

    def test_program_is_started_and_its_end_told(self) -> None:
        self.start([make_script("exit 6", variables=("A",))])
        self.send(pack_spawn(1, 0, None, [b"A=x"]), 3)
        started, ended = self.hear(), self.hear()
        assert isinstance(started, Started) and isinstance(ended, Ended)
        self.assertEqual((started.serial, ended.serial, ended.status.code), (1, 1, 6))

    def test_variable_that_is_not_named_is_refused_and_nothing_runs(self) -> None:
        """S3."""
        self.start([make_script("exit 6", variables=("A",))])
        for variable in (b"B=x", b"LD_PRELOAD=/x.so", b"AA=x"):
            self.send(pack_spawn(1, 0, None, [variable]), 3)
            self.assertIsInstance(self.hear(), Refused)
        self.send(pack_spawn(1, 0, b"/bin/sh", []), 3)
        self.assertIsInstance(self.hear(), Refused)

    def test_signal_reaches_its_own_children_only(self) -> None:
        """S3: by the serial, never by a number that could be anybody's."""
        self.start([make_script("exec sleep 60")])
        self.send(pack_spawn(1, 0, None, []), 3)
        started = self.hear()
        assert isinstance(started, Started)
        self.send(pack_signal(started.pid, 9))
        self.send(pack_signal(1, 15))
        ended = self.hear()
        assert isinstance(ended, Ended)
        self.assertEqual(ended.status.signal, 15)
        self.send(pack_signal(1, 9))
        self.send(pack_spawn(2, 0, None, []), 3)
        self.assertIsInstance(self.hear(), Started)

    def test_it_ends_with_the_daemon_and_so_do_its_children(self) -> None:
        """R7, S2: EOF on the socket; SIGTERM and then SIGKILL for the children."""
        told = Path(self.mktemp()).absolute()
        text = f"trap '' TERM; sleep 60 & echo $! > {told}.new; mv {told}.new {told}; while :; do wait; done"
        client = self.start([make_script(text)])
        self.send(pack_spawn(1, 0, None, []), 3)
        started = self.hear()
        assert isinstance(started, Started)
        self.assertTrue(wait_until(told.exists))
        client.kill()
        self.assertEqual(client._process.returncode, 0)
        self.assertFalse(is_alive(started.pid))
        grandchild = int(told.read_text())
        self.assertTrue(wait_until(lambda: not is_alive(grandchild)))

    def test_it_is_small_and_holds_nothing_of_the_daemon(self) -> None:
        """R7: nothing of the daemon's memory or descriptors is in it."""
        client = self.start([make_script("exit")])
        status = Path(f"/proc/{client.pid}/status").read_text()
        [resident] = [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")]
        self.assertLess(resident, 20_000)
        self.assertIn("NoNewPrivs:\t1", status)
        if os.geteuid() == 0:
            self.assertLess(len(list(Path(f"/proc/{client.pid}/fd").iterdir())), 12)
            self.assertEqual(Path(f"/proc/{client.pid}/environ").read_bytes(), b"")


class HostileTests(SpawnerTestCase):
    """S3, R7: a daemon that was taken over can start nothing but what was configured."""

    def test_nonsense_ends_it(self) -> None:
        """R7."""
        spawn = pack_spawn(1, 0, None, [])
        for octets, descriptors in (
            (b"x", 0),
            (pack([b"spawn"]), 3),
            (pack([b"exec", b"/bin/sh"]), 3),
            (spawn, 0),
            (spawn, 2),
            (spawn, 4),
            (spawn[:-1], 3),
            (pack_spawn(1, 1, None, []), 3),
            (pack_spawn(1, 2**63, None, []), 3),
            (pack_spawn(1, 0, None, [b"A"]), 3),
            (pack_spawn(1, 0, None, [b"A=\0"]), 3),
            (pack([b"spawn", pack_number(1), pack_number(0), pack_number(2), b"/a", b"/b"]), 3),
            (pack([b"spawn", pack_number(1), pack_number(0), pack_number(1)]), 3),
            (pack_signal(1, 0), 0),
            (pack_signal(1, 65), 0),
            (pack_signal(1, 9), 1),
            (pack([b"A=x"] * 600), 3),
            (b"\0" * 140_000, 0),
            (pack_register(1, pack_command(make_script("exit"))), 0),
        ):
            client = self.start([make_script("exit", variables=("A",))])
            self.send(octets, descriptors)
            self.assert_ends(client)

    def test_serial_in_use_ends_it(self) -> None:
        client = self.start([make_script("exec sleep 60")])
        for _ in range(2):
            self.send(pack_spawn(1, 0, None, []), 3)
        self.assert_ends(client)

    def test_open_one_learns_no_other_user(self) -> None:
        """S3: only one that was given nothing may be told more, and only for its own user."""
        client = self.start([make_script("exit")], learns=True)
        self.send(pack_register(1, pack_command(make_script("exit 9"))))
        self.send(pack_spawn(1, 1, None, []), 3)
        self.assertIsInstance(self.hear(), Started)
        self.assertIsInstance(self.hear(), Ended)
        self.send(pack_register(2, pack_command(make_script("exit", user=NOBODY))))
        self.assert_ends(client)

    def test_changed_requests_start_nothing_else(self) -> None:
        """R7: requests with octets put in, taken out and exchanged, from a fixed start of chance."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        chance = random.Random(20_26)  # noqa: S311 - a test must come out the same each time
        honest = [
            pack_spawn(1, 0, None, [b"A=x"]),
            pack_spawn(2, 0, b"/bin/sh", [b"A=x"]),
            pack_signal(1, 9),
            pack_register(1, pack_command(make_script(f"touch {folder}/{MARK}"))),
            pack([b"spawn", b"/bin/sh", b"-c", f"touch {folder}/{MARK}".encode()]),
        ]
        client = self.start([make_script("exit 0", variables=("A",))])
        starts = 1
        for _ in range(400):
            octets = bytearray(chance.choice(honest))
            for _ in range(chance.randrange(4)):
                at = chance.randrange(len(octets) + 1)
                octets[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
            try:
                self.send(bytes(octets), chance.choice((0, 3, 3, 3)))
            except (BrokenPipeError, ConnectionResetError):
                self.assertEqual(client._process.wait(20.0), 0, "it failed instead of ending")
                if starts == 12:
                    break
                starts += 1
                client = self.start([make_script("exit 0", variables=("A",))])
        self.assertEqual(list(folder.iterdir()), [])
        self.assertGreater(starts, 3)

    def test_told_at_the_start_must_be_whole(self) -> None:
        for octets in (pack([b"other"]), pack([CLOSED, b"x"]), pack([CLOSED]), b"x"):
            self.assertRaises(MessageError, load_jobs, octets)


class RightsTests(SpawnerTestCase):
    """R7: what root's spawner keeps."""

    def test_it_is_that_user_and_nobody_else(self) -> None:
        """R7: no process keeps root."""
        need_root()
        client = self.start([make_script("exit", user=NOBODY)])
        lines = Path(f"/proc/{client.pid}/status").read_text().splitlines()
        found = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self.assertEqual((found["Uid"].split(), found["Gid"].split()), (["65534"] * 4, ["65534"] * 4))
        self.assertEqual(found["Groups"].split(), ["65534"])
        for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            self.assertEqual(int(found[name], 16), 0, name)

    def test_two_users_are_refused(self) -> None:
        need_root()
        client = SpawnerClient([make_script("exit", user=NOBODY), make_script("exit")])
        error = self.assertRaises(SpawnError, client.wait_ready)
        self.assertIn("one user", str(error))

    def test_ordinary_user_can_not_become_another(self) -> None:
        """S3."""
        if os.geteuid() == 0:
            raise SkipTest("root can")
        self.assertRaises(
            SpawnError, make_privileged, [make_script("exit", user=NOBODY_ELSE)], EventLog(RecordedEvents())
        )

    def test_none_is_made_when_nobody_else_is_named(self) -> None:
        self.assertEqual(make_privileged([make_script("exit")], EventLog(RecordedEvents())), {})

    def test_too_many_commands_are_refused(self) -> None:
        commands = [make_script(f"exit {number}", user=NOBODY) for number in range(1100)]
        self.assertRaises(SpawnError, SpawnerClient, commands)
