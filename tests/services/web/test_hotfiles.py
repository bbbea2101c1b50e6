"""The bounded cache of files in demand."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from netservices.http.answers import Answer
from netservices.http.conditions import Validators
from netservices.http.fastpath import FastTable
from netservices.services.web.hotfiles import HotFile, HotFiles

KIB = 1024
VALIDATORS = Validators(b'"x"', 0)


class HotFilesTests(SynchronousTestCase):
    """Three files of one KiB, each counted with its overhead, and room for three."""

    def setUp(self) -> None:
        self.fast = FastTable()
        self.renewed: list[HotFile] = []
        self.hot = HotFiles(self.fast, most=9 * KIB, renew=self.renewed.append)

    def put(self, name: bytes, seen: float = 0.0) -> HotFile:
        """One KiB."""
        hot = self.hot.put(((name,), False), (1,), VALIDATORS, Answer(200, (), b"x" * KIB), seen)
        assert hot is not None
        self.hot.offer(hot, b"GET", b"/" + name)
        return hot

    def test_least_lately_confirmed_goes_first(self) -> None:
        """Memory is bounded, and what is in demand stays; the fast path forgets what goes."""
        first, second = self.put(b"1"), self.put(b"2")
        self.put(b"3")
        self.hot.confirm(first, 1.0)
        self.put(b"4")
        self.assertEqual(len(self.hot), 3)
        self.assertIsNone(self.hot.find(second.key))
        self.assertNotIn(b"GET /2 HTTP/1.1", self.fast.lines)
        self.assertIn(b"GET /1 HTTP/1.1", self.fast.lines)

    def test_empty_files_are_bounded_too(self) -> None:
        """Each costs its overhead."""
        for number in range(100):
            self.hot.put(((b"%d" % number,), False), (1,), VALIDATORS, Answer(200), 0.0)
        self.assertEqual(len(self.hot), 4)

    def test_what_is_too_large_is_not_kept(self) -> None:
        """And nothing else has to go for it."""
        self.put(b"1")
        self.assertIsNone(self.hot.put(((b"2",), False), (1,), VALIDATORS, Answer(200, (), b"x" * 8 * KIB), 0.0))
        self.assertEqual(len(self.hot), 1)

    def test_what_was_dropped_stays_dropped(self) -> None:
        """A look that ends after its file was replaced changes nothing."""
        old = self.put(b"1")
        new = self.put(b"1")
        self.assertEqual(len(self.hot), 1)
        self.hot.confirm(old, 5.0)
        self.hot.offer(old, b"GET", b"/other")
        self.assertFalse(old.prepared.fresh(5.0))
        self.assertNotIn(b"GET /other HTTP/1.1", self.fast.lines)
        self.assertIs(self.hot.find(new.key), new)
        self.hot.drop(new.key)
        self.hot.drop(new.key)
        self.assertEqual((len(self.hot), len(self.fast.lines)), (0, 0))

    def test_renewal_names_the_file(self) -> None:
        """The fast path asks for it through the answer."""
        hot = self.put(b"1")
        hot.prepared.renew()
        self.assertEqual(self.renewed, [hot])
