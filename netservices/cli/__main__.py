"""``python -m netservices.cli`` is ``netservices``, for where the command is not on PATH."""

from __future__ import annotations

from netservices.cli import main

if __name__ == "__main__":
    main()
