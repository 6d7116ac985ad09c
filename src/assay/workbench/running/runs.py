"""Runs: plan, estimate, start, pause, continue, stop, list; how one is doing stands in progress.py."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

from assay.domain.contestant import Contestant, Prompt, names_of
from assay.domain.messages import CompletionRequest, Message
from assay.domain.plan import RunMode, RunPlan, RunPurpose
from assay.domain.score import GraderSpec
from assay.errors import AssayError, PolicyError, RunError, SettingsError
from assay.money import format_usd
from assay.openrouter.parameters import checked_settings
from assay.prompts.template import is_known, mapped, prompt_variables, render_prompt
from assay.runs import home
from assay.runs.answers import Teacher
from assay.runs.estimate import Estimate, Lengths, RunEstimate, estimate_run, for_all, missing_lengths, once, unbounded
from assay.runs.modes import mode_notes
from assay.runs.prices import base_model, may_answer
from assay.scoring.assertions import ROW_ASSERTIONS
from assay.scoring.graders import build, suggested
from assay.stats.values import MARGIN
from assay.store import learnt
from assay.store import runs as stored
from assay.store.batches import waiting
from assay.store.cell_costs import NOTHING, CellCost, run_costs
from assay.store.datasets import StoredDataset, get_dataset, rows_of
from assay.store.growth import asked_cells
from assay.store.ledger import now_ms
from assay.store.saving import finished_cells
from assay.workbench.gateway.catalogue import nearest_models
from assay.workbench.memo import Kind
from assay.workbench.running import policies
from assay.workbench.running.budgets import budget_pico, never_above, refuse_spent, refuse_unheld
from assay.workbench.running.cautions import cautions
from assay.workbench.running.progress import RunProgress as RunProgress
from assay.workbench.running.progress import glance as glance
from assay.workbench.running.progress import progress as progress
from assay.workbench.running.progress import wait_for_run as wait_for_run
from assay.workbench.running.progress import waits_for as waits_for

if TYPE_CHECKING:
    from assay.workbench.session import Session

CHUNK = 500
LIVE = stored.LIVE
"""States of a run that is worked or waits to be."""


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


def _dataset(session: Session, dataset_id: str) -> StoredDataset:
    with session.store.read() as connection:
        return get_dataset(connection, dataset_id)


def plan_of(session: Session, draft: RunDraft) -> RunPlan:
    """The plan of a draft."""
    dataset = _dataset(session, draft.dataset_id)
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
        budget_pico=budget_pico(draft.budget_usd),
        concurrency=draft.concurrency,
        cache=draft.cache,
        gateway=session.gateway.name,
        data_policy=policies.effective(session, dataset.id, draft.data_policy),
        mode=draft.mode,
        gates=draft.gates,
        pilot=draft.pilot,
        margin=MARGIN if draft.margin is None else draft.margin,
    )


def preview(session: Session, draft: RunDraft, *, rows: int = 3) -> list[tuple[Message, ...]]:
    """The first rows rendered with the first prompt, exactly as they will be sent. Raises TemplateError."""
    dataset = _dataset(session, draft.dataset_id)
    with session.store.read() as connection:
        found = rows_of(connection, dataset, count=rows)
    return [render_prompt(draft.prompts[0], mapped(row.values, draft.mapping)) for row in found]


def check(session: Session, draft: RunDraft) -> list[str]:
    """Everything that keeps a draft from being started, in words; none: it may start."""
    problems = []
    dataset = _dataset(session, draft.dataset_id)
    if dataset.row_count == 0:
        problems.append("The dataset has no rows. Choose another file.")
    if not draft.prompts or not any(p.user.strip() or p.messages for p in draft.prompts):
        problems.append("There is no prompt. Write one.")
    known = set(dataset.columns) | set(draft.mapping)
    for prompt in draft.prompts:
        missing = [name for name in prompt_variables(prompt) if not is_known(name, known)]
        if missing:
            names = ", ".join(f"{{{{{name}}}}}" for name in missing)
            problems.append(f"Undefined variables: {names}. Columns there are: {', '.join(dataset.columns)}.")
    if not draft.contestants:
        problems.append("No model is chosen. Add at least one.")
    if len({c.key for c in draft.contestants}) < len(draft.contestants):
        problems.append("Two contestants are the same model with the same settings. Remove one or change it.")
    judges = [str(g.params.get("model", "")) for g in draft.graders if g.kind == "judge" and g.params.get("model")]
    unusable = model_problems(session, draft.contestants, judges, mode=draft.mode, allow_unknown=draft.allow_unknown)
    problems += unusable or policies.problems(session, dataset.id, draft.contestants, draft.graders, draft.data_policy)
    for spec in draft.graders:
        try:
            grader = build(spec)
        except AssayError as error:
            problems.append(str(error))
            continue
        if grader.kind is ROW_ASSERTIONS:
            if not suggested(dataset.columns):
                problems.append(f"The grader {spec.label} needs columns named __expected. Choose another grader.")
            continue
        column = spec.params.get("expected") or draft.expected_column
        if column and column not in dataset.columns:
            problems.append(f"The grader {spec.label} expects the column {column!r}, which does not exist.")
        if grader.needs_expected and not column:
            problems.append(f"The grader {spec.label} needs an expected column. Choose one.")
    if draft.samples < 1 or draft.samples > 100:
        problems.append("Samples must be within 1 to 100.")
    try:
        budget_pico(draft.budget_usd)
    except RunError as error:
        problems.append(str(error))
    if draft.budget_usd is not None and not session.catalogue.models() and session.catalogue.state.error:
        problems.append(
            f"Without prices no budget can be held, and they could not be fetched: {session.catalogue.state.error}"
        )
    return problems


def model_problems(
    session: Session,
    contestants: Sequence[Contestant],
    judges: Sequence[str] = (),
    *,
    mode: RunMode = "normal",
    allow_unknown: bool = False,
) -> list[str]:
    """What keeps models from being asked: not on the gateway, or parameters and routing that are unknown or out of
    their range. A fallback counts as a model."""
    asked = [model for c in contestants for model in may_answer(CompletionRequest(c.model, (), c.params))]
    problems = [
        said for model_id in dict.fromkeys([*asked, *judges]) if (said := _model_problem(session, model_id, mode))
    ]
    for contestant in contestants:
        try:
            checked_settings({**contestant.params, "provider": contestant.provider}, allow_unknown=allow_unknown)
        except SettingsError as error:
            problems.append(f"{contestant.name}: {error}")
    return problems


def _model_problem(session: Session, model_id: str, mode: RunMode) -> str:
    """Why a model cannot be asked; empty: it can. A preset is known to the gateway alone."""
    listed = session.catalogue.models()
    bare = base_model(model_id).partition("@preset/")[0]
    if bare and listed and session.catalogue.find(bare) is None:
        near = nearest_models(session, bare)
        hint = f" Did you mean {' or '.join(near)}?" if near else " The Models page, or `assay models`, lists them."
        return f"There is no model {model_id!r} on this gateway.{hint}"
    if bare.endswith(":batch") and mode != "batch":
        return f"{model_id} is asked through batches only. Choose {bare.removesuffix(':batch')} with the mode batch."
    return ""


def estimate(session: Session, draft: RunDraft) -> RunEstimate:
    """What the draft will send and cost. Raises TemplateError for undefined variables, PolicyError with every
    contestant and judge that the dataset's data policy refuses."""
    if refused := policies.problems(session, draft.dataset_id, draft.contestants, draft.graders, draft.data_policy):
        raise PolicyError(" ".join(refused))
    plan = plan_of(session, draft)
    learn_prices(session, plan)
    return estimate_lengths(session, plan, for_all(plan, _once(session, plan)))


