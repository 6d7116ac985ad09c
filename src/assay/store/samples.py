"""What finished rows of a run cost: the sample by which its bill is predicted."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, Float, and_, case, cast, func, or_, select

from assay.domain.plan import RunPlan
from assay.stats.prediction import Sample
from assay.store.tables import CALL, RESULT

FIRST_ROWS = 500
"""Rows of a run, from its first, that the sample looks at: enough for a mean, and the same at any size."""


def row_samples(
    connection: Connection, run_id: str, plan: RunPlan, *, drawn: Collection[int] = ()
) -> dict[int, Sample]:
    """The costs of rows in pico-dollars by contestant: all prompts and samples of a row together, judges included.

    drawn: rows to look at beside the first ones. A row counts once each of its cells is done and every of its calls
    has a known cost; contestants without such a row are left out.
    """
    cells, width = plan.samples * len(plan.prompts), len(plan.contestants)
    whole = (
        select(RESULT.c.row, RESULT.c.contestant)
        .where(RESULT.c.run_id == run_id, or_(RESULT.c.row < FIRST_ROWS, RESULT.c.row.in_(drawn)))
        .group_by(RESULT.c.row, RESULT.c.contestant)
        .having(func.count() == cells)
        .subquery()
    )
    row, contestant = CALL.c.cell // (cells * width), CALL.c.cell % width
    ranges = [CALL.c.cell.between(r * cells * width, (r + 1) * cells * width - 1) for r in drawn]
    costs = (
        select(
            row.label("row"),
            contestant.label("contestant"),
            func.sum(CALL.c.cost_pico).label("cost"),
            func.sum(case((CALL.c.cost_pico.is_(None), 1), else_=0)).label("unknown"),
        )
        .where(CALL.c.run_id == run_id, or_(CALL.c.cell < FIRST_ROWS * cells * width, *ranges))
        .group_by(row, contestant)
        .subquery()
    )
    # A row whose answers all came from the response cache has no call.
    cost = cast(func.coalesce(costs.c.cost, 0), Float)
    found = connection.execute(
        select(whole.c.contestant, func.count(), func.sum(cost), func.sum(cost * cost), func.min(cost), func.max(cost))
        .select_from(whole.outerjoin(costs, and_(costs.c.row == whole.c.row, costs.c.contestant == whole.c.contestant)))
        .where(func.coalesce(costs.c.unknown, 0) == 0)
        .group_by(whole.c.contestant)
    )
    return {int(r[0]): Sample(int(r[1]), *map(float, r[2:])) for r in found}
