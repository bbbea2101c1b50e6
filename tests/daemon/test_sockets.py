"""Bound sockets, on loopback and in temporary folders."""

from __future__ import annotations

import os
import resource
import socket
import stat
from ipaddress import IPv6Address
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from netservices.config import InetListen, SystemdListen, UnixListen, parse_listen
from netservices.daemon.sockets import (
    BACKLOG,
    BindError,
    BoundSocket,
    load_inherited,
    open_sockets,
    parse_inherited,
    raise_descriptor_limit,
)


class SocketsTestCase(SynchronousTestCase):
    """Closes what it opened."""

    def open(self, text: str, **options: object) -> list[BoundSocket]:
        opened = open_sockets(parse_listen(text), **options)  # type: ignore[arg-type]
        for bound in opened:
            self.addCleanup(bound.close)
        return opened

    def assert_refused(self, text: str, *words: str, **options: object) -> None:
        error = self.assertRaises(BindError, self.open, text, **options)
        for word in (text.partition(":interface")[0], *words):
            self.assertIn(word, str(error))


class InetTests(SocketsTestCase):
    """tcp:, tls: and udp: entries."""

    def test_stream_on_one_address_listens_with_a_long_backlog(self) -> None:
        [bound] = self.open("tcp:0:interface=127.0.0.1")
        self.assertTrue(bound.is_stream)
        self.assertEqual((bound.address.host, bound.transport), ("127.0.0.1", "tcp"))
        self.assertGreaterEqual(BACKLOG, 1024)
        clients = [socket.create_connection(("127.0.0.1", bound.address.port), 5) for _ in range(200)]
        for client in clients:
            client.close()

    def test_sockets_do_not_block_and_do_not_leak_into_children(self) -> None:
        for entry in ("tcp:0:interface=127.0.0.1", "udp:0:interface=127.0.0.1"):
            [bound] = self.open(entry)
            self.assertFalse(bound.socket.getblocking())
            self.assertFalse(bound.socket.get_inheritable())

    def test_datagrams(self) -> None:
        [bound] = self.open("udp:0:interface=127.0.0.1")
        self.assertFalse(bound.is_stream)
        self.assertEqual(bound.transport, "udp")

    def test_no_interface_binds_both_families_on_one_port(self) -> None:
        bound = self.open("tcp:0")
        self.assertEqual([each.address.host for each in bound][: len(bound)], ["0.0.0.0", "::"][: len(bound)])
        self.assertEqual(len({each.address.port for each in bound}), 1)
        for each in bound[1:]:
            self.assertTrue(each.socket.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))

    def test_port_in_use_is_named(self) -> None:
        """R2."""
        [bound] = self.open("tcp:0:interface=127.0.0.1")
        port = bound.address.port
        self.assert_refused(f"tcp:{port}:interface=127.0.0.1", str(port), "in use", "another program listens there")

    def test_second_family_in_use_closes_the_first(self) -> None:
        """R2: no port left open."""
        [bound] = self.open("tcp:0:interface=[::1]")
        other = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        self.addCleanup(other.close)
        other.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        other.bind(("::", 0))
        other.listen(1)
        port = other.getsockname()[1]
        self.assert_refused(f"tcp:{port}")
        probe = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.addCleanup(probe.close)
        probe.bind(("127.0.0.1", port))
        self.assertNotEqual(bound.address.port, port)

    def test_address_of_another_machine_is_refused(self) -> None:
        self.assert_refused("tcp:0:interface=192.0.2.1", "no interface of this machine has the address")

    def test_unknown_device_is_refused(self) -> None:
        error = self.assertRaises(BindError, self.open, "tcp:0:interface=127.0.0.1", device="nosuch0")
        self.assertIn("nosuch0" if "nosuch0" in str(error) else "can't be bound", str(error))

    def test_address_of_one_link_is_bound_by_its_zone(self) -> None:
        """RFC 4007 11."""
        lines = Path("/proc/net/if_inet6").read_text("ascii").split("\n") if Path("/proc/net/if_inet6").exists() else []
        for number, _, _, _, _, name in (line.split() for line in lines if line.startswith("fe80")):
            host = str(IPv6Address(int(number, 16)))
            for zone in (name, str(socket.if_nametoindex(name))):
                [bound] = self.open(f"tcp:0:interface=[{host}%{zone}]")
                self.assertEqual(bound.address.host, host)
                self.assertEqual(bound.socket.getsockname()[3], socket.if_nametoindex(name))
        if not any(line.startswith("fe80") for line in lines):
            raise SkipTest("this machine has no address that is valid on its link only")

    def test_zone_that_there_is_not_is_refused(self) -> None:
        self.assert_refused("tcp:0:interface=[fe80::1%nosuch0]", "no interface")

    def test_loopback_device_is_bound(self) -> None:
        [bound] = self.open("tcp:0:interface=127.0.0.1", device="lo")
        name = bound.socket.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16)
        self.assertEqual(name.rstrip(b"\0"), b"lo")


