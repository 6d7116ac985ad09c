"""`assay`, `python -m assay`."""

from __future__ import annotations

import gc

COLLECT_AFTER = 10_000
"""New objects between two collections. Imports make some 300,000 that stay: at the default of 700, looking for garbage
among them takes a twentieth of the time to the first request."""


def main() -> None:
    """Starts the command line."""
    gc.set_threshold(COLLECT_AFTER, 20, 20)
    from assay.cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()
