"""Bytes in a memory file, and how a connection sends them."""

from __future__ import annotations

import gc
import os
import resource
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.protocol import Protocol
from twisted.internet.testing import MemoryReactor
from twisted.trial.unittest import SynchronousTestCase

from netservices.runtime.pinned import WORTH_PINNING, Pinned, pin
from netservices.runtime.transport import TcpSessionTransport

if TYPE_CHECKING:
    from collections.abc import Sequence

BODY = os.urandom(3 * WORTH_PINNING)


class PinTests(SynchronousTestCase):
    """What is pinned, and what becomes of it."""

    def test_large_bytes_are_pinned_and_equal(self) -> None:
        pinned = pin(BODY)
        assert isinstance(pinned, Pinned)
        self.assertEqual(pinned, BODY)
        self.assertEqual(os.pread(pinned.fd, len(BODY) + 1, 0), BODY)
        self.assertFalse(os.get_inheritable(pinned.fd))

    def test_small_bytes_stay_as_they_are(self) -> None:
        self.assertIs(type(pin(BODY[: WORTH_PINNING - 1])), bytes)

    def test_memory_file_goes_with_the_bytes(self) -> None:
        pinned = pin(BODY)
        link = Path(f"/proc/self/fd/{cast('Pinned', pinned).fd}")
        self.assertIn("memfd:netservices", str(link.readlink()))
        del pinned
        gc.collect()
        self.assertFalse(link.is_symlink() and "memfd:netservices" in str(link.readlink()))

    def test_half_of_the_descriptors_is_left_to_sessions(self) -> None:
        """R16: a client that asks for a thousand files does not turn away the others."""
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, before)
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        made = [pin(BODY) for _ in range(300)]
        self.assertTrue(all(body == BODY for body in made))
        descriptors = [body.fd for body in made if isinstance(body, Pinned)]
        self.assertTrue(descriptors)
        self.assertLess(max(descriptors), 128)

    def test_machine_without_a_descriptor_left_keeps_plain_bytes(self) -> None:
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, before)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
        self.assertIs(type(pin(BODY)), bytes)

    def test_slice_is_plain_bytes(self) -> None:
        self.assertIs(type(pin(BODY)[1:]), bytes)


class SendingTests(SynchronousTestCase):
    """``write_now`` with a pinned last part."""

    def setUp(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.addCleanup(self.theirs.close)
        self.addCleanup(self.ours.close)
        protocol = cast("Any", Protocol())
        self.transport = TcpSessionTransport(
            self.ours, protocol, ("127.0.0.1", 1), cast("Any", _Port()), 0, cast("Any", MemoryReactor())
        )
        self.queued: list[bytes] = []
        cast("Any", self.transport).writeSequence = self.queued.extend

    def send(self, parts: Sequence[bytes]) -> bytes:
        """What the peer has, and what was queued behind it."""
        self.transport.write_now(parts)
        self.theirs.setblocking(False)
        received = bytearray()
        try:
            while data := self.theirs.recv(1 << 20):
                received += data
        except BlockingIOError:
            pass
        return bytes(received) + b"".join(self.queued)

    def test_head_and_body_arrive_in_order(self) -> None:
        self.assertEqual(self.send([b"head", pin(BODY)]), b"head" + BODY)

    def test_body_alone_arrives(self) -> None:
        self.assertEqual(self.send([pin(BODY)]), BODY)

    def test_what_the_kernel_does_not_take_is_queued(self) -> None:
        body = pin(os.urandom(4 << 20))
        whole = self.send([b"head", body])
        self.assertTrue(self.queued)
        self.assertEqual(whole, b"head" + body)
        self.assertEqual({type(part) for part in self.queued}, {bytes})

    def test_full_connection_queues_everything(self) -> None:
        self.ours.setblocking(False)
        filler = 0
        try:
            while True:
                filler += self.ours.send(b"x" * 65536)
        except BlockingIOError:
            pass
        body = pin(BODY)
        self.assertEqual(self.send([b"head", body])[filler:], b"head" + body)

    def test_broken_connection_is_left_to_the_reactor(self) -> None:
        self.theirs.close()
        self.transport.write_now([b"head", pin(BODY)])
        self.assertEqual(b"".join(self.queued), b"head" + BODY)


class _Port:
    """What a transport asks of the port it came from."""

    _realPortNumber = 1
