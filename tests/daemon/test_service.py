"""The daemon's life, in this process: start, reload, stop."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast
from xmlrpc.client import Fault

from twisted.application.service import Application, Service
from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail
from twisted.internet.endpoints import TCP4ClientEndpoint, UNIXClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.logger import ILogObserver
from twisted.trial.unittest import SynchronousTestCase, TestCase

from netservices.catalog import Catalogue
from netservices.cli.client import DaemonClient, NoAnswerError
from netservices.config import AccountsOptions, ConfigError
from netservices.daemon.logins import Logins
from netservices.daemon.notify import Notifier
from netservices.daemon.service import Daemon, StartError, StoppingError
from netservices.daemon.sockets import BindError
from netservices.daemon.source import Source
from netservices.runtime import EventLog
from netservices.runtime.files import PoolFull
from netservices.runtime.tls import CertificateError
from netservices.runtime.unixpaths import SocketPath
from tests.doubles import RecordedEvents

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from netservices.kind import ServiceKind

ECHO = '[services.echo]\nlisten = ["tcp:0:interface=127.0.0.1"]\n'


class ReactorWithoutSignals:
    """The real reactor, but the test runner keeps its signal handlers; ``stop`` is only remembered."""

    def __init__(self) -> None:
        self.when_running: list[object] = []
        self.stopped = False

    def callWhenRunning(self, function: object) -> None:
        self.when_running.append(function)

    def stop(self) -> None:
        self.stopped = True

    def __getattr__(self, name: str) -> object:
        return getattr(reactor, name)


class Client(Protocol):
    """Fires when the connection is gone."""

    def __init__(self) -> None:
        self.lost: Deferred[None] = Deferred()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.callback(None)


class KindsWithWorker(Catalogue):
    """The kinds, each with a worker besides its own."""

    def __init__(self, worker: Service) -> None:
        super().__init__()
        self._worker = worker

    def find(self, name: str) -> ServiceKind[Any]:
        kind = super().find(name)
        return replace(
            kind, make=lambda options, runtime: replace(kind.make(options, runtime), workers=(self._worker,))
        )


class DaemonTestCase(TestCase):
    """A daemon with its state in a temporary folder and its log in a file."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.state = self.folder / "state"
        self.file = self.folder / "netservices.toml"
        self.reactor = ReactorWithoutSignals()
        self.manager: dict[str, str] = {}

    def write(self, services: str = ECHO, general: str = "", daemon: str = "") -> None:
        log = '[log]\nto = ["file"]\n'
        self.file.write_text(f'[daemon]\nstate = "{self.state}"\n{daemon}\n{log}\n{general}\n{services}')

    def make(self, *, interactive: bool = True, catalog: Catalogue | None = None) -> Daemon:
        source = Source(self.file, catalog or Catalogue())
        return Daemon(
            source,
            source.load(),
            reactor=self.reactor,
            environment={},
            inherited={},
            notifier=Notifier(self.manager, clock=cast("Any", reactor), pid=os.getpid()),
            interactive=interactive,
        )

    def start(
        self, services: str = ECHO, general: str = "", daemon: str = "", catalog: Catalogue | None = None
    ) -> Daemon:
        self.write(services, general, daemon)
        made = self.make(catalog=catalog)
        application = Application("netservices")
        made.setServiceParent(application)
        self.log = ILogObserver(application)
        made._log._observer = cast("Any", self.log)
        made._log._logger.observer = cast("Any", self.log)
        made.privilegedStartService()
        made.startService()
        made._tell_ready()
        self.addCleanup(made.stopService)
        return made

    def port(self, service: str = "echo") -> int:
        told = json.loads((self.state / "listeners.json").read_text())
        return int(told["services"][service][0]["port"])

    def logged(self, name: str) -> list[dict[str, Any]]:
        lines = (self.state / "netservices.log").read_text().splitlines()
        return [event for event in map(json.loads, lines) if event.get("event") == name]

    async def connect(self) -> Client:
        client = Client()
        await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", self.port()), client)
        return client


