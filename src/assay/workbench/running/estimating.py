"""What runs will send and cost: by the lengths of their prompts, by prices, and by what the ledger has taught."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from assay.domain.messages import CompletionRequest
from assay.domain.plan import RunPlan
from assay.runs.answers import Teacher
from assay.runs.estimate import Lengths, RunEstimate, estimate_run, once
from assay.runs.prices import may_answer
from assay.store import learnt
from assay.store.datasets import rows_of
from assay.workbench.memo import Kind
from assay.workbench.running.drafts import dataset_of
from assay.workbench.running.progress import RunProgress as RunProgress
from assay.workbench.running.progress import glance as glance
from assay.workbench.running.progress import progress as progress
from assay.workbench.running.progress import wait_for_run as wait_for_run
from assay.workbench.running.progress import waits_for as waits_for

if TYPE_CHECKING:
    from assay.workbench.session import Session


CHUNK = 500


MEASURED: Kind[Sequence[Lengths]] = Kind("lengths", kept=8)


def lengths_once(session: Session, plan: RunPlan) -> Sequence[Lengths]:
    """The lengths of the plan's prompts over its rows, kept: a form asks for them with every change of anything."""
    asked = (plan.dataset_id, plan.row_count, tuple(p.key for p in plan.prompts), tuple(sorted(plan.mapping.items())))
    return session.memos.of(MEASURED).get(asked, lambda _: once(plan, rows_of_plan(session, plan)))


def rows_of_plan(session: Session, plan: RunPlan) -> Iterator[Mapping[str, str]]:
    """The values of the rows that a plan asks, in their order."""
    dataset = dataset_of(session, plan.dataset_id)
    for start in range(0, plan.row_count, CHUNK):
        with session.store.read() as reading:
            chunk = rows_of(reading, dataset, start=start, count=min(CHUNK, plan.row_count - start))
        yield from (row.values for row in chunk)


def learn_prices(session: Session, plan: RunPlan) -> None:
    """Asks for the prices of a plan's models where they are not known."""
    judges = {str(g.params["model"]) for g in plan.graders if g.kind == "judge" and g.params.get("model")}
    asked = {name for c in plan.contestants for name in may_answer(CompletionRequest(c.model_id, (), c.params))}
    for model in asked | judges:
        session.wait(session.dispatcher.prices.learn(model))


def estimate_lengths(session: Session, plan: RunPlan, lengths: Sequence[Sequence[Lengths]]) -> RunEstimate:
    """The estimate of calls of these lengths, by contestant and prompt, from what this team's ledger has taught."""
    with session.store.read() as connection:
        return estimate_run(
            plan,
            lengths,
            session.dispatcher.prices,
            teacher=teacher_of(connection),
            per_minute=session.dispatcher.pacer.rate,
            places=session.settings.concurrency,
            tries=session.settings.max_attempts,
        )


def teacher_of(connection: Any) -> Teacher:
    """What this team's ledger has taught."""
    return Teacher(partial(learnt.learnt_of, connection), partial(learnt.answer_lengths, connection))


def length_notes(session: Session, plan: RunPlan, names: Container[str] | None = None) -> Iterator[str]:
    """The longest answers that the run itself sets, for which contestants, in words. names: of these alone."""
    added: dict[int, list[str]] = {}
    for contestant, name in zip(plan.contestants, plan.names, strict=True):
        limit = session.dispatcher.prices.added_max_tokens(contestant)
        if limit is not None and (names is None or name in names):
            added.setdefault(limit, []).append(name)
    for limit, without in added.items():
        are = "sets" if len(without) == 1 else "set"
        yield f"{', '.join(without)} {are} no max_tokens: {limit:,} is added, and a longer answer is cut there."
