"""The spawner: a small process that starts programs for the daemon, and can do nothing else.

One is made for each user and set of limits that the configuration names, before the daemon gives up root, and becomes
that user for good: nobody keeps root. What it may run it is told at its start, and nothing said to it later changes
that. The daemon may have been taken over by then, so a message of any other than the exact form ends the spawner, and
its children with it. The same program, as the daemon's own user, starts what has limits.

Small counts: where a child must set its limits itself, it begins as a copy of this process. So neither it nor what it
is made of imports ``typing`` or ``dataclasses``, which double its memory.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import struct
import time

from netservices.runtime.children.become import NOT_RUN, REPORT, Lending, become, change_user, keep_limits, may_keep
from netservices.runtime.children.direct import DirectSpawner
from netservices.runtime.children.fields import (
    LONGEST,
    MOST_FIELDS,
    MOST_VARIABLES,
    MessageError,
    encode,
    pack,
    pack_number,
    parse_number,
    unpack,
)
from netservices.runtime.children.job import Job
from netservices.runtime.children.kernel import (
    die_with_parent,
    drop_bounding,
    forbid_inspection,
    forbid_new_privileges,
    read_permitted,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from resource import struct_rusage

OPEN = b"open"
CLOSED = b"closed"

MOST_CHILDREN = 8192
MOST_COMMANDS = MOST_FIELDS - 1
GRACE = 2.0
"""Seconds between SIGTERM and SIGKILL for the children of a daemon that is gone."""

# ``socket.recv_fds`` does not hand flags on in every Python, and without this one the descriptors reach every child.
_RECEIVE = socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
_DESCRIPTOR = struct.Struct("i")
_ROOM = socket.CMSG_LEN(3 * _DESCRIPTOR.size)
_TIMES = struct.Struct("!dddQ")


class Running:
    """One process of ours that is not reaped, so its number is no other's."""

    __slots__ = ("job", "pid", "serial", "started")

    def __init__(self, serial: int, pid: int, job: Job) -> None:
        self.serial = serial
        self.pid = pid
        self.job = job
        self.started = time.monotonic()

    def signal(self, number: int) -> None:
        """To its whole process group."""
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            # Nobody is left in it, or only who has become another user by means of its own.
            return


