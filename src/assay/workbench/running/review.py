"""One reading of a draft before its start: what is wrong with it, what it will send and cost, and what is to be known.

The page, the command line and suites show what stands here, and a run is started from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assay.domain.messages import CompletionRequest, Message
from assay.domain.plan import RunPlan
from assay.domain.score import GraderSpec
from assay.errors import AssayError, BudgetExceeded, RunError
from assay.prompts.template import is_known, mapped, prompt_variables, render_prompt
from assay.runs.compliance import Findings
from assay.runs.estimate import RunEstimate, for_all
from assay.runs.modes import mode_notes
from assay.runs.pilot import pilot_rows
from assay.runs.prices import may_answer
from assay.scoring.assertions import ROW_ASSERTIONS
from assay.scoring.graders import build, suggested
from assay.store.datasets import StoredDataset, rows_of
from assay.workbench.running import policies
from assay.workbench.running.askable import model_problems
from assay.workbench.running.budgets import never_above, refuse_unheld
from assay.workbench.running.cautions import cautions
from assay.workbench.running.drafts import RunDraft, budget_problem, dataset_of, plan_of
from assay.workbench.running.estimating import estimate_lengths, learn_prices, length_notes, lengths_once

if TYPE_CHECKING:
    from assay.workbench.session import Session

PREVIEWED = 3
"""Rows whose prompts are shown as they will be sent."""


@dataclass(frozen=True, slots=True)
class Review:
    """What one reading of a draft found."""

    draft: RunDraft
    plan: RunPlan
    """The plan that the draft becomes; its budget is what the run is never above, where that is known."""
    problems: tuple[str, ...]
    """Everything that keeps the draft from being started, in words; none: it may start."""
    policy: Findings
    """Whom the data policy refuses, and of whom the gateway does not say."""
    estimate: RunEstimate | None
    """What it will send and cost; None while something else is wrong with it."""
    unheld: BudgetExceeded | None
    """Why a budget cannot be held, or has no room for one call."""
    notes: tuple[str, ...]
    """What it will do otherwise than it says, what its rows leave out, and what is not known."""
    preview: tuple[tuple[Message, ...], ...]
    """The first rows with the first prompt, exactly as they will be sent; empty where they cannot be made."""

    @property
    def may_start(self) -> bool:
        """Whether nothing keeps it from being started."""
        return not self.problems and self.unheld is None

    @property
    def has_pilot(self) -> bool:
        """Whether there are more rows than a pilot asks."""
        return bool(self.plan.prompts and self.plan.contestants and pilot_rows(self.plan))

    def refuse(self) -> RunEstimate:
        """The estimate. Raises RunError naming every problem, BudgetExceeded for a budget that cannot be held."""
        if self.problems or self.estimate is None:
            raise RunError(" ".join(self.problems))
        if self.unheld is not None:
            raise self.unheld
        return self.estimate


def review(session: Session, draft: RunDraft, *, previewed: int = PREVIEWED) -> Review:
    """Reads a draft: its dataset, its data policy and its prices, each once. previewed: rows of the preview."""
    dataset = dataset_of(session, draft.dataset_id)
    plan = plan_of(session, draft, dataset)
    found = policies.examine(session, plan.contestants, plan.graders, plan.data_policy)
    problems = list(_problems(session, draft, dataset, found))
    estimate: RunEstimate | None = None
    unheld: BudgetExceeded | None = None
    if not problems:
        try:
            estimate = _estimate(session, plan)
            refuse_unheld(session, estimate.cost, plan.budget_pico)
            plan = plan.with_budget(never_above(estimate.cost, plan.budget_pico))
        except BudgetExceeded as error:
            unheld = error
        except AssayError as error:
            problems.append(str(error))
    notes = () if problems else tuple(_notes(session, plan))
    preview = _preview(session, dataset, plan, previewed)
    return Review(draft, plan, tuple(problems), found, estimate, unheld, notes, preview)


def _estimate(session: Session, plan: RunPlan) -> RunEstimate:
    learn_prices(session, plan)
    return estimate_lengths(session, plan, for_all(plan, lengths_once(session, plan)))


def _preview(session: Session, dataset: StoredDataset, plan: RunPlan, rows: int) -> tuple[tuple[Message, ...], ...]:
    if not plan.prompts or not rows:
        return ()
    with session.store.read() as connection:
        found = rows_of(connection, dataset, count=rows)
    try:
        return tuple(render_prompt(plan.prompts[0], mapped(row.values, plan.mapping)) for row in found)
    except AssayError:
        return ()  # an undefined variable, which is told among the problems


def _problems(session: Session, draft: RunDraft, dataset: StoredDataset, found: Findings) -> Iterator[str]:
    yield from _of_prompts(draft, dataset)
    yield from _of_contestants(session, draft, found)
    for spec in draft.graders:
        yield from _of_grader(spec, dataset.columns, draft.expected_column)
    if draft.samples < 1 or draft.samples > 100:
        yield "Samples must be within 1 to 100."
    yield from budget_problem(draft)
    if draft.budget_usd is not None and not session.catalogue.models() and session.catalogue.state.error:
        yield f"Without prices no budget can be held, and they could not be fetched: {session.catalogue.state.error}"


def _of_prompts(draft: RunDraft, dataset: StoredDataset) -> Iterator[str]:
    if dataset.row_count == 0:
        yield "The dataset has no rows. Choose another file."
    if not draft.prompts or not any(p.user.strip() or p.messages for p in draft.prompts):
        yield "There is no prompt. Write one."
    known = set(dataset.columns) | set(draft.mapping)
    for prompt in draft.prompts:
        missing = [name for name in prompt_variables(prompt) if not is_known(name, known)]
        if missing:
            names = ", ".join(f"{{{{{name}}}}}" for name in missing)
            yield f"Undefined variables: {names}. Columns there are: {', '.join(dataset.columns)}."


def _of_contestants(session: Session, draft: RunDraft, found: Findings) -> Iterator[str]:
    if not draft.contestants:
        yield "No model is chosen. Add at least one."
    if len({c.key for c in draft.contestants}) < len(draft.contestants):
        yield "Two contestants are the same model with the same settings. Remove one or change it."
    judges = [str(g.params.get("model", "")) for g in draft.graders if g.kind == "judge" and g.params.get("model")]
    unusable = model_problems(session, draft.contestants, judges, mode=draft.mode, allow_unknown=draft.allow_unknown)
    yield from unusable or policies.problems_of(session, draft.dataset_id, draft.data_policy, found)


def _of_grader(spec: GraderSpec, columns: Sequence[str], expected: str | None) -> Iterator[str]:
    try:
        grader = build(spec)
    except AssayError as error:
        yield str(error)
        return
    if grader.kind is ROW_ASSERTIONS:
        if not suggested(columns):
            yield f"The grader {spec.label} needs columns named __expected. Choose another grader."
        return
    column = spec.params.get("expected") or expected
    if column and column not in columns:
        yield f"The grader {spec.label} expects the column {column!r}, which does not exist."
    if grader.needs_expected and not column:
        yield f"The grader {spec.label} needs an expected column. Choose one."


def _notes(session: Session, plan: RunPlan) -> Iterator[str]:
    if not session.catalogue.models() and (error := session.catalogue.state.error):
        yield f"Models and prices could not be fetched: {error}"
    yield from mode_notes(plan, session.dispatcher.prices)
    yield from _fallback_notes(plan)
    yield from length_notes(session, plan)
    yield from cautions(session, plan)


def _fallback_notes(plan: RunPlan) -> Iterator[str]:
    for contestant, name in zip(plan.contestants, plan.names, strict=True):
        _, *fallbacks = may_answer(CompletionRequest(contestant.model_id, (), contestant.params))
        if fallbacks:
            yield f"{name} may be answered by {' or '.join(fallbacks)}; each answer says by whom it is."
