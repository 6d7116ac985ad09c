"""The command line: the same engine and the same store as the app. Exit 0 done, 1 error, 2 usage."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assay.errors import AssayError, DataError, GraderError, SettingsError
from assay.money import format_usd, from_pico, usd

if TYPE_CHECKING:
    from assay.runs.estimate import RunEstimate
    from assay.workbench.results import ContestantScore
    from assay.workbench.runs import RunDraft, RunProgress
    from assay.workbench.runtime import Runtime

app = typer.Typer(
    name="assay", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
    help="Compare prompts and models on OpenRouter: which model, which prompt, at what cost, and how sure.",
)  # fmt: skip
PROGRESS_EVERY_S = 0.5

Dataset = Annotated[str, typer.Argument(help="A file, a stored dataset (id or name), or an example.")]
PromptOption = Annotated[list[str], typer.Option("--prompt", help="Prompt text with {{variables}}, or @FILE; several.")]
SystemOption = Annotated[str, typer.Option("--system", help="System text, or @FILE.")]
ModelOption = Annotated[list[str], typer.Option("--model", help="A model id; several.")]
GraderOption = Annotated[list[str], typer.Option("--grader", help="KIND[:name=value,...]; several.")]
ParamOption = Annotated[list[str], typer.Option("--param", help="NAME=VALUE, for every model; several.")]
Samples = Annotated[int, typer.Option(min=1, max=100, help="Answers per cell.")]
Concurrency = Annotated[int | None, typer.Option(min=1, max=512, help="Calls in flight at most.")]
Budget = Annotated[str | None, typer.Option(help="USD that the run never passes.")]
Limit = Annotated[int | None, typer.Option(min=1, help="First rows only.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


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
        if rt.is_sandbox:
            say("Sandbox: simulated answers, invented prices. Set OPENROUTER_API_KEY to talk to OpenRouter.")
        yield rt


def text_or_file(given: str) -> str:
    """The text, or the content of @FILE."""
    if not given.startswith("@"):
        return given
    try:
        return Path(given[1:]).read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{given[1:]} cannot be read: {error}.", cure="Check the path.") from error


def make_draft(rt: Runtime, dataset: str, options: dict[str, Any]) -> RunDraft:
    """The draft that the options describe. Raises UsageError, DataError, NotFound."""
    from assay.domain.contestant import Contestant, Prompt
    from assay.openrouter.parameters import modern_settings, parse_parameter
    from assay.scoring.graders import parse_spec
    from assay.workbench.datasets import open_dataset
    from assay.workbench.runs import RunDraft

    try:
        raw = {}
        for given in options["param"]:
            name, mark, value = given.partition("=")
            if not mark:
                raise UsageError(f"--param {given!r} is not NAME=VALUE.")
            raw[name.strip()] = value if name.strip() == "route" else parse_parameter(name.strip(), value)
        settings = modern_settings(raw)
        graders = tuple(parse_spec(text) for text in options["grader"])
        budget = usd(options["budget"]) if options["budget"] is not None else None
    except (SettingsError, GraderError, ValueError) as error:
        raise UsageError(str(error)) from error
    for message in settings.messages:
        say(f"Note: {message}")
    system = text_or_file(options["system"])
    texts = [text_or_file(text) for text in options["prompt"]]
    prompts = tuple(
        Prompt(user=text, system=system, name=f"prompt {n}" if len(texts) > 1 else "")
        for n, text in enumerate(texts, 1)
    )
    found = open_dataset(rt, dataset)
    return RunDraft(
        dataset_id=found.id, prompts=prompts,
        contestants=tuple(Contestant(m, settings.params, settings.provider) for m in options["model"]),
        graders=graders, samples=options["samples"], expected_column=found.roles.get("expected"), budget_usd=budget,
        concurrency=options["concurrency"], limit=options["limit"], name=options.get("name", ""),
        tags=tuple(options.get("tag", ())),
    )  # fmt: skip


@app.command()
def run(
    dataset: Dataset,
    prompt: PromptOption,
    model: ModelOption,
    system: SystemOption = "",
    grader: GraderOption = [],  # noqa: B006 - typer copies it
    param: ParamOption = [],  # noqa: B006
    samples: Samples = 1,
    concurrency: Concurrency = None,
    budget: Budget = None,
    limit: Limit = None,
    name: Annotated[str, typer.Option(help="Name of the run.")] = "",
    tag: Annotated[list[str], typer.Option("--tag", help="A tag; several.")] = [],  # noqa: B006
    out: Annotated[
        list[Path], typer.Option("--out", help="Write the run to this file; its ending says the format.")
    ] = [],  # noqa: B006
    as_json: AsJson = False,
) -> None:
    """Run a dataset through models and prompts, grade the answers, print the scoreboard."""
    from assay.workbench import runs

    kinds = _kinds_of(out, None)
    options = {
        "prompt": prompt, "model": model, "system": system, "grader": grader, "param": param, "samples": samples,
        "concurrency": concurrency, "budget": budget, "limit": limit, "name": name, "tag": tag,
    }  # fmt: skip
    with opened() as rt:
        rt.ready()
        draft = make_draft(rt, dataset, options)
        problems = runs.check(rt, draft)
        if problems:
            raise DataError(" ".join(problems))
        run_id = runs.start_run(rt, draft)
        try:
            state = follow(rt, run_id)
        except KeyboardInterrupt:
            runs.pause_run(rt, run_id)
            runs.wait_for_run(rt, run_id, timeout_s=60)
            say(f"\nPaused. `assay continue {run_id}` goes on with the missing cells.")
            raise typer.Exit(1) from None
        _write_outs(rt, run_id, out, kinds, [])
        report(rt, run_id, state, as_json)
        if state.state != "done":
            raise typer.Exit(1)


@app.command("continue")
def continue_(
    run_id: Annotated[str, typer.Argument(metavar="RUN")],
    budget: Budget = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Ask again for failed cells.")] = False,
    as_json: AsJson = False,
) -> None:
    """Go on with the missing cells of a run."""
    from assay.workbench import results, runs

    with opened() as rt:
        rt.ready()
        record = results.get_run(rt, run_id)
        if record.gateway != rt.gateway.name:
            raise DataError(f"The run belongs to the gateway {record.gateway}, this is {rt.gateway.name}.")
        runs.continue_run(rt, record.id, budget_usd=_budget(budget), retry_failed=retry_failed)
        report(rt, record.id, follow(rt, record.id), as_json)


def _budget(text: str | None) -> Decimal | None:
    try:
        return usd(text) if text is not None else None
    except ValueError as error:
        raise UsageError(str(error)) from error


@app.command()
def estimate(
    dataset: Dataset,
    prompt: PromptOption,
    model: ModelOption,
    system: SystemOption = "",
    grader: GraderOption = [],  # noqa: B006
    param: ParamOption = [],  # noqa: B006
    samples: Samples = 1,
    concurrency: Concurrency = None,
    limit: Limit = None,
    as_json: AsJson = False,
) -> None:
    """Say what a run would send and cost; sends nothing."""
    from assay.workbench import runs

    options = {
        "prompt": prompt, "model": model, "system": system, "grader": grader, "param": param, "samples": samples,
        "concurrency": concurrency, "budget": None, "limit": limit,
    }  # fmt: skip
    with opened() as rt:
        rt.ready()
        found = runs.estimate(rt, make_draft(rt, dataset, options))
    if as_json:
        print(found.as_json())
    else:
        print(in_words(found))


def in_words(found: RunEstimate) -> str:
    """An estimate in one line."""
    cost = found.cost
    judges = f" and {found.judge_calls:,} judge calls" if found.judge_calls else ""
    known = (
        f"about {format_usd(cost.expected)} ({format_usd(cost.low)} to {format_usd(cost.high)}, never above "
        f"{format_usd(cost.worst)})"
        if cost.expected is not None
        else "at an unknown price"
    )
    return (
        f"{found.rows:,} rows x {found.prompts} prompts x {found.contestants} models x {found.samples} samples = "
        f"{found.calls:,} calls{judges} · {known} · about {max(1, round(found.seconds))} s"
    )


def follow(rt: Runtime, run_id: str) -> RunProgress:
    """Shows progress until the run has ended: a bar on a terminal, plain lines elsewhere."""
    from assay.workbench import runs

    terminal = sys.stderr.isatty()
    told, shown = 0.0, -1
    while True:
        state = runs.progress(rt, run_id)
        now = time.monotonic()
        if terminal and now - told >= PROGRESS_EVERY_S / 2:
            print(f"\r{_bar(state)}", end="", file=sys.stderr, flush=True)
            told = now
        elif not terminal and state.cells and state.done * 10 // state.cells > shown:
            shown = state.done * 10 // state.cells
            say(_bar(state))
        if not state.is_live:
            if terminal:
                print(f"\r{_bar(state)}", file=sys.stderr)
            return state
        time.sleep(0.02 if state.cells < 200 else 0.1)


def _bar(state: RunProgress) -> str:
    width = 24
    filled = round(width * state.done / state.cells) if state.cells else width
    eta = f" · {state.eta_s:.0f} s left" if state.eta_s is not None and state.done < state.cells else ""
    failed = f" · {state.failed} failed" if state.failed else ""
    note = f" · {state.reason[:60]}" if state.reason and state.state != "done" else ""
    return (
        f"[{'#' * filled}{'.' * (width - filled)}] {state.done:,}/{state.cells:,}{failed} · "
        f"{format_usd(state.spent_pico)}{eta}{note}"
    )


def report(rt: Runtime, run_id: str, state: RunProgress, as_json: bool) -> None:
    """The result of a run, for people or as one object."""
    from assay.workbench import results

    board = results.scoreboard(rt, run_id)
    if as_json:
        unknown = state.unknown_calls
        print_json({
            "run": run_id, "name": state.name, "state": state.state, "reason": state.reason, "cells": state.cells,
            "done": state.done, "failed": state.failed, "cost_usd": from_pico(state.spent_pico),
            "provenance": "unknown in part" if unknown else "known", "unknown_calls": unknown,
            "seconds": round(state.seconds, 3), "scoreboard": [score_json(line) for line in board],
        })  # fmt: skip
        return
    print(f"Run {run_id} · {state.name} · {state.state}")
    if state.reason:
        print(state.reason)
    for line in table(board):
        print(line)
    print(results.verdict(rt, run_id))


def score_json(line: ContestantScore) -> dict[str, Any]:
    """A line of the scoreboard as JSON."""
    score = line.score
    return {
        "contestant": line.label, "score": score.mean if score else None, "low": score.low if score else None,
        "high": score.high if score else None, "pass_rate": line.passes.mean if line.passes else None,
        "coverage": line.coverage, "scored": line.scored, "failed": line.failed, "correct": line.correct,
        "cost_usd": None if line.cost_pico is None else from_pico(line.cost_pico), "p50_ms": line.p50_ms,
        "p95_ms": line.p95_ms, "prompt_tokens": line.prompt_tokens, "completion_tokens": line.completion_tokens,
    }  # fmt: skip


def table(board: tuple[ContestantScore, ...]) -> list[str]:
    """The scoreboard as aligned lines."""
    head = ("contestant", "score", "95 % interval", "pass", "coverage", "cost", "per correct", "p50", "p95")
    rows = [head]
    for line in board:
        score = line.score
        rows.append((
            line.label,
            f"{score.mean:.3f}" if score else "-",
            f"{score.low:.3f} to {score.high:.3f}" if score else "-",
            f"{line.passes.mean:.0%}" if line.passes else "-",
            f"{line.coverage:.0%}",
            format_usd(line.cost_pico),
            format_usd(line.cost_per_correct_pico) if line.cost_per_correct_pico is not None else "-",
            f"{line.p50_ms / 1000:.2f} s" if line.p50_ms is not None else "-",
            f"{line.p95_ms / 1000:.2f} s" if line.p95_ms is not None else "-",
        ))  # fmt: skip
    widths = [max(len(row[n]) for row in rows) for n in range(len(head))]
    return [
        "  ".join(
            cell.ljust(w) if n == 0 else cell.rjust(w) for n, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def _kinds_of(paths: list[Path], format_name: str | None) -> list[str]:
    """The export format of each file: the one named, else the one its name asks for. Raises UsageError."""
    from assay.workbench.exports import KINDS, kind_for, kind_of

    found = []
    for path in paths:
        try:
            kind = kind_of(format_name) if format_name else kind_for(path)
        except DataError as error:
            raise UsageError(error.message, cure=error.cure) from error
        if kind is None:
            endings = ", ".join(f".{kind.suffix}" for kind in KINDS.values())
            raise UsageError(
                f"{path} is not a kind of file that can be written.", cure=f"Use a name that ends in one of {endings}."
            )
        if not path.parent.is_dir():
            raise UsageError(f"The folder {path.parent} does not exist.")
        found.append(kind.name)
    return found


def _write_outs(rt: Runtime, run_id: str, paths: list[Path], kinds: list[str], redact: list[str]) -> None:
    from assay.workbench.exports import export_run

    for path, kind in zip(paths, kinds, strict=True):
        export_run(rt, run_id, kind, path, redact=redact)
        say(f"Wrote {path}")


@app.command()
def runs(limit: Annotated[int, typer.Option(min=1)] = 20, as_json: AsJson = False) -> None:
    """List the latest runs."""
    from assay.workbench import runs as workbench

    with opened() as rt:
        found = workbench.list_runs(rt, limit=limit)
    if as_json:
        print_json([
            {"run": r.id, "name": r.name, "state": r.state, "cells": r.cells, "done": r.done, "failed": r.failed,
             "cost_usd": from_pico(r.settled_pico)} for r in found
        ])  # fmt: skip
        return
    for r in found:
        print(f"{r.id}  {r.state:8} {r.done:>6}/{r.cells:<6} {format_usd(r.settled_pico):>10}  {r.name}")
    if not found:
        print("There are no runs yet. `assay run --help` says how to start one.")


@app.command()
def show(run_id: Annotated[str, typer.Argument(metavar="RUN")], as_json: AsJson = False) -> None:
    """Show a run's scoreboard and verdict."""
    from assay.workbench import results
    from assay.workbench import runs as workbench

    with opened() as rt:
        record = results.get_run(rt, run_id)
        report(rt, record.id, workbench.progress(rt, record.id), as_json)


