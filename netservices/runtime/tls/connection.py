"""OpenSSL's connection, with what a session must know of it told to the layer around it."""

from __future__ import annotations

from abc import abstractmethod

from cryptography.hazmat.bindings.openssl.binding import Binding
from OpenSSL import SSL

from netservices.runtime.session import TlsState


class PlaintextWatcher:
    """A layer that is told what its connection sees."""

    @abstractmethod
    def handshake_done(self, state: TlsState) -> None:
        """Both sides have agreed; called once."""

    @abstractmethod
    def plaintext_sent(self, count: int) -> None:
        """So many of the service's bytes were encrypted."""

    @abstractmethod
    def plaintext_waiting(self) -> None:
        """Everything that came was read; what is sent now leaves together with what TLS itself has to answer."""

    @abstractmethod
    def plaintext_ended(self) -> bool:
        """The peer's close_notify came. True goes on writing, and then it is called no more; False ends both ways."""


class TlsConnection(SSL.Connection):
    """The connection of one session; ``watcher`` None makes it an ordinary one."""

    def __init__(self, context: SSL.Context, watcher: PlaintextWatcher | None = None) -> None:
        super().__init__(context, None)
        # OpenSSL calls what is set on this context also after the name asked for has chosen another.
        self._accepted_with = context
        self._watcher = watcher
        self._only_writing = False
        self._cut_short = False

    def do_handshake(self) -> None:
        """Raises ``WantReadError`` until it is done."""
        super().do_handshake()
        if self._watcher is not None:
            self._watcher.handshake_done(self.state())

    def send(self, buf: bytes | bytearray | memoryview[int], flags: int = 0) -> int:
        """Encrypt; returns how many bytes were taken."""
        sent: int = super().send(buf, flags)
        if self._watcher is not None:
            self._watcher.plaintext_sent(sent)
        return sent

    def recv(self, bufsiz: int, flags: int | None = None) -> bytes:
        """Decrypt; after a close_notify that ends only the peer's half there is just never more to read."""
        try:
            octets: bytes = super().recv(bufsiz, flags)
        except SSL.WantReadError:
            if self._cut_short:
                raise SSL.SysCallError(-1, "Unexpected EOF") from None
            if self._watcher is not None:
                self._watcher.plaintext_waiting()
            raise
        except SSL.ZeroReturnError:
            if self._only_writing:
                raise SSL.WantReadError from None
            if self._watcher is not None and self._watcher.plaintext_ended():
                self._only_writing = True
                raise SSL.WantReadError from None
            raise
        return octets

    def bio_shutdown(self) -> None:
        """No more will come, which ``recv`` says once all is read. OpenSSL is not told: it would forget the session."""
        self._cut_short = True

    def keep_session(self) -> None:
        """Let the session be resumed though the connection ended without a close_notify (RFC 5246 7.2.1 allows it)."""
        self.set_shutdown(SSL.SENT_SHUTDOWN | SSL.RECEIVED_SHUTDOWN)

    def state(self) -> TlsState:
        """What the handshake agreed on, once it is done."""
        name = self.get_servername()
        return TlsState(
            version=self.get_protocol_version_name(),
            cipher=self.get_cipher_name() or "",
            # pyOpenSSL has no name of its own for SSL_session_reused(3).
            resumed=bool(Binding.lib.SSL_session_reused(self._ssl)),
            server_name=None if name is None else name.decode("ascii", "backslashreplace"),
            protocol=self.get_alpn_proto_negotiated() or None,
        )
