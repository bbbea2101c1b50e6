"""OpenSSL's connection, with what a session must know of it told to the layer around it."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, NoReturn

from cryptography.hazmat.bindings.openssl.binding import Binding
from OpenSSL import SSL

from netservices.runtime.session import TlsState
from netservices.runtime.tls.authority import utc_now
from netservices.runtime.tls.identity import make_client_certificate

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from netservices.runtime.tls.identity import ClientCertificate


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

    def __init__(
        self,
        context: SSL.Context,
        watcher: PlaintextWatcher | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        super().__init__(context, None)
        self._now = now
        # OpenSSL calls what is set on this context also after the name asked for has chosen another.
        self._accepted_with = context
        self._watcher = watcher
        self._only_writing = False
        self._cut_short = False

    def do_handshake(self) -> None:
        """Raises ``WantReadError`` until it is done."""
        try:
            super().do_handshake()
        except SSL.Error as error:
            self._explain(error)
            raise
        if self._watcher is not None:
            self._watcher.handshake_done(self.state())

    def _explain(self, error: SSL.Error) -> None:
        """OpenSSL says of every certificate the same; what is wrong with it has to be asked for."""
        if error.args and error.args[0] and error.args[0][-1][2] == "certificate verify failed":
            # pyOpenSSL has no name of its own for SSL_get_verify_result(3).
            refuse(f"certificate verify failed: {describe_fault(Binding.lib.SSL_get_verify_result(self._ssl))}")

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
            client=self._read_client(),
        )

    def _read_client(self) -> ClientCertificate | None:
        """Who the client is; OpenSSL has verified it, in a session that is resumed at its beginning."""
        if not self.get_verify_mode() & SSL.VERIFY_PEER:
            return None
        certificate = self.get_peer_certificate(as_cryptography=True)
        if certificate is None:
            return None
        try:
            client = make_client_certificate(certificate)
        except ValueError:
            refuse("certificate verify failed: its names can't be read")
        if client.not_after < self._now():
            # OpenSSL looks at the time in a full handshake only.
            refuse("certificate verify failed: certificate has expired")
        return client


def describe_fault(fault: int) -> str:
    """OpenSSL's words for what it found wrong with a certificate."""
    # pyOpenSSL has no name of its own for X509_verify_cert_error_string(3).
    return str(Binding.ffi.string(Binding.lib.X509_verify_cert_error_string(fault)).decode("ascii", "replace"))


def refuse(reason: str) -> NoReturn:
    """Raise what OpenSSL raises, for ``reason``."""
    raise SSL.Error([("SSL routines", "", reason)]) from None
