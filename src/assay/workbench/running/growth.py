"""Growing a run: further contestants, prompts, samples and rows, asked for the missing cells only.

Growth            what a user wants to add
estimate_growth   what it would send and cost, before anything is sent
grow_run          adds it and starts
history           what was added to a run, and when
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import chain
from typing import TYPE_CHECKING, Any

from assay.datasets.additions import Additions, additions
from assay.datasets.identity import content_hash
from assay.datasets.roles import answer_columns
from assay.domain.contestant import Contestant, Prompt
from assay.domain.plan import RunPlan
from assay.errors import RunError
from assay.prompts.template import is_known, prompt_variables
from assay.runs import home
from assay.runs.estimate import RunEstimate, missing_lengths
from assay.store import dataset_names, saving
from assay.store import datasets as stored_datasets
from assay.store import growth as stored
from assay.store import runs as stored_runs
from assay.store.datasets import StoredDataset, get_dataset, rows_of
from assay.workbench.running import askable, budgets, estimating, policies, runs
from assay.workbench.running.progress import SUMS

if TYPE_CHECKING:
    from assay.workbench.session import Session

MAX_SAMPLES = 100
NAMED = 5
"""Rows that a sentence names at most."""


@dataclass(frozen=True, slots=True)
class Growth:
    """What is to be added to a run. A grader is not among it: answers that stand would need to be scored again."""

    contestants: tuple[Contestant, ...] = ()
    prompts: tuple[Prompt, ...] = ()
    samples: int | None = None
    """Answers per cell from now on, all together."""
    rows: int | None = None
    """First rows of the dataset from now on, all together."""
    dataset: str | None = None
    """A stored dataset, id or name, whose new rows are added."""
    allow_unknown: bool = False
    """Whether parameters and routing of the contestants that nobody knows by name are sent."""


@dataclass(frozen=True, slots=True)
class GrowthEstimate:
    """What a growth would send and cost."""

    cells_before: int
    cells: int
    """Cells of the grown grid."""
    missing: RunEstimate
    """Of the cells to be asked: the new ones and those that were missing before."""
    added: RunEstimate
    """Of the new cells alone: what is kept, to be judged afterwards."""
    committed_pico: int
    """Spent so far, unknown costs with their bound."""
    budget_pico: int | None
    rows: Additions | None
    """What a dataset with new rows adds; None: no dataset was given."""
    policy_notes: tuple[str, ...] = ()
    length_notes: tuple[str, ...] = ()

    @property
    def proposed_budget_pico(self) -> int | None:
        """A budget that surely suffices; None where a price is unknown."""
        limit = self.missing.cost.never_above
        return None if limit is None else self.committed_pico + limit

    @property
    def fits(self) -> bool:
        """Whether the present budget surely suffices."""
        proposed = self.proposed_budget_pico
        return self.budget_pico is None or (proposed is not None and proposed <= self.budget_pico)

    def never_words(self, budget: int | None) -> str:
        """What the whole run is never above, in words; budget: a new one, None: the present one stays."""
        held = self.budget_pico if budget is None else budget
        cost = self.missing.cost
        if held is not None and cost.worst is not None:
            return f"the whole run {budgets.never_words(held, cost)}"
        return budgets.never_words(None, cost)

    @property
    def notes(self) -> tuple[str, ...]:
        """What of the new rows is left out, the policy that they bring, and what is added to new contestants."""
        return (*(() if self.rows is None else _left_out(self.rows)), *self.policy_notes, *self.length_notes)


def _left_out(found: Additions) -> Iterator[str]:
    if found.known:
        yield f"{found.known:,} row{_s(found.known)} {_be(found.known)} there already."
    if count := len(found.changed):
        names = ", ".join(found.changed[:NAMED]) + (" and more" if count > NAMED else "")
        yield (
            f"{count:,} row{_s(count)} {_be(count)} there with other values and left out, for the answers stand: "
            f"{names}. A new run would ask them."
        )
    if found.ignored_columns:
        yield f"Columns that the run does not have are left out: {', '.join(found.ignored_columns[:NAMED])}."


def _s(count: int) -> str:
    return "" if count == 1 else "s"


def _be(count: int) -> str:
    return "is" if count == 1 else "are"


def shared_settings(plan: RunPlan) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters and routing that all contestants of a plan have in common: what a further one starts from."""

    def common(settings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        first, *rest = settings
        return {k: v for k, v in first.items() if all(k in other and other[k] == v for other in rest)}

    return common([c.params for c in plan.contestants]), common([c.provider for c in plan.contestants])


# -- planning ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Target:
    """A run and what it is to become."""

    run: Any
    dataset: StoredDataset
    before: RunPlan
    after: RunPlan
    """Still with the dataset that the run has."""
    rows: Additions | None
    source: StoredDataset | None
    """Where the new rows come from."""
    policy: Mapping[str, Any]
    """What calls will carry: the plan's policy, its dataset's and that of the new rows, the strictest of each."""


def _target(session: Session, run_id: str, growth: Growth) -> _Target:
    """Raises RunError naming everything that keeps the run from growing, DataError for the new rows, PolicyError."""
    with session.store.read() as connection:
        run = stored_runs.get_run(connection, run_id)
        before = stored_runs.plan_of(run)
        dataset = get_dataset(connection, before.dataset_id)
    runs.refuse_elsewhere(session, run.id)
    stored.check_idle(run)
    source = rows = None
    if growth.dataset:
        with session.store.read() as connection:
            source = get_dataset(connection, growth.dataset)
        rows = _additions(session, before, dataset, source)
    count = growth.rows
    if rows is not None:
        count = count or before.row_count + len(rows.rows)
    available = dataset.row_count if rows is None else before.row_count + len(rows.rows)
    if count is not None and count > available:
        raise RunError(f"There are {available:,} rows, not {count:,}.", cure="Give a file with further rows.")
    after = before.grown(
        contestants=growth.contestants, prompts=growth.prompts, samples=growth.samples, row_count=count
    )
    if problems := _problems(session, dataset, before, growth):
        raise RunError(" ".join(problems))
    policy = before.data_policy if source is None else policies.effective(session, source.id, before.data_policy)
    policy = policies.effective(session, dataset.id, policy)
    runs.refuse_under_policy(session, replace(after, data_policy=policy))
    return _Target(run, dataset, before, after, rows, source, policy)


def _problems(session: Session, dataset: StoredDataset, plan: RunPlan, growth: Growth) -> list[str]:
    """What keeps the additions from being asked; what the run has already is not judged anew."""
    problems = askable.model_problems(session, growth.contestants, mode=plan.mode, allow_unknown=growth.allow_unknown)
    known = set(dataset.columns) | set(plan.mapping)
    for prompt in growth.prompts:
        if not prompt.user.strip() and not prompt.messages:
            problems.append("A prompt is empty. Write one.")
        missing = [name for name in prompt_variables(prompt) if not is_known(name, known)]
        if missing:
            names = ", ".join(f"{{{{{name}}}}}" for name in missing)
            problems.append(f"Undefined variables: {names}. Columns there are: {', '.join(dataset.columns)}.")
    if growth.samples is not None and growth.samples > MAX_SAMPLES:
        problems.append(f"Samples must be within 1 to {MAX_SAMPLES}.")
    return problems


def _additions(session: Session, plan: RunPlan, dataset: StoredDataset, other: StoredDataset) -> Additions:
    found = additions(
        dataset.columns,
        _keyed(session, dataset, plan.row_count),
        id_column=dataset.roles.get("id"),
        answers=answer_columns(dataset.roles),
        table_columns=other.columns,
        table_rows=(values for _, values in _keyed(session, other, other.row_count)),
    )
    if not found.rows:
        said = " ".join(_left_out(found))
        raise RunError(f"{other.name} has no row that the run lacks. {said}", cure="Give a file with new rows.")
    return found


def _keyed(session: Session, dataset: StoredDataset, count: int) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(row key, values) of the first rows of a dataset, read in chunks."""
    for start in range(0, count, estimating.CHUNK):
        with session.store.read() as connection:
            chunk = rows_of(connection, dataset, start=start, count=min(estimating.CHUNK, count - start))
        yield from ((row.key, tuple(row.values[name] for name in dataset.columns)) for row in chunk)


def _rows(session: Session, target: _Target) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The rows that the grown run asks for, in order."""
    if target.rows is None:
        return _keyed(session, target.dataset, target.after.row_count)
    new = target.rows.rows[: target.after.row_count - target.before.row_count]
    return chain(_keyed(session, target.dataset, target.before.row_count), new)


# -- what a user does ----------------------------------------------------------------------------------------------


def estimate_growth(session: Session, run_id: str, growth: Growth) -> GrowthEstimate:
    """What a growth would send and cost. Raises RunError naming every problem, DataError, NotFound."""
    return _estimate(session, _target(session, run_id, growth))


def _estimate(session: Session, target: _Target) -> GrowthEstimate:
    before, after = target.before, target.after
    estimating.learn_prices(session, after)
    with session.store.read() as connection:
        done = saving.finished_cells(connection, target.run.id)
        for cell in stored.asked_cells(connection, target.run.id):
            done[cell] = 1  # it waits in a batch, and what it may cost is reserved
    added = _estimate_cells(session, target, before.spread(b"\1" * before.cell_count, after))
    missing = added if all(done) else _estimate_cells(session, target, before.spread(done, after))
    return GrowthEstimate(
        cells_before=before.cell_count,
        cells=after.cell_count,
        missing=missing,
        added=added,
        committed_pico=target.run.settled_pico + target.run.reserved_pico,
        budget_pico=target.run.budget_pico,
        rows=target.rows,
        policy_notes=tuple(_policy_notes(session, target)),
        length_notes=tuple(estimating.length_notes(session, after, frozenset(after.names) - frozenset(before.names))),
    )


def _policy_notes(session: Session, target: _Target) -> Iterator[str]:
    before = policies.effective(session, target.dataset.id, target.before.data_policy)
    if target.source is not None and dict(target.policy) != before:
        yield (
            f"The rows bring the data policy of {target.source.name}, and {target.dataset.name} comes under it: "
            f"{policies.in_words(target.policy)}."
        )


def _estimate_cells(session: Session, target: _Target, done: bytearray) -> RunEstimate:
    names = target.dataset.columns
    values = (dict(zip(names, row, strict=True)) for _, row in _rows(session, target))
    plan = replace(target.after, data_policy=target.policy)
    return estimating.estimate_lengths(session, plan, missing_lengths(plan, values, done))


def grow_run(session: Session, run_id: str, growth: Growth, *, budget_usd: Decimal | None = None) -> GrowthEstimate:
    """Adds to a run and starts on the missing cells; what is there stays, and is not paid again.

    budget_usd: a new budget; None leaves the present one, at which the run pauses. Raises RunError naming every
    problem, also when the run is being worked; DataError, NotFound.
    """
    target = _target(session, run_id, growth)
    found = _estimate(session, target)
    budget = budgets.budget_pico(budget_usd)
    budgets.refuse_spent(budget, found.committed_pico)
    held = target.run.budget_pico if budget is None else budget
    budgets.refuse_unheld(session, found.missing.cost, held, committed=found.committed_pico)
    new_version = None if target.rows is None else _new_version(session, target)

    def write(connection: Any) -> None:
        stored.growable(connection, target.run.id, before=target.before)
        # In one transaction: a version of a dataset that no run has asked is not left behind.
        dataset = target.dataset if new_version is None else new_version(connection)
        grown = replace(target.after, dataset_id=dataset.id)
        detail = _detail(target, dataset, found, budget)
        stored.grow_run(connection, target.run.id, grown, before=target.before, detail=detail, budget_pico=budget)
        stored_runs.place(connection, target.run.id, home.addresses_of(grown, session.gateways))

    session.store.writer.call(write)
    session.memos.of(SUMS).forget(target.run.id)
    session.wait(runs.start_engine(session, target.run.id))
    return found


def _new_version(session: Session, target: _Target) -> Callable[[Any], StoredDataset]:
    """Stores the run's rows followed by the new ones, as a version of its dataset, under the policies of both."""
    old = target.dataset
    digest = content_hash(old.columns, (values for _, values in _rows(session, target)))
    note = f"version {old.version} and rows of {target.source.name}" if target.source else old.source

    def write(connection: Any) -> StoredDataset:
        dataset_id = stored_datasets.save_dataset(
            connection,
            content_hash=digest,
            name=old.name,
            columns=old.columns,
            rows=_rows(session, target),
            roles=old.roles,
            source=note,
        )
        name = get_dataset(connection, dataset_id).name
        for source in (old, target.source):
            if source is not None:
                dataset_names.inherit_policy(connection, source.name, name)
        return get_dataset(connection, dataset_id)

    return write


def _detail(target: _Target, dataset: StoredDataset, found: GrowthEstimate, budget: int | None) -> dict[str, Any]:
    before, after = target.before, target.after
    return {
        "contestants": list(after.names[len(before.contestants) :]),
        "prompts": [p.name or f"prompt {n}" for n, p in enumerate(after.prompts, 1)][len(before.prompts) :],
        "samples": [before.samples, after.samples],
        "rows": [before.row_count, after.row_count],
        "dataset": {"id": dataset.id, "name": dataset.name, "version": dataset.version},
        "new_version": dataset.id != target.dataset.id,
        "changed_rows": list(target.rows.changed) if target.rows else [],
        "cells": [before.cell_count, after.cell_count],
        "budget_pico": [target.run.budget_pico, target.run.budget_pico if budget is None else budget],
        "estimate": json.loads(found.added.as_json()),
    }


# -- what was added ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a run."""

    at_ms: int
    words: str
    """What was added, in words."""
    estimate: Mapping[str, Any]
    """The estimate of what was added, as stored."""


def history(session: Session, run_id: str) -> tuple[Change, ...]:
    """What was added to a run after its start, oldest first."""
    with session.store.read() as connection:
        found = stored.changes_of(connection, stored_runs.get_run(connection, run_id).id)
    return tuple(Change(c.at_ms, _in_words(c.detail), c.detail.get("estimate", {})) for c in found)


def _in_words(detail: Mapping[str, Any]) -> str:
    parts = []
    if names := [*detail["contestants"], *detail["prompts"]]:
        parts.append(f"added {_listed(names)}")
    if detail["samples"][0] != detail["samples"][1]:
        parts.append("raised samples from {} to {}".format(*detail["samples"]))
    if (more := detail["rows"][1] - detail["rows"][0]) > 0:
        of = f" ({detail['dataset']['name']} version {detail['dataset']['version']})" if detail["new_version"] else ""
        parts.append(f"added {more:,} row{_s(more)}{of}")
    if changed := len(detail["changed_rows"]):
        parts.append(f"left out {changed:,} changed row{_s(changed)}")
    return ", ".join(parts)


def _listed(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
