"""Sends an answer whose body is in a file: the head, then each piece, then the file is closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred

from netservices.runtime.sendfile import make_sender

if TYPE_CHECKING:
    from netservices.http.answers import FileContent
    from netservices.http.channel import HttpProtocol


class FileSender:
    """One body on its way. ``sent`` counts the bytes of it that the transport has taken."""

    def __init__(self, channel: HttpProtocol, content: FileContent) -> None:
        self._channel = channel
        self._content = content
        self.sent = 0

    def start(self, head: bytes) -> Deferred[None]:
        """Begin; fires when all is taken, fails as ``Sender.start`` does. The file is closed either way."""
        return Deferred.fromCoroutine(self._send(head))

    async def _send(self, head: bytes) -> None:
        channel, content = self._channel, self._content
        with content.file as file:
            # A transport has one producer at a time: while a file is sent it is the file.
            channel.lend_transport()
            channel.send([head])
            for piece in content.pieces:
                if isinstance(piece, bytes):
                    channel.send([piece])
                    self._count(len(piece))
                else:
                    sender = make_sender(
                        channel.transport,
                        file.fd,
                        piece.offset,
                        piece.length,
                        files=channel.site.files,
                        clock=channel.site.clock,
                        sent=self._count,
                    )
                    await sender.start()
            channel.take_transport_back()

    def _count(self, count: int) -> None:
        self.sent += count
