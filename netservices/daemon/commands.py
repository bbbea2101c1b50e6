"""The control methods behind ``netservices status``, ``sessions``, ``service`` and ``log``: plain data in and out."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xmlrpc.client import Fault

from netservices import __version__
from netservices.rpc import FaultCode
from netservices.runtime.events import LEVELS

if TYPE_CHECKING:
    from collections.abc import Callable

    from netservices.daemon.assemble import Services
    from netservices.daemon.logswitch import LogSwitch
    from netservices.daemon.section import Section
    from netservices.daemon.shared import Shared
    from netservices.rpc import Dispatcher
    from netservices.runtime import Session

PAGE = 200
"""Sessions told in one answer, so that making it takes the reactor a few milliseconds at most."""


class DaemonCommands:
    """The methods below ``netservices.``: status, sessions.list and .close, service.pause and .resume, log.level.

    ``facts`` tells what only the daemon itself knows: its configuration's source, its process, when it started.
    """

    def __init__(
        self, services: Services, shared: Shared, log: LogSwitch, facts: Callable[[], dict[str, object]]
    ) -> None:
        self._services = services
        self._shared = shared
        self._log = log
        self._facts = facts

    def register(self, dispatcher: Dispatcher) -> None:
        """Offer the methods."""
        dispatcher.add("netservices.status", self.tell_status)
        dispatcher.add("netservices.sessions.list", self.list_sessions)
        dispatcher.add("netservices.sessions.close", self.close_session)
        dispatcher.add("netservices.service.pause", self.pause)
        dispatcher.add("netservices.service.resume", self.resume)
        dispatcher.add("netservices.log.level", self.set_log_level)

    def tell_status(self) -> dict[str, object]:
        """Everything at a glance."""
        services = self._services
        sections = [self._tell_section(section) for section in services.sections.values()]
        return {
            **self._facts(),
            "version": __version__,
            "state": str(self._shared.state),
            "log_level": self._log.current.level,
            "sessions": len(self._shared.sessions),
            "services": sections,
            "draining": sum(len(section.sessions) for section in services.retired),
        }

    def list_sessions(self, service: str = "", peer: str = "", account: str = "", after: int = 0) -> dict[str, object]:
        """The open sessions that fit, oldest first; ``next`` is what to give as ``after`` for more, or 0.

        ``peer`` is the beginning of an address.
        """
        fitting = [
            session
            for session in self._shared.sessions
            if (not service or session.service == service)
            and (not peer or str(session.peer).startswith(peer) or session.peer.host.startswith(peer))
            and (not account or session.account == account)
        ]
        page = fitting[after : after + PAGE]
        return {
            "sessions": [self._tell_session(session) for session in page],
            "next": after + PAGE if len(fitting) > after + PAGE else 0,
        }

    def close_session(self, session_id: str) -> str:
        """End one session now; a fault if there is none of that id."""
        try:
            session = self._shared.sessions.find(session_id)
        except KeyError:
            raise Fault(FaultCode.FAILED, f"there is no session {session_id}") from None
        session.abort("closed by an operator")
        return f"session {session_id} of {session.service} is closed"

    def pause(self, name: str) -> str:
        """A section takes nothing new until it is resumed; what is open goes on."""
        self._find(name)
        self._services.pause(name)
        return f"{name} takes nothing new; clients wait"

    def resume(self, name: str) -> str:
        """It takes what has waited, and what comes."""
        self._find(name)
        self._services.resume(name)
        return f"{name} takes sessions again"

    def set_log_level(self, level: str) -> str:
        """Until the log changes in the file, or a restart; sections with a level of their own keep it."""
        if level not in LEVELS:
            raise Fault(FaultCode.BAD_CONFIGURATION, f'"{level}" is no level, wanted one of {", ".join(LEVELS)}')
        self._log.current.level = level
        return f"events below {level} are dropped"

    def _find(self, name: str) -> Section:
        section = self._services.sections.get(name)
        if section is None:
            known = ", ".join(self._services.sections)
            raise Fault(FaultCode.FAILED, f'there is no section "{name}", wanted one of {known}')
        return section

    def _tell_section(self, section: Section) -> dict[str, object]:
        listeners = [listener for listener in self._services.listeners.values() if listener.door.section is section]
        return {
            "name": section.name,
            "kind": section.options.kind,
            "state": "paused" if section.name in self._services.paused else "running",
            "sessions": len(section.sessions),
            "most": section.options.limits.sessions,
            "opened": float(section.metrics.total),
            "refused": float(section.metrics.turned_away),
            "per_minute": section.metrics.per_minute(),
            "listeners": [
                {"listen": str(listener.door.entry), "address": str(address)}
                for listener in listeners
                for address in listener.addresses
            ],
        }

    def _tell_session(self, session: Session) -> dict[str, object]:
        # XML-RPC's integers end at 2**31; doubles are exact to 2**53.
        return {
            "id": session.id,
            "service": session.service,
            "peer": str(session.peer),
            "local": str(session.local),
            "account": session.account or "",
            "tls": session.tls.version if session.tls else "",
            "age": session.age,
            "bytes_in": float(session.bytes_in),
            "bytes_out": float(session.bytes_out),
        }
