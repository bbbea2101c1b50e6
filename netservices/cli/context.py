"""What every verb is told: which file was asked for, and which kinds of service there are."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from netservices.config.finding import find_path
from netservices.config.loading import load
from netservices.config.tryout import load_tryout

if TYPE_CHECKING:
    from netservices.config.kinds import KindCatalogue
    from netservices.config.models import Config


class Asked:
    """The options before the verb. ``kinds`` left out: those of this machine."""

    def __init__(self, config_file: str | None, kinds: KindCatalogue | None = None) -> None:
        self._config_file = config_file
        self._kinds = kinds

    @cached_property
    def kinds(self) -> KindCatalogue:
        """The kinds of service; Twisted is imported with the first of them."""
        if self._kinds is not None:
            return self._kinds
        from netservices.catalog import Catalogue  # noqa: PLC0415 - most verbs do without

        return Catalogue()

    def find_path(self) -> Path | None:
        """The configuration's file; None is the try-out. Raises ``ConfigError``."""
        return find_path(self._config_file, os.environ)

    def load(self, path: Path | None = None) -> Config:
        """The configuration at ``path``, or the one that was asked for. Raises ``ConfigError``."""
        found = path or self.find_path()
        return load(found, self.kinds) if found else load_tryout(self.kinds, ipv6=has_ipv6_loopback())


def has_ipv6_loopback(table: Path = Path("/proc/net/if_inet6")) -> bool:
    """Whether this machine has ``::1``; ``table`` is where the kernel lists its addresses."""
    try:
        # proc(5): an address in hexadecimal starts each line; without IPv6 there is no such file.
        lines = table.read_text("ascii").splitlines()
    except OSError:
        return False
    return any(line.startswith("0" * 31 + "1 ") for line in lines)
