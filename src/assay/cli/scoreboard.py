"""The result of a run: aligned lines for people, or one object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import typer

from assay.cli.terminal import GATE_NOT_MET, out, out_lines, print_json, say
from assay.exports.scoreboard import BRIEF, ContestantScore, numbers_of
from assay.money import format_usd, from_pico

if TYPE_CHECKING:
    from assay.stats.prediction import Prediction
    from assay.stats.values import Difference
    from assay.workbench.gating.gates import GateResult
    from assay.workbench.results.standing import Standing
    from assay.workbench.running.runs import RunProgress
    from assay.workbench.session import Session


def conclude(session: Session, run_id: str, state: RunProgress, as_json: bool, *, strict: bool = False) -> None:
    """The result of a run that was worked, and the exit code: 1 when it is not complete or nothing was answered, 100
    when a gate that it keeps is not met; strict: 1 too when a cell failed or a contestant was given up."""
    from assay.workbench.results import cells as results

    gated = bool(results.get_run(session, run_id).plan.gates)
    if state.state != "done":
        report(session, run_id, state, as_json)
        if gated:
            say("The run is not complete, so its gates are not checked.")
        raise typer.Exit(1)
    if state.done and state.failed == state.done:
        report(session, run_id, state, as_json)
        say(f"Nothing was answered. The first error: {results.first_error(session, run_id)}")
        raise typer.Exit(1)
    found = None
    if gated:
        from assay.workbench.gating import gates  # with the suite's models, slow to import

        found = gates.check_run(session, run_id)
    report(session, run_id, state, as_json, found)
    if found is not None and not all(gate.passed for gate in found):
        raise typer.Exit(GATE_NOT_MET)
    if strict and state.outcome != "done":
        say(f"The run is {state.outcome}. `assay continue {run_id} --retry-failed` asks again.")
        raise typer.Exit(1)


def report(
    session: Session, run_id: str, state: RunProgress, as_json: bool, gates: Sequence[GateResult] | None = None
) -> None:
    """The result of a run, for people or as one object."""
    from assay.workbench.results import cells as results
    from assay.workbench.results import outcome, standing
    from assay.workbench.running import growth

    found = outcome.estimate_outcome(session, run_id)
    changes = growth.history(session, run_id)
    stands = standing.standing(session, run_id)
    board = stands.board
    away = results.failed_providers(session, run_id)
    by = results.answered_by(session, run_id)
    if as_json:
        unknown = state.unknown_calls
        print_json(
            {
                "run": run_id,
                "name": state.name,
                "state": state.state,
                "outcome": state.outcome,
                "given_up": list(state.given_up),
                "reason": state.reason,
                "cells": state.cells,
                "done": state.done,
                "failed": state.failed,
                "cut": sum(line.cut for line in board),
                "cost_usd": from_pico(state.spent_pico),
                "judging_usd": from_pico(state.judging.known_pico),
                "upstream_usd": from_pico(state.upstream_pico),
                "provenance": "unknown in part" if unknown else "known",
                "unknown_calls": unknown,
                "unknown_at_most_usd": from_pico(state.unknown_bound_pico),
                "seconds": round(state.seconds, 3),
                "scoreboard": [score_json(line) for line in board],
                "verdict": stands.verdict,
                "decision": decision_json(stands),
                "estimate": None if found is None else found.as_json(),
                "forecast": bill_json(state.forecast),
                "failed_providers": [{"provider": name, "answers": count} for name, count in away],
                "answered_by": {name: dict(models) for name, models in by.items()},
                "changes": [{"at_ms": change.at_ms, "what": change.words} for change in changes],
                **({} if gates is None else {"gates": [gate.as_json() for gate in gates]}),
            }
        )
        return
    out(f"Run {run_id} · {state.name} · {state.outcome}")
    if state.reason:
        out(state.reason)
    for line in table(board):
        out(line)
    for line in remarks(board, state):
        out(line)
    if away:
        said = ", ".join(f"{name} before {count:,} answer{'' if count == 1 else 's'}" for name, count in away[:5])
        out(f"Providers that failed before others answered: {said}.")
    for name, models in by.items():
        if models:
            out(f"{name} was answered by {', '.join(f'{model} ({count:,})' for model, count in models)}.")
    out_lines([*stands.verdict_lines, *(f"- {reason}" for reason in stands.reasons)])
    for change in changes:
        out(f"{datetime.fromtimestamp(change.at_ms / 1000):%d %b %Y %H:%M}: {change.words}")
    if found is not None:
        out(found.words)
    for gate in gates or ():
        out(f"{gate.outcome.upper()}  {gate.contestant or 'the run'}: {gate.words}")


def bill_json(bill: Prediction | None) -> dict[str, Any] | None:
    """The foretold bill of a run that has not ended, in USD, with its 95 % prediction interval; None: not known."""
    if bill is None:
        return None
    low, expected, high = (from_pico(round(amount)) for amount in (bill.low, bill.expected, bill.high))
    return {"low_usd": low, "expected_usd": expected, "high_usd": high, "rows": bill.count, "heavy_tail": bill.heavy}


def remarks(board: Sequence[ContestantScore], state: RunProgress) -> Iterator[str]:
    """What the table leaves out: judging, own keys, unknown costs, answers that were cut."""
    if state.judging.calls:
        unknown = f" and {state.judging.unknown_calls:,} of unknown cost" if state.judging.unknown_calls else ""
        yield (
            f"Judging cost {format_usd(state.judging.known_pico)} on {state.judging.calls:,} calls{unknown}: "
            "it is in no contestant's cost."
        )
    if state.upstream_pico:
        yield f"{format_usd(state.upstream_pico)} of the costs was paid to providers with your own key (BYOK)."
    if state.unknown_calls:
        calls = "1 call is" if state.unknown_calls == 1 else f"{state.unknown_calls:,} calls are"
        at_most = f": at most {format_usd(state.unknown_bound_pico)} more" if state.unknown_bound_pico else ""
        yield f"{calls} of unknown cost{at_most}. `assay spend --recover` asks the gateway."
    if cut := [line for line in board if line.cut]:
        said = ", ".join(f"{line.cut:,} of {line.answered:,} by {line.label}" for line in cut)
        yield f"Cut at max_tokens, and graded as they are: {said}."


def score_json(line: ContestantScore) -> dict[str, Any]:
    """A line of the scoreboard as JSON."""
    return {"contestant": line.label, **numbers_of(line)}


def difference_json(found: Difference | None) -> dict[str, Any]:
    """A difference as JSON; low and high are of the plain 95 % interval, family_low and family_high of the adjusted."""
    if found is None:
        return {"method": None, "n": 0, "unit": "row", "difference": None, "p": None, "p_adjusted": None}
    return {
        "method": found.method,
        "n": found.n,
        "unit": "row",
        "difference": {
            "value": found.value,
            "low": found.low,
            "high": found.high,
            "family_low": found.family_low,
            "family_high": found.family_high,
        },
        "p": found.p,
        "p_adjusted": found.p_adjusted,
    }


def decision_json(standing: Standing) -> dict[str, Any]:
    """The decision as JSON: the claim, the difference of the first two, and every sentence."""
    found = standing.decision
    compared = [line for line in found.standings if not line.left_out]
    first, second = (*compared[:2], None, None)[:2]
    main = found.difference(first.key, second.key) if first and second else None
    labels = {line.key: line.label for line in found.standings}
    needed = found.rows_needed
    return {
        "claim": found.claim,
        "leaders": [labels[key] for key in found.leaders],
        "compared": None if main is None else [labels[main.first], labels[main.second]],
        **difference_json(main),
        "n": found.n,
        "unit": found.unit,
        "family": {"size": found.family.size, "words": found.family.words, "adjustment": found.family.adjustment},
        "margin": found.margin,
        "confidence": found.confidence,
        "look": found.look,
        "candidates": [
            {
                "contestant": labels[c.key],
                "beside": labels[c.leader],
                "side": c.check.side,
                "low": c.check.low,
                "high": c.check.high,
                "p_adjusted": c.check.p_adjusted,
                "cost_share": c.cost_share,
            }
            for c in found.candidates
        ],
        "left_out": [line.label for line in found.standings if line.left_out],
        "rows_needed": None
        if needed is None
        else {
            "rows": needed.rows,
            "more": needed.more,
            "cost_usd": None if needed.cost is None else from_pico(round(needed.cost)),
        },
        "sentences": list(standing.verdict_lines),
    }


def table(board: Sequence[ContestantScore]) -> list[str]:
    """The scoreboard as aligned lines."""
    rows = [("contestant", *(column.title.lower() for column in BRIEF))]
    rows += [(line.label, *(column.words(line) or "-" for column in BRIEF)) for line in board]
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(w) if n == 0 else cell.rjust(w) for n, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
