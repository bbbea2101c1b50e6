"""A child that does one command after another and says so, until it is killed: ``python -m … DATABASE FIRST``."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netservices.runtime.accounts import AccountCommands
from netservices.runtime.accounts.sqlite import SqliteStore
from tests.runtime.accounts.doubles import make_hasher
from tests.runtime.accounts.test_crypts import KNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator


def make_steps(first: int = 0) -> Iterator[tuple[int, str, tuple[Any, ...]]]:
    """The commands from number ``first`` on; each leaves something that tells it from the others."""
    for number in itertools.count(first):
        turn, kind = divmod(number, 7)
        name = f"user{turn}"
        imported = [[f"old{turn}-{one}", KNOWN[0], f"/home/{turn}"] for one in range(20)]
        yield (
            number,
            ("add", "set", "passwd", "import_accounts", "set", "remove", "set")[kind],
            (
                (name, "x", {"addresses": [f"{name}@x.org", f"also-{name}@x.org"], "shared_secret": True}),
                (name, {"quota_files": turn, "addresses": [f"{name}@y.org"], "subjects": [f"CN={name}"]}),
                (name, "other"),
                (imported,),
                (f"old{turn}-1", {"enabled": False}),
                (f"old{turn}-2",),
                (name, {"shared_secret": False, "services": ["files"]}),
            )[kind],
        )


def main() -> None:
    """Never returns."""
    store = SqliteStore(Path(sys.argv[1]), patience=30)
    store.prepare()
    commands = AccountCommands(store, make_hasher(), lambda: 1.0)
    for number, verb, given in make_steps(int(sys.argv[2])):
        getattr(commands, verb)(*given)
        # One write of a few octets to a pipe is whole or not there.
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
