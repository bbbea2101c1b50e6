"""Who may log in: the one object that every service asks, through the portal.

Nothing here blocks: the database has its own threads, and so has hashing. Whatever fails for good fails with the same
words, and after the same time: refusals come at whole steps of time after they were asked for, so that what was
quicker to see (an imported hash, say) is not quicker to hear.
"""

from __future__ import annotations

import hmac
import secrets
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from twisted.internet.defer import CancelledError, Deferred, DeferredList, succeed
from twisted.internet.task import deferLater

from netservices.runtime.accounts.cache import LoginCache
from netservices.runtime.accounts.checks import Check, Verdict
from netservices.runtime.accounts.errors import (
    HashUnusableError,
    LoginBusy,
    LoginRefused,
    StoreError,
    UnknownAccountError,
)
from netservices.runtime.accounts.hashing import SALT_LENGTH
from netservices.runtime.accounts.names import prepare_address, prepare_name, prepare_password, prepare_subject
from netservices.runtime.accounts.reports import (
    ACCOUNT_CHANGED,
    ACCOUNTS_IMPORTED,
    HASH_REJECTED,
    HASH_UPGRADED,
    LOGIN_ACCEPTED,
    LOGIN_DEFERRED,
    LOGIN_REFUSED,
    STORE_FAILED,
    Sparse,
)
from netservices.runtime.files import PoolFull
from netservices.wire.sasl import ScramKeys, SharedSecret, make_fake_scram_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from twisted.internet.interfaces import IReactorTime

    from netservices.runtime.accounts.hashing import Hasher
    from netservices.runtime.accounts.model import Account, Record, Secrets
    from netservices.runtime.accounts.store import AccountStore
    from netservices.runtime.events import EventLog
    from netservices.runtime.files import FilePool

P = ParamSpec("P")
T = TypeVar("T")
_NOBODY = ""
"""No account has this name; what can't be a name is looked up, and refused, as it."""
# A login that is younger than this is not worth another write.
_LOGIN_AGE = 60.0


@dataclass(frozen=True)
class _Attempt:
    """One login: where, how, whose log, and when it was asked for."""

    service: str | None
    method: str
    log: EventLog
    began: float


