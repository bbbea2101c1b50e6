"""Programs that the daemon runs: for each connection, for a page, or when something happened."""

from netservices.runtime.children.child import Child, ChildrenFull, SpawnError
from netservices.runtime.children.children import Children, make_privileged
from netservices.runtime.children.command import Command, ExitStatus, ProcessLimits
from netservices.runtime.children.users import RunAs, UserError, find_user

__all__ = [
    "Child",
    "Children",
    "ChildrenFull",
    "Command",
    "ExitStatus",
    "ProcessLimits",
    "RunAs",
    "SpawnError",
    "UserError",
    "find_user",
    "make_privileged",
]
