"""What the daemon and a spawner say to each other, and the commands they speak of."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netservices.runtime.children import Command, ExitStatus, ProcessLimits, RunAs
from netservices.runtime.children.command import pack_command, pack_environment
from netservices.runtime.children.exchange import pack_register, pack_spawn, parse_answer
from netservices.runtime.children.fields import (
    LONGEST,
    MOST_VARIABLES,
    MessageError,
    encode,
    pack,
    pack_number,
    parse_number,
    unpack,
)
from netservices.runtime.children.job import Job, find_below, is_dangerous

USER = RunAs("someone", 1000, 100, (100, 27))


class FieldsTests(SynchronousTestCase):
    """S3: the daemon is not believed, so only the exact form is read."""

    @given(st.lists(st.binary(max_size=50), max_size=20))
    @settings(deadline=None, max_examples=100)
    def test_fields_come_back(self, fields: list[bytes]) -> None:
        octets = pack(fields)
        self.assertEqual(unpack(octets), fields)
        if octets:
            self.assertRaises(MessageError, unpack, octets[:-1])

    @given(st.binary(max_size=200))
    @settings(deadline=None, max_examples=300)
    def test_any_octets_are_fields_or_refused(self, octets: bytes) -> None:
        with contextlib.suppress(MessageError):
            self.assertEqual(pack(unpack(octets)), octets)

    def test_too_many_fields_are_refused(self) -> None:
        self.assertEqual(len(unpack(pack([b""] * 5), 5)), 5)
        self.assertRaises(MessageError, unpack, pack([b""] * 6), 5)

    def test_numbers_have_eight_octets(self) -> None:
        self.assertEqual(parse_number(pack_number(7)), 7)
        for field in (b"", b"7", b"\0" * 9, pack_number(None)):
            self.assertRaises(MessageError, parse_number, field)

    def test_octets_that_are_no_utf8_survive(self) -> None:
        self.assertEqual(encode(os.fsdecode(b"/srv/\xff")), b"/srv/\xff")
        self.assertRaises(MessageError, encode, "\ud800")


class CommandTests(SynchronousTestCase):
    """What can be run at all."""

    def test_command_becomes_a_job(self) -> None:
        """S3, S4."""
        limits = ProcessLimits(cpu=1, memory=2, processes=4)
        job = Command(
            ("/bin/x", "-a", ""), user=USER, directory="/srv", environment=(("LANG", "C"),), variables=("REMOTE_*",),
            umask=0o27, limits=limits, keep_group=True,
        ).make_job()  # fmt: skip
        self.assertEqual((job.name, job.uid, job.gid, job.groups), ("someone", 1000, 100, [100, 27]))
        self.assertEqual((job.limits, job.umask, job.keep_group), ([1, 2, None, 4], 0o27, True))
        self.assertEqual(job.find_program(None), b"/bin/x")
        self.assertEqual(job.find_arguments(b"/bin/x"), [b"/bin/x", b"-a", b""])
        self.assertEqual(job.find_folder(b"/bin/x"), b"/srv")
        self.assertIsNone(Command(("/bin/x",)).make_job().uid)

    def test_what_can_not_be_run_is_refused(self) -> None:
        for wrong in (
            {"argv": ()},
            {"argv": ("x",)},
            {"argv": ("/bin/x", "a\0b")},
            {"argv": ("/bin/x",), "directory": "srv"},
            {"argv": (), "below": "srv"},
            {"argv": ("/bin/x",), "umask": 0o1000},
            {"argv": ("/bin/x",), "environment": (("A=B", "c"),)},
            {"argv": ("/bin/x",), "environment": (("", "c"),)},
            {"argv": ("/bin/x",), "environment": (("A", "\0"),)},
            {"argv": ("/bin/x",), "variables": ("*",)},
            {"argv": ("/bin/x",), "variables": ("",)},
            {"argv": ("/bin/x",), "user": RunAs("x", 2**32 - 1, 0, ())},
        ):
            self.assertRaises(ValueError, Command, **wrong)

    def test_variables_that_choose_other_code_are_refused_for_another_user(self) -> None:
        """S3: a daemon that was taken over must not make another program of the one that is configured."""
        for name in ("LD_PRELOAD", "LD_*", "LD_NEW", "PATH", "P*", "BASH_ENV", "PYTHONPATH", "PERL5*"):
            self.assertTrue(is_dangerous(name.encode()), name)
            self.assertRaises(ValueError, Command, ("/bin/x",), user=USER, variables=(name,))
            # The spawner looks for itself.
            octets = pack_command(Command(("/bin/x",), variables=(name,)))
            fields = unpack(octets)
            fields[1] = unpack(pack_command(Command(("/bin/x",), user=USER)))[1]
            self.assertRaises(MessageError, Job, pack(fields))
        for name in ("REMOTE_HOST", "HTTP_*", "TCP*", "SSL_*", "PATH_INFO", "LOCAL_*"):
            self.assertFalse(is_dangerous(name.encode()), name)

    @given(st.binary(max_size=300))
    @settings(deadline=None, max_examples=300)
    def test_any_octets_are_a_job_or_refused(self, octets: bytes) -> None:
        """S3."""
        self.assertRaises(MessageError, Job, octets)

    @given(st.integers(0, 400), st.binary(min_size=1, max_size=8))
    @settings(deadline=None, max_examples=300)
    def test_damaged_command_is_a_job_or_refused(self, at: int, put: bytes) -> None:
        """S3."""
        octets = pack_command(Command(("/bin/x", "y"), user=USER, variables=("A",), environment=(("B", "c"),)))
        at %= len(octets)
        with contextlib.suppress(MessageError):
            Job(octets[:at] + put + octets[at + len(put) :])


class EnvironmentTests(SynchronousTestCase):
    """S4: empty, and what was configured, and what the call may say."""

    def test_only_named_variables_are_taken(self) -> None:
        """S4."""
        job = Command(("/bin/x",), environment=(("LANG", "C"),), variables=("REMOTE_*", "LANG", "A")).make_job()
        given = pack_environment({"REMOTE_HOST": "::1", "A": "", "LANG": "other"})
        self.assertEqual(job.merge(given), {b"REMOTE_HOST": b"::1", b"A": b"", b"LANG": b"C"})
        for name in ("REMOTE", "B", "LD_PRELOAD", "AB"):
            self.assertRaises(ValueError, job.merge, [f"{name}=x".encode()])
        for field in (b"", b"=x", b"A", b"A=\0"):
            self.assertRaises(MessageError, job.merge, [field])

    def test_name_with_an_equals_sign_is_refused(self) -> None:
        self.assertRaises(ValueError, pack_environment, {"A=LD_PRELOAD": "x"})


class BelowTests(SynchronousTestCase):
    """A folder of programs, such as CGI scripts."""

    def setUp(self) -> None:
        self.top = Path(self.mktemp()).absolute()
        (self.top / "deep").mkdir(parents=True)
        for name in ("script", "deep/script"):
            (self.top / name).write_text("")
        (self.top / "out").symlink_to("/bin/sh")
        (self.top / "in").symlink_to("deep/script")
        self.top.with_name(self.top.name + "-other").mkdir()

    def find(self, path: str) -> bytes:
        return find_below(bytes(self.top), os.fsencode(path))

    def test_programs_in_it_are_found(self) -> None:
        self.assertEqual(self.find(f"{self.top}/script"), bytes(self.top / "script"))
        self.assertEqual(self.find(f"{self.top}/in"), bytes(self.top / "deep" / "script"))
        self.assertEqual(self.find(f"{self.top}/deep/../script"), bytes(self.top / "script"))

    def test_whatever_leads_out_is_refused(self) -> None:
        """S3."""
        for path in (
            f"{self.top}", f"{self.top}/", f"{self.top}/out", f"{self.top}/../x", f"{self.top}-other/x", "/bin/sh",
            "script", "", f"{self.top}/a\0b",
        ):  # fmt: skip
            self.assertRaises(ValueError, self.find, path)
        self.assertRaises(ValueError, find_below, bytes(self.top), None)

    def test_command_finds_its_own_folder_and_name(self) -> None:
        job = Command(("-x",), below=str(self.top), directory="").make_job()
        program = job.find_program(bytes(self.top / "in"))
        self.assertEqual(job.find_arguments(program), [program, b"-x"])
        self.assertEqual(job.find_folder(program), bytes(self.top / "deep"))

    def test_program_of_a_command_without_a_folder_is_fixed(self) -> None:
        """S3."""
        self.assertRaises(ValueError, Command(("/bin/x",)).make_job().find_program, b"/bin/sh")


class ExchangeTests(SynchronousTestCase):
    """What is too large is refused before it is sent, and nonsense from a spawner is told."""

    def test_large_environment_is_refused(self) -> None:
        self.assertRaises(MessageError, pack_spawn, 1, 0, None, [b"A=" + b"x" * LONGEST])
        self.assertRaises(MessageError, pack_spawn, 1, 0, None, [b"A=x"] * MOST_VARIABLES)
        self.assertRaises(MessageError, pack_register, 1, b"x" * LONGEST)

    @given(st.one_of(st.binary(max_size=100), st.lists(st.binary(max_size=40), max_size=7).map(pack)))
    @settings(deadline=None, max_examples=200)
    def test_any_octets_are_an_answer_or_refused(self, octets: bytes) -> None:
        with contextlib.suppress(MessageError):
            parse_answer(octets)

    def test_statuses_are_said_in_words(self) -> None:
        """S2."""
        took = (0.1, 0.0, 0.0, 0)
        self.assertEqual(str(ExitStatus(3, None, *took)), "status 3")
        self.assertEqual(str(ExitStatus(None, 9, *took)), "signal 9")
        self.assertEqual(str(ExitStatus(None, None, *took, failure="no such file")), "failed: no such file")
