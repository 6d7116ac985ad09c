"""Suite files on the command line: `assay run SUITE.yaml`, and the schema of such files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.cli.exports import write_outs
from assay.cli.options import parse_budget
from assay.cli.progress import work
from assay.cli.scoreboard import conclude
from assay.cli.terminal import UsageError, app, opened, say

if TYPE_CHECKING:
    from assay.workbench.gating.suites import SuiteFile
    from assay.workbench.running.runs import RunDraft

OVERRIDES = ("budget", "limit", "name", "samples", "concurrency", "mode", "tag", "allow_unknown", "margin")
"""Options that win over the suite; every other one belongs in the file."""


def is_suite(given: str, options: Mapping[str, Any]) -> bool:
    """Whether a word names a suite file: with prompts and models beside it, it names rows in YAML."""
    complete = (options["prompt"] or options["prompt_name"]) and options["model"]
    return given.lower().endswith((".yaml", ".yml")) and not complete


def run_suite(path: Path, options: Mapping[str, Any], out: list[Path], as_json: bool, *, strict: bool = False) -> None:
    """Runs a suite and checks its gates; exit 100 when one is not met."""
    from assay.workbench.gating import gates, suites

    file = load(path, options)
    with opened() as session:
        session.ready()
        draft, notes = suites.draft_of(session, file, allow_unknown=options["allow_unknown"])
        for note in notes:
            say(f"Note: {note}")
        baselines = gates.find_baselines(session, file.suite.gates)
        margin = options["margin"] or file.suite.margin
        draft = replace(draft, gates=gates.frozen(file.suite.gates, baselines, margin=margin))
        run_id, state = work(session, overridden(draft, options))
        write_outs(session, run_id, out)
        conclude(session, run_id, state, as_json, strict=strict)


def load(path: Path, options: Mapping[str, Any]) -> SuiteFile:
    """The suite of a file. Raises UsageError for an option that belongs in it."""
    from assay.workbench.gating.suites import load_suite

    for option, given in options.items():
        if given and option not in OVERRIDES:
            raise UsageError(
                f"--{option.replace('_', '-')} cannot be combined with a suite.", cure=f"Write it into {path.name}."
            )
    return load_suite(path)


def overridden(draft: RunDraft, options: Mapping[str, Any]) -> RunDraft:
    """The draft with what the command line says instead."""
    budget = parse_budget(options["budget"])
    return replace(
        draft,
        budget_usd=draft.budget_usd if budget is None else budget,
        limit=options["limit"] or draft.limit,
        name=options["name"] or draft.name,
        samples=options["samples"] or draft.samples,
        concurrency=options["concurrency"] or draft.concurrency,
        tags=tuple(options["tag"]) or draft.tags,
        mode=options["mode"] or draft.mode,
        margin=options.get("margin") or draft.margin,
    )


@app.command()
def schema() -> None:
    """Print the JSON schema of suite files, for editors."""
    from assay.workbench.gating.suites import schema_json

    print(schema_json(), end="")
