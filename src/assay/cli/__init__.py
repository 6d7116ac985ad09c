"""The command line: the same engine and the same store as the app. Exit 0 done, 1 error, 2 usage, 100 gate.

terminal     the program, words on standard error, JSON on standard output, a runtime for one command
options      what several commands take, and the draft that the options describe
exports      files that a command writes
progress     what a person sees while a run works
scoreboard   the result of a run as lines or as one object
suite        run with a suite file, schema
running      run, continue, estimate
growing      grow
comparing    compare
reading      runs, show, export
gateway      models, spend, sandbox, serve
data         import, import-run
datasets     datasets, with policy, tag, split, rows, derive, failed, rename, delete below it
library      prompts: list, show, save, diff, label
"""

from __future__ import annotations

import sys

from assay.cli import running, growing, reading, comparing, gateway, data, datasets, library, suite  # isort: skip
from assay.cli.terminal import UsageError, app, say
from assay.errors import AssayError, SuiteError

__all__ = [
    "app", "comparing", "data", "datasets", "gateway", "growing", "library", "main", "reading", "running", "suite"
]  # fmt: skip


def main() -> None:
    """The entry point: errors in words on standard error, never a traceback."""
    try:
        app()
    except (UsageError, SuiteError) as error:
        say(f"Error: {error}")
        sys.exit(2)
    except AssayError as error:
        say(f"Error: {error}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(1)