class StartTests(DaemonTestCase):
    """R2, R4."""

    async def test_started_daemon_tells_where_it_is_reached(self) -> None:
        daemon = self.start()
        with socket.create_connection(("127.0.0.1", self.port()), 5):
            pass
        self.assertEqual(self.reactor.when_running, [daemon._handle_signals, gc.freeze, daemon._tell_ready])

    async def test_stopped_daemon_leaves_nothing_that_misleads(self) -> None:
        daemon = self.start()
        await daemon.stopService()
        self.assertFalse((self.state / "listeners.json").exists())
        self.assertFalse((self.state / "control").exists())
        self.assertEqual([event["level"] for event in self.logged("daemon.process.stopped")], ["info"])
        # Free for the next.
        again = self.make()
        again.privilegedStartService()
        again.startService()
        await again.stopService()

    async def test_second_daemon_names_the_first(self) -> None:
        self.start()
        second = self.make(interactive=False)
        error = self.assertRaises(StartError, second.privilegedStartService)
        self.assertIn("already runs", str(error))
        await second._observer.current.stop()

    async def test_port_in_use_ends_an_interactive_start_with_1(self) -> None:
        """R2."""
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        port = taken.getsockname()[1]
        self.write(f'[services.echo]\nlisten = ["tcp:{port}:interface=127.0.0.1"]\n')
        daemon = self.make()
        self.assertEqual(self.assertRaises(SystemExit, daemon.privilegedStartService).code, 1)
        self.assertFalse((self.state / "listeners.json").exists())
        self.assertFalse((self.state / "control").exists())
        await daemon._observer.current.stop()

    async def test_worker_that_does_not_start_ends_the_start(self) -> None:
        """R2: with the section's name, and with nothing left behind."""

        class Broken(Service):
            def startService(self) -> None:
                raise ZeroDivisionError

        kinds = KindsWithWorker(Broken())
        self.assertEqual(self.assertRaises(SystemExit, self.start, catalog=kinds).code, 1)
        self.assertFalse((self.state / "control").exists())
        self.assertFalse((self.state / "listeners.json").exists())
        [refused] = self.logged("daemon.process.refused")
        self.assertIn("section echo: a worker could not be started: ZeroDivisionError", refused["reason"])

    async def test_listeners_that_cannot_be_told_are_an_error_and_no_end(self) -> None:
        """A full disk."""
        (self.state / "listeners.new").mkdir(parents=True)
        daemon = self.start()
        [listener] = daemon._services.listeners.values()
        with socket.create_connection(("127.0.0.1", listener.addresses[0].port), 5):
            pass
        await daemon.stopService()
        self.assertEqual([event["level"] for event in self.logged("daemon.listeners.failed")], ["error"])


