"""The control methods behind ``netservices ban``."""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING, Any, cast
from xmlrpc.client import Fault, loads

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from netservices.daemon.bans import PAGE, BanCommands
from netservices.rpc import Call, Dispatcher, FaultCode, make_response
from netservices.runtime.admission import BanRegistry
from netservices.runtime.events import EventLog
from netservices.runtime.files import ImmediateFiles
from tests.doubles import RecordedEvents
from tests.runtime.admission.test_banwriter import BrokenStore

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime


class BanCommandsTests(SynchronousTestCase):
    """R13: as the command calls them, through the dispatcher and over XML."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.rightNow = 1000.0
        self.store = BrokenStore()
        self.bans = BanRegistry(
            self.store, ImmediateFiles(), clock=cast("IReactorTime", self.clock), log=EventLog(RecordedEvents())
        )
        self.bans.start()
        self.addCleanup(self.bans.stop)
        self.dispatcher = Dispatcher()
        BanCommands(self.bans).register(self.dispatcher)

    def call(self, verb: str, *parameters: object) -> Any:  # noqa: ANN401 - what XML-RPC carries
        """What the caller is told."""
        result = self.dispatcher.dispatch(Call(f"netservices.ban.{verb}", parameters))
        told = self.successResultOf(result) if isinstance(result, Deferred) else result
        return loads(make_response(told), use_builtin_types=True)[0][0]

    def refuse(self, verb: str, *parameters: object) -> tuple[int, str]:
        """The fault's code and text."""
        try:
            result = self.dispatcher.dispatch(Call(f"netservices.ban.{verb}", parameters))
        except Fault as fault:
            return fault.faultCode, fault.faultString
        refused = self.failureResultOf(cast("Deferred[object]", result), Fault).value
        return refused.faultCode, refused.faultString

    def test_ban_is_added_found_listed_and_removed(self) -> None:
        ban = {
            "network": "203.0.113.0/24", "since": 1000.0, "until": 1060.0, "reason": "spam", "by": "operator",
            "manual": True,
        }  # fmt: skip
        self.assertEqual(self.call("add", "203.0.113.0/24", 60, "spam"), ban)
        self.assertEqual(self.call("find", "203.0.113.9"), ban)
        self.assertEqual(self.call("find", "::ffff:203.0.113.9"), ban)
        self.assertIsNone(self.call("find", "192.0.2.1"))
        self.assertEqual(self.call("list"), [{**ban, "number": 1}])
        self.assertEqual(self.call("remove", "203.0.113.0/24"), ban)
        self.assertEqual(self.call("list"), [])

    def test_ban_without_an_end_has_none(self) -> None:
        self.assertIsNone(self.call("add", "2001:db8::1", None, "")["until"])
        self.assertEqual(self.call("find", "2001:db8::1")["network"], "2001:db8::1")

    def test_list_comes_in_pages(self) -> None:
        for number in range(2 * PAGE + 1):
            self.bans.add(ip_network((number, 32)), seconds=None, reason="")
        counts, after = [], 0
        while page := self.call("list", after):
            counts.append(len(page))
            after = page[-1]["number"]
        self.assertEqual(counts, [PAGE, PAGE, 1])

    def test_wrong_parameters_are_refused(self) -> None:
        for verb, parameters in (
            ("add", ("203.0.113.1/24", 60, "")), ("add", (5, 60, "")), ("add", ("203.0.113.1", 0, "")),
            ("add", ("203.0.113.1", "60", "")), ("add", ("203.0.113.1", True, "")), ("add", ("203.0.113.1", 1e12, "")),
            ("add", ("203.0.113.1", float("nan"), "")), ("add", ("203.0.113.1", 60, 5)),
            ("add", ("203.0.113.1", 60, "x" * 201)), ("remove", ("x",)), ("find", ("x",)),
            ("find", ("203.0.113.0/24",)), ("list", ("x",)), ("list", (True,)), ("remove", ()),
        ):  # fmt: skip
            self.assertEqual(self.refuse(verb, *parameters)[0], FaultCode.INVALID_PARAMETERS, (verb, parameters))
        self.assertFalse(self.bans.active)

    def test_removing_what_is_not_there_names_the_ban_around_it(self) -> None:
        self.assertEqual(self.refuse("remove", "203.0.113.9"), (FaultCode.FAILED, "there is no ban of 203.0.113.9"))
        self.call("add", "203.0.113.0/24", None, "spam")
        self.assertEqual(
            self.refuse("remove", "203.0.113.9")[1],
            "there is no ban of 203.0.113.9; 203.0.113.0/24 is banned since 1970-01-01T00:16:40Z, until it is removed: "
            "spam (by operator)",
        )

    def test_what_could_not_be_saved_is_told(self) -> None:
        self.call("add", "203.0.113.1", None, "")
        self.store.broken = True
        self.assertEqual(
            self.refuse("add", "203.0.113.2", None, ""),
            (FaultCode.FAILED, "the ban holds, but it would not outlast the daemon: the disk is full"),
        )
        self.assertEqual(
            self.refuse("remove", "203.0.113.1")[1],
            "the ban is lifted, but it would be back after a restart: the disk is full",
        )

    def test_too_many_are_told(self) -> None:
        bans = BanRegistry(
            self.store, ImmediateFiles(), clock=cast("IReactorTime", self.clock), log=EventLog(RecordedEvents()), most=1
        )
        bans.start()
        self.addCleanup(bans.stop)
        self.dispatcher = Dispatcher()
        BanCommands(bans).register(self.dispatcher)
        self.call("add", "203.0.113.1", None, "")
        code, text = self.refuse("add", "203.0.113.2", None, "")
        self.assertEqual((code, text), (1, "there are 1 bans of the operator's already; remove some first"))
