"""The answers to requests for files: from memory while they are hot, from a file thread else."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from twisted.logger import LogLevel

from netservices.http.answers import Answer, Fields, FileContent, Span
from netservices.http.conditions import Outcome, evaluate, last_modified, make_validators, range_applies
from netservices.http.dates import format_date
from netservices.http.errors import make_error, make_not_allowed, make_options, make_redirect
from netservices.http.ranges import ByteRange, RangeNotSatisfiable, make_multipart, parse_ranges
from netservices.http.targets import redirect_location
from netservices.runtime import Event
from netservices.runtime.files import PoolFull
from netservices.services.web.hotfiles import HotFiles, Key
from netservices.services.web.lookup import Found, Missing, Moved, Tree, Unchanged, make_state

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IReactorTime
    from twisted.python.failure import Failure

    from netservices.http.conditions import Validators
    from netservices.http.fastpath import FastTable
    from netservices.http.mediatypes import MediaTypes
    from netservices.http.request import HttpRequest
    from netservices.http.site import BodySink
    from netservices.runtime import EventLog
    from netservices.runtime.confined import ConfinedRoot
    from netservices.runtime.files import FilePool
    from netservices.services.web.hotfiles import HotFile

FILES_FAILED = Event(
    "web.files.failed",
    LogLevel.error,
    "{target} could not be opened: {reason}",
    "The machine could not do what the request needed: no descriptors left, or a disk that fails. The client was "
    "answered 503 or 500.",
)
EVENTS = (FILES_FAILED,)

METHODS = (b"GET", b"HEAD", b"OPTIONS")
_SCARCE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})


class Documents:
    """What stands behind a site of files: a ``Handler``."""

    def __init__(
        self, root: ConfinedRoot, *, files: FilePool, clock: IReactorTime, log: EventLog, types: MediaTypes,
        fast: FastTable, index: tuple[str, ...], hot_file: int, hot_cache: int,
    ) -> None:  # fmt: skip
        self.types = types
        self._files = files
        self._clock = clock
        self._log = log
        names = tuple(name.encode("utf-8", "surrogateescape") for name in index)
        self._tree = Tree(root, names, small=min(hot_file, hot_cache))
        self._hot = HotFiles(fast, most=hot_cache, renew=self._renew)

    def open_body(self, request: HttpRequest) -> BodySink | None:  # noqa: ARG002 - no request here has a body worth reading
        """Nobody reads it."""
        return None

    def handle(self, request: HttpRequest) -> Answer | Deferred[Answer]:
        """The file, or why there is none."""
        if request.method == b"OPTIONS":
            return make_options(METHODS)
        if request.method not in METHODS:
            return make_not_allowed(METHODS)
        now = self._clock.seconds()
        key = (request.target.segments, request.target.directory)
        hot = self._hot.find(key)
        if hot is not None and hot.prepared.fresh(now):
            return self._give(request, hot)
        found = self._look(key, hot, now)
        return found.addCallbacks(
            self._looked, self._trouble, callbackArgs=(request, key, hot, now), errbackArgs=(request,)
        )

    def _look(self, key: Key, hot: HotFile | None, now: float) -> Deferred[Found | Moved | Missing | Unchanged]:
        segments, directory = key
        known = hot.state if hot is not None else None
        return self._files.run(self._tree.look_up, segments, directory=directory, now=now, known=known)

    def _looked(
        self, found: Found | Moved | Missing | Unchanged, request: HttpRequest, key: Key, hot: HotFile | None,
        seen: float,
    ) -> Answer:  # fmt: skip
        if isinstance(found, Unchanged) and hot is not None:
            self._hot.confirm(hot, seen)
            return self._give(request, hot)
        if not isinstance(found, Found):
            self._hot.drop(key)
            return make_redirect(redirect_location(request.target)) if isinstance(found, Moved) else _refuse(found)
        kept = self._keep(key, found, seen)
        if kept is not None:
            return self._give(request, kept)
        validators = make_validators(found.stat)
        return self._choose(request, self._whole(found, validators), validators)

    def _keep(self, key: Key, found: Found, seen: float) -> HotFile | None:
        """Have it answered from memory from now on, if it is small and has not just changed."""
        if found.content is None or not found.settled:
            self._hot.drop(key)
            return None
        validators = make_validators(found.stat)
        return self._hot.put(key, make_state(found.stat), validators, self._whole(found, validators), seen)

    def _give(self, request: HttpRequest, hot: HotFile) -> Answer:
        self._hot.offer(hot, request.method, request.raw_target)
        return self._choose(request, hot.answer, hot.validators)

    def _renew(self, hot: HotFile) -> None:
        """Look whether a file in demand is as it was, while it goes on being given."""
        if hot.renewing:
            return
        hot.renewing = True
        now = self._clock.seconds()
        self._look(hot.key, hot, now).addCallbacks(
            self._renewed, lambda _: self._hot.drop(hot.key), callbackArgs=(hot, now)
        )

    def _renewed(self, found: Found | Moved | Missing | Unchanged, hot: HotFile, seen: float) -> None:
        hot.renewing = False
        if isinstance(found, Unchanged):
            self._hot.confirm(hot, seen)
        elif isinstance(found, Found):
            self._keep(hot.key, found, seen)
            found.close()
        else:
            self._hot.drop(hot.key)

    def _trouble(self, failure: Failure, request: HttpRequest) -> Answer:
        if failure.check(PoolFull) is not None:
            return make_error(503, fields=((b"Retry-After", b"1"),))
        error = failure.value
        if not isinstance(error, OSError):
            failure.raiseException()
        target = request.raw_target.decode("latin-1")
        self._log.emit(FILES_FAILED, target=target, reason=failure.getErrorMessage())
        if error.errno in _SCARCE:
            return make_error(503, fields=((b"Retry-After", b"1"),))
        return make_error(500)

    def _whole(self, found: Found, validators: Validators) -> Answer:
        fields = (
            (b"Content-Type", self.types.of(found.name)),
            (b"Last-Modified", format_date(last_modified(validators, int(self._clock.seconds())))),
            (b"ETag", validators.etag),
            (b"Accept-Ranges", b"bytes"),
            (b"X-Content-Type-Options", b"nosniff"),
        )
        if found.file is not None:
            return Answer(200, fields, FileContent(found.file, (Span(0, found.stat.st_size),)))
        return Answer(200, fields, found.content or b"")

    def _choose(self, request: HttpRequest, whole: Answer, validators: Validators) -> Answer:
        """What the request's conditions and ranges make of the whole."""
        now = int(self._clock.seconds())
        outcome = evaluate(request.method, request.field, validators, now)
        if outcome is Outcome.NOT_MODIFIED:
            whole.discard()
            return Answer(304, tuple(each for each in whole.fields if each[0] in {b"ETag", b"Last-Modified"}))
        if outcome is Outcome.PRECONDITION_FAILED:
            whole.discard()
            return make_error(412)
        wanted = request.field(b"range")
        # RFC 9110 14.2: Range means something with GET only.
        if wanted is None or request.method != b"GET" or not range_applies(request.field, validators, now):
            return whole
        try:
            ranges = parse_ranges(wanted, whole.said_length)
        except RangeNotSatisfiable as error:
            whole.discard()
            return make_error(416, fields=((b"Content-Range", error.content_range),))
        return whole if ranges is None else _cut(whole, ranges)


