"""What a run's whole bill will be, told anew while it works: from its pilot at first, then from every row it paid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from assay.domain.plan import RunPlan
from assay.runs.pilot import pilot_rows
from assay.stats.prediction import Part, Prediction, Sample, predict
from assay.store.runs import ContestantCount, ContestantMoney
from assay.store.samples import row_samples


def forecast(
    connection: Any,
    run_id: str,
    plan: RunPlan,
    counts: Mapping[int, ContestantCount],
    money: Mapping[str, ContestantMoney],
) -> Prediction | None:
    """The bill of a run that is not at its end, in pico-dollars; None where too few rows are paid, or none is left.

    counts, money: as the ledger and the results have them now. Retries and judges are in it; calls of unknown cost are
    taken to cost what the others do.
    """
    if plan.mode == "batch" or plan.row_count < 2:
        return None
    samples = row_samples(connection, run_id, plan, drawn=pilot_rows(plan))
    parts = [_part(plan, index, counts, money, samples) for index in range(len(plan.contestants))]
    return predict(parts) if any(part.left > 0 for part in parts) else None


def _part(
    plan: RunPlan,
    index: int,
    counts: Mapping[int, ContestantCount],
    money: Mapping[str, ContestantMoney],
    samples: Mapping[int, Sample],
) -> Part:
    cells = plan.samples * len(plan.prompts)
    count, both = counts.get(index), money.get(plan.contestants[index].key)
    spent = both.together if both else None
    done = count.done if count else 0
    unknown = spent.unknown_calls if spent else 0
    left = (cells * plan.row_count - done + min(unknown, done)) / cells
    return Part(float(spent.known_pico if spent else 0), left, samples.get(index, Sample.of(())))
