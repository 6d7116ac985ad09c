"""Runs: plan, estimate, start, pause, continue, stop, list; how one is doing stands in progress.py."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from assay.domain.contestant import names_of
from assay.domain.plan import RunPlan, RunPurpose
from assay.errors import PolicyError, RunError
from assay.runs import home
from assay.runs.estimate import Estimate, RunEstimate, missing_lengths, unbounded
from assay.store import runs as stored
from assay.store.batches import waiting
from assay.store.growth import asked_cells
from assay.store.ledger import now_ms
from assay.store.saving import finished_cells
from assay.workbench.running import policies
from assay.workbench.running.budgets import budget_pico, refuse_spent, refuse_unheld
from assay.workbench.running.drafts import RunDraft as RunDraft
from assay.workbench.running.drafts import dataset_of
from assay.workbench.running.drafts import plan_of as plan_of
from assay.workbench.running.estimating import estimate_lengths, learn_prices, rows_of_plan
from assay.workbench.running.listing import RunSummary as RunSummary
from assay.workbench.running.listing import list_runs as list_runs
from assay.workbench.running.progress import RunProgress as RunProgress
from assay.workbench.running.progress import glance as glance
from assay.workbench.running.progress import progress as progress
from assay.workbench.running.progress import wait_for_run as wait_for_run
from assay.workbench.running.progress import waits_for as waits_for
from assay.workbench.running.review import Review, review

if TYPE_CHECKING:
    from assay.workbench.session import Session

LIVE = stored.LIVE
"""States of a run that is worked or waits to be."""


def start_run(
    session: Session,
    draft: RunDraft,
    *,
    request_id: str | None = None,
    purpose: RunPurpose = "batch",
    parent_id: str | None = None,
    shared_budget_id: str | None = None,
) -> str:
    """Freezes the draft, starts it and returns the run's id.

    The budget defaults to what all tries cost at most, so that "never above" is a promise. request_id: a second call
    with the same one starts nothing. parent_id: the run that it came from. shared_budget_id: the budget that it shares
    with other runs. Raises RunError naming every problem.
    """
    return start_reviewed(
        session,
        review(session, draft, previewed=0),
        request_id=request_id,
        purpose=purpose,
        parent_id=parent_id,
        shared_budget_id=shared_budget_id,
    )


def start_reviewed(
    session: Session,
    reviewed: Review,
    *,
    request_id: str | None = None,
    purpose: RunPurpose = "batch",
    parent_id: str | None = None,
    shared_budget_id: str | None = None,
) -> str:
    """Starts what a review has shown, as it was shown, and returns the run's id. As `start_run`."""
    found, plan, draft = reviewed.refuse(), reviewed.plan, reviewed.draft
    name = draft.name.strip() or _default_name(session, draft)
    run_id = session.store.writer.call(
        lambda c: stored.create_run(
            c,
            plan,
            name=name,
            tags=draft.tags,
            estimate_json=found.as_json(),
            request_id=request_id,
            gateways=home.addresses_of(plan, session.gateways),
            purpose=purpose,
            parent_id=parent_id,
            actor=session.actor.name,
            shared_budget_id=shared_budget_id,
        )
    )
    session.wait(start_engine(session, run_id))
    return run_id


def _default_name(session: Session, draft: RunDraft) -> str:
    dataset = dataset_of(session, draft.dataset_id)
    names = ", ".join(names_of(draft.contestants)[:3])
    return f"{dataset.name}: {names}" + (" and more" if len(draft.contestants) > 3 else "")


def estimate(session: Session, draft: RunDraft) -> RunEstimate:
    """What a draft will send and cost. Raises RunError naming every problem, PolicyError those of the data policy."""
    found = review(session, draft, previewed=0)
    if found.estimate is None:
        raise (PolicyError if found.policy.refused else RunError)(" ".join(found.problems))
    return found.estimate


async def start_engine(session: Session, run_id: str, *, retry_failed: bool = False) -> None:
    """Hands a queued run to the engine; await it on the runtime's loop."""
    session.engine.start(run_id, retry_failed=retry_failed)


def pause_run(session: Session, run_id: str) -> None:
    """Pauses a run: calls in flight finish, nothing further is sent."""
    session.store.writer.call(lambda c: _command(session, c, run_id, "pause"))


def stop_run(session: Session, run_id: str) -> None:
    """Stops a run for good: calls in flight finish, batches at the gateway are cancelled, the missing cells stay
    missing."""
    if session.store.writer.call(lambda c: _command(session, c, run_id, "stop")):
        session.wait(start_engine(session, run_id))


