"""The contract between a kind of service and the daemon.

A kind exports one ``ServiceKind`` named ``KIND``; the daemon calls ``make`` with the section's options and the
``Runtime``, and gets ``Parts``: nothing listens, nothing has been read. A service never checks an access list, counts
connections, keeps an idle timer of its own design or opens a log; the listener in front of it has done that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import DatagramProtocol

from netservices.config import ExamineContext, Finding, ServiceOptions
from netservices.runtime import Runtime, Session

if TYPE_CHECKING:
    from twisted.application.service import IService
    from twisted.web.resource import IResource

    from netservices.runtime.events import Event

OptionsT = TypeVar("OptionsT", bound=ServiceOptions)

StreamFactory = Callable[[Session], IProtocol]
"""Makes the protocol of one session, which was admitted; its transport is plain or TLS, as configured."""
DatagramFactory = Callable[[], DatagramProtocol]
"""Makes the protocol of one datagram socket; it receives only admitted datagrams."""


@dataclass(frozen=True)
class Parts:
    """What a section runs as.

    ``streams`` and ``datagrams`` map a listen option (most kinds have one, ``listen``) to what serves it. ``workers``
    start before anything listens and stop after the last session. ``http`` is what a web location mounts. ``refusal``
    are the bytes that a plain stream peer over a limit is sent before it is closed; empty: it is just closed. ``alpn``
    are the protocols a TLS client may ask for; whatever else it offers, the handshake goes on without.
    """

    streams: Mapping[str, StreamFactory] = field(default_factory=dict)
    datagrams: Mapping[str, DatagramFactory] = field(default_factory=dict)
    workers: tuple[IService, ...] = ()
    http: IResource | None = None
    refusal: bytes = b""
    alpn: tuple[bytes, ...] = ()


def find_nothing(_options: ServiceOptions, _context: ExamineContext) -> tuple[Finding, ...]:
    """What most kinds add to a check."""
    return ()


@dataclass(frozen=True)
class ServiceKind(Generic[OptionsT]):
    """All that a kind exports.

    ``options`` inherits the keys every service has. ``tryout`` is the kind's section of the try-out configuration and
    of ``etc/netservices.toml``, in TOML's types, with the ports the protocol is known by: the try-out moves those below
    1024 up by 8000, to loopback. ``summary`` is one line for ``netservices kinds``. ``examine`` adds to ``netservices
    check`` what only the kind knows of an enabled section; a mistake found there keeps the daemon from starting.
    """

    name: str
    summary: str
    options: type[OptionsT]
    make: Callable[[OptionsT, Runtime], Parts]
    tryout: Mapping[str, object]
    events: tuple[Event, ...] = ()
    starts_tls: bool = False
    """Whether its protocol can begin TLS on a plain listener (STARTTLS, STLS, AUTH TLS); see ``Session.start_tls``."""
    examine: Callable[[OptionsT, ExamineContext], Iterable[Finding]] = find_nothing
