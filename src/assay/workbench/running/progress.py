"""How a run is doing at a moment: counts and money from the store, pace and pauses from the engine."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

from assay.domain.plan import RunPlan
from assay.errors import RunError
from assay.openrouter.pacing import PaceState
from assay.runs import home
from assay.runs.lanes import Lane
from assay.stats.prediction import Prediction
from assay.store import runs as stored
from assay.store.batches import Waiting, waiting
from assay.store.cell_costs import run_cost
from assay.store.ledger import now_ms
from assay.store.spend import Orphans, orphans_of, upstream_of
from assay.workbench.memo import Fresh, Kind
from assay.workbench.running.forecast import forecast

if TYPE_CHECKING:
    from assay.workbench.session import Session


@dataclass(frozen=True, slots=True)
class ContestantProgress:
    """How one contestant is doing."""

    label: str
    done: int
    failed: int
    cells: int
    spent_pico: int
    """Known costs of its own calls; what judges cost stands apart, once, in the run."""
    unknown_calls: int
    concurrency: int
    in_flight: int
    note: str
    """Why it is paused or stopped; empty while it works."""


@dataclass(frozen=True, slots=True)
class RunProgress:
    """A run at a moment."""

    id: str
    name: str
    state: str
    reason: str
    cells: int
    done: int
    failed: int
    rate_per_s: float
    eta_s: float | None
    spent_pico: int
    """Known spend on all of its calls, judges' included; what is unknown stands apart."""
    unknown_calls: int
    unknown_bound_pico: int
    reserved_pico: int
    budget_pico: int | None
    seconds: float
    contestants: tuple[ContestantProgress, ...]
    first_failures: tuple[str, ...]
    orphans: Orphans
    """Possibly paid: in flight when their process ended; counted among the unknown."""
    notices: tuple[str, ...] = ()
    """What went otherwise than asked for, while it is worked; at the end it stands in the reason."""
    waits: str = ""
    """Which gateway it waits for, in words; empty: for none."""
    batch: Waiting | None = None
    """What waits at the gateway's batch endpoint; None: nothing does."""
    forecast: Prediction | None = None
    """The whole bill in pico-dollars, by the rows paid so far; None: too few, or nothing is left to be sent."""
    judging: stored.RunMoney = stored.NO_MONEY
    """What judges' calls cost: the part of the spend that is no contestant's."""
    upstream_pico: int = 0
    """The part of the known spend that providers charge to one's own keys."""

    @property
    def waiting(self) -> int:
        """Cells without a result."""
        return self.cells - self.done

    @property
    def is_live(self) -> bool:
        """Whether it is being worked or waits to be."""
        return self.state in stored.LIVE

    @property
    def given_up(self) -> tuple[str, ...]:
        """Contestants of a run at its end that were not asked for all of their cells, because they kept failing."""
        return tuple(c.label for c in self.contestants if c.done < c.cells) if self.state == "done" else ()

    @property
    def outcome(self) -> str:
        """The state, and of a run at its end what is missing in it: one without answers is not plainly done."""
        parts = [self.state]
        if self.state == "done" and self.failed:
            parts.append(f"{self.failed:,} cell{'' if self.failed == 1 else 's'} failed")
        said = ", ".join(parts)
        if names := self.given_up:
            said += f"; {' and '.join(names)} {'was' if len(names) == 1 else 'were'} given up"
        return said


@dataclass(frozen=True, slots=True)
class Glance:
    """How far a run is, from its own row: what a look costs that changes nothing on the screen."""

    state: str
    done: int
    cells: int

    @property
    def is_live(self) -> bool:
        """Whether it is being worked or waits to be."""
        return self.state in stored.LIVE


@dataclass(frozen=True, slots=True)
class ProgressSums:
    """What counting a run's cells and calls gave; all who watch a run share it for a while."""

    plan: RunPlan
    counts: Mapping[int, stored.ContestantCount]
    money: Mapping[str, stored.ContestantMoney]
    failures: Sequence[Any]
    orphans: Orphans
    forecast: Prediction | None
    upstream_pico: int


SUMS: Kind[ProgressSums] = Kind("progress", kept=32)
FRESH = Fresh(least_s=0.5, share=40)


def _sums(session: Session, connection: Any, run: Any) -> ProgressSums:
    live = run.state in stored.LIVE
    cost = (run.settled_pico, run.reserved_pico) if live else run_cost(connection, run.id)
    state = (run.cells, live, run.done, run.failed, cost, run.lease_token)
    memo = session.memos.of(SUMS)
    return memo.get(run.id, lambda known: _counted(connection, run, known), state=state, fresh=FRESH if live else None)


