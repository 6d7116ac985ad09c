"""What a person sees while a run works: a bar on a terminal, plain lines elsewhere and in CI."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from assay.cli.terminal import say
from assay.money import format_usd
from assay.plain_text import as_escapes

if TYPE_CHECKING:
    from assay.workbench.running.runs import RunDraft, RunProgress
    from assay.workbench.session import Session

PROGRESS_EVERY_S = 0.5


def work(session: Session, draft: RunDraft) -> tuple[str, RunProgress]:
    """Starts a run and follows it to its end. Raises RunError naming every problem."""
    from assay.workbench.running import runs
    from assay.workbench.running.review import review

    found = review(session, draft, previewed=0)
    found.refuse()
    for note in found.notes:
        say(f"Note: {note}")
    run_id = runs.start_reviewed(session, found)
    return run_id, attend(session, run_id)


def attend(session: Session, run_id: str) -> RunProgress:
    """Follows a run that was started to its end; Ctrl-C, or SIGTERM of whoever started the command, pauses it."""
    from assay.workbench.running import runs

    try:
        with _asked_to_end():
            return follow(session, run_id)
    except KeyboardInterrupt:
        runs.pause_run(session, run_id)
        runs.wait_for_run(session, run_id, timeout_s=60)
        say(f"\nPaused. `assay continue {run_id}` goes on with the missing cells.")
        raise typer.Exit(1) from None


@contextmanager
def _asked_to_end() -> Iterator[None]:
    """While it lasts, SIGTERM is as Ctrl-C: what is paid for is still taken in."""

    def end(_signal: int, _frame: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield  # only there may signals be heard
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def share_bar(title: str) -> Iterator[Callable[[float], None] | None]:
    """A bar for work whose share is told; on a terminal only, and only once the work has taken a second."""
    if not sys.stderr.isatty() or os.environ.get("CI"):
        yield None
        return
    title = as_escapes(title, one_line=True)
    started = time.monotonic()
    told = started

    def show(share: float) -> None:
        nonlocal told
        now = time.monotonic()
        if now - started > 1 and (now - told > PROGRESS_EVERY_S / 2 or share == 1):
            told = now
            filled = round(24 * share)
            print(f"\r{title} [{'#' * filled}{'.' * (24 - filled)}] {share:.0%}", end="", file=sys.stderr, flush=True)

    yield show
    if told > started:
        print(file=sys.stderr)


def follow(session: Session, run_id: str) -> RunProgress:
    """Shows progress until the run has ended: a bar on a terminal, plain lines elsewhere and in CI."""
    from assay.workbench.running import runs

    terminal = sys.stderr.isatty() and not os.environ.get("CI")
    told, tenths = 0.0, -1
    while True:
        seen = runs.glance(session, run_id)
        reached = seen.done * 10 // max(seen.cells, 1)
        if terminal and seen.is_live:
            if (now := time.monotonic()) - told >= PROGRESS_EVERY_S / 2:
                told = now
                print(f"\r{_bar(runs.progress(session, run_id))}", end="", file=sys.stderr, flush=True)
        elif seen.is_live and tenths < reached < 10:
            tenths = reached
            say(_bar(runs.progress(session, run_id)))
        elif not seen.is_live:
            state = runs.progress(session, run_id)
            print(f"\r{_bar(state)}" if terminal else _bar(state), file=sys.stderr, flush=True)
            return state
        time.sleep(0.02 if seen.cells < 200 else 0.2 if seen.cells < 2000 else PROGRESS_EVERY_S)


def _bar(state: RunProgress) -> str:
    width = 24
    filled = round(width * state.done / state.cells) if state.cells else width
    eta = f" · {state.eta_s:.0f} s left" if state.eta_s is not None and state.done < state.cells else ""
    failed = f" · {state.failed} failed" if state.failed else ""
    batch = f" · {state.batch.answered:,} of {state.batch.calls:,} answered by the batch" if state.batch else ""
    note = f" · {state.reason[:60]}" if state.reason and state.state != "done" else ""
    bill = f" · about {format_usd(round(state.forecast.expected))} in all" if state.forecast and state.done else ""
    return as_escapes(
        f"[{'#' * filled}{'.' * (width - filled)}] {state.done:,}/{state.cells:,}{failed} · "
        f"{format_usd(state.spent_pico)}{bill}{eta}{batch}{note}",
        one_line=True,
    )
