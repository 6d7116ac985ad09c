"""Runs: their life, lease, cells and progress."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from sqlalchemy import (
    Connection,
    Integer,
    Row,
    case,
    cast,
    func,
    insert,
    select,
    update,
)

from assay.domain.plan import RunPlan, RunPurpose
from assay.errors import LeaseLost, NotFound
from assay.store.books import shared_money
from assay.store.ledger import new_id, now_ms
from assay.store.owner import is_surely_dead
from assay.store.prompts import link_prompts
from assay.store.tables import CALL, RESULT, RESULT_TEXT, RUN

LIVE = ("queued", "running")
_MEANT = {"paused": "pause", "stopped": "stop"}
"""What a worker is to do that finds its run in a state which somebody else has put it into."""


def create_run(
    connection: Connection,
    plan: RunPlan,
    *,
    name: str,
    tags: Sequence[str] = (),
    estimate_json: str = "{}",
    request_id: str | None = None,
    gateways: Mapping[str, str] | None = None,
    purpose: RunPurpose = "batch",
    parent_id: str | None = None,
    actor: str = "local",
    shared_budget_id: str | None = None,
) -> str:
    """Stores a queued run and returns its id; the same request_id gives the same run (a double click starts one).

    gateways: name -> address of every gateway that it is asked at; None: those that are there when it is first worked.
    parent_id: the run that it came from. actor: who starts it. shared_budget_id: the budget that it shares with other
    runs, beside its own. Raises NotFound for a parent or a shared budget that is not there.
    """
    run_id = request_id or new_id()
    if connection.execute(select(RUN.c.id).where(RUN.c.id == run_id)).scalar() is not None:
        return run_id
    if parent_id is not None:
        parent_id = str(get_run(connection, parent_id).id)
    if shared_budget_id is not None and shared_money(connection, shared_budget_id) is None:
        raise NotFound(f"There is no shared budget {shared_budget_id!r}.")
    connection.execute(
        insert(RUN).values(
            id=run_id,
            name=name,
            created_ms=now_ms(),
            state="queued",
            command="",
            reason="",
            gateway=plan.gateway,
            dataset_id=plan.dataset_id,
            plan_json=json.dumps(plan.as_json(), ensure_ascii=False),
            estimate_json=estimate_json,
            tags_json=json.dumps(list(tags)),
            cells=plan.cell_count,
            done=0,
            failed=0,
            budget_pico=plan.budget_pico,
            settled_pico=0,
            reserved_pico=0,
            lease_owner="",
            lease_until_ms=0,
            lease_token=0,
            worked_ms=0,
            beat_ms=0,
            gateways_json=json.dumps(dict(gateways or {})),
            purpose=purpose,
            parent_id=parent_id,
            actor=actor,
            shared_budget_id=shared_budget_id,
        )
    )
    link_prompts(connection, run_id, plan.prompts)
    return run_id


def get_run(connection: Connection, run_id: str) -> Row[Any]:
    """The run's row. Raises NotFound; a unique beginning of the id of at least 6 digits is enough."""
    row = connection.execute(select(RUN).where(RUN.c.id == run_id)).one_or_none()
    if row is None and len(run_id) >= 6:
        found = connection.execute(select(RUN).where(RUN.c.id.startswith(run_id, autoescape=True)).limit(2)).all()
        found = (
            found or connection.execute(select(RUN).where(RUN.c.id.endswith(run_id, autoescape=True)).limit(2)).all()
        )
        row = found[0] if len(found) == 1 else None
    if row is None:
        raise NotFound(f"There is no run {run_id!r}.", cure="`assay runs` lists them.")
    return row


def newest_named(connection: Connection, name: str, *, state: str | None = None) -> Row[Any] | None:
    """The newest run with exactly this name, of one state where given; None when there is none."""
    query = select(RUN).where(RUN.c.name == name).order_by(RUN.c.created_ms.desc(), RUN.c.id.desc()).limit(1)
    return connection.execute(query if state is None else query.where(RUN.c.state == state)).one_or_none()


def plan_of(row: Row[Any]) -> RunPlan:
    """The frozen plan of a run's row."""
    return RunPlan.from_json(json.loads(row.plan_json))


def gateways_of(row: Row[Any]) -> dict[str, str]:
    """Name -> address of every gateway that a run is asked at; {}: nobody kept it."""
    return dict(json.loads(row.gateways_json))


def asked_at(connection: Connection, run_id: str) -> set[str]:
    """Names of the gateways that calls of a run were sent to."""
    return set(connection.execute(select(CALL.c.gateway).where(CALL.c.run_id == run_id).distinct()).scalars())


def place(connection: Connection, run_id: str, gateways: Mapping[str, str]) -> None:
    """Keeps at which gateways a run is asked from now on."""
    connection.execute(update(RUN).where(RUN.c.id == run_id).values(gateways_json=json.dumps(dict(gateways))))


