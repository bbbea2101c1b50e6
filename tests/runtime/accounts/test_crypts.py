"""Hashes from elsewhere (R26)."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from threading import Thread

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from netservices.runtime.accounts.apr1 import make_apr1
from netservices.runtime.accounts.crypts import Libcrypt, check_imported, is_imported
from netservices.runtime.accounts.errors import HashUnusableError

# Made with openssl passwd, htpasswd and mkpasswd; the password is "hello".
KNOWN = (
    "$apr1$saltsalt$qdT0pAqsa0h/01U4EjwJY1",
    "$2y$05$abcdefghijklmnopqrstuuWHxnxkyNt6AHCwFMQaY6auyqJA8E98a",
    "$5$saltstring$4mLzDd7PmpYGnmV6HHYAR6tJydOUyhkrRSQDy8q2eK8",
    "$6$saltstring$FAGYDyoYriJZZozrqxKlj3e8sB/i7oiBKr0IsSILeeFjOstTzTN7VBrJXtFNTHuRzUnhy.z43X6Jd3KbHZ.me/",
    "$y$j9T$abcdefgh$epWtSs4Gu0OBWJFQE2cTWrKuGouFdvT/8K.cw.oANm/",
)


class ImportedTests(SynchronousTestCase):
    """Checked as they are."""

    def test_right_password_is_right_and_others_are_wrong(self) -> None:
        for stored in KNOWN:
            self.assertTrue(is_imported(stored), stored)
            self.assertTrue(check_imported(stored, b"hello"), stored)
            for wrong in (b"hellO", b"", b"hello\0", b"hello\0x", b"x" * 512, b"x" * 4096):
                self.assertFalse(check_imported(stored, wrong), stored)

    def test_apr1_is_what_openssl_makes(self) -> None:
        if shutil.which("openssl") is None:
            raise SkipTest("no openssl to compare with")
        for password in ("", "a", "p\u00e4sswort", "x" * 15, "x" * 16, "x" * 17, "y" * 100):
            done = subprocess.run(
                ["openssl", "passwd", "-apr1", "-salt", "ab./9", "-stdin"],
                input=password + "\n", capture_output=True, text=True, timeout=20, check=True,
            )  # fmt: skip
            self.assertEqual(make_apr1(password.encode(), "ab./9"), done.stdout.strip())

    def test_apr1_lets_other_threads_run(self) -> None:
        """R27: with nobody forced to let go of the interpreter, another thread still has its turns."""
        before = sys.getswitchinterval()
        self.addCleanup(sys.setswitchinterval, before)
        sys.setswitchinterval(60)

        def compute() -> None:
            for _ in range(100):
                make_apr1(b"hello", "saltsalt")

        thread = Thread(target=compute)
        thread.start()
        turns = 0
        while thread.is_alive():
            time.sleep(0.0001)
            turns += 1
        self.assertGreater(turns, 20)

    def test_fresh_htpasswd_line_is_checked(self) -> None:
        if shutil.which("htpasswd") is None:
            raise SkipTest("no htpasswd to make one with")
        for option in ("-B", "-m", "-2", "-5"):
            done = subprocess.run(
                ["htpasswd", "-nb", option, "anna", "s\u00e4cret"],
                capture_output=True,
                text=True,
                timeout=20,
                check=False,
            )
            if done.returncode:
                continue
            stored = done.stdout.strip().partition(":")[2]
            self.assertTrue(is_imported(stored), stored)
            self.assertTrue(check_imported(stored, "s\u00e4cret".encode()))
            self.assertFalse(check_imported(stored, b"secret"))

    def test_costly_broken_and_foreign_hashes_are_not_taken(self) -> None:
        for stored in (
            "", "x", "hello", "{SHA}qvTGHdzF6KLavt4PO0gs2a6pQ00=", "rl.3StKT.4T8M",
            "$1$saltsalt$fFhQNRZ9A4AYLdo7vOe8a0",
            KNOWN[1][:-1], KNOWN[2] + "x", KNOWN[1].replace("$05$", "$31$"), "$6$rounds=9999999$" + KNOWN[3][3:],
            "$y$jFT" + KNOWN[4][6:], "$2y$05$\u00e4" + "a" * 52, KNOWN[0] + "\n",
        ):  # fmt: skip
            self.assertFalse(is_imported(stored), stored)

    def test_machine_without_libcrypt_says_so(self) -> None:
        self.assertRaisesRegex(HashUnusableError, "no libcrypt", Libcrypt, ("libnothing.so.9",))
        self.assertRaisesRegex(HashUnusableError, "no libcrypt", Libcrypt, ("libc.so.6",))

    def test_form_that_libcrypt_does_not_know_is_said(self) -> None:
        self.assertRaisesRegex(HashUnusableError, "does not know", Libcrypt().crypt, b"x", b"$nothing$x$")