class ReloadTests(DaemonTestCase):
    """R5."""

    async def test_reload_that_the_end_overtakes_opens_nothing(self) -> None:
        """R4: SIGTERM while the files are read."""
        daemon = self.start(ECHO.replace("tcp:", "tls:"))
        reloading = daemon.reload()
        stopping = daemon.stopService()
        await self.assertFailure(reloading, StoppingError)
        await stopping
        self.assertEqual(daemon._services.listeners, {})
        self.assertFalse((self.state / "listeners.json").exists())
        await self.assertFailure(daemon.reload(), StoppingError)
        daemon._hang_up()
        self.assertEqual(self.logged("daemon.configuration.refused"), [])

    async def test_many_hang_ups_are_one_reload_that_waits(self) -> None:
        daemon = self.start()
        for _ in range(100):
            daemon._hang_up()
        self.assertEqual(len(daemon._reloading.waiting), 1)
        await daemon.reload()
        await daemon.stopService()
        self.assertEqual(len(self.logged("daemon.configuration.reloaded")), 3)

    async def test_bug_is_logged_and_changes_nothing(self) -> None:
        class Broken:
            name = "nothing"

            def load(self) -> NoReturn:
                raise ZeroDivisionError

        daemon = self.start()
        daemon._source = cast("Source", Broken())
        daemon._hang_up()
        await self.assertFailure(daemon.reload(), ZeroDivisionError)
        with socket.create_connection(("127.0.0.1", self.port()), 5):
            pass
        await daemon.stopService()
        self.assertEqual(len(self.logged("daemon.configuration.failed")), 2)

    async def test_authority_is_told_when_the_first_tls_listener_comes(self) -> None:
        """R18."""
        daemon = self.start()
        self.write(ECHO.replace("tcp:", "tls:"))
        await daemon.reload()
        await daemon.stopService()
        self.assertEqual(len(self.logged("daemon.authority.used")), 1)

    async def test_renewal_that_finds_the_threads_busy_is_tried_again(self) -> None:
        daemon = self.start(ECHO.replace("tcp:", "tls:"))

        class Busy:
            def run(self, *_: object) -> Deferred[None]:
                return fail(PoolFull("too much to do"))

        files, daemon._shared.files = daemon._shared.files, cast("Any", Busy())
        await daemon._renew()
        daemon._shared.files = files
        self.assertTrue(daemon._renewal.running)
        await daemon.stopService()
        self.assertEqual(len(self.logged("daemon.certificate.failed")), 1)

    async def test_new_section_is_reached(self) -> None:
        daemon = self.start()
        self.write(ECHO + ECHO.replace("services.echo", "services.second") + 'kind = "echo"\n')
        await daemon.reload()
        with socket.create_connection(("127.0.0.1", self.port("second")), 5):
            pass

    async def test_mistakes_are_refused_and_logged_with_their_lines(self) -> None:
        daemon = self.start()
        before = self.port()
        self.write(ECHO + "nosuch = 1\n[services.third]\nkind = 'nosuch'\n")
        await self.assertFailure(daemon.reload(), ConfigError)
        self.assertEqual(self.port(), before)
        await daemon.stopService()
        problems = [event["problem"] for event in self.logged("daemon.configuration.refused")]
        self.assertGreaterEqual(len(problems), 2)
        for problem in problems:
            self.assertRegex(problem, r"netservices\.toml:[0-9]+: services\.")

    async def test_port_in_use_is_refused(self) -> None:
        daemon = self.start()
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        self.write(f'[services.echo]\nlisten = ["tcp:{taken.getsockname()[1]}:interface=127.0.0.1"]\n')
        await self.assertFailure(daemon.reload(), BindError)
        with socket.create_connection(("127.0.0.1", self.port()), 5):
            pass

    async def test_state_cannot_move(self) -> None:
        daemon = self.start()
        self.file.write_text(f'[daemon]\nstate = "{self.folder}/other"\n{ECHO}')
        with self.assertRaises(ConfigError) as caught:
            await daemon.reload()
        self.assertIn("netservices.toml:2: daemon.state", str(caught.exception))

    async def test_name_in_our_own_certificate_cannot_change(self) -> None:
        daemon = self.start(ECHO.replace("tcp:", "tls:"), daemon='hostname = "one.example"')
        self.write(ECHO.replace("tcp:", "tls:"), daemon='hostname = "two.example"')
        with self.assertRaises(ConfigError) as caught:
            await daemon.reload()
        self.assertIn("daemon.hostname: can't change", str(caught.exception))

    async def test_log_may_change(self) -> None:
        daemon = self.start()
        self.write(general='[log.file]\npath = "second.log"\n')
        await daemon.reload()
        await daemon.stopService()
        self.assertIn("daemon.configuration.reloaded", (self.state / "second.log").read_text())

    async def test_first_tls_listener_may_come_with_a_reload(self) -> None:
        daemon = self.start()
        self.write(ECHO.replace("tcp:", "tls:"))
        await daemon.reload()
        self.assertTrue((self.state / "tls" / "ca.pem").exists())
        await daemon.reload()

    async def test_damaged_certificate_is_refused(self) -> None:
        daemon = self.start(ECHO.replace("tcp:", "tls:"))
        (self.state / "tls" / "ca.pem").write_text("not PEM")
        (self.state / "tls" / "server.pem").write_text("not PEM")
        await self.assertFailure(daemon.reload(), CertificateError)

    async def test_hang_up_reloads_and_reopens_the_log(self) -> None:
        daemon = self.start()
        log = self.state / "netservices.log"
        await self.written(log)
        log.rename(self.state / "old.log")
        daemon._hang_up()
        await daemon.reload()
        await daemon.stopService()
        self.assertEqual(len(self.logged("daemon.configuration.reloaded")), 2)

    async def written(self, path: Path) -> None:
        """Once the log's own thread has made the file."""
        for _ in range(1000):
            if await deferToThread(path.exists):
                return
        self.fail(f"{path} was never written")