def list_runs(connection: Connection, *, limit: int = 50, offset: int = 0, live_only: bool = False) -> list[Row[Any]]:
    """Rows of runs, newest first."""
    query = select(RUN).order_by(RUN.c.created_ms.desc()).limit(limit).offset(offset)
    return list(connection.execute(query.where(RUN.c.state.in_(LIVE)) if live_only else query))


def command_run(connection: Connection, run_id: str, command: str, *, at_once: bool = False) -> None:
    """Asks the engine that works a run to pause or stop; a run that nobody works is put into that state at once.

    A stop is not taken back by a pause that comes after it. at_once: nobody will work the run, whatever its lease says.
    """
    run = get_run(connection, run_id)
    if run.state in LIVE and run.lease_until_ms > now_ms() and not at_once:
        if (run.command, command) != ("stop", "pause"):
            connection.execute(update(RUN).where(RUN.c.id == run.id).values(command=command))
        return
    if run.state in (*LIVE, "paused"):
        state = "paused" if command == "pause" else "stopped"
        set_state(connection, run.id, state, reason=f"{state.capitalize()} by you.")


def queue(connection: Connection, run_id: str, *, command: str = "") -> None:
    """Asks that a run be gone on with. One that is worked goes on even if it was asked to pause or stop, and has begun
    to; one at rest is queued.

    command: what whoever works it is to do first (stop: to take back what waits at the gateway).
    """
    run = get_run(connection, run_id)
    if run.state in LIVE:
        connection.execute(update(RUN).where(RUN.c.id == run.id).values(command=command or CONTINUE))
        return
    set_state(connection, run.id, "queued")
    if command:
        connection.execute(update(RUN).where(RUN.c.id == run.id).values(command=command))


CONTINUE = "continue"


def set_state(connection: Connection, run_id: str, state: str, *, reason: str = "", token: int | None = None) -> None:
    """Puts a run into a state; token: only while the lease with this token holds, else LeaseLost."""
    values: dict[str, Any] = {"state": state, "reason": reason, "command": ""}
    if state in ("done", "stopped"):
        values["finished_ms"] = now_ms()
    if state in ("running", "queued"):
        values["finished_ms"] = None
    _update(connection, run_id, values, token)


def _update(connection: Connection, run_id: str, values: dict[str, Any], token: int | None) -> None:
    query = update(RUN).where(RUN.c.id == run_id).values(values)
    if token is not None:
        query = query.where(RUN.c.lease_token == token)
    if connection.execute(query).rowcount == 0:
        raise LeaseLost(f"Run {run_id} is worked by another process.")


def set_budget(connection: Connection, run_id: str, budget_pico: int | None) -> None:
    """Changes the budget of a run."""
    connection.execute(update(RUN).where(RUN.c.id == run_id).values(budget_pico=budget_pico))


def set_margin(connection: Connection, run_id: str, margin: float) -> None:
    """Changes the margin of a run's plan, which nothing that is asked depends on. Raises NotFound."""
    run = get_run(connection, run_id)
    plan = replace(plan_of(run), margin=margin)
    connection.execute(
        update(RUN).where(RUN.c.id == run.id).values(plan_json=json.dumps(plan.as_json(), ensure_ascii=False))
    )


def take_lease(connection: Connection, run_id: str, owner: str, *, ttl_ms: int) -> int | None:
    """The fencing token of a new lease; None when another living process holds the run or it is not to be worked.

    A pause or stop that the one before did not obey any more stands: the new one hears it.
    """
    run = get_run(connection, run_id)
    if run.state not in LIVE or (run.lease_owner and is_held(run)):
        return None
    token = run.lease_token + 1
    values = {
        "lease_owner": owner,
        "lease_until_ms": now_ms() + ttl_ms,
        "lease_token": token,
        "state": "running",
        "started_ms": run.started_ms or now_ms(),
        "beat_ms": now_ms(),
        "reason": "",
        "command": "" if run.command == CONTINUE else run.command,
    }
    connection.execute(update(RUN).where(RUN.c.id == run.id).values(values))
    return int(token)


LONGEST_BEAT_MS = 15_000
"""Time that one beat adds to a run's work at most: a machine that slept, or whose clock jumped, did not work."""


def _worked(now: int) -> dict[str, Any]:
    """Columns that count the work since the last beat."""
    since = now - RUN.c.beat_ms
    counted = case((since < 0, 0), (since > LONGEST_BEAT_MS, LONGEST_BEAT_MS), else_=since)
    return {"worked_ms": RUN.c.worked_ms + counted, "beat_ms": now}


def heartbeat(connection: Connection, run_id: str, token: int, *, ttl_ms: int) -> str:
    """Extends the lease and returns the waiting command. Raises LeaseLost.

    Where beats failed for so long that the run was paused or stopped as one that nobody works, that is the command.
    """
    now = now_ms()
    _update(connection, run_id, {"lease_until_ms": now + ttl_ms, **_worked(now)}, token)
    run = connection.execute(select(RUN.c.state, RUN.c.command).where(RUN.c.id == run_id)).one()
    return str(_MEANT.get(run.state, run.command))


