"""The command that adds to a run: contestants, prompts, samples, rows."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assay.cli.options import (
    AllowUnknown,
    AsJson,
    Budget,
    ModelOption,
    ParamOption,
    PromptNameOption,
    PromptOption,
    Strict,
    parse_budget,
    parse_params,
    text_or_file,
)
from assay.cli.progress import attend
from assay.cli.running import grid_words, money_words, took_words
from assay.cli.scoreboard import conclude
from assay.cli.terminal import UsageError, app, confirm, opened, say
from assay.errors import SettingsError
from assay.money import format_usd, from_pico, to_pico

if TYPE_CHECKING:
    from assay.domain.contestant import Contestant, Prompt
    from assay.domain.plan import RunPlan
    from assay.workbench.running.growth import GrowthEstimate


@app.command()
def grow(
    run_id: Annotated[str, typer.Argument(metavar="RUN")],
    model: ModelOption = [],  # noqa: B006 - typer copies it
    param: ParamOption = [],  # noqa: B006
    allow_unknown: AllowUnknown = False,
    prompt: PromptOption = [],  # noqa: B006
    prompt_name: PromptNameOption = [],  # noqa: B006
    prompt_file: Annotated[
        list[Path], typer.Option("--prompt-file", help="A file with a prompt's text, named after it; several.")
    ] = [],  # noqa: B006
    system: Annotated[
        str | None, typer.Option("--system", help="System text of the added prompts, or @FILE; the run's when absent.")
    ] = None,
    samples: Annotated[
        int | None, typer.Option(min=1, max=100, help="Answers per cell from now on, all together.")
    ] = None,
    rows: Annotated[
        str | None, typer.Option(help="First rows of the dataset from now on, all together; or 'all'.")
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", help="A file or stored dataset: its rows that the run lacks are added.")
    ] = None,
    budget: Budget = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Start without asking.")] = False,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Add models, prompts, samples or rows to a run; only the missing cells are asked.

    The estimate is printed first. Models get the parameters that the run's have in common, unless --param says
    others. Exit 0 when done, 1 when it is not complete, 2 on wrong usage, 100 when a gate of its suite is not met.
    """
    from assay.workbench.datasets.kept import open_dataset, warnings_of
    from assay.workbench.prompts import find_version, run_prompt
    from assay.workbench.results import cells
    from assay.workbench.running import growth

    amount = parse_budget(budget)
    with opened() as session:
        session.ready()
        record = cells.get_run(session, run_id)
        given = open_dataset(session, data) if data is not None else None
        for words in warnings_of(given) if given is not None else ():
            say(words)
        wanted = growth.Growth(
            contestants=_contestants(record.plan, model, param, allow_unknown=allow_unknown),
            allow_unknown=allow_unknown,
            prompts=_prompts(record.plan, prompt, prompt_file, system)
            + tuple(run_prompt(find_version(session, given)) for given in prompt_name),
            samples=samples,
            rows=_row_count(rows, record.dataset.row_count) if data is None or rows != "all" else None,
            dataset=given.id if given is not None else None,
        )
        found = growth.estimate_growth(session, record.id, wanted)
        for line in in_words(found, None if amount is None else to_pico(amount)):
            say(line)
        confirm("Start?", undone="Nothing was added or sent.", yes=yes)
        growth.grow_run(session, record.id, wanted, budget_usd=amount)
        conclude(session, record.id, attend(session, record.id), as_json, strict=strict)


def _contestants(plan: RunPlan, models: list[str], given: list[str], *, allow_unknown: bool) -> tuple[Contestant, ...]:
    from assay.domain.contestant import Contestant
    from assay.workbench.running.growth import shared_settings

    if given and not models:
        raise UsageError("--param belongs to added models.", cure="Give --model too.")
    try:
        settings = parse_params(given, allow_unknown=allow_unknown)
    except (SettingsError, ValueError) as error:
        raise UsageError(str(error)) from error
    params, provider = (settings.params, settings.provider) if given else shared_settings(plan)
    return tuple(Contestant(model, params, provider) for model in models)


def _prompts(plan: RunPlan, texts: list[str], files: list[Path], system: str | None) -> tuple[Prompt, ...]:
    from assay.domain.contestant import Prompt

    shared = plan.prompts[0].system if system is None else text_or_file(system)
    found = [(text_or_file(text), Path(text[1:]).stem if text.startswith("@") else "") for text in texts]
    found += [(text_or_file(f"@{path}"), path.stem) for path in files]
    return tuple(Prompt(user=text, system=shared, name=name) for text, name in found)


def _row_count(given: str | None, all_of_them: int) -> int | None:
    if given is None or given == "all":
        return None if given is None else all_of_them
    if not given.isdecimal() or int(given) < 1:
        raise UsageError(f"--rows {given!r} is neither a number of rows nor 'all'.")
    return int(given)


def in_words(found: GrowthEstimate, budget_pico: int | None) -> list[str]:
    """What a growth would send and cost, in lines; budget_pico: the new budget, None: the present one stays."""
    asked = found.missing
    judges = f" and {asked.judge_calls:,} judge calls" if asked.judge_calls else ""
    lines = list(found.notes)
    lines.append(f"{grid_words(asked)} = {found.cells:,} cells, {found.cells - asked.calls:,} of them asked already")
    money = money_words(asked.cost, found.never_words(budget_pico))
    lines.append(f"To send: {asked.calls:,} calls{judges} · {money} · {took_words(asked.seconds)}")
    budget = found.budget_pico if budget_pico is None else budget_pico
    if budget is None:
        return lines
    lines.append(f"Spent so far: {format_usd(found.committed_pico)} of the budget of {format_usd(budget)}")
    needed = found.proposed_budget_pico
    if needed is None or needed > budget:
        cure = "" if needed is None else f" --budget {_rounded_up(needed)} surely suffices."
        lines.append(f"The run pauses when the budget is reached.{cure}")
    return lines


def _rounded_up(pico: int) -> Decimal:
    """An amount in USD that can be typed: in cents, a small one in millionths, never below the exact one."""
    amount = from_pico(pico)
    return amount.quantize(Decimal("0.01") if amount >= 1 else Decimal("0.000001"), ROUND_CEILING)
