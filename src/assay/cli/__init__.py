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
doctor       doctor, fees
models       models
gateway      spend, sandbox, serve
data         import, import-run
datasets     datasets, with policy, tag, split, rows, derive, failed, rename, delete below it
library      prompts: list, show, save, diff, label
pricing      price
opening      app
"""

from __future__ import annotations

import sys

from assay.cli import running, growing, reading, comparing, gateway, data, datasets, doctor, library, models  # isort: skip
from assay.cli import opening, pricing, suite  # isort: skip
from assay.cli.terminal import UsageError, app, guard_streams, say
from assay.errors import AssayError, SettingsError, SuiteError

__all__ = [
    "app",
    "comparing",
    "data",
    "datasets",
    "doctor",
    "gateway",
    "growing",
    "library",
    "main",
    "models",
    "opening",
    "pricing",
    "reading",
    "running",
    "suite",
]


COMMON = ("--log-file", "--log-level", "--log-format")


def options_first(words: list[str]) -> list[str]:
    """The words with the options that every command takes at their beginning, where the program expects them."""
    end = words.index("--") if "--" in words else len(words)
    first, rest, skip = [], [], False
    for word, value in zip(words[:end], [*words[1:end], ""], strict=True):
        if skip:
            skip = False
        elif word in COMMON and value:
            first += [word, value]
            skip = True
        elif word.partition("=")[0] in COMMON and "=" in word:
            first.append(word)
        else:
            rest.append(word)
    return [*first, *rest, *words[end:]]


def main() -> None:
    """The entry point: errors in words on standard error, never a traceback."""
    guard_streams()
    try:
        app(options_first(sys.argv[1:]))
    except (UsageError, SuiteError, SettingsError) as error:
        say(f"Error: {error}")
        sys.exit(2)
    except AssayError as error:
        say(f"Error: {error}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(1)
