"""The daemon looked at and steered, with the command's own client in a thread."""

from __future__ import annotations

import socket
from typing import Any, cast
from xmlrpc.client import Fault

from twisted.internet.threads import deferToThread

from netservices.cli.client import DaemonClient
from tests.daemon.test_service import DaemonTestCase


class CommandsTests(DaemonTestCase):
    """What ``netservices status``, ``sessions``, ``service`` and ``log`` stand on."""

    async def call(self, method: str, *parameters: object) -> Any:  # noqa: ANN401 - whatever the method gives
        return await deferToThread(DaemonClient(self.state / "control").call, f"netservices.{method}", *parameters)

    async def refused(self, method: str, *parameters: object) -> Fault:
        with self.assertRaises(Fault) as caught:
            await self.call(method, *parameters)
        return cast("Fault", caught.exception)

    async def test_status_tells_sections_and_listeners(self) -> None:
        self.start()
        client = await self.connect()
        status = await self.call("status")
        [section] = status["services"]
        wanted = {"name": "echo", "kind": "echo", "state": "running", "sessions": 1, "opened": 1.0, "per_minute": 1}
        self.assertEqual({key: section[key] for key in wanted}, wanted)
        self.assertEqual(section["listeners"][0]["address"], f"127.0.0.1:{self.port()}")
        self.assertEqual(status["state"], str(self.state))
        self.assertGreaterEqual(status["uptime"], 0)
        cast("Any", client.transport).loseConnection()
        await client.lost

    async def test_sessions_are_listed_by_what_is_asked(self) -> None:
        self.start()
        client = await self.connect()
        every = await self.call("sessions.list")
        self.assertEqual({each["service"] for each in every["sessions"]}, {"echo", "control"})
        [echo] = (await self.call("sessions.list", "echo"))["sessions"]
        self.assertTrue(echo["peer"].startswith("127.0.0.1:"))
        self.assertEqual(len((await self.call("sessions.list", "", "127.0."))["sessions"]), 1)
        self.assertEqual((await self.call("sessions.list", "", "", "alice"))["sessions"], [])
        self.assertEqual((await self.call("sessions.list", "", "", "", 200))["sessions"], [])
        cast("Any", client.transport).loseConnection()
        await client.lost

    async def test_session_is_closed(self) -> None:
        daemon = self.start()
        client = await self.connect()
        [echo] = (await self.call("sessions.list", "echo"))["sessions"]
        self.assertIn(echo["id"], await self.call("sessions.close", echo["id"]))
        await client.lost
        self.assertIn("no session nosuch", (await self.refused("sessions.close", "nosuch")).faultString)
        await daemon.stopService()
        [closed] = [each for each in self.logged("daemon.session.closed") if each["service"] == "echo"]
        self.assertEqual(closed["reason"], "closed by an operator")

    async def test_paused_section_lets_clients_wait_until_it_goes_on(self) -> None:
        daemon = self.start()
        await self.call("service.pause", "echo")
        self.assertEqual(daemon._services.list_unready(), ["echo"])
        client = await self.connect()
        self.assertEqual((await self.call("status"))["services"][0]["state"], "paused")
        self.assertEqual((await self.call("status"))["services"][0]["sessions"], 0)
        # A reload that leaves the section as it is leaves it paused.
        await daemon.reload()
        self.assertEqual((await self.call("status"))["services"][0]["state"], "paused")
        await self.call("service.resume", "echo")
        cast("Any", client.transport).write(b"hello")
        while not (await self.call("status"))["services"][0]["sessions"]:
            pass
        self.assertEqual(daemon._services.list_unready(), [])
        cast("Any", client.transport).loseConnection()
        await client.lost

    async def test_unknown_section_is_told_what_there_is(self) -> None:
        self.start()
        for method in ("service.pause", "service.resume"):
            self.assertIn("wanted one of echo", (await self.refused(method, "ftp")).faultString)

    async def test_log_level_changes_at_once(self) -> None:
        daemon = self.start()
        await self.call("log.level", "error")
        with socket.create_connection(("127.0.0.1", self.port()), 5):
            pass
        self.assertEqual((await self.call("status"))["log_level"], "error")
        fault = await self.refused("log.level", "loud")
        self.assertIn("wanted one of debug", fault.faultString)
        await daemon.stopService()
        self.assertEqual(self.logged("daemon.process.stopped"), [])