def _counted(connection: Any, run: Any, known: ProgressSums | None) -> ProgressSums:
    # Another process may have let the run grow meanwhile.
    plan = known.plan if known and known.plan.cell_count == run.cells else stored.plan_of(run)
    counts = {c.contestant: c for c in stored.contestant_counts(connection, run.id)}
    money = stored.money_by_contestant(connection, run.id)
    failures = stored.first_failures(connection, run.id) if run.failed else []
    unended = run.state in (*stored.LIVE, "paused")
    bill = forecast(connection, run.id, plan, counts, money) if unended else None
    orphans, upstream = orphans_of(connection, run.id), upstream_of(connection, run.id)
    return ProgressSums(plan, counts, money, failures, orphans, bill, upstream)


def waits_for(session: Session, run: Any) -> str:
    """Which gateway a run that is not at its end waits for, in words; empty: for none. run: its row."""
    if run.state not in (*stored.LIVE, "paused") or stored.is_held(run):
        return ""
    return home.waits_for(run, stored.plan_of(run), session.gateways)


def glance(session: Session, run_id: str) -> Glance:
    """State and count of a run, without its money. Raises NotFound."""
    with session.store.read() as connection:
        run = stored.get_run(connection, run_id)
    return Glance(run.state, run.done, run.cells)


def progress(session: Session, run_id: str) -> RunProgress:
    """The progress of a run. Raises NotFound."""
    with session.store.read() as connection:
        run = stored.get_run(connection, run_id)
        sums = _sums(session, connection, run)
        batch = waiting(connection, run.id) if sums.plan.mode == "batch" else None
    waits = waits_for(session, run)
    plan, counts, money, failures = sums.plan, sums.counts, sums.money, sums.failures
    live = session.engine.live(run.id)
    rate = live.rate(time.monotonic()) if live else 0.0
    share = run.cells // max(1, len(plan.contestants))
    shown = []
    for index, contestant in enumerate(plan.contestants):
        count, spent = counts.get(index), money.get(contestant.key, stored.ContestantMoney()).answers
        lane = live.lanes.get(index) if live else None
        pace = session.dispatcher.pacer.state(lane.model if lane else contestant.model_id)
        note = _note(lane, pace) if live else ""
        shown.append(
            ContestantProgress(
                plan.names[index],
                count.done if count else 0,
                count.failed if count else 0,
                share,
                spent.known_pico,
                spent.unknown_calls,
                pace.limit if live else 0,
                pace.in_flight if live else 0,
                note,
            )
        )
    judging = reduce(stored.RunMoney.plus, (m.judging for m in money.values()), stored.NO_MONEY)
    whole = reduce(stored.RunMoney.plus, (m.answers for m in money.values()), judging)
    return RunProgress(
        id=run.id,
        name=run.name,
        state="queued" if waits and run.state == "running" else run.state,
        reason=(live and (live.note or live.silence)) or " ".join(filter(None, (run.reason, waits))),
        waits=waits,
        cells=run.cells,
        done=run.done,
        failed=run.failed,
        rate_per_s=rate,
        eta_s=(run.cells - run.done) / rate if rate > 0 and run.state == "running" else None,
        spent_pico=whole.known_pico,
        unknown_calls=whole.unknown_calls,
        unknown_bound_pico=whole.unknown_bound_pico,
        reserved_pico=run.reserved_pico,
        budget_pico=run.budget_pico,
        seconds=_worked_s(run),
        contestants=tuple(shown),
        batch=batch,
        forecast=sums.forecast,
        orphans=sums.orphans,
        judging=judging,
        upstream_pico=sums.upstream_pico,
        notices=tuple(live.notices) if live else (),
        first_failures=tuple(f"{plan.names[f.contestant]}: {f.error} ({f.count} cells)" for f in failures),
    )


def _note(lane: Lane | None, pace: PaceState) -> str:
    """Why a contestant of a live run is stopped or paused, in words; empty: it is not."""
    if lane is not None and lane.stopped:
        return lane.stopped
    rest = lane.resume_at - time.monotonic() if lane is not None else 0.0
    if lane is not None and rest > 0:
        return f"Paused, tried again in {rest:.0f} s. {lane.resting}"
    return pace.reason if pace.paused_s > 0 else ""


def _worked_s(run: Any) -> float:
    """Seconds that a run was worked, pauses left out; of a running one up to now."""
    since = now_ms() - run.beat_ms if run.state == "running" else 0
    return float(run.worked_ms + min(max(since, 0), stored.LONGEST_BEAT_MS)) / 1000


def wait_for_run(session: Session, run_id: str, *, timeout_s: float | None = None) -> RunProgress:
    """Waits until a run is neither queued nor running, or is seen to wait for another gateway.

    Raises RunError after timeout_s.
    """
    until = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        state = progress(session, run_id)
        if not state.is_live or state.waits:
            return state
        if until is not None and time.monotonic() > until:
            raise RunError(f"Run {run_id} is still {state.state} after {timeout_s} s.")
        time.sleep(0.05)
