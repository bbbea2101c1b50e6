"""The echo benchmark's client, a process of its own.

``python -m benchmarks.echo_client PORT CONNECTIONS SIZE SECONDS``: each connection sends a message, waits until all of
it is back, and sends the next. Prints how many messages came back, and the seconds it took.
"""

from __future__ import annotations

import select
import socket
import sys
import time


class WrongAnswerError(Exception):
    """The peer did not send back what it was sent."""


class Connections:
    """The connections to one port, each with the message it sends and how much of it is still to come back."""

    def __init__(self, port: int, connections: int, message: bytes) -> None:
        self.message = message
        self.sockets: dict[int, socket.socket] = {}
        self.missing: dict[int, int] = {}
        self.poller = select.epoll()
        for _ in range(connections):
            self.open(port)

    def open(self, port: int) -> None:
        """Connect, and exchange one message that is not counted: some peers make a process at the first."""
        connection = socket.create_connection(("127.0.0.1", port), 10.0)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(self.message)
        if connection.recv(len(self.message), socket.MSG_WAITALL) != self.message:
            raise WrongAnswerError
        self.sockets[connection.fileno()] = connection
        self.missing[connection.fileno()] = len(self.message)
        self.poller.register(connection.fileno(), select.EPOLLIN)

    def take_piece(self, number: int, piece: bytes) -> bool:
        """Whether the message is whole with this piece of it."""
        start = len(self.message) - self.missing[number]
        if not piece or self.message[start : start + len(piece)] != piece:
            raise WrongAnswerError
        self.missing[number] -= len(piece)
        if self.missing[number]:
            return False
        self.missing[number] = len(self.message)
        return True

    def exchange(self, seconds: float) -> tuple[int, float]:
        """How many messages came back, in how many seconds. Raises ``WrongAnswerError`` and ``OSError``."""
        message, sockets, size = self.message, self.sockets, len(self.message)
        count = 0
        began = time.perf_counter()
        end = began + seconds
        for connection in sockets.values():
            connection.send(message)
        while time.perf_counter() < end:
            events = self.poller.poll(1.0)
            if not events:
                raise WrongAnswerError
            for number, _ in events:
                connection = sockets[number]
                answer = connection.recv(size)
                # Nearly always whole; only else is it looked at in detail.
                if (answer == message and self.missing[number] == size) or self.take_piece(number, answer):
                    count += 1
                    connection.send(message)
        return count, time.perf_counter() - began

    def close(self) -> None:
        """Close all."""
        self.poller.close()
        for connection in self.sockets.values():
            connection.close()


def main(port: int, connections: int, size: int, seconds: float) -> None:
    """Run the client and print what it counted."""
    client = Connections(port, connections, bytes(33 + number % 90 for number in range(size)))
    try:
        print(*client.exchange(seconds))
    finally:
        client.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
