"""What is answered for a file, on both paths."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from netservices.http.conditions import make_etag
from netservices.http.dates import format_date
from tests.http.doubles import body_of, head_of, status_of
from tests.services.web.site import KIB, Tree


class DocumentsTests(SynchronousTestCase):
    """A tree of files."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.path.mkdir()
        self.tree = Tree(self.path)

    def test_file_has_what_a_cache_needs(self) -> None:
        """H11: type, length, both validators, and that ranges are served; nosniff too."""
        path = self.tree.put("a b.txt", b"hello")
        head = head_of(self.tree.ask(b"GET /a%20b.txt"))
        stat = path.stat()
        self.assertEqual(head[0], b"HTTP/1.1 200 OK")
        self.assertEqual(
            head[3:],
            [
                b"Content-Type: text/plain; charset=utf-8",
                b"Last-Modified: " + format_date(int(stat.st_mtime)),
                b"ETag: " + make_etag(stat),
                b"Accept-Ranges: bytes",
                b"X-Content-Type-Options: nosniff",
                b"Content-Length: 5",
            ],
        )

    def test_directory_is_redirected_to_its_slash(self) -> None:
        """H10: with the query, and never to another host."""
        self.tree.put("d/index.htm", b"index")
        answer = self.tree.ask(b"GET //d?x=//e")
        self.assertEqual(status_of(answer), 301)
        self.assertIn(b"Location: /d/?x=//e", head_of(answer))
        self.assertEqual(body_of(self.tree.ask(b"GET /d/")), b"index")
        self.tree.put("d/index.html", b"first")
        self.tree.clock.advance(2)
        self.assertEqual(body_of(self.tree.ask(b"GET /d/")), b"first")

    def test_what_is_not_served(self) -> None:
        """H9: absent, hidden, outside, no file, a file with a slash: 404; nothing to show: 403."""
        self.tree.put("f", b"x")
        self.tree.put(".secret", b"x")
        self.tree.put("d/.git/config", b"x")
        os.mkfifo(self.path / "fifo")
        (self.path / "out").symlink_to("/etc/passwd")
        (self.path / "d" / "index.html").mkdir()
        for target in (
            b"/none", b"/f/", b"/f/x", b"/.secret", b"/d/.git/config", b"/d/.git/", b"/fifo", b"/out",
            b"/../../etc/passwd", b"/" + b"x" * 300, b"/x.well-known/.y",
        ):  # fmt: skip
            self.assertEqual(status_of(self.tree.ask(b"GET " + target)), 404, target)
        self.assertEqual(status_of(self.tree.ask(b"GET /d/")), 403)
        self.assertEqual(status_of(self.tree.ask(b"GET /")), 403)
        self.assertEqual(status_of(self.tree.ask(b"GET /f%00")), 400)

    def test_well_known_is_served(self) -> None:
        """RFC 8615: the one name with a dot that is meant for others."""
        self.tree.put(".well-known/security.txt", b"x")
        self.assertEqual(status_of(self.tree.ask(b"GET /.well-known/security.txt")), 200)
        self.tree.put(".well-known/.x", b"x")
        self.assertEqual(status_of(self.tree.ask(b"GET /.well-known/.x")), 404)

    def test_other_methods_are_not_allowed(self) -> None:
        """H7: 405 says what is; OPTIONS too, of a file and of the whole server; TRACE and CONNECT are no better."""
        self.tree.put("f", b"x")
        allow = b"Allow: GET, HEAD, OPTIONS"
        for line in (b"POST /f", b"PUT /f", b"DELETE /none", b"TRACE /f", b"PATCH /f", b"CONNECT example.org:443"):
            answer = self.tree.ask(line)
            self.assertEqual(status_of(answer), 405)
            self.assertIn(allow, head_of(answer))
        for line in (b"OPTIONS *", b"OPTIONS /f"):
            answer = self.tree.ask(line)
            self.assertEqual((status_of(answer), body_of(answer)), (204, b""))
            self.assertIn(allow, head_of(answer))
            self.assertNotIn(b"Content-Length", answer)

    def test_error_pages_escape_what_they_quote(self) -> None:
        """H13: nothing a peer sends is markup."""
        self.tree.put("<b>/index.html", b"x")
        answer = self.tree.ask(b"GET /%3Cb%3E")
        self.assertEqual(status_of(answer), 301)
        self.assertNotIn(b"<b>", answer)

    def test_scarce_descriptors_are_told(self) -> None:
        """R32: 503 and an event, for a full machine; 500 for a broken one; 503 for full file threads."""
        for number, status in ((errno.EMFILE, 503), (errno.EIO, 500)):

            class Failing:
                """A root that cannot open."""

                def open(self, _segments: object, error: int = number) -> None:
                    raise OSError(error, os.strerror(error))

            object.__setattr__(self.tree.documents._tree, "root", Failing())
            self.assertEqual(status_of(self.tree.ask(b"GET /f")), status)
            self.assertEqual(self.tree.events[-1]["event"], "web.files.failed")
        self.tree.files.hold()
        self.tree.files._most = 0
        answer = self.tree.ask(b"GET /f")
        self.assertEqual(status_of(answer), 503)
        self.assertIn(b"Retry-After: 1", head_of(answer))

    def test_bug_in_a_thread_is_a_500(self) -> None:
        """What nobody foresaw is logged as a bug."""
        object.__setattr__(self.tree.documents._tree, "root", None)
        connection = self.tree.connect()
        self.assertEqual(status_of(self.tree.ask(b"GET /f", connection=connection)), 500)
        self.assertEqual(connection.events[0]["event"], "http.request.failed")