class Spawner:
    """Serves one channel (a seqpacket socket, which it closes) until its other end is closed or says nonsense."""

    def __init__(self, channel: socket.socket, jobs: list[Job], *, learns: bool) -> None:
        self._channel = channel
        self._jobs = jobs
        self._learns = learns
        self._heard = True
        self._by_pid: dict[int, Running] = {}
        self._by_serial: dict[int, Running] = {}
        self._reports: dict[int, bytes] = {}
        self._report_in, self._report_out = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._wake_in, self._wake_out = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._direct = DirectSpawner()
        self._poll = select.poll()
        self._poll.register(self._wake_in, select.POLLIN)
        self._poll.register(channel, select.POLLIN)

    def run(self) -> None:
        """Serve to the end; then nothing of it runs any more."""
        before = signal.set_wakeup_fd(self._wake_out, warn_on_full_buffer=False)
        # SIGXCPU: it has used more than a child may, at the very moment when it lends that limit.
        noted = (signal.SIGCHLD, signal.SIGTERM, signal.SIGXCPU)
        handlers = [(number, signal.signal(number, _note)) for number in noted]
        try:
            self._say([b"ready"])
            while self._turn(None):
                pass
        except (OSError, MessageError):
            # Nonsense, or the other side was closed while we spoke: the end as well.
            self._heard = False
        finally:
            self._end_all()
            signal.set_wakeup_fd(before)
            for number, handler in handlers:
                signal.signal(number, handler)
            self._channel.close()
            self._direct.close()
            for descriptor in (self._report_in, self._report_out, self._wake_in, self._wake_out):
                os.close(descriptor)

    def _turn(self, timeout: float | None) -> bool:
        """Wait for something and do it; False when the channel is at its end, or SIGTERM came."""
        ready = [descriptor for descriptor, _ in self._poll.poll(None if timeout is None else timeout * 1000)]
        going_on = True
        if self._wake_in in ready:
            # set_wakeup_fd: one octet for each signal, its number.
            going_on = signal.SIGTERM not in os.read(self._wake_in, 4096)
            self._reap()
        if self._heard and self._channel.fileno() in ready:
            going_on = self._listen() and going_on
        return going_on

    def _listen(self) -> bool:
        try:
            octets, ancillary, flags, _ = self._channel.recvmsg(LONGEST + 1, _ROOM, _RECEIVE)
        except BlockingIOError:
            return True
        descriptors = [number for *_, data in ancillary for (number,) in _DESCRIPTOR.iter_unpack(data)]
        try:
            if not octets:
                return False
            if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
                raise MessageError("too long, or too many descriptors")
            self._obey(unpack(octets, MOST_VARIABLES), descriptors)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return True

    def _obey(self, fields: list[bytes], descriptors: list[int]) -> None:
        match fields:
            case [b"spawn", serial, entry, count, *rest] if len(descriptors) == 3:
                named = parse_number(count)
                if named > min(1, len(rest)):
                    raise MessageError("more than one program")
                program = rest[0] if named else None
                self._spawn(parse_number(serial), parse_number(entry), program, rest[named:], descriptors)
            case [b"signal", serial, number] if not descriptors:
                meant = parse_number(number)
                if not 1 <= meant <= 64:
                    raise MessageError("no signal")
                running = self._by_serial.get(parse_number(serial))
                # It may have ended while the message was on its way.
                if running is not None:
                    running.signal(meant)
            case [b"register", entry, command] if not descriptors and self._learns:
                job = Job(command)
                if job.limits != self._jobs[0].limits:
                    raise MessageError("one spawner, one set of limits")
                if job.uid is not None or not parse_number(entry) == len(self._jobs) < MOST_COMMANDS:
                    raise MessageError("no command that can be added")
                self._jobs.append(job)
            case _:
                raise MessageError("no such request")

    def _spawn(
        self, serial: int, entry: int, asked: bytes | None, variables: list[bytes], descriptors: list[int]
    ) -> None:
        if entry >= len(self._jobs) or serial in self._by_serial:
            raise MessageError("no such command, or a serial that is taken")
        job = self._jobs[entry]
        try:
            if len(self._by_pid) >= MOST_CHILDREN:
                raise ValueError("too many programs run")
            environment = job.merge(variables)
            program = job.find_program(asked)
            pid = self._launch(job, program, environment, descriptors)
        except MessageError:
            raise
        except (OSError, ValueError) as error:
            self._say([b"refused", pack_number(serial), encode(getattr(error, "strerror", None) or str(error))[:1000]])
            return
        self._by_pid[pid] = self._by_serial[serial] = Running(serial, pid, job)
        self._say([b"started", pack_number(serial), pack_number(pid)])

    def _launch(self, job: Job, program: bytes, environment: dict[bytes, bytes], descriptors: list[int]) -> int:
        if may_keep(job):
            folder, argv = job.find_folder(program), job.find_arguments(program)
            lending = Lending(job)
            with lending:
                pid = self._direct.spawn(program, argv, environment, folder, descriptors)
            lending.fix(pid)
            return pid
        pid = os.fork()
        if pid == 0:
            become(self._report_out, job, program, environment, descriptors)
        _make_group(pid)
        return pid

    def _reap(self) -> None:
        while self._by_pid:
            # The number stays taken until the child is reaped, so its group can be ended without hitting another's.
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if found is None:
                return
            running = self._by_pid.pop(found.si_pid)
            del self._by_serial[running.serial]
            if not running.job.keep_group:
                running.signal(signal.SIGKILL)
            _, status, usage = os.wait4(running.pid, 0)
            self._say(self._make_end(running, status, usage))

    def _make_end(self, running: Running, status: int, usage: struct_rusage) -> list[bytes]:
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
        failure = self._find_report(running.pid) if code == NOT_RUN else b""
        # getrusage(2): ru_maxrss is in kilobytes.
        took = (time.monotonic() - running.started, usage.ru_utime, usage.ru_stime, usage.ru_maxrss * 1024)
        codes = (running.serial, None if failure else code, number)
        return [b"ended", *map(pack_number, codes), _TIMES.pack(*took), failure]

    def _find_report(self, pid: int) -> bytes:
        while True:
            try:
                number, _, words = os.read(self._report_in, REPORT).partition(b" ")
            except BlockingIOError:
                # None: a program that ran, and chose that status.
                return self._reports.pop(pid, b"")
            self._reports[int(number)] = words.rstrip(b" ")

    def _say(self, fields: list[bytes]) -> None:
        if self._heard:
            self._channel.sendall(pack(fields), socket.MSG_NOSIGNAL)

    def _end_all(self) -> None:
        self._heard = False
        self._poll.unregister(self._channel)
        for number in (signal.SIGTERM, signal.SIGKILL):
            end = time.monotonic() + GRACE
            for running in list(self._by_pid.values()):
                running.signal(number)
            while self._by_pid and (left := end - time.monotonic()) > 0:
                self._turn(left)


