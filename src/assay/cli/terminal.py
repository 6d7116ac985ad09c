"""The program itself, and how it speaks: words on standard error, results on standard output."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from assay.errors import AssayError

if TYPE_CHECKING:
    from assay.workbench.runtime import Runtime

app = typer.Typer(
    name="assay", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
    help="Compare prompts and models on OpenRouter: which model, which prompt, at what cost, and how sure.",
)  # fmt: skip
COLLECT_AFTER = 10_000
"""New objects between two collections of garbage."""
GATE_NOT_MET = 100
"""Exit code of a run that ended and whose gates are not all met."""


class UsageError(AssayError):
    """The command line itself is wrong: exit 2."""


def say(text: str) -> None:
    """Words for the person at the terminal: standard error, so that output stays clean."""
    print(text, file=sys.stderr, flush=True)


def print_json(value: Any) -> None:
    """One JSON object on standard output."""
    print(json.dumps(value, ensure_ascii=False, indent=1, default=str))


@contextmanager
def opened() -> Iterator[Runtime]:
    """A runtime for one command, with the catalogue ready."""
    from assay.workbench.runtime import open_runtime

    with open_runtime() as rt:
        # What stands by now stays: collecting passes it over, and begins again (__main__.py).
        gc.freeze()
        gc.set_threshold(COLLECT_AFTER, 20, 20)
        if rt.is_sandbox:
            say("Sandbox: simulated answers, invented prices. Set OPENROUTER_API_KEY to talk to OpenRouter.")
        yield rt