def _command(session: Session, connection: Any, run_id: str, command: str) -> bool:
    """Pauses or stops a run; whether it needs the engine for that: its batches at the gateway are cancelled by it."""
    run = stored.get_run(connection, run_id)
    held = run.state in stored.LIVE and stored.is_held(run)
    here = not home.waits_for(run, stored.plan_of(run), session.gateways)
    resting = not held and run.state in (*stored.LIVE, "paused")
    if command == "stop" and resting and here and waiting(connection, run.id) is not None:
        stored.queue(connection, run.id, command="stop")
        return True
    stored.command_run(connection, run.id, command, at_once=not held and not here)
    return False


def continue_run(
    session: Session,
    run_id: str,
    *,
    budget_usd: Decimal | None = None,
    no_budget: bool = False,
    retry_failed: bool = False,
) -> None:
    """Goes on with the missing cells; retry_failed: failed cells count as missing.

    budget_usd: a new budget, what is spent already included; no_budget takes it away; neither: the present one stays.
    Raises RunError when the run belongs to another gateway; PolicyError when the dataset's data policy, tightened
    since, refuses a contestant or judge; BudgetExceeded when the budget leaves no room, or cannot be held.
    """
    plan = refuse_elsewhere(session, run_id)
    with session.store.read() as connection:
        run = stored.get_run(connection, run_id)
    refuse_under_policy(session, plan)
    budget = None if no_budget else run.budget_pico if budget_usd is None else budget_pico(budget_usd)
    if budget_usd is not None:
        refuse_spent(budget, _committed(run))
    refuse_unheld(
        session, _cost_left(session, run, plan, budget, retry_failed=retry_failed), budget, committed=_committed(run)
    )

    def queue(connection: Any) -> str:
        run = stored.get_run(connection, run_id)
        if budget != run.budget_pico:
            refuse_spent(budget, _committed(run))  # it may be worked meanwhile
            stored.set_budget(connection, run.id, budget)
        if not stored.gateways_of(run):
            stored.place(connection, run.id, home.addresses_of(plan, session.gateways))
        stored.queue(connection, run.id)
        return str(run.id)

    session.wait(start_engine(session, session.store.writer.call(queue), retry_failed=retry_failed))


def _committed(run: Any) -> int:
    return int(run.settled_pico + run.reserved_pico)


def _cost_left(session: Session, run: Any, plan: RunPlan, budget: int | None, *, retry_failed: bool) -> Estimate:
    """What the missing cells of a run cost; without a budget to hold nothing is asked for, and it is not known."""
    learn_prices(session, plan)
    if budget is None and session.dispatcher.monthly_budget_pico is None:
        return Estimate(None, None, None, None)
    if words := unbounded(plan, session.dispatcher.prices):
        return Estimate(None, None, None, None, words)
    with session.store.read() as connection:
        done = finished_cells(connection, run.id, retry_failed=retry_failed)
        for cell in asked_cells(connection, run.id):
            done[cell] = 1  # it waits in a batch, and what it may cost is reserved
    if all(done):
        return Estimate(0, 0, 0, 0)
    return estimate_lengths(session, plan, missing_lengths(plan, rows_of_plan(session, plan), done)).cost


def refuse_elsewhere(session: Session, run_id: str) -> RunPlan:
    """The plan of a run. Raises RunError, saying which gateway it waits for, when that is not here."""
    with session.store.read() as connection:
        run = stored.get_run(connection, run_id)
        plan = stored.plan_of(run)
        names = stored.asked_at(connection, run.id) if home.is_unplaced(run, session.gateways) else set[str]()
    if words := home.waits_for(run, plan, session.gateways) or home.unknown_of(names, session.gateways):
        raise RunError(words)
    return plan


def refuse_under_policy(session: Session, plan: RunPlan) -> None:
    """Raises PolicyError when the data policy of the plan's dataset, as it is now, refuses a contestant or judge."""
    if refused := policies.problems(session, plan.dataset_id, plan.contestants, plan.graders, plan.data_policy):
        raise PolicyError(" ".join(refused), cure="Start a run without them, or change the data policy.")


ASK_SINCE_MS = 30 * 86_400_000
"""How far back the gateway is asked for costs."""


def recover_costs(session: Session) -> int:
    """Asks the gateway for every cost that it may still tell; returns how many are now known."""
    return session.wait(session.dispatcher.recover_all(since_ms=now_ms() - ASK_SINCE_MS))


def retry_failed(session: Session, run_id: str) -> None:
    """Asks again for the failed cells; each old record stays until its new one is there."""
    continue_run(session, run_id, retry_failed=True)
