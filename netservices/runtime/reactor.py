"""Twisted's reactor as one type."""

from __future__ import annotations

from typing import Any

Reactor = Any
"""The global reactor, or a test's. It provides a dozen interfaces that mypy can't combine into one type."""
