"""Commands that plan and work runs: run, continue, estimate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assay.cli.exports import check_outs, write_outs
from assay.cli.options import (
    AllowUnknown,
    AsJson,
    Budget,
    Concurrency,
    DatasetOrSuite,
    GraderOption,
    Limit,
    Margin,
    Mode,
    ModelOption,
    ParamOption,
    PromptNameOption,
    PromptOption,
    Strict,
    SystemOption,
    make_draft,
    parse_budget,
)
from assay.cli.progress import attend, work
from assay.cli.scoreboard import conclude, report
from assay.cli.suite import is_suite, load, overridden, run_suite
from assay.cli.terminal import UsageError, app, opened, out_lines, print_json_text, say
from assay.errors import RunError
from assay.money import format_usd, format_usd_up

if TYPE_CHECKING:
    from assay.runs.estimate import Estimate, RunEstimate
    from assay.stats.prediction import Prediction


@app.command()
def run(
    dataset: DatasetOrSuite,
    prompt: PromptOption = [],  # noqa: B006 - typer copies it
    prompt_name: PromptNameOption = [],  # noqa: B006
    model: ModelOption = [],  # noqa: B006
    system: SystemOption = "",
    grader: GraderOption = [],  # noqa: B006
    param: ParamOption = [],  # noqa: B006
    allow_unknown: AllowUnknown = False,
    samples: Annotated[int | None, typer.Option(min=1, max=100, help="Answers per cell.")] = None,
    concurrency: Concurrency = None,
    budget: Budget = None,
    limit: Limit = None,
    mode: Mode = None,
    margin: Margin = None,
    name: Annotated[str, typer.Option(help="Name of the run.")] = "",
    tag: Annotated[list[str], typer.Option("--tag", help="A tag; several.")] = [],  # noqa: B006
    out: Annotated[list[Path], typer.Option("--out", help="Write the run to this file; several.")] = [],  # noqa: B006
    pilot: Annotated[
        bool, typer.Option("--pilot", help="Pause after five rows drawn at random and say what the whole will cost.")
    ] = False,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Run a dataset, or a suite file with gates, through models and prompts; grade the answers, print the scoreboard.

    Exit 0 when done, 1 on an error, 2 on wrong usage, 100 when a gate of the suite is not met.
    """
    check_outs(out)
    options = {
        "prompt": prompt,
        "prompt_name": prompt_name,
        "model": model,
        "system": system,
        "grader": grader,
        "param": param,
        "samples": samples,
        "concurrency": concurrency,
        "budget": budget,
        "limit": limit,
        "mode": mode,
        "margin": margin,
        "name": name,
        "tag": tag,
        "allow_unknown": allow_unknown,
    }
    if is_suite(dataset, options):
        run_suite(Path(dataset), options, out, as_json, strict=strict)
        return
    _require(options, cure="Give it, or a suite file: assay run suite.yaml.")
    with opened() as session:
        session.ready()
        draft = make_draft(session, dataset, options | {"samples": samples or 1})
        run_id, state = work(session, replace(draft, pilot=pilot))
        if pilot and state.state == "paused" and state.forecast is not None:
            report(session, run_id, state, as_json)
            say(f"{bill_words(state.forecast)} `assay continue {run_id}` sends the rest.")
            return
        write_outs(session, run_id, out)
        conclude(session, run_id, state, as_json, strict=strict)


def _require(options: Mapping[str, Any], *, cure: str) -> None:
    """Raises UsageError when there is no prompt or no model."""
    if not options["prompt"] and not options["prompt_name"]:
        raise UsageError("Missing option '--prompt' or '--prompt-name'.", cure=cure)
    if not options["model"]:
        raise UsageError("Missing option '--model'.", cure=cure)


