"""The results of a run: rows and cells."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assay.domain.contestant import Contestant
from assay.domain.messages import Message
from assay.domain.plan import RunPlan
from assay.prompts.template import mapped, render_prompt
from assay.store import results as stored
from assay.store import runs
from assay.store.datasets import StoredDataset, get_dataset
from assay.store.results import CellRecord, GridRow, RowsPage, Show
from assay.store.spend import answered_by_of, failed_providers_of

if TYPE_CHECKING:
    from assay.workbench.session import Session

__all__ = ["GridRow", "RowsPage", "Show"]


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run with its plan and dataset."""

    id: str
    name: str
    state: str
    reason: str
    created_ms: int
    gateway: str
    plan: RunPlan
    dataset: StoredDataset
    done: int
    failed: int
    estimate: dict[str, Any]
    tags: tuple[str, ...]


def get_run(session: Session, run_id: str) -> RunRecord:
    """A run by id. Raises NotFound."""
    with session.store.read() as connection:
        row = runs.get_run(connection, run_id)
        dataset = get_dataset(connection, row.dataset_id)
    return RunRecord(
        row.id,
        row.name,
        row.state,
        row.reason,
        row.created_ms,
        row.gateway,
        runs.plan_of(row),
        dataset,
        row.done,
        row.failed,
        json.loads(row.estimate_json),
        tuple(json.loads(row.tags_json)),
    )


def label_of(plan: RunPlan, prompt: int, contestant: int) -> str:
    """A contestant's name, with the prompt version where there are several; no two of a plan are the same."""
    name = plan.names[contestant]
    return name if len(plan.prompts) == 1 else f"{name} · {plan.prompt_names[prompt]}"


def rows_page(
    session: Session, run_id: str, *, show: Show = "all", search: str = "", page: int = 1, size: int = 50
) -> RowsPage:
    """A page of rows x contestants."""
    with session.store.read() as connection:
        run = runs.get_run(connection, run_id)
        return stored.rows_page(
            connection, run.id, run.dataset_id, show=show, search=search.strip(), page=page, size=size
        )


@dataclass(frozen=True, slots=True)
class CellDetail:
    """Everything about a cell."""

    record: CellRecord
    label: str
    contestant: Contestant
    messages: tuple[Message, ...]
    """The prompt as sent."""
    graders: tuple[str, ...]


def failed_providers(session: Session, run_id: str) -> list[tuple[str, int]]:
    """(provider with its status, answers before which it failed) of a run, the most frequent first."""
    with session.store.read() as connection:
        return failed_providers_of(connection, run_id)


def answered_by(session: Session, run_id: str) -> dict[str, list[tuple[str, int]]]:
    """Who answered for contestants with fallback models: name -> (model, answers), the most frequent first."""
    plan = get_run(session, run_id).plan
    with session.store.read() as connection:
        return {
            contestant.name: answered_by_of(connection, run_id, contestant.key)
            for contestant in plan.contestants
            if contestant.params.get("models")
        }


def first_error(session: Session, run_id: str) -> str:
    """What the first cell without an answer said; every cell was answered: empty."""
    run = get_run(session, run_id)
    with session.store.read() as connection:
        failed = stored.first_failed_cell(connection, run.id)
        return "" if failed is None else stored.cell_record(connection, run.id, run.dataset.id, failed).error


def cell_detail(session: Session, run_id: str, cell: int) -> CellDetail:
    """A cell with prompt, answer, scores and calls. Raises NotFound."""
    run = get_run(session, run_id)
    with session.store.read() as connection:
        record = stored.cell_record(connection, run.id, run.dataset.id, cell)
    place = run.plan.cell(cell)
    values = dict(zip(run.dataset.columns, record.values, strict=True))
    messages = render_prompt(run.plan.prompts[place.prompt], mapped(values, run.plan.mapping))
    return CellDetail(
        record,
        label_of(run.plan, place.prompt, place.contestant),
        run.plan.contestants[place.contestant],
        messages,
        tuple(spec.label for spec in run.plan.graders),
    )
