"""Runs a Python program so that no warning passes, whoever gives it; the suite and the daemons it starts run so.

``python -P -bb -W error tests/strict.py PROGRAM [ARGUMENT ...]``, with the program's path. The options make every
warning an error; what is excepted must be said here, for ``-W`` cannot except what ``-bb`` asks for.
"""

from __future__ import annotations

import runpy
import sys
import warnings

EXCEPTED = (
    # Twisted compares the first character of a Unix socket's path with "\0" as text and as bytes, to take either.
    (BytesWarning, "Comparison between bytes and string", r"twisted[./]internet[./]unix"),
    # hypothesis keeps examples of all kinds as keys of one dictionary, where equal hashes make bytes and a number meet.
    (BytesWarning, "Comparison between bytes and int", r"hypothesis[./].*"),
    # Twisted holds a descriptor in reserve for the moment when there is none left, until the process ends.
    (ResourceWarning, "unclosed file <_io.TextIOWrapper name='/dev/null' mode='r'", ""),
)
"""Warnings of other people's code that ours cannot avoid: category, beginning of the text, end of the module's name."""


def except_warnings() -> None:
    """Let the excepted warnings pass unseen."""
    for category, text, module in EXCEPTED:
        # Trial gives a collected warning again with its file instead of its module, so the name may be a path.
        warnings.filterwarnings("ignore", text, category, rf".*{module}$")


if __name__ == "__main__":
    except_warnings()
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")
