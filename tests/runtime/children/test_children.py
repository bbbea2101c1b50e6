"""Programs are run, bounded, ended and reaped, in each of the three ways: directly, with limits, as another user."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, DeferredList, ensureDeferred

from netservices.runtime import EventLog
from netservices.runtime.children import Children, ChildrenFull, Command, ExitStatus, ProcessLimits, SpawnError
from tests.doubles import RecordedEvents
from tests.runtime.children.programs import NOBODY, ChildrenTestCase, is_alive, make_script, need_root, wait_until

if TYPE_CHECKING:
    from collections.abc import Awaitable

WAYS: dict[str, dict[str, Any]] = {
    "directly": {},
    "with a umask": {"umask": 0o27},
    "with limits": {"limits": ProcessLimits(files=48)},
    "as another user": {"user": NOBODY, "limits": ProcessLimits(files=64)},
    "as another user, with limits of its own making": {"user": NOBODY, "limits": ProcessLimits(processes=5000)},
}


class WaysTestCase(ChildrenTestCase):
    """What holds however a program is started."""

    async def each_way(self, text: str, **options: str | bool) -> dict[str, tuple[str, ExitStatus]]:
        commands = {way: make_script(text, **{**how, **options}) for way, how in WAYS.items()}
        if os.geteuid() != 0:
            commands = {way: command for way, command in commands.items() if command.user is None}
        children = await self.start([command for command in commands.values() if command.user])
        return {way: await self.run_program(children, command) for way, command in commands.items()}


class StartTests(WaysTestCase):
    """S3, S4: how a program finds itself."""

    async def test_environment_is_what_was_said_and_nothing_else(self) -> None:
        """S4."""
        commands = [
            Command(("/usr/bin/env",), environment=(("LANG", "C"),), variables=("REMOTE_*",), **how)
            for how in WAYS.values()
            if os.geteuid() == 0 or "user" not in how
        ]
        children = await self.start([command for command in commands if command.user])
        for command in commands:
            output, status = await self.run_program(children, command, {"REMOTE_HOST": os.fsdecode(b"\xff\n")})
            self.assertEqual(sorted(output.split("\n")), ["", "", "LANG=C", "REMOTE_HOST=\udcff"])
            self.assertEqual(status.code, 0)
            with self.assertRaises(SpawnError):
                await children.spawn(command, environment={"LD_PRELOAD": "/tmp/x.so"})  # noqa: S108 - never opened

    async def test_no_descriptor_leaks(self) -> None:
        """S4: the child lists /proc/self/fd; one that is inherited from whoever started us is closed too."""
        leaking = os.open("/dev/null", os.O_RDONLY)
        self.addCleanup(os.close, leaking)
        os.set_inheritable(leaking, True)
        # 3 is the folder that ls(1) reads.
        for way, (output, _) in (await self.each_way("ls /proc/self/fd")).items():
            self.assertEqual(output.split(), ["0", "1", "2", "3"], way)

    async def test_descriptors_are_in_their_places_and_the_rest_is_null(self) -> None:
        """S2."""
        for way, (output, _) in (await self.each_way("readlink /proc/self/fd/0; echo error >&2")).items():
            self.assertEqual(output.split(), ["/dev/null", "error"], way)

    async def test_signals_and_mask_are_reset(self) -> None:
        """S4."""
        before = signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        self.addCleanup(signal.signal, signal.SIGUSR2, before)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        self.addCleanup(signal.pthread_sigmask, signal.SIG_UNBLOCK, {signal.SIGUSR1})
        for way, (output, _) in (await self.each_way("cat /proc/self/status")).items():
            found = dict(line.split(":", 1) for line in output.splitlines())
            for name in ("SigBlk", "SigIgn", "SigCgt"):
                # The C library keeps 32 and 33 to itself, and has them ignored where it spawns.
                self.assertEqual(int(found[name], 16) & ~(0b11 << 31), 0, f"{way}: {name}")

    async def test_folder_is_the_root_unless_another_is_wanted(self) -> None:
        """S4."""
        for way, (output, _) in (await self.each_way("pwd")).items():
            self.assertEqual(output.strip(), "/", way)
        for way, (output, _) in (await self.each_way("pwd", directory="/usr")).items():
            self.assertEqual(output.strip(), "/usr", way)

    async def test_group_of_its_own(self) -> None:
        """S2."""
        for way, (output, _) in (
            await self.each_way('test "$(cut -d" " -f5 /proc/$$/stat)" -eq $$ && echo own')
        ).items():
            self.assertEqual(output.strip(), "own", way)

    async def test_umask_and_limits_are_set(self) -> None:
        """S4."""
        text = "umask; ulimit -t; ulimit -v; ulimit -Hv; ulimit -n; ulimit -Hn"
        memory = str(512 * 2**10)
        for user in (None, NOBODY) if os.geteuid() == 0 else (None,):
            commands = []
            for processes in (None, 4000):
                limits = ProcessLimits(cpu=7, memory=512 * 2**20, files=70, processes=processes)
                commands.append(make_script(text, user=user, umask=0o31, limits=limits))
            last = make_script("umask", user=user, limits=ProcessLimits(cpu=7, memory=512 * 2**20, files=70))
            children = await self.start([*commands, last] if user else [])
            for command in commands:
                output, _ = await self.run_program(children, command)
                self.assertEqual(output.split(), ["0031", "7", memory, memory, "70", "70"], command)
            # What was lent to one is not left to the next.
            output, _ = await self.run_program(children, last)
            self.assertNotEqual(output.strip(), "0031")

    async def test_processor_time_runs_out(self) -> None:
        """S4."""
        children = await self.start()
        _, status = await self.run_program(children, make_script("while :; do :; done", limits=ProcessLimits(cpu=1)))
        self.assertEqual(status.signal, signal.SIGXCPU)
        self.assertGreater(status.user_time + status.system_time, 0.5)

    def make_folder(self) -> Path:
        """A folder with a script in it."""
        top = Path(self.mktemp()).absolute()
        top.mkdir()
        (top / "script").write_text('#!/bin/sh\npwd; echo "$0 $1"\n')
        (top / "script").chmod(0o755)
        return top

    async def test_any_program_below_a_folder(self) -> None:
        """A CGI script is named by each call."""
        top = self.make_folder()
        children = await self.start()
        for limits in (ProcessLimits(), ProcessLimits(files=32)):
            command = Command(("-x",), below=str(top), directory="", limits=limits)
            output, _ = await self.run_program(children, command, program=str(top / "script"))
            self.assertEqual(output.split(), [str(top), str(top / "script"), "-x"])
            with self.assertRaises(SpawnError):
                await children.spawn(command, program="/bin/sh")


class OtherUserTests(ChildrenTestCase):
    """S3."""

    async def test_ids_are_set_whole_and_no_right_is_left(self) -> None:
        """S3: uid, gid and supplementary groups, in the right order and verified."""
        need_root()
        command = make_script("cat /proc/self/status", user=NOBODY)
        output, _ = await self.run_program(await self.start([command]), command)
        found = {name: value.strip() for name, _, value in (line.partition(":") for line in output.splitlines())}
        self.assertEqual((found["Uid"].split(), found["Gid"].split()), (["65534"] * 4, ["65534"] * 4))
        self.assertEqual(found["Groups"].split(), ["65534"])
        self.assertEqual(found["NoNewPrivs"], "1")
        for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            self.assertEqual(int(found[name], 16), 0, name)

    async def test_command_that_was_not_told_at_the_start_is_refused(self) -> None:
        """S3: a reload can't add one."""
        need_root()
        command = make_script("id -u", user=NOBODY)
        children = await self.start([command])
        other = make_script("id -g", user=NOBODY)
        self.assertTrue(children.knows(command))
        self.assertFalse(children.knows(other))
        with self.assertRaises(SpawnError) as caught:
            await children.spawn(other)
        self.assertIn("restart", str(caught.exception))
        output, _ = await self.run_program(children, command)
        self.assertEqual(output.strip(), "65534")

    async def test_without_root_it_is_refused(self) -> None:
        """S3: a clear error."""
        children = await self.start()
        command = make_script("id", user=NOBODY)
        self.assertFalse(children.knows(command))
        with self.assertRaises(SpawnError) as caught:
            await children.spawn(command)
        self.assertIn("nobody", str(caught.exception))

    async def test_spawner_that_is_killed_is_told(self) -> None:
        """S3: refused until the restart; nobody waits for its children in vain."""
        need_root()
        command = make_script("echo $$; exec sleep 60", user=NOBODY)
        children = await self.start([command])
        child, _ = await self.wait_output(children, command)
        [spawner] = children._privileged.values()
        os.kill(spawner.pid, signal.SIGKILL)
        self.assertIn("spawner", (await child.ended).failure)
        os.kill(child.pid, signal.SIGKILL)
        self.assertEqual(len(self.recorded.named("daemon.spawner.lost")), 1)
        with self.assertRaises(SpawnError):
            await children.spawn(command)