class Accounts:
    """The accounts of one daemon.

    The pools are its own, to be started and stopped by it. ``cache_life`` is in seconds, 0 for no cache;
    ``refusal_step`` likewise. A Deferred that it gives may be cancelled, and should be when its session ends.
    """

    def __init__(
        self, store: AccountStore, *, clock: IReactorTime, store_pool: FilePool, hash_pool: FilePool, hasher: Hasher,
        log: EventLog, now: Callable[[], float] = time.time, cache_life: float = 60.0, cache_size: int = 4096,
        refusal_step: float = 0.25,
    ) -> None:  # fmt: skip
        self._store = store
        self._clock = clock
        self._store_pool = store_pool
        self._hash_pool = hash_pool
        self._hasher = hasher
        self._log = log
        self._now = now
        self._step = refusal_step
        self._cache = LoginCache(clock.seconds, life=cache_life, size=cache_size)
        self._checks: dict[bytes, Check] = {}
        self._secret = secrets.token_bytes(32)
        self._deferred = Sparse(clock.seconds)
        self._failed = Sparse(clock.seconds)
        self._background: set[Deferred[None]] = set()
        self._upgrading: set[str] = set()

    def start(self) -> Deferred[None]:
        """Open the database; fires when logins can be looked at. Fails with ``StoreError``."""
        self._store_pool.start()
        self._hash_pool.start()
        return Deferred.fromCoroutine(self._open())

    async def _open(self) -> None:
        await self._store_pool.run(self._store.prepare)
        self._secret = await self._store_pool.run(self._store.secret)

    def stop(self) -> Deferred[None]:
        """Put off what waits, finish what is being written, let go of the database."""
        return Deferred.fromCoroutine(self._close())

    async def _close(self) -> None:
        for check in list(self._checks.values()):
            check.give_up()
        await DeferredList(list(self._background))
        await self._hash_pool.stop()
        try:
            await self._store_pool.run(self._store.close)
        except (StoreError, PoolFull) as error:
            self._note_failure(error)
        await self._store_pool.stop()

    # Logins.

    def check_password(
        self, name: str | bytes, password: str | bytes, service: str | None, *, log: EventLog | None = None
    ) -> Deferred[Account]:
        """Whose they are, if they may use the section ``service``; bytes are UTF-8.

        Fails with ``LoginRefused``, or with ``LoginBusy`` when it can't be looked at. ``log`` is the session's.
        """
        attempt = self._attempt(service, "password", log)
        try:
            known, text = prepare_name(name), prepare_password(password)
        except ValueError:
            known, text = _NOBODY, _NOBODY
        digest = self._cache.make_digest(known, text)
        record = self._cache.find(known, digest)
        looked = succeed(Verdict(record, True, False)) if record else self._look_together(known, text, digest)
        return looked.addCallback(self._decide, attempt)

    def recall(self, name: str | bytes, password: str | bytes, service: str | None) -> Account | None:
        """The account, if ``check_password`` would give it from memory; writes no line. For HTTP's every request."""
        try:
            known, text = prepare_name(name), prepare_password(password)
        except ValueError:
            return None
        record = self._cache.find(known, self._cache.make_digest(known, text))
        return record.account if record and record.account.may_use(service) else None

    def find_scram_keys(self, name: str | bytes, service: str | None) -> Deferred[ScramKeys]:
        """The keys for a SCRAM exchange; who has none, or may not log in, gets some that are not genuine.

        They are the same each time. Fails with ``LoginBusy`` only. When the exchange is over, ``check_proof`` is asked.
        """
        return Deferred.fromCoroutine(self._find_scram_keys(name, service))

    async def _find_scram_keys(self, name: str | bytes, service: str | None) -> ScramKeys:
        known = _prepare(prepare_name, name)
        record = await self._guard(self._store.find, known)
        if record is not None and record.account.may_use(service) and record.secrets.scram is not None:
            return record.secrets.scram
        shown = known or (name.hex() if isinstance(name, bytes) else name.encode("utf-8", "surrogatepass").hex())
        return make_fake_scram_keys(
            self._secret, shown, iterations=self._hasher.scram_iterations, salt_size=SALT_LENGTH
        )

    def find_shared_secret(self, name: str | bytes, service: str | None) -> Deferred[SharedSecret]:
        """The secret for CRAM-MD5 and APOP; who has not opted in, or may not log in, gets one that is not genuine.

        Fails and ends as ``find_scram_keys``.
        """
        return Deferred.fromCoroutine(self._find_shared_secret(name, service))

    async def _find_shared_secret(self, name: str | bytes, service: str | None) -> SharedSecret:
        record = await self._guard(self._store.find, _prepare(prepare_name, name))
        if record is not None and record.account.may_use(service) and record.secrets.shared is not None:
            return SharedSecret(record.secrets.shared)
        return SharedSecret(secrets.token_bytes(32), genuine=False)

    def check_proof(
        self, name: str | bytes, shown: ScramKeys | SharedSecret, service: str | None, *, proved: bool,
        log: EventLog | None = None,
    ) -> Deferred[Account]:  # fmt: skip
        """Whose name it is, if ``proved``: the peer has shown that it knows what ``shown`` was made of.

        ``shown`` is what ``find_scram_keys`` or ``find_shared_secret`` gave; if it does not hold any more, neither does
        the proof. Ask for a failed exchange too: it is logged, and its refusal comes in time. Fails as passwords do.
        """
        scram = isinstance(shown, ScramKeys)
        attempt = self._attempt(service, "scram" if scram else "secret", log)

        def look(record: Record | None) -> bool:
            if record is None or not proved or not shown.genuine:
                return False
            if isinstance(shown, ScramKeys):
                return record.secrets.scram == shown
            shared = record.secrets.shared
            return shared is not None and hmac.compare_digest(shared, shown.secret)

        return self._check_otherwise(self._store.find, _prepare(prepare_name, name), attempt, look)

    def check_subject(self, subject: str, service: str | None, *, log: EventLog | None = None) -> Deferred[Account]:
        """Whose verified client certificate has this subject (RFC 4514 text). Fails as passwords do."""
        attempt = self._attempt(service, "certificate", log)
        key = _prepare(prepare_subject, subject)
        return self._check_otherwise(self._store.find_by_subject, key, attempt, lambda record: record is not None)

    # What is no login.

    def find_account(self, name: str | bytes) -> Deferred[Account]:
        """The account of a name, enabled or not. Fails with ``UnknownAccountError`` and ``StoreError``."""
        return self._find(self._store.find, prepare_name, name)

    def find_by_address(self, address: str | bytes) -> Deferred[Account]:
        """The account that has a mail address. Fails likewise."""
        return self._find(self._store.find_by_address, prepare_address, address)

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """Call what uses the store in one of the store's threads. Fails with what it raises, or ``PoolFull``."""
        return self._store_pool.run(function, *args, **kwargs)

    def report_change(self, name: str, change: str) -> None:
        """An account was changed: nothing that was known about it holds any more."""
        self.forget(name)
        self._log.emit(ACCOUNT_CHANGED, account=name, change=change)

    def report_import(self, count: int) -> None:
        """So many accounts are new."""
        self._log.emit(ACCOUNTS_IMPORTED, count=count)

    def forget(self, name: str) -> None:
        """Look at the account anew from now on; also those looks that are under way."""
        self._cache.forget(name)
        for check in self._checks.values():
            if check.name == name:
                check.stale = True

    # How it is done.

    def _attempt(self, service: str | None, method: str, log: EventLog | None) -> _Attempt:
        return _Attempt(service, method, log or self._log, self._clock.seconds())

    def _look_together(self, name: str, text: str, digest: bytes) -> Deferred[Verdict]:
        check = self._checks.get(digest)
        if check is not None:
            return check.join()
        check = self._checks[digest] = Check(name)
        joined = check.join()
        check.begin(partial(self._look, name, text, digest), partial(self._checks.pop, digest))
        return joined

    async def _look(self, name: str, text: str, digest: bytes) -> Verdict:
        record = await self._guard(self._store.find, name)
        stored = record.secrets.password_hash if record is not None else None
        try:
            good = await self._hash_pool.run(self._hasher.check, stored, text)
        except HashUnusableError as error:
            self._log.emit(HASH_REJECTED, account=name, why=str(error))
            good = False
        except CancelledError as error:
            raise LoginBusy from error
        except (PoolFull, MemoryError) as error:
            raise self._put_off(error) from error
        if record is not None and good and record.account.enabled and not self._checks[digest].stale:
            self._cache.add(name, digest, record)
            self._upgrade(record, text)
        return Verdict(record, good)

    async def _guard(self, find: Callable[[str], Record], key: str) -> Record | None:
        """What the store has; fails with ``LoginBusy`` when it can't be asked."""
        try:
            return await self._store_pool.run(find, key)
        except UnknownAccountError:
            return None
        except StoreError as error:
            self._note_failure(error)
            raise self._put_off(error) from error
        except CancelledError as error:
            raise LoginBusy from error
        except PoolFull as error:
            raise self._put_off(error) from error

    def _check_otherwise(
        self, find: Callable[[str], Record], key: str, attempt: _Attempt, look: Callable[[Record | None], bool]
    ) -> Deferred[Account]:
        """A login without a password: ``look`` says whether what the peer showed is good for the record."""

        async def check() -> Verdict:
            record = await self._guard(find, key)
            return Verdict(record, look(record))

        return Deferred.fromCoroutine(check()).addCallback(self._decide, attempt)

    def _decide(self, verdict: Verdict, attempt: _Attempt) -> Account | Deferred[Account]:
        record = verdict.record
        known = record.account.name if record is not None else None
        if record is not None and verdict.good and record.account.may_use(attempt.service):
            attempt.log.emit(LOGIN_ACCEPTED, account=known, service=attempt.service, method=attempt.method)
            if verdict.fresh:
                self._note_login(record.account)
            return record.account
        if record is None:
            why = "unknown name"
        elif not verdict.good:
            why = "not proved"
        else:
            why = "not allowed here" if record.account.enabled else "disabled"
        attempt.log.emit(LOGIN_REFUSED, account=known, service=attempt.service, method=attempt.method, why=why)
        if self._step <= 0:
            raise LoginRefused
        passed = self._clock.seconds() - attempt.began
        return deferLater(self._clock, self._step - passed % self._step, _refuse)

    def _put_off(self, error: BaseException) -> LoginBusy:
        count = self._deferred.note()
        if count:
            self._log.emit(LOGIN_DEFERRED, count=count, why=str(error) or type(error).__name__)
        return LoginBusy()

    def _note_failure(self, error: BaseException) -> None:
        count = self._failed.note()
        if count:
            self._log.emit(STORE_FAILED, count=count, why=str(error))

    def _note_login(self, account: Account) -> None:
        now = self._now()
        if account.last_login is None or not 0 <= now - account.last_login < _LOGIN_AGE:
            self._in_background(self._write_login(account.name, now))

    async def _write_login(self, name: str, now: float) -> None:
        await self._store_pool.run(self._store.note_logins, {name: now})

    def _upgrade(self, record: Record, text: str) -> None:
        """Keep of the password what is kept today, if that is not so already."""
        name = record.account.name
        if name not in self._upgrading and not self._hasher.is_current(record):
            self._upgrading.add(name)
            self._in_background(self._make_current(record, text))

    async def _make_current(self, record: Record, text: str) -> None:
        name = record.account.name
        try:
            made = await self._hash_pool.run(self._hasher.make_secrets, text, keeps_shared=record.keeps_shared)
            after = await self._store_pool.run(self._store.change, name, partial(_replace_secrets, record, made))
        finally:
            self._upgrading.discard(name)
        if after.secrets.password_hash == made.password_hash:
            self._log.emit(HASH_UPGRADED, account=name)

    def _in_background(self, work: Coroutine[Deferred[Any], Any, None]) -> None:
        """Nobody waits for it but ``stop``; if it can't be done now, a later login does it."""
        done = Deferred.fromCoroutine(work)
        self._background.add(done)

        def end(result: object) -> None:
            self._background.discard(done)
            error = getattr(result, "value", None)
            if isinstance(error, Exception) and not isinstance(error, PoolFull | CancelledError | UnknownAccountError):
                self._note_failure(error)

        done.addBoth(end)

    def _find(
        self, search: Callable[[str], Record], prepare: Callable[[str | bytes], str], key: str | bytes
    ) -> Deferred[Account]:
        async def find() -> Account:
            prepared = _prepare(prepare, key)
            if not prepared:
                raise UnknownAccountError("of that name")
            return (await self._store_pool.run(search, prepared)).account

        return Deferred.fromCoroutine(find())


def _prepare(prepare: Callable[[str | bytes], str], value: str | bytes) -> str:
    """The prepared form, or nobody's."""
    try:
        return prepare(value)
    except ValueError:
        return _NOBODY


def _refuse() -> Account:
    raise LoginRefused


def _replace_secrets(seen: Record, made: Secrets, record: Record) -> Record:
    """The record with the new secrets, unless the password was changed since it was seen."""
    if record.secrets.password_hash != seen.secrets.password_hash:
        return record
    shared = made.shared if record.keeps_shared else None
    return replace(record, secrets=replace(made, shared=shared))
