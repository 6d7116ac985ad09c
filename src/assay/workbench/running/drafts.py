"""What a user has chosen for a run, before it is frozen into a plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from assay.domain.contestant import Contestant, Prompt
from assay.domain.plan import RunMode, RunPlan
from assay.domain.score import GraderSpec
from assay.errors import RunError
from assay.stats.values import MARGIN
from assay.store.datasets import StoredDataset, get_dataset
from assay.workbench.running import policies
from assay.workbench.running.budgets import budget_pico
from assay.workbench.running.progress import RunProgress as RunProgress
from assay.workbench.running.progress import glance as glance
from assay.workbench.running.progress import progress as progress
from assay.workbench.running.progress import wait_for_run as wait_for_run
from assay.workbench.running.progress import waits_for as waits_for

if TYPE_CHECKING:
    from assay.workbench.session import Session


@dataclass(frozen=True, slots=True)
class RunDraft:
    """What a user has chosen, before it is frozen into a plan."""

    dataset_id: str
    prompts: tuple[Prompt, ...]
    contestants: tuple[Contestant, ...]
    graders: tuple[GraderSpec, ...] = ()
    samples: int = 1
    mapping: Mapping[str, str] = field(default_factory=dict)
    expected_column: str | None = None
    budget_usd: Decimal | None = None
    """None: the estimate's worst case, where it is known."""
    concurrency: int | None = None
    cache: bool = False
    name: str = ""
    tags: tuple[str, ...] = ()
    limit: int | None = None
    """First rows only."""
    mode: RunMode = "normal"
    data_policy: Mapping[str, Any] = field(default_factory=dict)
    """Beside the dataset's own policy, which every run on it carries without being told."""
    gates: Mapping[str, Any] = field(default_factory=dict)
    """Conditions that the run must meet, as `gates.frozen` gives them."""
    pilot: bool = False
    """Pause after five rows drawn at random, so that the bill is foretold before the rest is paid."""
    allow_unknown: bool = False
    """Whether parameters and routing that nobody knows by name are sent."""
    margin: float | None = None
    """Points worse, as a share, that still count as good enough; None: five points."""


def dataset_of(session: Session, dataset_id: str) -> StoredDataset:
    """A dataset by id. Raises NotFound."""
    with session.store.read() as connection:
        return get_dataset(connection, dataset_id)


def budget_problem(draft: RunDraft) -> list[str]:
    """What is wrong with a draft's budget, in words; none: it is an amount, or not set."""
    try:
        budget_pico(draft.budget_usd)
    except RunError as error:
        return [str(error)]
    return []


def plan_of(session: Session, draft: RunDraft, dataset: StoredDataset | None = None) -> RunPlan:
    """The plan of a draft. dataset: where it has been read already."""
    dataset = dataset or dataset_of(session, draft.dataset_id)
    rows = min(dataset.row_count, draft.limit) if draft.limit else dataset.row_count
    return RunPlan(
        dataset_id=dataset.id,
        row_count=rows,
        prompts=draft.prompts,
        contestants=draft.contestants,
        graders=draft.graders,
        samples=draft.samples,
        mapping=draft.mapping,
        expected_column=draft.expected_column,
        budget_pico=None if budget_problem(draft) else budget_pico(draft.budget_usd),
        concurrency=draft.concurrency,
        cache=draft.cache,
        gateway=session.gateway.name,
        data_policy=policies.effective(session, dataset.id, draft.data_policy),
        mode=draft.mode,
        gates=draft.gates,
        pilot=draft.pilot,
        margin=MARGIN if draft.margin is None else draft.margin,
    )