def obeyed(connection: Connection, run_id: str, token: int) -> None:
    """Clears the command of a run: there is nothing to do for it any more."""
    _update(connection, run_id, {"command": ""}, token)


def release(connection: Connection, run_id: str, token: int, *, state: str, reason: str = "") -> str:
    """Ends the lease, leaves the run in a state and returns it: queued, where it was asked to go on meanwhile."""
    command = connection.execute(select(RUN.c.command).where(RUN.c.id == run_id)).scalar()
    if command == CONTINUE and state in _MEANT:
        state, reason = "queued", ""
    set_state(connection, run_id, state, reason=reason, token=token)
    kept = {"command": command} if state == "queued" and command in _MEANT.values() else {}
    _update(connection, run_id, {"lease_until_ms": 0, "lease_owner": "", **kept, **_worked(now_ms())}, token)
    return state


def unworked(connection: Connection) -> list[Row[Any]]:
    """Rows of the runs that should be worked and that nobody living works, oldest first."""
    rows = connection.execute(select(RUN).where(RUN.c.state.in_(LIVE)).order_by(RUN.c.created_ms)).all()
    return [row for row in rows if not is_held(row)]


def is_held(run: Row[Any]) -> bool:
    """Whether somebody who may still live works a run."""
    return bool(run.lease_until_ms > now_ms() and not is_surely_dead(run.lease_owner))


@dataclass(frozen=True, slots=True)
class ContestantCount:
    """Progress of one contestant."""

    contestant: int
    done: int
    failed: int


def contestant_counts(connection: Connection, run_id: str) -> list[ContestantCount]:
    """Cells done and failed per contestant, from a covering index."""
    failed = func.sum(case((RESULT.c.status == "failed", 1), else_=0))
    rows = connection.execute(
        select(RESULT.c.contestant, func.count(), cast(failed, Integer))
        .where(RESULT.c.run_id == run_id)
        .group_by(RESULT.c.contestant)
    )
    return [ContestantCount(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class RunMoney:
    """What a group of a run's calls cost: known in full, and what is unknown apart."""

    key: str
    calls: int
    known_pico: int
    unknown_calls: int
    unknown_bound_pico: int

    def plus(self, other: RunMoney) -> RunMoney:
        """Both together, under this key."""
        return RunMoney(
            self.key,
            self.calls + other.calls,
            self.known_pico + other.known_pico,
            self.unknown_calls + other.unknown_calls,
            self.unknown_bound_pico + other.unknown_bound_pico,
        )


NO_MONEY = RunMoney("", 0, 0, 0, 0)


class ContestantMoney(NamedTuple):
    """What was spent on a contestant: on its own calls, and on judges of its answers."""

    answers: RunMoney = NO_MONEY
    judging: RunMoney = NO_MONEY

    @property
    def together(self) -> RunMoney:
        """All of it."""
        return self.answers.plus(self.judging)


def money_by_contestant(connection: Connection, run_id: str) -> dict[str, ContestantMoney]:
    """Spend of a run per contestant key; judges' calls carry the key of the contestant that they grade."""
    unknown = (CALL.c.cost_pico.is_(None)) & (CALL.c.state != "sent")
    rows = connection.execute(
        select(
            CALL.c.contestant_key,
            CALL.c.purpose,
            func.count(),
            func.coalesce(func.sum(CALL.c.cost_pico), 0),
            func.coalesce(func.sum(case((unknown, 1), else_=0)), 0),
            func.coalesce(func.sum(case((unknown, CALL.c.bound_pico), else_=0)), 0),
        )
        .where(CALL.c.run_id == run_id)
        .group_by(CALL.c.contestant_key, CALL.c.purpose)
    )
    found: dict[str, ContestantMoney] = {}
    for key, purpose, *sums in rows:
        part = RunMoney(key, *(int(value) for value in sums))
        before = found.get(key, ContestantMoney(RunMoney(key, 0, 0, 0, 0), RunMoney(key, 0, 0, 0, 0)))
        if purpose == "judge":
            found[key] = before._replace(judging=before.judging.plus(part))
        else:
            found[key] = before._replace(answers=before.answers.plus(part))
    return found


def first_failures(connection: Connection, run_id: str, *, limit: int = 5) -> list[Row[Any]]:
    """Kinds of failure with a count and one example text, most frequent first."""
    return list(
        connection.execute(
            select(
                RESULT.c.error_kind,
                RESULT.c.contestant,
                func.count().label("count"),
                func.min(RESULT_TEXT.c.error).label("error"),
                func.min(RESULT.c.cell).label("cell"),
            )
            .join(RESULT_TEXT, (RESULT_TEXT.c.run_id == RESULT.c.run_id) & (RESULT_TEXT.c.cell == RESULT.c.cell))
            .where(RESULT.c.run_id == run_id, RESULT.c.status == "failed")
            .group_by(RESULT.c.error_kind, RESULT.c.contestant)
            .order_by(func.count().desc())
            .limit(limit)
        )
    )