@app.command()
def export(
    run_id: Annotated[str, typer.Argument(metavar="RUN")],
    out: Annotated[list[Path], typer.Option("--out", help="A file to write; several.")],
    format_name: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="KIND",
            help="evidence, csv, tidy, wide, xlsx, jsonl, promptfoo, junit or markdown; else the file's ending says.",
        ),
    ] = None,
    redact: Annotated[
        list[str],
        typer.Option("--redact", metavar="COLUMN", help="Leave out a column, or output, reason ...; several."),
    ] = [],  # noqa: B006
) -> None:
    """Write a run to a file: tables, a workbook, JSON, JUnit, Markdown, or one page of evidence."""
    from assay.workbench import results

    kinds = _kinds_of(out, format_name)
    with opened() as rt:
        _write_outs(rt, results.get_run(rt, run_id).id, out, kinds, redact)


@app.command()
def models(search: Annotated[str, typer.Argument(help="Part of an id or name.")] = "", as_json: AsJson = False) -> None:
    """List the models of the gateway with their prices per million tokens."""
    from assay.workbench.catalogue import catalogue_state, list_models

    with opened() as rt:
        rt.ready()
        found = [m for m in list_models(rt) if search.lower() in f"{m.id} {m.name}".lower()]
        error = catalogue_state(rt).error
    if error and not found:
        raise DataError(error)
    if as_json:
        print_json([
            {"id": m.id, "name": m.name, "prompt_usd_per_million": m.prompt_usd_per_million,
             "completion_usd_per_million": m.completion_usd_per_million, "context": m.context_length} for m in found
        ])  # fmt: skip
        return
    for m in found:
        prices = [m.prompt_usd_per_million, m.completion_usd_per_million]
        shown = " / ".join("unknown" if p is None else f"${p.normalize():f}" for p in prices)
        print(f"{m.id:44} {shown:>20}  {m.context_length or 0:>9,}")


