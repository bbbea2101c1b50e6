"""The bans of the daemon."""

from __future__ import annotations

import random
import threading
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from twisted.internet import reactor
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from netservices.config import Bans, InetListen, ServiceOptions
from netservices.runtime.addresses import Address
from netservices.runtime.admission.bans import BanRegistry, BansFullError
from netservices.runtime.admission.bansqlite import SqliteBanStore
from netservices.runtime.admission.banstore import Ban, BanStoreError, MemoryBanStore
from netservices.runtime.events import EventLog
from netservices.runtime.files import FilePool, ImmediateFiles
from tests.doubles import RecordedEvents
from tests.runtime.admission.test_banwriter import BrokenStore

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twisted.internet.interfaces import IReactorTime

    from netservices.runtime.admission.access import Network
    from netservices.runtime.admission.banstore import BanStore

PEER = Address("192.0.2.1", 1000)
OTHER = Address("192.0.2.2", 1000)
SIX = Address("2001:db8::1", 1000)
START = 1_700_000_000.0


def make_bans(*, failures: int = 3, within: float = 600.0, duration: float = 3600.0, loopback: bool = False) -> Bans:
    """The table of a service."""
    return Bans.model_validate({"failures": failures, "within": within, "for": duration, "loopback": loopback})


def make_service(*, proxies: str = "", within: float = 600.0) -> ServiceOptions:
    """A section."""
    networks = tuple(ip_network(word) for word in proxies.split())
    return ServiceOptions(kind="test", listen=(InetListen("tcp", 7),), proxies=networks, bans=make_bans(within=within))


class RegistryCase(SynchronousTestCase):
    """A registry with a fake clock and no threads."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.rightNow = START
        self.events = RecordedEvents()
        self.store: BanStore = MemoryBanStore()
        self.bans = self.make()

    def make(self, most: int = 100) -> BanRegistry:
        """Another registry over the same store, as after a restart; the timer of each must be gone at the end."""
        self.pool = ImmediateFiles()
        bans = BanRegistry(
            self.store, self.pool, clock=cast("IReactorTime", self.clock), log=EventLog(self.events), most=most
        )
        bans.start()
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))
        self.addCleanup(bans.stop)
        return bans

    def fail_at(self, peer: Address = PEER, count: int = 3, service: str = "www", **options: Any) -> Ban | None:  # noqa: ANN401 - as ``make_bans`` has them
        """Failures of a peer; what the last of them brought."""
        found = [self.bans.note_failure(peer, service, make_bans(**options)) for _ in range(count)]
        self.assertEqual(found[:-1], [None] * (count - 1))
        return found[-1]

    def find(self, host: str = "192.0.2.1") -> Ban | None:
        """The ban of an address."""
        return self.bans.find(ip_address(host))

    def add(self, network: str, seconds: float | None = None, reason: str = "spam") -> Ban:
        """The operator's ban."""
        return self.successResultOf(self.bans.add(ip_network(network), seconds=seconds, reason=reason))


