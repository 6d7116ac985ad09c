"""Comparisons of the playground: what was asked, what each contestant answered, the vote."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, exists, func, insert, select, update

from assay.errors import NotFound
from assay.store.owner import is_of_this_host, is_surely_dead
from assay.store.tables import CALL, COMPARISON, COMPARISON_ANSWER


def create_comparison(connection: Connection, values: dict[str, Any], *, panes: int, owner: str) -> str:
    """Stores a comparison with its panes as streaming; an id that stands already changes nothing. Returns the id.

    owner: who asks for them.
    """
    comparison_id = str(values["id"])
    if connection.execute(select(COMPARISON.c.id).where(COMPARISON.c.id == comparison_id)).scalar() is None:
        connection.execute(insert(COMPARISON).values(values))
        connection.execute(
            insert(COMPARISON_ANSWER),
            [
                {
                    "comparison_id": comparison_id,
                    "position": n,
                    "status": "streaming",
                    "text": "",
                    "reasoning": "",
                    "error": "",
                    "call_id": None,
                    "owner": owner,
                }
                for n in range(panes)
            ],
        )
    return comparison_id


def save_answer(connection: Connection, comparison_id: str, position: int, **values: Any) -> None:
    """Changes columns of one pane's answer."""
    connection.execute(
        update(COMPARISON_ANSWER)
        .where(COMPARISON_ANSWER.c.comparison_id == comparison_id, COMPARISON_ANSWER.c.position == position)
        .values(values)
    )


def set_vote(connection: Connection, comparison_id: str, position: int | None) -> None:
    """Sets the vote; -1: none of them, None: withdrawn."""
    connection.execute(update(COMPARISON).where(COMPARISON.c.id == comparison_id).values(vote=position))


@dataclass(frozen=True, slots=True)
class StoredComparison:
    """A comparison with its answers and their settled calls."""

    row: Row[Any]
    answers: Sequence[Row[Any]]
    calls: dict[str, Row[Any]]


def get_comparison(connection: Connection, comparison_id: str) -> StoredComparison:
    """A comparison by id. Raises NotFound."""
    row = connection.execute(select(COMPARISON).where(COMPARISON.c.id == comparison_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no comparison {comparison_id!r}.")
    answers = connection.execute(
        select(COMPARISON_ANSWER)
        .where(COMPARISON_ANSWER.c.comparison_id == comparison_id)
        .order_by(COMPARISON_ANSWER.c.position)
    ).all()
    calls = connection.execute(select(CALL).where(CALL.c.comparison_id == comparison_id))
    return StoredComparison(row, answers, {call.id: call for call in calls})


def mark_interrupted(connection: Connection, *, older_than_ms: int) -> int:
    """Marks panes that were streaming when their process died. Returns how many.

    Where nobody can know whether it lives (it is another host's, or was not kept): those without a call in flight of
    comparisons from before a moment, for calls of dead processes have been told apart before.
    """
    in_flight = exists().where(CALL.c.comparison_id == COMPARISON_ANSWER.c.comparison_id, CALL.c.state == "sent")
    streaming = COMPARISON_ANSWER.c.status == "streaming"
    owners = connection.execute(select(COMPARISON_ANSWER.c.owner).where(streaming).distinct()).scalars().all()
    dead = [owner for owner in owners if is_surely_dead(owner)]
    elsewhere = [owner for owner in owners if not is_of_this_host(owner)]
    old = COMPARISON_ANSWER.c.comparison_id.in_(select(COMPARISON.c.id).where(COMPARISON.c.created_ms < older_than_ms))
    silent = COMPARISON_ANSWER.c.owner.in_(elsewhere) & old & ~in_flight
    result = connection.execute(
        update(COMPARISON_ANSWER)
        .where(streaming, COMPARISON_ANSWER.c.owner.in_(dead) | silent)
        .values(status="interrupted", error="The app stopped while this answer was coming in. Retry asks again.")
    )
    return int(result.rowcount)


@dataclass(frozen=True, slots=True)
class ComparisonSummary:
    """A line of the history."""

    id: str
    created_ms: int
    title: str
    labels: tuple[str, ...]
    known_pico: int
    unknown_calls: int
    vote: int | None


def list_comparisons(
    connection: Connection, *, limit: int = 20, offset: int = 0, search: str = ""
) -> list[ComparisonSummary]:
    """Comparisons, newest first; search: text within the rendered prompt."""
    query = select(COMPARISON).order_by(COMPARISON.c.created_ms.desc()).limit(limit).offset(offset)
    if search:
        query = query.where(COMPARISON.c.messages_json.icontains(search, autoescape=True))
    rows = connection.execute(query).all()
    money = {
        row[0]: (int(row[1]), int(row[2] - row[3]))
        for row in connection.execute(
            select(
                CALL.c.comparison_id,
                func.coalesce(func.sum(CALL.c.cost_pico), 0),
                func.count(),
                func.count(CALL.c.cost_pico),
            )
            .where(CALL.c.comparison_id.in_([row.id for row in rows]))
            .group_by(CALL.c.comparison_id)
        )
    }
    return [
        ComparisonSummary(
            row.id,
            row.created_ms,
            row.title,
            tuple(c["label"] or c["model"].split("/", 1)[-1] for c in json.loads(row.contestants_json)),
            *money.get(row.id, (0, 0)),
            row.vote,
        )
        for row in rows
    ]