@app.command()
def spend(
    days: Annotated[int | None, typer.Option(min=1, help="The last days only.")] = None, as_json: AsJson = False
) -> None:
    """Show where the money went, by model."""
    from assay.workbench import spend as workbench

    offset = workbench.local_offset_ms()
    chosen = workbench.since_days(days, offset_ms=offset)
    with opened() as rt:
        total = workbench.overview(rt, chosen, offset_ms=offset).chosen
        lines = workbench.spend_by(rt, "model", chosen)
    if as_json:
        print_json({
            "known_usd": from_pico(total.known_pico), "calls": total.calls, "unknown_calls": total.unknown_calls,
            "unknown_at_most_usd": from_pico(total.unknown_bound_pico),
            "models": [{"model": x.label, "known_usd": from_pico(x.sum.known_pico), "calls": x.sum.calls,
                        "unknown_calls": x.sum.unknown_calls} for x in lines],
        })  # fmt: skip
        return
    print(f"{workbench.in_words(total)} on {total.calls:,} calls")
    for x in lines:
        print(f"{x.label:44} {format_usd(x.sum.known_pico):>12}  {x.sum.calls:>7,} calls")


@app.command("import")
def import_(file: Path, name: Annotated[str, typer.Option()] = "", as_json: AsJson = False) -> None:
    """Keep a file as a dataset and say what was noticed in it."""
    from assay.workbench import datasets

    with opened() as rt:
        found = datasets.read_upload(rt, file)
        kept = datasets.save_table(rt, found, name=name or file.stem, source=file.name)
    findings = [{"kind": f.kind, "count": f.count, "message": f.message, "lines": f.lines} for f in found.findings]
    if as_json:
        print_json({"dataset": kept.id, "name": kept.name, "version": kept.version, "rows": kept.row_count,
                    "columns": kept.columns, "read_as": found.dialect.describe(), "findings": findings})  # fmt: skip
        return
    print(f"{kept.id}  {kept.name} version {kept.version}: {kept.row_count:,} rows, {found.dialect.describe()}")
    for finding in found.findings:
        print(f"- {finding.message} {finding.cure}".rstrip())


@app.command()
def datasets() -> None:
    """List the stored datasets."""
    from assay.workbench import datasets as workbench

    with opened() as rt:
        for d in workbench.list_datasets(rt):
            print(f"{d.id}  {d.name} version {d.version}  {d.row_count:,} rows  {', '.join(d.columns)[:60]}")


@app.command()
def sandbox(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8900,
    speed: Annotated[float, typer.Option(min=0, help="Multiplies all waiting; 0 answers at once.")] = 1.0,
) -> None:
    """Serve the imitation of OpenRouter on loopback until Ctrl-C."""
    from assay.sandbox import SandboxConfig, SandboxServer

    try:
        server = SandboxServer(SandboxConfig(speed=speed), port=port)
    except OSError as error:
        raise DataError(f"Port {port} cannot be used: {error.strerror}.", cure="Choose another --port.") from error
    with server:
        print(server.base_url, flush=True)
        say("Simulated answers, invented prices. Any key is accepted. Ctrl-C ends it.")
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            return


def main() -> None:
    """The entry point: errors in words on standard error, never a traceback."""
    try:
        app()
    except UsageError as error:
        say(f"Error: {error}")
        sys.exit(2)
    except AssayError as error:
        say(f"Error: {error}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(1)
