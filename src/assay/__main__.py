"""`assay`, `python -m assay`."""

from __future__ import annotations

import gc

IMPORTING = 500_000
"""New objects before a collection while the program starts. Imports make some 300,000 that stay: looking for garbage
among them takes a twentieth of the time to the first request. A runtime that is open collects as usual
(cli/terminal.py)."""


def main() -> None:
    """Starts the command line."""
    gc.set_threshold(IMPORTING, 20, 20)
    from assay.cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()