class KeptTests(ChildrenTestCase):
    """S4: limits that another user's spawner has for good."""

    async def test_limit_beyond_what_there_is_ends_the_start(self) -> None:
        need_root()
        with self.assertRaises(SpawnError) as caught:
            await self.start([make_script("exit", user=NOBODY, limits=ProcessLimits(files=2**40))])
        self.assertIn("did not start", str(caught.exception))


class EndTests(WaysTestCase):
    """S2: how a program ends is told, and nothing is left of it."""

    async def test_status_time_and_memory_are_told(self) -> None:
        """S2."""
        for way, (_, status) in (await self.each_way("exit 7")).items():
            self.assertEqual((status.code, status.signal, status.failure), (7, None, ""), way)
            self.assertGreater(status.duration, 0.0)
            self.assertGreater(status.peak_memory, 100_000)
        for way, (_, status) in (await self.each_way("kill -9 $$")).items():
            self.assertEqual((status.code, status.signal), (None, 9), way)

    async def test_status_127_of_a_program_that_ran_is_its_own(self) -> None:
        for way, (_, status) in (await self.each_way("exit 127")).items():
            self.assertEqual((status.code, status.failure), (127, ""), way)

    async def test_grandchild_that_is_left_behind_is_killed(self) -> None:
        """S2: a child that forks a grandchild and exits."""
        for way, (output, status) in (await self.each_way("sleep 60 >/dev/null 2>&1 & echo $!")).items():
            self.assertEqual(status.code, 0)
            grandchild = int(output)
            self.assertTrue(wait_until(lambda: not is_alive(grandchild)), way)  # noqa: B023 - called at once

    async def test_grandchild_may_stay_where_that_is_wanted(self) -> None:
        """S2."""
        for way, (output, _) in (await self.each_way("sleep 60 >/dev/null 2>&1 & echo $!", keep_group=True)).items():
            self.assertTrue(is_alive(int(output)), way)
            os.kill(int(output), signal.SIGKILL)

    async def test_child_that_ignores_sigterm_is_killed(self) -> None:
        """S2: SIGTERM, then SIGKILL."""
        for how in WAYS.values():
            if "user" in how and os.geteuid() != 0:
                continue
            # The shell's own child is in its group, and is ended with it.
            command = make_script("trap '' TERM; echo ready; while :; do sleep 1; done", **how)
            children = await self.start([command] if command.user else [])
            child, _ = await self.wait_output(children, command)
            child.terminate(0.05)
            child.terminate(30.0)
            self.assertEqual((await child.ended).signal, signal.SIGKILL)
            child.signal(signal.SIGTERM)
            child.terminate(30.0)

    async def test_child_that_ends_on_sigterm_cancels_the_rest(self) -> None:
        """S2."""
        for how in WAYS.values():
            if "user" in how and os.geteuid() != 0:
                continue
            command = make_script("echo ready; exec sleep 60", **how)
            children = await self.start([command] if command.user else [])
            child, _ = await self.wait_output(children, command)
            child.terminate(30.0)
            self.assertEqual((await child.ended).signal, signal.SIGTERM)

    async def test_stop_ends_what_runs_and_refuses_what_waits(self) -> None:
        """S2: shutdown."""
        children = await self.start(limit=1)
        child, _ = await self.wait_output(children, make_script("trap '' TERM; echo ready; while :; do sleep 1; done"))
        waiting = children.spawn(make_script("exit"))
        stopped = children.stop(0.05)
        with self.assertRaises(ChildrenFull):
            await waiting
        await stopped
        assert child.status is not None
        self.assertEqual(child.status.signal, signal.SIGKILL)
        with self.assertRaises(ChildrenFull):
            await children.spawn(make_script("exit"))