class BanRegistryTests(RegistryCase):
    """R13."""

    def test_peer_is_banned_at_the_count_and_not_below(self) -> None:
        self.assertFalse(self.bans.active)
        self.assertIsNone(self.fail_at(count=2))
        self.assertIsNone(self.find())
        ban = self.fail_at(count=1)
        self.assertEqual(
            ban,
            Ban(ip_network("192.0.2.1/32"), START, START + 3600, "3 failed logins within 10m", "www"),
        )
        self.assertIs(self.find(), ban)
        self.assertIsNone(self.find("192.0.2.2"))
        self.assertTrue(self.bans.active)

    def test_failures_on_all_services_count_together(self) -> None:
        self.fail_at(count=1, service="files")
        self.fail_at(count=1, service="mail")
        ban = self.fail_at(count=1, service="www")
        assert ban is not None
        self.assertEqual(ban.by, "www")

    def test_ban_is_told_once(self) -> None:
        self.fail_at()
        self.assertIsNotNone(self.bans.note_failure(PEER, "www", make_bans()))
        told = self.events.named("daemon.peer.banned")
        self.assertEqual(
            [(event["peer"], event["until"], event["by"], event["reason"]) for event in told],
            [("192.0.2.1", "2023-11-14T23:13:20Z", "www", "3 failed logins within 10m")],
        )

    def test_single_failure_is_said_as_such(self) -> None:
        ban = self.fail_at(count=1, failures=1)
        assert ban is not None
        self.assertEqual(ban.reason, "1 failed login within 10m")

    def test_failures_too_far_apart_ban_nobody(self) -> None:
        for _ in range(10):
            self.fail_at(count=2, within=10.0)
            self.clock.advance(10.0)
        self.assertFalse(self.bans.active)

    def test_ipv6_peers_are_counted_and_banned_by_64(self) -> None:
        """R10."""
        self.fail_at(Address("2001:db8::1", 1), count=2)
        ban = self.fail_at(Address("2001:db8::2", 1), count=1)
        assert ban is not None
        self.assertEqual(ban.network, ip_network("2001:db8::/64"))
        self.assertIs(self.find("2001:db8::3"), ban)
        self.assertIsNone(self.find("2001:db8:0:1::1"))

    def test_ban_ends_and_the_peer_begins_anew(self) -> None:
        self.fail_at(duration=30.0)
        self.clock.advance(29.0)
        self.assertIsNotNone(self.find())
        self.clock.advance(1.0)
        self.assertIsNone(self.find())
        self.assertEqual([event["peer"] for event in self.events.named("daemon.ban.expired")], ["192.0.2.1"])
        self.assertEqual((self.bans.active, self.store.load()), (False, []))
        self.assertIsNone(self.fail_at(count=2))
        self.assertIsNotNone(self.fail_at(count=1))

    def test_many_that_end_at_once_are_all_taken_out(self) -> None:
        for number in range(70):
            self.fail_at(Address(str(ip_address(number + 1)), 1), duration=30.0)
        self.clock.advance(30.0)
        self.assertEqual((len(self.events.named("daemon.ban.expired")), self.bans.active), (70, False))

    def test_loopback_is_exempt_unless_asked_for(self) -> None:
        for host in ("127.0.0.1", "127.9.9.9", "::1"):
            self.assertIsNone(self.fail_at(Address(host, 1), count=10))
        ban = self.fail_at(Address("127.0.0.1", 1), loopback=True)
        self.assertIs(self.bans.find(ip_address("127.0.0.1")), ban)
        self.assertIsNone(self.bans.find(ip_address("127.0.0.1"), loopback=False))
        self.assertIsNotNone(self.fail_at(Address("::1", 1), loopback=True))

    def test_unix_peers_and_failures_that_do_not_count_ban_nobody(self) -> None:
        self.assertIsNone(self.fail_at(Address("", 0, "/run/client"), count=10))
        self.assertIsNone(self.fail_at(count=10, failures=0))
        self.assertIsNone(self.fail_at(count=2))

    def test_proxy_is_not_banned_for_its_clients(self) -> None:
        """R13: where its header names nobody, the peer is the proxy itself."""
        self.bans.configure([make_service(), make_service(proxies="192.0.2.1 2001:db8::/32")])
        self.assertIsNone(self.fail_at(PEER, count=10))
        self.assertIsNone(self.fail_at(SIX, count=10))
        self.assertIsNotNone(self.fail_at(OTHER))
        self.bans.configure([make_service()])
        self.assertIsNotNone(self.fail_at(PEER))

    def test_failures_are_kept_for_the_longest_stretch_of_any_service(self) -> None:
        self.bans.configure([make_service(within=60.0), make_service(within=10.0)])
        for _ in range(2):
            self.fail_at(count=1, within=10.0)
            self.clock.advance(29.0)
        self.assertIsNotNone(self.fail_at(count=1, within=60.0))

    def test_operator_bans_a_network_until_it_is_removed(self) -> None:
        ban = self.add("192.0.2.0/24")
        self.assertEqual(ban, Ban(ip_network("192.0.2.0/24"), START, None, "spam", "operator", manual=True))
        self.clock.advance(1e9)
        self.assertIs(self.find(), ban)
        self.assertEqual(self.events.named("daemon.peer.banned")[0]["until"], "it is removed")
        removed = self.successResultOf(self.bans.remove(ip_network("192.0.2.0/24")))
        self.assertEqual((removed, self.find(), self.store.load()), (ban, None, []))
        told = self.events.named("daemon.ban.removed")
        self.assertEqual([(event["peer"], event["reason"]) for event in told],
                         [("192.0.2.0/24", "removed by the operator")])  # fmt: skip

    def test_mapped_network_is_banned_as_the_ipv4_network(self) -> None:
        """R10."""
        self.add("::ffff:192.0.2.0/120")
        self.assertIsNotNone(self.find())
        self.successResultOf(self.bans.remove(ip_network("::ffff:192.0.2.0/120")))

    def test_ban_of_the_same_network_is_replaced(self) -> None:
        self.fail_at(duration=3600.0)
        self.add("192.0.2.1", 30.0)
        self.assertEqual([ban.reason for ban in self.store.load()], ["spam"])
        self.clock.advance(30.0)
        self.assertIsNone(self.find())

    def test_removing_what_is_not_there_is_told(self) -> None:
        self.add("192.0.2.0/24")
        with self.assertRaisesRegex(LookupError, r"there is no ban of 192\.0\.2\.1"):
            self.bans.remove(ip_network("192.0.2.1/32"))

    def test_removed_ban_begins_anew(self) -> None:
        self.fail_at()
        self.successResultOf(self.bans.remove(ip_network("192.0.2.1")))
        self.assertIsNone(self.fail_at(count=2))
        self.add("192.0.2.1")
        self.successResultOf(self.bans.remove(ip_network("192.0.2.1")))
        self.assertIsNone(self.fail_at(count=2))

    def test_bans_are_listed_in_parts_in_the_order_they_were_made(self) -> None:
        for number in range(5):
            self.add(f"192.0.2.{number}", 10.0 if number == 1 else None)
        self.add("192.0.2.0")
        first = self.bans.list_bans(count=2)
        rest = self.bans.list_bans(after=first[-1][0])
        hosts = [str(ban.network.network_address) for _, ban in first + rest]
        self.assertEqual(hosts, [f"192.0.2.{number}" for number in (1, 2, 3, 4, 0)])
        self.clock.rightNow += 10.0
        self.assertEqual(len(self.bans.list_bans()), 4)

    def test_beyond_the_cap_the_oldest_ban_for_failures_is_lifted(self) -> None:
        self.bans.stop()
        self.bans = self.make(most=2)
        self.add("198.51.100.0/24")
        for host in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
            self.fail_at(Address(host, 1))
        found = [self.find(host) is not None for host in ("192.0.2.1", "192.0.2.2", "192.0.2.3", "198.51.100.1")]
        self.assertEqual(found, [False, True, True, True])
        self.assertEqual(self.events.named("daemon.ban.removed")[0]["peer"], "192.0.2.1")
        self.assertEqual(len(self.store.load()), 3)

    def test_operators_bans_are_bounded(self) -> None:
        self.bans.stop()
        self.bans = self.make(most=1)
        self.add("192.0.2.1")
        self.failureResultOf(self.bans.add(ip_network("192.0.2.2"), seconds=None, reason=""), BansFullError)
        self.add("192.0.2.1", reason="another")

    def test_ban_that_cannot_be_saved_holds_and_is_told(self) -> None:
        self.store = BrokenStore()
        self.bans = self.make()
        self.store.broken = True
        self.failureResultOf(self.bans.add(PEER_NETWORK, seconds=None, reason=""), BanStoreError)
        self.assertIsNotNone(self.find())
        self.assertIsNotNone(self.fail_at(OTHER))
        self.assertEqual(len(self.events.named("daemon.bans.unsaved")), 1)

    def test_store_that_cannot_be_read_ends_the_start(self) -> None:
        path = Path(self.mktemp())
        path.write_bytes(b"no database" * 1000)
        bans = BanRegistry(
            SqliteBanStore(path), ImmediateFiles(), clock=cast("IReactorTime", self.clock), log=EventLog(self.events)
        )
        with self.assertRaises(BanStoreError):
            bans.start()
        self.successResultOf(bans.stop())