class UnixTests(SocketsTestCase):
    """unix: entries."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp()).absolute()
        # A socket's path is short; trial's folders may not be.
        self.path = Path("/tmp") / f"netservices-test-{os.getpid()}-{id(self):x}.sock"  # noqa: S108 - removed again

    def test_socket_has_the_mode_asked_for(self) -> None:
        [bound] = self.open(f"unix:{self.path}:mode=600")
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.assertEqual((bound.transport, bound.address.path), ("unix", str(self.path)))

    def test_closing_removes_the_file(self) -> None:
        [bound] = self.open(f"unix:{self.path}")
        bound.close()
        self.assertFalse(self.path.exists())

    def test_socket_of_a_killed_process_is_replaced(self) -> None:
        """R4: SIGKILL leaves a state the next start opens."""
        left = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        left.bind(str(self.path))
        left.close()
        [bound] = self.open(f"unix:{self.path}")
        self.assertTrue(bound.is_stream)

    def test_socket_in_use_is_not_taken_over(self) -> None:
        self.open(f"unix:{self.path}")
        self.assert_refused(f"unix:{self.path}", "in use")
        self.assertTrue(self.path.exists())

    def test_one_too_busy_to_accept_is_in_use_and_keeps_nobody_waiting(self) -> None:
        busy = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(busy.close)
        busy.bind(str(self.path))
        self.addCleanup(self.path.unlink)
        busy.listen(0)
        waiting = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(waiting.close)
        waiting.connect(str(self.path))
        self.assert_refused(f"unix:{self.path}", "in use")

    def test_mode_is_the_one_asked_for_whatever_the_umask(self) -> None:
        before = os.umask(0o077)
        self.addCleanup(os.umask, before)
        self.open(f"unix:{self.path}:mode=666")
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o666)

    def test_other_file_is_not_removed(self) -> None:
        self.path.write_text("precious")
        self.addCleanup(self.path.unlink)
        self.assert_refused(f"unix:{self.path}", "something that is not a socket is there")
        self.assertEqual(self.path.read_text(), "precious")

    def test_missing_folder_is_named(self) -> None:
        self.assert_refused(f"unix:{self.path}/below", "No")


class InheritedTests(SocketsTestCase):
    """systemd: entries."""

    def hand_over(self, kind: socket.SocketKind, family: socket.AddressFamily = socket.AF_INET) -> int:
        ours = socket.socket(family, kind)
        self.addCleanup(ours.close)
        if family == socket.AF_INET:
            ours.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            ours.listen(1)
        return ours.fileno()

    def test_environment_of_another_process_is_ignored(self) -> None:
        environment = {"LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "web"}
        self.assertEqual(parse_inherited(environment, 2), {})

    def test_names_may_repeat_and_be_missing(self) -> None:
        environment = {"LISTEN_PID": "7", "LISTEN_FDS": "4", "LISTEN_FDNAMES": "web:web:"}
        self.assertEqual(parse_inherited(environment, 7), {"web": [3, 4], "unknown": [5, 6]})

    def test_count_that_is_no_number_is_ignored(self) -> None:
        self.assertEqual(parse_inherited({"LISTEN_PID": "7", "LISTEN_FDS": "many"}, 7), {})

    def test_this_process_was_handed_nothing(self) -> None:
        self.assertEqual(load_inherited(), {})

    def test_streams_and_datagrams_are_adopted_as_they_are(self) -> None:
        stream, datagram = self.hand_over(socket.SOCK_STREAM), self.hand_over(socket.SOCK_DGRAM)
        opened = self.open("systemd:name=both", inherited={"both": [stream, datagram]})
        self.assertEqual([bound.transport for bound in opened], ["tcp", "udp"])
        self.assertEqual({bound.address.host for bound in opened}, {"127.0.0.1"})
        opened[0].close()
        # The manager's own descriptor stays, for the next reload.
        os.fstat(stream)

    def test_what_is_no_socket_is_refused_and_closed(self) -> None:
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        self.addCleanup(os.close, writing)
        before = len(list(Path("/proc/self/fd").iterdir()))
        self.assert_refused("systemd:name=x", inherited={"x": [reading]})
        self.assertEqual(len(list(Path("/proc/self/fd").iterdir())), before)

    def test_unknown_name_tells_what_there_is(self) -> None:
        self.assert_refused("systemd:name=ftp", "handed over: web", inherited={"web": [3]})
        self.assert_refused("systemd:name=ftp", "none at all")

    def test_socket_of_another_type_is_refused(self) -> None:
        descriptor = self.hand_over(socket.SOCK_DGRAM, socket.AF_UNIX)
        self.assert_refused("systemd:name=x", "neither a stream socket", inherited={"x": [descriptor]})


class DescriptorLimitTests(SynchronousTestCase):
    """R16: what the service takes on, the process may open."""

    def test_soft_limit_is_raised_to_what_is_allowed(self) -> None:
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, before)
        hard = before[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
        raise_descriptor_limit()
        self.assertEqual(resource.getrlimit(resource.RLIMIT_NOFILE)[0], min(hard, 262_144))


class EntryTests(SynchronousTestCase):
    """Entries are values."""

    def test_entries_are_compared_by_value(self) -> None:
        self.assertEqual(parse_listen("tcp:80"), InetListen("tcp", 80))
        self.assertEqual(parse_listen("unix:/run/x"), UnixListen("/run/x"))
        self.assertEqual(parse_listen("systemd:name=x:tls=yes"), SystemdListen("x", tls=True))