class FailureTests(ChildrenTestCase):
    """What can't be run is told, and costs nothing."""

    async def test_missing_program_or_folder_is_named(self) -> None:
        children = await self.start()
        for command in (Command(("/no/such/program",)), make_script("exit", directory="/no/such/folder")):
            with self.assertRaises(SpawnError) as caught:
                await children.spawn(command)
            self.assertIn("No such file", str(caught.exception))
            self.assertIn(command.argv[0], str(caught.exception))

    async def test_missing_program_or_folder_is_named_by_the_spawner(self) -> None:
        children = await self.start()
        with self.assertRaises(SpawnError) as caught:
            await children.spawn(Command(("/no/such/program",), umask=0o22))
        self.assertIn("No such file", str(caught.exception))
        limits = ProcessLimits(files=32)
        for command, word in (
            (Command(("/no/such/program",), limits=limits), "/no/such/program"),
            (make_script("exit", directory="/no/such/folder", limits=limits), "folder"),
            (Command(("/etc/passwd",), limits=limits), "ermission"),
            (make_script("exit", limits=ProcessLimits(memory=2**63)), "limits"),
        ):
            _, status = await self.run_program(children, command)
            self.assertIsNone(status.code)
            self.assertIn(word, status.failure)

    async def test_other_descriptors_than_three_are_refused(self) -> None:
        children = await self.start()
        for descriptors in ({3: 0}, {0: 1}):
            with self.assertRaises(SpawnError):
                await children.spawn(make_script("exit"), descriptors=descriptors)

    async def test_closed_descriptor_is_refused(self) -> None:
        children = await self.start()
        gone = 200_000
        for limits in (ProcessLimits(), ProcessLimits(files=32)):
            with self.assertRaises(SpawnError):
                await children.spawn(make_script("exit", limits=limits), descriptors={0: gone})
            _, status = await self.run_program(children, make_script("exit 3", limits=limits))
            self.assertEqual(status.code, 3)

    async def test_before_the_start_nothing_is_run(self) -> None:
        children = Children(reactor, EventLog(RecordedEvents()))
        with self.assertRaises(ChildrenFull):
            await children.spawn(make_script("exit"))
        await children.stop()


