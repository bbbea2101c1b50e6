"""What the log needs of the reactor, which it is given."""

from __future__ import annotations

from twisted.internet.interfaces import (
    IReactorFDSet,
    IReactorPluggableNameResolver,
    IReactorTCP,
    IReactorThreads,
    IReactorTime,
    IReactorUNIX,
)


class LogReactor(
    IReactorFDSet, IReactorPluggableNameResolver, IReactorTCP, IReactorThreads, IReactorTime, IReactorUNIX
):
    """Every reactor that Twisted has for Linux is one, without saying so: for type checks only."""