PEER_NETWORK = ip_network("192.0.2.1/32")


class RestartTests(RegistryCase):
    """R13: a ban holds across a restart."""

    def restart(self, seconds: float = 0.0) -> None:
        """The daemon ends, and another begins ``seconds`` later."""
        self.successResultOf(self.bans.stop())
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.clock.rightNow += seconds
        self.bans = self.make()

    def test_bans_are_there_again_and_end_in_time(self) -> None:
        self.fail_at(duration=100.0)
        self.fail_at(OTHER, duration=10.0)
        self.add("198.51.100.0/24")
        self.restart(50.0)
        self.assertEqual(
            [self.find(host) is not None for host in ("192.0.2.1", "192.0.2.2", "198.51.100.1")], [True, False, True]
        )
        self.assertEqual(len(self.store.load()), 2)
        self.clock.advance(50.0)
        self.assertIsNone(self.find())
        self.assertEqual([ban.manual for ban in self.store.load()], [True])

    def test_lifted_bans_stay_lifted(self) -> None:
        self.fail_at()
        self.bans.remove(PEER_NETWORK)
        self.restart()
        self.assertFalse(self.bans.active)

    def test_what_is_not_on_the_disk_yet_is_written_at_the_end(self) -> None:
        self.pool.hold()
        self.fail_at()
        stopped = self.bans.stop()
        self.assertNoResult(stopped)
        self.pool.release()
        self.successResultOf(stopped)
        self.bans = self.make()
        self.assertIsNotNone(self.find())

    def test_nothing_is_left_running_by_what_comes_after_the_end(self) -> None:
        self.successResultOf(self.bans.stop())
        self.fail_at()
        self.failureResultOf(self.bans.add(ip_network("192.0.2.2"), seconds=5.0, reason=""), BanStoreError)