def _refuse(found: Missing | Unchanged) -> Answer:
    return make_error(found.status if isinstance(found, Missing) else 404)


def _cut(whole: Answer, ranges: tuple[ByteRange, ...]) -> Answer:
    """The 206 of these parts of ``whole``."""
    size = whole.said_length
    if len(ranges) == 1:
        fields: Fields = (*whole.fields, (b"Content-Range", ranges[0].content_range(size)))
        return Answer(206, fields, _take(whole, (ranges[0],)))
    content_type = dict(whole.fields)[b"Content-Type"]
    plan = make_multipart(ranges, size, content_type)
    pieces = [piece for part in plan.parts for piece in part]
    fields = ((b"Content-Type", plan.content_type), *(each for each in whole.fields if each[0] != b"Content-Type"))
    return Answer(206, fields, _take(whole, (*pieces, plan.tail)))


def _take(whole: Answer, pieces: tuple[bytes | ByteRange, ...]) -> bytes | FileContent:
    content = whole.content
    if isinstance(content, bytes):
        return b"".join(piece if isinstance(piece, bytes) else content[piece.start : piece.stop] for piece in pieces)
    spans = (piece if isinstance(piece, bytes) else Span(piece.start, piece.length) for piece in pieces)
    return FileContent(content.file, tuple(spans))