def _make_group(pid: int) -> None:
    # The child does this too: whoever comes first, a signal finds the group. Refused once it is the program.
    try:
        os.setpgid(pid, pid)
    except (PermissionError, ProcessLookupError):
        return


def _note(_number: int, _frame: object) -> None:
    """A handler, so that the signal reaches the wake-up descriptor."""


def load_jobs(octets: bytes) -> tuple[list[Job], bool]:
    """What a spawner is told at its start: its commands, and whether it takes more. Raises ``MessageError``."""
    form, *fields = unpack(octets)
    if form not in {OPEN, CLOSED}:
        raise MessageError("neither open nor closed")
    if not fields:
        raise MessageError("no command")
    return [Job(field) for field in fields], form == OPEN


def restrict(jobs: list[Job]) -> None:
    """Become the jobs' one user for good, and hold no more than that. Raises ``OSError`` or ``MessageError``."""
    users = {(job.uid, job.gid, tuple(job.groups)) for job in jobs}
    forbid_new_privileges()
    if len(users) > 1 or any(job.limits != jobs[0].limits for job in jobs):
        raise MessageError("one spawner, one user and one set of limits")
    for uid, gid, groups in users:
        if uid is not None:
            if uid != 0:
                drop_bounding()
            change_user(uid, gid, groups)
            if uid != 0 and read_permitted():
                raise MessageError("a capability is left")
    if may_keep(jobs[0]):
        keep_limits(jobs[0])
    forbid_inspection()


def reset_signals() -> None:
    """Every signal has its default effect, and none is blocked, here and so in every child."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if signal.getsignal(number) is not signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def main(descriptor: int) -> None:
    """Be the spawner: the channel is ``descriptor``, what it is told at its start is its standard input.

    When it can't be, the first answer says why.
    """
    reset_signals()
    channel = socket.socket(fileno=descriptor)
    os.set_inheritable(descriptor, False)
    try:
        with open(0, "rb", closefd=False) as told:
            jobs, learns = load_jobs(told.read())
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        os.dup2(nothing, 0)
        os.chdir("/")
        restrict(jobs)
        # After the change of user, which forgets it.
        die_with_parent(signal.SIGTERM)
    except (OSError, ValueError) as error:
        channel.send(pack([b"refused", pack_number(0), encode(str(error))[:1000]]))
        return
    # Collecting garbage writes to every object, and what is written is no longer shared with the children.
    gc.collect()
    gc.disable()
    gc.freeze()
    Spawner(channel, jobs, learns=learns).run()