@app.command("continue")
def continue_(
    run_id: Annotated[str, typer.Argument(metavar="RUN")],
    budget: Annotated[
        str | None, typer.Option(help="A new budget in USD, all that is spent already included; 'none' takes it away.")
    ] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Ask again for failed cells.")] = False,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Go on with the missing cells of a run, and check the gates of its suite.

    Exit 0 when done, 1 when it is not complete, 100 when a gate is not met.
    """
    from assay.workbench.results import cells
    from assay.workbench.running import runs

    with opened() as session:
        session.ready()
        record = cells.get_run(session, run_id)
        none = budget is not None and budget.strip().lower() == "none"
        amount = None if none else parse_budget(budget)
        runs.continue_run(session, record.id, budget_usd=amount, no_budget=none, retry_failed=retry_failed)
        conclude(session, record.id, attend(session, record.id), as_json, strict=strict)


@app.command()
def estimate(
    dataset: DatasetOrSuite,
    prompt: PromptOption = [],  # noqa: B006
    prompt_name: PromptNameOption = [],  # noqa: B006
    model: ModelOption = [],  # noqa: B006
    system: SystemOption = "",
    grader: GraderOption = [],  # noqa: B006
    param: ParamOption = [],  # noqa: B006
    allow_unknown: AllowUnknown = False,
    samples: Annotated[int | None, typer.Option(min=1, max=100, help="Answers per cell.")] = None,
    concurrency: Concurrency = None,
    limit: Limit = None,
    mode: Mode = None,
    as_json: AsJson = False,
) -> None:
    """Say what a run, or the run of a suite file, would send and cost; sends nothing."""
    from assay.workbench.gating import suites
    from assay.workbench.running import budgets
    from assay.workbench.running.review import review

    options = {
        "prompt": prompt,
        "prompt_name": prompt_name,
        "model": model,
        "system": system,
        "grader": grader,
        "param": param,
        "samples": samples,
        "concurrency": concurrency,
        "budget": None,
        "limit": limit,
        "mode": mode,
        "name": "",
        "tag": [],
        "allow_unknown": allow_unknown,
    }
    file = load(Path(dataset), options) if is_suite(dataset, options) else None
    if file is None:
        _require(options, cure="Give it, or a suite file: assay estimate suite.yaml.")
    with opened() as session:
        session.ready()
        if file is None:
            draft = make_draft(session, dataset, options | {"samples": samples or 1})
        else:
            draft, notes = suites.draft_of(session, file, allow_unknown=allow_unknown)
            for note in notes:
                say(f"Note: {note}")
            draft = overridden(draft, options)
        reviewed = review(session, draft, previewed=0)
        if reviewed.estimate is None:
            raise RunError(" ".join(reviewed.problems))
        found = reviewed.estimate
        for note in reviewed.notes:
            say(f"Note: {note}")
    if as_json:
        print_json_text(found.as_json())
    else:
        limit = budgets.never_above(found.cost, budgets.budget_pico(draft.budget_usd))
        out_lines([in_words(found, limit), *by_contestant(found)])


GUESSED = (
    "How long the answers will be is a guess: nobody was asked this prompt yet. `assay run --pilot` asks five rows "
    "drawn at random and says what the whole will cost."
)


def in_words(found: RunEstimate, limit: int | None) -> str:
    """An estimate in one line; limit: what the run is never above."""
    from assay.workbench.running.budgets import never_words

    judges = f" and {found.judge_calls:,} judge calls" if found.judge_calls else ""
    saved = f", saves about {format_usd(found.saving)}" if found.saving is not None else ""
    money = f"{money_words(found.cost, never_words(limit, found.cost))}{saved}"
    return f"{grid_words(found)} = {found.calls:,} calls{judges} · {money} · {took_words(found.seconds)}"


def grid_words(found: RunEstimate) -> str:
    """Rows, prompts, models and samples that are multiplied."""
    sizes = {"row": found.rows, "prompt": found.prompts, "model": found.contestants, "sample": found.samples}
    return " x ".join(f"{size:,} {noun}{'' if size == 1 else 's'}" for noun, size in sizes.items())


def by_contestant(found: RunEstimate) -> list[str]:
    """A line for each contestant, its judges included; none where there is one only."""
    shares = found.per_contestant if len(found.per_contestant) > 1 else ()
    return [
        f"  {share.label}: {share.calls:,} calls · {money_words(share.cost, _one_try(share.cost))} · "
        f"{took_words(share.seconds)}"
        for share in shares
    ]


def _one_try(cost: Estimate) -> str:
    """What a share costs at most where no call is repeated: the run's budget is held for all together."""
    from assay.workbench.running.budgets import never_words

    return f"at most {format_usd_up(cost.worst)} without retries" if cost.worst is not None else never_words(None, cost)


def money_words(cost: Estimate, never: str) -> str:
    """An estimated cost in words; never: what it is never above, in words."""
    guess = ", a guess: no model has answered this prompt yet" if cost.guessed else ""
    if cost.expected is None:
        return f"at an unknown price, {never}"
    return f"about {format_usd(cost.expected)} ({format_usd(cost.low)} to {format_usd(cost.high)}, {never}){guess}"


def bill_words(bill: Prediction) -> str:
    """What a run will cost in all, by the rows that it has paid."""
    low, expected, high = (format_usd(round(amount)) for amount in (bill.low, bill.expected, bill.high))
    heavy = " Rows differ much in cost, so it may be more." if bill.heavy else ""
    return f"The whole run will cost about {expected} ({low} to {high}), going by {bill.count} rows.{heavy}"


def took_words(seconds: float) -> str:
    """An estimated time in words."""
    return "within a day" if seconds >= 86_400 else f"about {max(1, round(seconds))} s"
