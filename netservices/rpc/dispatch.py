"""From a method's name to the function behind it."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING
from xmlrpc.client import Fault

from netservices.rpc.faults import FaultCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from netservices.rpc.calls import Call


class Dispatcher:
    """Methods by name.

    A method gets the call's parameters and gives a value or a Deferred; a ``Fault`` that it raises is told the caller.
    """

    def __init__(self) -> None:
        self._methods: dict[str, Callable[..., object]] = {}

    def add(self, name: str, method: Callable[..., object]) -> None:
        """Offer ``method`` under ``name``. Raises ``ValueError`` for a name that is taken."""
        if name in self._methods:
            raise ValueError(f"the method {name} is there already")
        self._methods[name] = method

    def dispatch(self, call: Call) -> object:
        """What the method gives. Raises ``Fault`` for an unknown method or other parameters than it takes."""
        method = self._methods.get(call.method)
        if method is None:
            raise Fault(FaultCode.METHOD_NOT_FOUND, f"there is no method {call.method}")
        try:
            inspect.signature(method).bind(*call.parameters)
        except TypeError as error:
            raise Fault(FaultCode.INVALID_PARAMETERS, f"{call.method}: {error}") from None
        return method(*call.parameters)
