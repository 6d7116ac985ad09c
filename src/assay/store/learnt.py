"""What the ledger has taught of models: how long their answers are, how they count, how long they take."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, Float, and_, case, cast, func, select

from assay.stats.prediction import Sample
from assay.store.tables import CALL, RESULT, RUN_PROMPT

LEARNT_FROM = 5
"""Calls to a model below which nothing is taken as learnt."""
LATEST = 200
LOOKED_AT = 1_000
"""Latest calls to a model among which those of a prompt are looked for, so that looking costs the same at any size."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """What the ledger has taught of a model, by its latest successful calls; None: too few calls that say so."""

    answer_tokens: float | None = None
    """Mean completion tokens, reasoning included, over whatever it was asked."""
    seconds: float | None = None
    """Mean seconds of a call."""
    tokens_per_char: float | None = None
    """Prompt tokens by the model's own count for each character sent."""


def learnt_of(connection: Connection, model: str, judging: bool = False) -> Learnt:
    """What the latest successful calls to a model have taught; judging: those that asked it for a verdict, else the
    others, whose answers have another length."""
    latest = (
        select(CALL.c.completion_tokens, CALL.c.total_ms, CALL.c.prompt_tokens, CALL.c.prompt_chars)
        .where(CALL.c.model == model, CALL.c.outcome == "ok", (CALL.c.purpose == "judge") == judging)
        .order_by(CALL.c.created_ms.desc())
        .limit(LATEST)
        .subquery()
    )
    told = case((latest.c.prompt_chars > 0, latest.c.prompt_tokens))
    row = connection.execute(
        select(
            func.count(latest.c.completion_tokens),
            func.avg(latest.c.completion_tokens),
            func.count(latest.c.total_ms),
            func.avg(latest.c.total_ms),
            func.count(told),
            func.sum(told),
            func.sum(case((told.is_not(None), latest.c.prompt_chars))),
        )
    ).one()
    return Learnt(
        float(row[1]) if row[0] >= LEARNT_FROM else None,
        float(row[3]) / 1000 if row[2] >= LEARNT_FROM else None,
        float(row[5]) / float(row[6]) if row[4] >= LEARNT_FROM else None,
    )


def answer_lengths(connection: Connection, model: str, prompt_key: str) -> Sample | None:
    """Completion tokens of a model's latest answers to one version of a prompt, in runs; None: too few answers."""
    latest = (
        select(CALL.c.run_id, CALL.c.cell, CALL.c.completion_tokens)
        .where(CALL.c.model == model, CALL.c.outcome == "ok", CALL.c.purpose == "run")
        .order_by(CALL.c.created_ms.desc())
        .limit(LOOKED_AT)
        .subquery()
    )
    answers = (
        select(cast(latest.c.completion_tokens, Float).label("tokens"))
        .join(RESULT, and_(RESULT.c.run_id == latest.c.run_id, RESULT.c.cell == latest.c.cell))
        .join(RUN_PROMPT, and_(RUN_PROMPT.c.run_id == RESULT.c.run_id, RUN_PROMPT.c.position == RESULT.c.prompt))
        .where(RUN_PROMPT.c.prompt_key == prompt_key, latest.c.completion_tokens.is_not(None))
        .limit(LATEST)
        .subquery()
    )
    tokens = answers.c.tokens
    row = connection.execute(
        select(
            func.count(), func.sum(tokens), func.sum(tokens * tokens), func.min(tokens), func.max(tokens)
        ).select_from(answers)
    ).one()
    return Sample(int(row[0]), *map(float, row[1:])) if row[0] >= LEARNT_FROM else None