class StopTests(DaemonTestCase):
    """R4."""

    async def test_session_that_does_not_end_is_closed_when_patience_is_over(self) -> None:
        daemon = self.start(daemon='shutdown = "100ms"')
        client = await self.connect()
        await daemon.stopService()
        await client.lost
        [closed] = [each for each in self.logged("daemon.session.closed") if each["service"] == "echo"]
        self.assertEqual(closed["reason"], "shutdown")

    async def test_session_may_end_by_itself(self) -> None:
        daemon = self.start(daemon='shutdown = "1h"')
        client = await self.connect()
        stopping = daemon.stopService()
        cast("Any", client.transport).loseConnection()
        await client.lost
        await stopping

    async def test_signal_stops_the_reactor_and_a_second_hurries(self) -> None:
        daemon = self.start(daemon='shutdown = "1h"')
        client = await self.connect()
        daemon._terminate()
        self.assertFalse(self.reactor.stopped)
        daemon._terminate()
        await client.lost
        await daemon.stopService()
        self.assertTrue(self.reactor.stopped)

    async def test_session_on_the_control_socket_ends_with_the_daemon(self) -> None:
        """R35: it has its closed event, too."""
        daemon = self.start()
        client = Client()
        path = SocketPath(self.state / "control")
        self.addCleanup(path.close)
        await connectProtocol(UNIXClientEndpoint(reactor, path.name), client)
        while not len(daemon._shared.sessions):
            await deferLater(cast("Any", reactor), 0)
        await daemon.stopService()
        await client.lost
        self.assertEqual([each["service"] for each in self.logged("daemon.session.closed")], ["control"])

    async def test_worker_that_does_not_end_is_cancelled_when_patience_is_over(self) -> None:
        class Endless(Service):
            def stopService(self) -> Deferred[None]:
                return Deferred()

        daemon = self.start(daemon='shutdown = "100ms"', catalog=KindsWithWorker(Endless()))
        await daemon.stopService()
        self.assertEqual(len(self.logged("daemon.worker.failed")), 1)
        self.assertEqual(self.logged("daemon.stop.failed"), [])
        self.assertEqual(len(self.logged("daemon.process.stopped")), 1)

    async def test_what_cannot_be_stopped_does_not_keep_the_daemon(self) -> None:
        daemon = self.start()
        (self.state / "listeners.json").unlink()
        (self.state / "listeners.json").mkdir()
        await daemon.stopService()
        self.assertEqual(len(self.logged("daemon.stop.failed")), 1)
        self.assertEqual(len(self.logged("daemon.process.stopped")), 1)


class ServiceManagerTests(DaemonTestCase):
    """R8: the service manager is told what happens, in order."""

    def setUp(self) -> None:
        super().setUp()
        self.told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.told.close)
        name = f"netservices-test-{os.getpid()}-{id(self):x}"
        self.told.bind(f"\0{name}")
        self.told.setblocking(False)
        self.manager = {"NOTIFY_SOCKET": f"@{name}"}

    def words(self) -> list[str]:
        """The first line of every message so far."""
        messages = []
        with contextlib.suppress(BlockingIOError):
            while True:
                messages.append(self.told.recv(4096).decode().splitlines()[0])
        return messages

    async def test_start_reload_and_stop_are_told(self) -> None:
        daemon = self.start()
        self.assertEqual(self.words(), ["READY=1"])
        await daemon.reload()
        self.assertEqual(self.words(), ["RELOADING=1", "READY=1"])
        self.write(ECHO + "nosuch = 1\n")
        await self.assertFailure(daemon.reload(), ConfigError)
        self.assertEqual(self.words(), ["RELOADING=1", "READY=1"])
        await daemon.stopService()
        self.assertEqual(self.words(), ["STOPPING=1"])