class BoundTests(ChildrenTestCase):
    """S5: as many as may be, the others in their order."""

    async def test_programs_wait_for_their_turn_in_order(self) -> None:
        children = await self.start(limit=2, queue=10)
        most, order = 0, []

        async def one(number: int) -> None:
            nonlocal most
            child = await children.spawn(make_script("exit"))
            order.append(number)
            most = max(most, len(children.running))
            await child.ended

        waited: list[Awaitable[None]] = [ensureDeferred(one(number)) for number in range(8)]
        self.assertEqual((len(children.running), children.waiting), (2, 6))
        for each in waited:
            await each
        self.assertEqual((most, order), (2, list(range(8))))

    async def test_full_queue_refuses_at_once(self) -> None:
        children = await self.start(limit=1, queue=1)
        first, second = (children.spawn(make_script("exit")) for _ in range(2))
        with self.assertRaises(ChildrenFull):
            await children.spawn(make_script("exit"))
        for made in (first, second):
            await (await made).ended

    async def test_failed_start_gives_its_turn_on(self) -> None:
        children = await self.start(limit=1)
        child = await children.spawn(make_script("exit"))
        bad = [children.spawn(Command(("/no/such/program",))) for _ in range(3)]
        good = children.spawn(make_script("exit 4"))
        await child.ended
        for made in bad:
            with self.assertRaises(SpawnError):
                await made
        self.assertEqual((await (await good).ended).code, 4)

    async def test_cancelled_program_is_not_run(self) -> None:
        children = await self.start(limit=1)
        child = await children.spawn(make_script("exit"))
        waiting = children.spawn(make_script("exit"))
        waiting.cancel()
        with self.assertRaises(CancelledError):
            await waiting
        self.assertEqual(children.waiting, 0)
        await child.ended

    async def test_program_cancelled_while_it_is_started_is_killed(self) -> None:
        children = await self.start(limit=1)
        made = children.spawn(make_script("exec sleep 60", limits=ProcessLimits(files=32)))
        made.cancel()
        with self.assertRaises(CancelledError):
            await made
        # It held its turn until it was gone.
        _, status = await self.run_program(children, make_script("exit 5"))
        self.assertEqual(status.code, 5)

    async def test_burst_loses_none_and_leaves_nothing(self) -> None:
        """S2: descriptors back to where they were, no zombie; ``start`` looks after the test."""
        children = await self.start(limit=20)
        commands = [Command(("/bin/true",)), Command(("/bin/true",), limits=ProcessLimits(files=32))]

        async def one(number: int) -> int | None:
            return (await (await children.spawn(commands[number % 2])).ended).code

        results = await DeferredList([ensureDeferred(one(number)) for number in range(200)])
        self.assertEqual({result for _, result in results}, {0})
