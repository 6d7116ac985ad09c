"""The program itself, and how it speaks: words on standard error, results on standard output."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assay.errors import AssayError
from assay.money import plain
from assay.plain_text import as_escapes, as_json_escapes

if TYPE_CHECKING:
    from assay.workbench.session import Session

app = typer.Typer(
    name="assay",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Compare prompts and models on OpenRouter: which model, which prompt, at what cost, and how sure.",
)
COLLECT_AFTER = 10_000
"""New objects between two collections of garbage."""
GATE_NOT_MET = 100
"""Exit code of a run that ended and whose gates are not all met."""


@app.callback()
def common(
    log_file: Annotated[
        Path | None,
        typer.Option("--log-file", help="Append log lines to it, a line per call."),
    ] = None,
    log_level: Annotated[str, typer.Option("--log-level", help="DEBUG, INFO, WARNING, ERROR; ASSAY_LOG_LEVEL.")] = "",
    log_format: Annotated[str, typer.Option("--log-format", help="text or json; ASSAY_LOG_FORMAT.")] = "",
) -> None:
    """Compare prompts and models on OpenRouter: which model, which prompt, at what cost, and how sure."""
    from assay import logs
    from assay.config import read_settings

    given = {"log_level": log_level, "log_format": log_format}
    logs.set_up(read_settings(**{name: value for name, value in given.items() if value}), log_file=log_file)


class UsageError(AssayError):
    """The command line itself is wrong: exit 2."""


def say(text: str) -> None:
    """Words for the person at the terminal: standard error, so that output stays clean."""
    print(as_escapes(text), file=sys.stderr, flush=True)


def out(line: str) -> None:
    """A line on standard output; what would steer the terminal, or begin another line, is shown as an escape."""
    print(as_escapes(line, one_line=True))


def out_lines(text: str | Iterable[str]) -> None:
    """Lines on standard output, each as `out` has it."""
    for line in text.split("\n") if isinstance(text, str) else text:
        out(line)


def confirm(question: str, *, undone: str, yes: bool, cure: str = "Give --yes to start.") -> None:
    """Asks the person at the terminal; yes: it is answered already. Ends the command, saying what was not done, when
    the answer is no. Raises UsageError where nobody can be asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(undone, cure=cure)
    if not typer.confirm(question, err=True):
        say(undone)
        raise typer.Exit(0)


def print_json(value: Any) -> None:
    """One JSON object on standard output."""
    print_json_text(json.dumps(value, ensure_ascii=False, indent=1, default=_as_text))


def _as_text(value: object) -> str:
    """What JSON has no form for; an amount keeps all of its digits, and is without an exponent."""
    return plain(value) if isinstance(value, Decimal) else str(value)


def print_json_text(text: str) -> None:
    """JSON as it is on standard output, but for characters that would steer the terminal: they are JSON's escapes."""
    print(as_json_escapes(text))


class GuardedStream:
    """A standard stream that lets nothing through that would steer the terminal, whoever writes to it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes the text; a carriage return may only begin it, for a bar that is drawn anew."""
        start = 1 if text.startswith("\r") else 0
        self._stream.write(text[:start] + as_escapes(text[start:]))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Writes each."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def guard_streams() -> None:
    """Puts the guard before standard output and standard error, for errors of libraries and logs too."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, GuardedStream):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
            setattr(sys, name, GuardedStream(stream))


@contextmanager
def opened() -> Iterator[Session]:
    """A session for one command, with the catalogue ready: the command line's door to the workbench."""
    from assay.workbench.session import open_session

    with open_session(on_wait=say) as session:
        # What stands by now stays: collecting passes it over, and begins again (__main__.py).
        gc.freeze()
        gc.set_threshold(COLLECT_AFTER, 20, 20)
        if session.is_sandbox:
            say("Sandbox: simulated answers, invented prices. Set OPENROUTER_API_KEY to talk to OpenRouter.")
        yield session