class ConditionTests(SynchronousTestCase):
    """Conditions and ranges, of a small file from memory and of a large one from the disk."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.path.mkdir()
        self.trees = [Tree(self.path), Tree(self.path, hot_file=0)]
        self.file = self.trees[0].put("f.bin", bytes(range(256)) * 4)
        self.etag = make_etag(self.file.stat())
        self.date = format_date(int(self.file.stat().st_mtime))

    def ask(self, *fields: bytes, method: bytes = b"GET") -> bytes:
        """The answer of both; they must be the same."""
        answers = []
        for tree in self.trees:
            connection = tree.connect()
            answers.append(tree.ask(method + b" /f.bin", *fields, connection=connection))
        if b"multipart" not in answers[0] and b"\r\n\r\n" in answers[1]:
            self.assertEqual(head_of(answers[0]), head_of(answers[1]))
        return answers[0]

    def test_unchanged_file_is_not_sent(self) -> None:
        """H11: 304 with the validators, without a body and without its length."""
        for field in (b"If-None-Match: " + self.etag, b"If-Modified-Since: " + self.date):
            answer = self.ask(field)
            self.assertEqual((status_of(answer), body_of(answer)), (304, b""))
            self.assertIn(b"ETag: " + self.etag, head_of(answer))
            self.assertNotIn(b"Content-Length", answer)
            self.assertNotIn(b"Content-Type", answer)
        self.assertEqual(status_of(self.ask(b'If-None-Match: "x"', b"If-Modified-Since: " + self.date)), 200)

    def test_failed_precondition_is_told(self) -> None:
        """H11."""
        self.assertEqual(status_of(self.ask(b'If-Match: "x"')), 412)
        self.assertEqual(status_of(self.ask(b"If-Match: " + self.etag)), 200)

    def test_ranges_of_a_file(self) -> None:
        """H12: one part, none, not for HEAD, not with another If-Range, and a field that means nothing."""
        answer = self.trees[0].ask(b"GET /f.bin", b"Range: bytes=10-12")
        self.assertEqual((status_of(answer), body_of(answer)), (206, b"\x0a\x0b\x0c"))
        self.assertIn(b"Content-Range: bytes 10-12/1024", head_of(answer))
        self.assertEqual(status_of(self.ask(b"Range: bytes=10-12")), 206)
        answer = self.ask(b"Range: bytes=2000-")
        self.assertEqual(status_of(answer), 416)
        self.assertIn(b"Content-Range: bytes */1024", head_of(answer))
        self.assertEqual(status_of(self.ask(b"Range: bytes=0-1", method=b"HEAD")), 200)
        self.assertEqual(status_of(self.ask(b"Range: bytes=0-1", b'If-Range: "x"')), 200)
        self.assertEqual(status_of(self.ask(b"Range: bytes=0-1", b"If-Range: " + self.etag)), 206)
        self.assertEqual(status_of(self.ask(b"Range: lines=0-1")), 200)

    def test_several_ranges_are_parts(self) -> None:
        """H12: multipart, with a length that is right."""
        answer = self.trees[0].ask(b"GET /f.bin", b"Range: bytes=0-1,100-101")
        head, body = head_of(answer), body_of(answer)
        self.assertEqual(status_of(answer), 206)
        self.assertIn(b"Content-Length: %d" % len(body), head)
        self.assertEqual(sum(line.startswith(b"Content-Type: multipart/byteranges") for line in head), 1)
        self.assertIn(b"Content-Range: bytes 100-101/1024\r\n\r\nde\r\n--", body)


class BothPathsTests(SynchronousTestCase):
    """The fast path and the full one give the same bytes."""

    def run_cases(self, *, fast: bool) -> tuple[list[bytes], list[bytes], int]:
        """The answers, the lines logged, and how often the handler was asked."""
        path = Path(self.mktemp())
        path.mkdir()
        tree = Tree(path, fast=fast)
        tree.put("small.html", b"<p>small")
        tree.put("empty", b"")
        tree.put("large.bin", bytes(range(256)) * 400)
        tree.put("d/index.html", b"index")
        os.utime(path / "d", (1, 1))
        answers = []
        fields = (
            (),
            (b'User-Agent: a "b" \\c', b"Referer: http://x/?\xff"),
            (b"Accept: */*", b"Connection: keep-alive"),
            (b"Connection: close",),
            (b"Range: bytes=0-1",),
            (b"If-None-Match: *",),
            (b"Host: again",),
            (b"X: y",),
            (b"Accept: a\r\n folded",),
            (b"Content-Length: 0",),
        )
        for target in (
            b"/small.html",
            b"/empty",
            b"/large.bin",
            b"/d/",
            b"/d",
            b"/small.html?x=1",
            b"/%73mall.html",
            b"/no",
        ):
            for method in (b"GET", b"HEAD", b"POST"):
                for more in fields:
                    connection = tree.connect()
                    answers += [tree.ask(method + b" " + target, *more, connection=connection) for _ in range(3)]
        return answers, tree.log.lines, tree.documents.asked

    def test_both_paths_give_the_same_bytes(self) -> None:
        """Every case three times on a connection, with and without the fast path; the log is the same too."""
        slow, slow_log, slow_asked = self.run_cases(fast=False)
        quick, quick_log, quick_asked = self.run_cases(fast=True)
        # Two trees differ in what their inodes are called.
        tags = [b"ETag: ", b"Last-Modified: "]

        def plain(answers: list[bytes]) -> list[bytes]:
            return [
                b"\r\n".join(line for line in answer.split(b"\r\n") if not line.startswith(tuple(tags)))
                for answer in answers
            ]

        self.assertEqual(plain(quick), plain(slow))
        self.assertEqual(quick_log, slow_log)
        # Six targets by GET and HEAD, three harmless blocks three times each: all but the first of nine are fast.
        self.assertEqual(slow_asked - quick_asked, 6 * 2 * 8)

    def test_pipelined_requests_are_the_same(self) -> None:
        """Many at once."""
        answers = []
        for fast in (True, False):
            path = Path(self.mktemp())
            path.mkdir()
            tree = Tree(path, fast=fast)
            tree.put("f", b"x" * 100)
            one = b"GET /f HTTP/1.1\r\nHost: a\r\n\r\n"
            answers.append(tree.connect().send(one * 20))
        self.assertEqual(len(answers[0]), len(answers[1]))
        self.assertEqual(answers[0].count(b"x" * 100), 20)


class ChangeTests(SynchronousTestCase):
    """A file that changes is noticed within a second, whatever the load."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.path.mkdir()
        self.tree = Tree(self.path)
        self.tree.put("f", b"old")
        self.connection = self.tree.connect()
        self.assertEqual(self.ask(), b"old")
        self.assertEqual(self.ask(), b"old")

    def ask(self) -> bytes:
        """The body of the file, or of what is said instead."""
        answer = self.tree.ask(b"GET /f", connection=self.connection)
        return body_of(answer) if status_of(answer) == 200 else b"%d" % status_of(answer)

    def look_for(self, expected: bytes, *, every: float) -> None:
        """Ask now and then; within a second the answer is ``expected``."""
        start = self.tree.clock.seconds()
        while self.ask() != expected:
            self.tree.clock.advance(every)
            self.assertLessEqual(self.tree.clock.seconds() - start, 1.0)

    def test_change_is_noticed_under_load_and_without(self) -> None:
        """Replaced, rewritten in place, truncated, gone, and there again."""
        for every in (0.05, 0.3, 1.0):
            (self.path / "new").write_bytes(b"replaced")
            (self.path / "new").rename(self.path / "f")
            self.look_for(b"replaced", every=every)
            (self.path / "f").write_bytes(b"rewritten")
            self.look_for(b"rewritten", every=every)
            (self.path / "f").write_bytes(b"")
            self.look_for(b"", every=every)
            (self.path / "f").unlink()
            self.look_for(b"404", every=every)
            (self.path / "f").write_bytes(b"old")
            self.look_for(b"old", every=every)

    def test_steady_load_never_waits_for_the_disk(self) -> None:
        """A file in demand is looked at every half second, beside the requests."""
        before = self.tree.documents.asked
        for _ in range(100):
            self.tree.clock.advance(0.1)
            self.assertEqual(self.ask(), b"old")
        self.assertEqual(self.tree.documents.asked, before)

    def test_slow_disk_makes_requests_wait_not_lie(self) -> None:
        """When the look takes longer than the answer is fresh, the request waits for it."""
        self.tree.files.hold()
        self.tree.clock.advance(0.6)
        self.assertEqual(self.ask(), b"old")
        self.assertEqual(self.ask(), b"old")
        self.tree.clock.advance(0.5)
        (self.path / "f").unlink()
        head = b"GET /f HTTP/1.1\r\nHost: a\r\n\r\n"
        self.assertEqual(self.connection.send(head), b"")
        self.tree.files.release()
        self.assertEqual(status_of(self.connection.take()), 404)

    def test_just_written_file_is_not_kept(self) -> None:
        """A file system's clock ticks slowly: two states within one tick would look the same."""
        self.tree.clock.advance(-60)
        (self.path / "g").write_bytes(b"1")
        self.tree.ask(b"GET /g")
        self.assertIsNone(self.tree.documents._hot.find(((b"g",), False)))

    def test_pause_costs_one_look(self) -> None:
        """A file that nobody asked for in a while is looked at, not read; and from then on it is ready again."""
        asked = self.tree.documents.asked
        hot = self.tree.documents._hot.find(((b"f",), False))
        self.tree.clock.advance(10)
        self.assertEqual([self.ask(), self.ask()], [b"old", b"old"])
        self.assertEqual(self.tree.documents.asked, asked + 1)
        self.assertIs(self.tree.documents._hot.find(((b"f",), False)), hot)

    def test_one_look_at_a_time(self) -> None:
        """However often it is asked for while the disk is slow."""
        hot = self.tree.documents._hot.find(((b"f",), False))
        assert hot is not None
        self.tree.files.hold()
        hot.prepared.renew()
        hot.prepared.renew()
        self.assertEqual(len(self.tree.files._jobs), 1)
        self.tree.files.release()

    def test_full_threads_drop_what_they_cannot_renew(self) -> None:
        """A look that cannot be had is no reason to go on."""
        self.tree.files._most = 0
        self.tree.clock.advance(0.6)
        self.ask()
        self.assertEqual(len(self.tree.documents._hot), 0)

    def test_file_that_grew_too_large_leaves_memory(self) -> None:
        """It is read from the disk from then on."""
        (self.path / "f").write_bytes(b"x" * 300 * KIB)
        self.tree.clock.advance(0.6)
        self.ask()
        self.assertEqual(len(self.tree.documents._hot), 0)