class ThreadTests(TestCase):
    """R13: with the file, the threads and the clock of a real daemon."""

    async def test_ban_that_was_told_to_hold_is_in_the_file(self) -> None:
        path = Path(self.mktemp())
        store = NotingStore(path)
        real: Any = reactor
        bans = BanRegistry(store, FilePool(real, size=1), clock=real, log=EventLog(RecordedEvents()))
        bans.start()
        for number in range(600):
            bans.note_failure(Address(str(ip_address(number + 1)), 1), "www", make_bans(failures=1))
        await bans.add(PEER_NETWORK, seconds=60.0, reason="spam")
        after = SqliteBanStore(path)
        self.addCleanup(after.close)
        self.assertIn(PEER_NETWORK, [ban.network for ban in after.load()])
        await bans.remove(PEER_NETWORK)
        await bans.stop()
        self.assertEqual(len(after.load()), 600)
        self.assertNotIn(threading.get_ident(), store.threads)
        # Neither a timer nor a thread is left: trial would tell.


class NotingStore(SqliteBanStore):
    """Notes in which threads it writes."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.threads: set[int] = set()

    def save(self, changes: Iterable[tuple[Network, Ban | None]]) -> None:
        self.threads.add(threading.get_ident())
        super().save(changes)


class ClockTests(RegistryCase):
    """A clock that is set neither bans nor keeps anybody out any longer."""

    def step(self, seconds: float) -> None:
        """Somebody sets the clock; the daemon is busy meanwhile."""
        self.clock.advance(seconds)
        self.bans.list_bans()

    def test_clock_set_back_does_not_make_a_ban_longer(self) -> None:
        self.fail_at(duration=100.0)
        self.step(-3600.0)
        self.clock.rightNow += 99.0
        self.assertIsNotNone(self.find())
        self.clock.rightNow += 1.0
        self.assertIsNone(self.find())

    def test_clock_set_back_does_not_make_failures_younger(self) -> None:
        self.fail_at(count=2, within=10.0)
        self.step(9.0)
        self.step(-3600.0)
        self.step(1.0)
        self.assertIsNone(self.fail_at(count=2, within=10.0))


class RandomTests(RegistryCase):
    """R13: 10,000 random events, and at every one the answer of a model that keeps everything in plain lists."""

    HOSTS = ("192.0.2.1", "192.0.2.2", "192.0.3.1", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "127.0.0.1")
    NETWORKS = ("192.0.2.0/24", "192.0.2.1/32", "192.0.0.0/16", "2001:db8::/64", "2001:db8::/32", "127.0.0.0/8")
    OPTIONS = (
        make_bans(failures=2, within=20.0, duration=30.0),
        make_bans(failures=5, within=100.0, duration=200.0),
        make_bans(failures=3, within=50.0, duration=10.0, loopback=True),
        make_bans(failures=0),
    )

    def test_every_answer_is_the_models(self) -> None:
        for seed in range(3):
            self.run_model(random.Random(seed), 3400)  # noqa: S311 - dice that fall alike every time

    def run_model(self, dice: random.Random, events: int) -> None:
        """Play dice with a new registry."""
        self.bans.stop()
        self.store = MemoryBanStore()
        self.restart()
        self.steady = 0.0
        self.failures: dict[Network, list[float]] = {}
        self.held: dict[Network, tuple[float | None, float | None]] = {}  # until, and the same by the steady clock
        banned = 0
        for _ in range(events):
            deed = dice.choices(("fail", "wait", "set", "add", "remove", "restart"), (60, 25, 3, 5, 5, 2))[0]
            getattr(self, f"do_{deed}")(dice)
            for host in self.HOSTS:
                ip = ip_address(host)
                expected = any(ip in network for network, (_, ends) in self.held.items() if self.lasts(ends))
                self.assertEqual(self.find(host) is not None, expected)
                banned += expected
        self.assertGreater(banned, events / 10)

    def lasts(self, ends: float | None) -> bool:
        """Whether a ban with this end holds."""
        return ends is None or self.steady < ends

    def restart(self) -> None:
        """Another process."""
        self.bans = self.make()
        self.bans.configure([make_service(within=100.0)])

    def do_fail(self, dice: random.Random) -> None:
        host, options = dice.choice(self.HOSTS), dice.choice(self.OPTIONS)
        ip = ip_address(host)
        key = ip_network(host) if ip.version == 4 else ip_network(f"{host}/64", strict=False)
        got = self.bans.note_failure(Address(host, 1), "www", options)
        if options.failures == 0 or (ip.is_loopback and not options.loopback):
            self.assertIsNone(got)
            return
        if any(ip in network for network, (_, ends) in self.held.items() if self.lasts(ends)):
            self.assertIsNotNone(got)
            return
        moments = self.failures.setdefault(key, [])
        moments.append(self.steady)
        enough = sum(self.steady - moment < options.within for moment in moments) >= options.failures
        self.assertEqual(got is not None, enough)
        if enough:
            moments.clear()
            self.held[key] = (self.clock.seconds() + options.duration, self.steady + options.duration)

    def do_wait(self, dice: random.Random) -> None:
        seconds = float(dice.randint(0, 15))
        self.steady += seconds
        self.clock.advance(seconds)
        self.bans.list_bans()

    def do_set(self, dice: random.Random) -> None:
        seconds = float(dice.randint(-500, 60))
        self.steady += max(0.0, seconds)
        self.clock.advance(seconds)
        self.bans.list_bans()

    def do_add(self, dice: random.Random) -> None:
        network = ip_network(dice.choice(self.NETWORKS))
        seconds = float(dice.randint(1, 100))
        self.successResultOf(self.bans.add(network, seconds=seconds, reason="dice"))
        self.held[network] = (self.clock.seconds() + seconds, self.steady + seconds)

    def do_remove(self, dice: random.Random) -> None:
        held = [network for network, (_, ends) in self.held.items() if self.lasts(ends)]
        if not held:
            return
        network = dice.choice(held)
        self.successResultOf(self.bans.remove(network))
        del self.held[network]
        # As ``remove`` does: an address, or the /64 that a network of IPv6 begins with.
        first = network.network_address
        self.failures.pop(ip_network(first) if first.version == 4 else ip_network((first, 64)), None)

    def do_restart(self, dice: random.Random) -> None:
        self.successResultOf(self.bans.stop())
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.restart()
        self.failures.clear()
        now = self.clock.seconds()
        self.held = {
            network: (until, None if until is None else self.steady + until - now)
            for network, (until, ends) in self.held.items()
            if self.lasts(ends) and (until is None or now < until)
        }