MEASURED: Kind[Sequence[Lengths]] = Kind("lengths", kept=8)


def _once(session: Session, plan: RunPlan) -> Sequence[Lengths]:
    """The lengths of the plan's prompts over its rows, kept: a form asks for them with every change of anything."""
    asked = (plan.dataset_id, plan.row_count, tuple(p.key for p in plan.prompts), tuple(sorted(plan.mapping.items())))
    return session.memos.of(MEASURED).get(asked, lambda _: once(plan, _rows(session, plan)))


def _rows(session: Session, plan: RunPlan) -> Iterator[Mapping[str, str]]:
    dataset = _dataset(session, plan.dataset_id)
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


def notes(session: Session, draft: RunDraft) -> list[str]:
    """What a draft will do otherwise than it says, what its rows leave out, and what is not known, in words."""
    error = "" if session.catalogue.models() else session.catalogue.state.error
    unpriced = [f"Models and prices could not be fetched: {error}"] if error else []
    plan = plan_of(session, draft)
    return [
        *unpriced,
        *mode_notes(plan, session.dispatcher.prices),
        *_fallback_notes(plan),
        *length_notes(session, plan),
        *cautions(session, plan),
    ]


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


def _fallback_notes(plan: RunPlan) -> Iterator[str]:
    for contestant, name in zip(plan.contestants, plan.names, strict=True):
        _, *fallbacks = may_answer(CompletionRequest(contestant.model_id, (), contestant.params))
        if fallbacks:
            yield f"{name} may be answered by {' or '.join(fallbacks)}; each answer says by whom it is."


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
    problems = check(session, draft)
    if problems:
        raise RunError(" ".join(problems))
    found = estimate(session, draft)
    plan = plan_of(session, draft)
    refuse_unheld(session, found.cost, plan.budget_pico)
    plan = replace(plan, budget_pico=never_above(found.cost, plan.budget_pico))
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
    dataset = _dataset(session, draft.dataset_id)
    names = ", ".join(names_of(draft.contestants)[:3])
    return f"{dataset.name}: {names}" + (" and more" if len(draft.contestants) > 3 else "")


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
    return estimate_lengths(session, plan, missing_lengths(plan, _rows(session, plan), done)).cost


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


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A line of the list of runs."""

    id: str
    name: str
    state: str
    created_ms: int
    cells: int
    done: int
    failed: int
    cost: CellCost
    """Known costs of its answers and of its judges' calls; what is unknown stands apart."""
    gateway: str
    tags: tuple[str, ...]
    purpose: RunPurpose = "batch"
    parent_id: str | None = None
    """The run that it came from."""
    actor: str = "local"
    """Who started it."""
    waits: str = ""
    """Which gateway it waits for, in words; empty: for none."""

    @property
    def spent_pico(self) -> int:
        """Known spend on all of its calls that have ended."""
        return self.cost.known_pico + self.cost.judging_pico

    @property
    def unknown_calls(self) -> int:
        """Calls of unknown cost."""
        return self.cost.unknown_calls + self.cost.judging_unknown

    @property
    def unknown_bound_pico(self) -> int:
        """The most that they cost together."""
        return self.cost.unknown_bound_pico + self.cost.judging_bound_pico

    @property
    def spent_words(self) -> str:
        """What is known, and what is not."""
        at_most = f", at most {format_usd(self.unknown_bound_pico)} more" if self.unknown_bound_pico else ""
        unknown = f" + {self.unknown_calls:,} unknown{at_most}" if self.unknown_calls else ""
        return format_usd(self.spent_pico) + unknown


def list_runs(session: Session, *, limit: int = 50, offset: int = 0, live_only: bool = False) -> list[RunSummary]:
    """Runs, newest first."""
    with session.store.read() as connection:
        rows = stored.list_runs(connection, limit=limit, offset=offset, live_only=live_only)
        found = summaries(connection, rows)
    return [replace(run, waits=waits_for(session, row)) for run, row in zip(found, rows, strict=True)]


def summaries(connection: Any, rows: Sequence[Any]) -> list[RunSummary]:
    """Lines of the list of runs, of their rows."""
    costs = run_costs(connection, [r.id for r in rows])
    return [
        RunSummary(
            r.id,
            r.name,
            r.state,
            r.created_ms,
            r.cells,
            r.done,
            r.failed,
            costs.get(r.id, NOTHING),
            r.gateway,
            tuple(json.loads(r.tags_json)),
            r.purpose,
            r.parent_id,
            r.actor,
        )
        for r in rows
    ]
