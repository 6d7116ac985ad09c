"""Commands that read what runs left: runs, show, export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from assay.cli.exports import check_outs, write_outs
from assay.cli.options import AsJson, Margin
from assay.cli.scoreboard import report
from assay.cli.terminal import app, opened, out, print_json
from assay.money import from_pico


@app.command()
def runs(limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20, as_json: AsJson = False) -> None:
    """List the latest runs."""
    from assay.workbench.running import runs as workbench

    with opened() as session:
        found = workbench.list_runs(session, limit=limit)
    if as_json:
        print_json(
            [
                {
                    "run": r.id,
                    "name": r.name,
                    "state": r.state,
                    "cells": r.cells,
                    "done": r.done,
                    "failed": r.failed,
                    "cost_usd": from_pico(r.spent_pico),
                    "judging_usd": from_pico(r.cost.judging_pico),
                    "unknown_calls": r.unknown_calls,
                    "unknown_at_most_usd": from_pico(r.unknown_bound_pico),
                    "gateway": r.gateway,
                    "purpose": r.purpose,
                    "parent": r.parent_id,
                    "actor": r.actor,
                    "waits": r.waits,
                }
                for r in found
            ]
        )
        return
    for r in found:
        failed = f" · {r.failed:,} failed" if r.failed else ""
        out(f"{r.id}  {r.state:8} {r.done:>6}/{r.cells:<6} {r.spent_words:>10}  {r.name}{failed}")
        if r.waits:
            out(f"{'':32}  {r.waits}")
    if not found:
        out("There are no runs yet. `assay run --help` says how to start one.")


@app.command()
def show(run_id: Annotated[str, typer.Argument(metavar="RUN")], margin: Margin = None, as_json: AsJson = False) -> None:
    """Show a run's scoreboard, verdict, growth, estimate and gates. --margin is kept with the run."""
    from assay.workbench.gating import gates
    from assay.workbench.results import cells as results
    from assay.workbench.results import standing
    from assay.workbench.running import runs as workbench

    with opened() as session:
        record = results.get_run(session, run_id)
        if margin is not None:
            standing.set_margin(session, record.id, margin)
        state = workbench.progress(session, record.id)
        report(
            session, record.id, state, as_json, gates.check_run(session, record.id) if state.state == "done" else None
        )


@app.command()
def export(
    run_id: Annotated[str, typer.Argument(metavar="RUN")],
    out: Annotated[list[Path], typer.Option("--out", help="A file to write; several.")],
    format_name: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="KIND",
            help="evidence, csv, tidy, wide, xlsx, jsonl, promptfoo, junit, archive or markdown; else the ending says.",
        ),
    ] = None,
    redact: Annotated[
        list[str],
        typer.Option("--redact", metavar="COLUMN", help="Leave out a column, or output, reason ...; several."),
    ] = [],  # noqa: B006
) -> None:
    """Write a run to a file: tables, a workbook, JSON, JUnit, Markdown, or one page of evidence."""
    from assay.workbench.results import cells as results

    check_outs(out, format_name)
    with opened() as session:
        write_outs(session, results.get_run(session, run_id).id, out, format_name=format_name, redact=redact)