class ControlTests(DaemonTestCase):
    """The control socket, with the command's own client in a thread."""

    async def call(self, method: str) -> object:
        client = DaemonClient(self.state / "control")
        return await deferToThread(client.call, method)

    async def test_reload_is_answered(self) -> None:
        self.start()
        self.assertIn("was read again", cast("str", await self.call("netservices.reload")))
        self.assertEqual((self.state / "control").stat().st_mode & 0o777, 0o600)

    async def test_refused_reload_is_a_fault_with_the_lines(self) -> None:
        self.start()
        self.write(ECHO + "nosuch = 1\n")
        with self.assertRaises(Fault) as caught:
            await self.call("netservices.reload")
        self.assertEqual(caught.exception.faultCode, 2)
        self.assertIn("netservices.toml:", caught.exception.faultString)

    async def test_unknown_method_is_a_fault(self) -> None:
        self.start()
        with self.assertRaises(Fault) as caught:
            await self.call("netservices.nosuch")
        self.assertEqual(caught.exception.faultCode, -32601)

    async def test_stopped_daemon_does_not_answer(self) -> None:
        daemon = self.start()
        await daemon.stopService()
        with self.assertRaises(NoAnswerError):
            await self.call("netservices.reload")


class LoginsTests(DaemonTestCase):
    """The account database of a running daemon."""

    async def call(self, method: str, *parameters: object) -> Any:  # noqa: ANN401 - whatever the method gives
        return await deferToThread(DaemonClient(self.state / "control").call, f"netservices.user.{method}", *parameters)

    async def test_account_made_by_the_command_can_log_in_at_once(self) -> None:
        """R28."""
        daemon = self.start()
        await self.call("add", "Anna", "open sesame", {})
        [account] = await self.call("list", "")
        self.assertEqual(account["name"], "anna")
        found = await daemon._shared.accounts.check_password("ANNA", "open sesame", "echo")
        self.assertEqual(found.name, "anna")
        with self.assertRaises(Fault):
            await self.call("add", "anna", "again", {})

    async def test_damaged_database_ends_the_start_with_its_name(self) -> None:
        self.write()
        self.state.mkdir(mode=0o700)
        (self.state / "accounts.db").write_bytes(b"this is no database" * 100)
        daemon = self.make(interactive=False)
        error = self.assertRaises(StartError, daemon.privilegedStartService)
        self.assertIn("accounts.db", str(error))

    async def test_what_a_hash_costs_cannot_change_while_it_runs(self) -> None:
        daemon = self.start()
        self.write(general="[accounts]\npasses = 3\n")
        with self.assertRaises(ConfigError) as caught:
            await daemon.reload()
        self.assertIn("accounts: can't change", str(caught.exception))


class DemoTests(SynchronousTestCase):
    """The try-out's account."""

    def make(self, state: Path) -> Logins:
        return Logins(AccountsOptions(), state, reactor=reactor, log=EventLog(RecordedEvents()))

    def test_first_start_makes_it_and_later_ones_leave_it(self) -> None:
        state = Path(self.mktemp())
        state.mkdir()
        self.make(state).check(demo=True)
        password = state / "demo-password"
        self.assertEqual(password.stat().st_mode & 0o777, 0o600)
        written = password.read_text()
        self.assertGreater(len(written), 12)
        self.make(state).check(demo=True)
        self.assertEqual(password.read_text(), written)

    def test_configuration_of_its_own_has_none(self) -> None:
        state = Path(self.mktemp())
        state.mkdir()
        self.make(state).check(demo=False)
        self.assertFalse((state / "demo-password").exists())
