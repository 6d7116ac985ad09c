"""Runs: their life, lease, cells and progress."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import (
    Connection,
    Integer,
    Row,
    bindparam,
    case,
    cast,
    delete,
    func,
    insert,
    select,
    update,
)

from assay.domain.plan import RunPlan
from assay.domain.score import NOT_ASKED, NOT_GRADED, Score, passed_of, value_of
from assay.errors import AssayError, NotFound, RunError
from assay.store.books import Books
from assay.store.cell_costs import NAMES as COSTS
from assay.store.cell_costs import NOTHING, CellCost, columns_of, costs_of, refresh
from assay.store.ledger import Settlement, new_id, now_ms, settle_many
from assay.store.owner import is_surely_dead
from assay.store.prepared import Prepared, PreparedIn
from assay.store.prompts import link_prompts
from assay.store.tables import CALL, RESULT, RESULT_TEXT, RUN, SCORE

LIVE = ("queued", "running")
_MEANT = {"paused": "pause", "stopped": "stop"}
"""What a worker is to do that finds its run in a state which somebody else has put it into."""


class LeaseLost(RunError):
    """Another process has taken the run over: whoever hears this writes nothing more of it."""


def create_run(
    connection: Connection,
    plan: RunPlan,
    *,
    name: str,
    tags: Sequence[str] = (),
    estimate_json: str = "{}",
    request_id: str | None = None,
    gateways: Mapping[str, str] | None = None,
) -> str:
    """Stores a queued run and returns its id; the same request_id gives the same run (a double click starts one).

    gateways: name -> address of every gateway that it is asked at; None: those that are there when it is first worked.
    """
    run_id = request_id or new_id()
    if connection.execute(select(RUN.c.id).where(RUN.c.id == run_id)).scalar() is not None:
        return run_id
    connection.execute(
        insert(RUN).values(
            id=run_id, name=name, created_ms=now_ms(), state="queued", command="", reason="", gateway=plan.gateway,
            dataset_id=plan.dataset_id, plan_json=json.dumps(plan.as_json(), ensure_ascii=False),
            estimate_json=estimate_json, tags_json=json.dumps(list(tags)), cells=plan.cell_count, done=0, failed=0,
            budget_pico=plan.budget_pico, settled_pico=0, reserved_pico=0, lease_owner="", lease_until_ms=0,
            lease_token=0, worked_ms=0, beat_ms=0, gateways_json=json.dumps(dict(gateways or {})),
        )
    )  # fmt: skip
    link_prompts(connection, run_id, plan.prompts)
    return run_id


def get_run(connection: Connection, run_id: str) -> Row[Any]:
    """The run's row. Raises NotFound; a unique beginning of the id of at least 6 digits is enough."""
    row = connection.execute(select(RUN).where(RUN.c.id == run_id)).one_or_none()
    if row is None and len(run_id) >= 6:
        found = connection.execute(select(RUN).where(RUN.c.id.startswith(run_id, autoescape=True)).limit(2)).all()
        found = found or connection.execute(
            select(RUN).where(RUN.c.id.endswith(run_id, autoescape=True)).limit(2)
        ).all()  # fmt: skip
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


def take_lease(connection: Connection, run_id: str, owner: str, *, ttl_ms: int) -> int | None:
    """The fencing token of a new lease; None when another living process holds the run or it is not to be worked.

    A pause or stop that the one before did not obey any more stands: the new one hears it.
    """
    run = get_run(connection, run_id)
    held = run.lease_until_ms > now_ms() and not is_surely_dead(run.lease_owner, living=frozenset({owner}))
    if run.state not in LIVE or (held and run.lease_owner):
        return None
    token = run.lease_token + 1
    values = {
        "lease_owner": owner, "lease_until_ms": now_ms() + ttl_ms, "lease_token": token, "state": "running",
        "started_ms": run.started_ms or now_ms(), "beat_ms": now_ms(), "reason": "",
        "command": "" if run.command == CONTINUE else run.command,
    }  # fmt: skip
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


def interrupted(connection: Connection, *, owner: str) -> list[str]:
    """Ids of runs that should be worked and that nobody living works, oldest first."""
    return [run.id for run in unworked(connection, owner=owner)]


def unworked(connection: Connection, *, owner: str) -> list[Row[Any]]:
    """Rows of the runs that should be worked and that nobody living works, oldest first."""
    rows = connection.execute(select(RUN).where(RUN.c.state.in_(LIVE)).order_by(RUN.c.created_ms)).all()
    return [row for row in rows if not is_held(row, living=frozenset({owner}))]


def is_held(run: Row[Any], *, living: frozenset[str]) -> bool:
    """Whether somebody who may still live works a run. living: the owners of this process."""
    return bool(run.lease_until_ms > now_ms() and not is_surely_dead(run.lease_owner, living=living))


# -- cells -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultRecord:
    """The result of a cell with its texts and scores, as the engine hands it over."""

    run_id: str
    cell: int
    row: int
    prompt: int
    contestant: int
    sample: int
    status: str
    """ok or failed."""
    output: str = ""
    reasoning: str = ""
    note: str = ""
    error: str = ""
    error_kind: str | None = None
    call_id: str | None = None
    cached: bool = False
    cut: bool = False
    """Whether the answer ended at its `max_tokens`."""
    first_token_ms: float | None = None
    total_ms: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    scores: tuple[Score, ...] = ()
    judge_calls: tuple[str | None, ...] = ()
    """Call id of each score's judge, in the order of scores."""

    @property
    def value(self) -> float | None:
        """The cell's value by its scores; None: unscored."""
        return value_of(self.scores)

    @property
    def passed(self) -> bool | None:
        """The cell's verdict by its scores; None: unscored."""
        return passed_of(self.scores)


PREVIEW = 80
_RESULT_COLUMNS = (
    "run_id", "cell", "row", "prompt", "contestant", "sample", "status", "error_kind", "call_id", "cached", "cut",
    "first_token_ms", "total_ms", "prompt_tokens", "completion_tokens",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Saving:
    """A result to be stored with the settlement of its call, under the lease's fencing token."""

    record: ResultRecord
    settlement: Settlement | None
    token: int | None


def save_all(connection: Connection, savings: Sequence[Saving]) -> list[AssayError | None]:
    """Settles the calls and stores the results with what their calls cost, in one transaction.

    For each: None, or LeaseLost when its token is no longer the run's; its call is then settled all the same.
    """
    books = Books()
    settlements = [saving.settlement for saving in savings if saving.settlement is not None]
    if settlements:
        settle_many(connection, settlements, books=books)
    groups: dict[tuple[str, int | None], list[ResultRecord]] = {}
    for saving in savings:
        groups.setdefault((saving.record.run_id, saving.token), []).append(saving.record)
    refused: dict[tuple[str, int | None], AssayError] = {}
    for (run_id, token), records in groups.items():
        try:
            _save(connection, run_id, records, token, books)
        except LeaseLost as error:
            refused[run_id, token] = error
            refresh(connection, [(run_id, record.cell) for record in records])
    books.write(connection)
    return [refused.get((saving.record.run_id, saving.token)) for saving in savings]


def save_results(connection: Connection, records: Sequence[ResultRecord], *, token: int | None = None) -> None:
    """Stores results with texts and scores and counts them in their runs, replacing an earlier record of a cell.

    token: the lease's fencing token; LeaseLost, having written nothing, when it is no longer the run's.
    """
    for run_id in sorted({record.run_id for record in records}):
        books = Books()
        _save(connection, run_id, [record for record in records if record.run_id == run_id], token, books)
        books.write(connection)


_TOKEN = Prepared(select(RUN.c.lease_token).where(RUN.c.id == bindparam("run")))
_BEFORE = PreparedIn(select(RESULT.c.cell, RESULT.c.status).where(RESULT.c.run_id == bindparam("run")), RESULT.c.cell)
_INSERT_RESULT = Prepared(
    insert(RESULT), (*_RESULT_COLUMNS, *COSTS, "cost_pico", "value", "passed", "preview", "finished_ms")
)
_INSERT_TEXT = Prepared(insert(RESULT_TEXT), ("run_id", "cell", "output", "reasoning", "error", "note"))
_INSERT_SCORE = Prepared(insert(SCORE), ("run_id", "cell", "grader", "value", "passed", "reason", "call_id"))


def _save(
    connection: Connection, run_id: str, records: Sequence[ResultRecord], token: int | None, books: Books
) -> None:
    held = _TOKEN.rows(connection, {"run": run_id})
    if not held or (token is not None and held[0][0] != token):
        raise LeaseLost(f"Run {run_id} is worked by another process.")
    before = _BEFORE.rows(connection, [record.cell for record in records], {"run": run_id})
    if before:
        replaced = [cell for cell, _ in before]
        for table in (SCORE, RESULT_TEXT, RESULT):
            connection.execute(delete(table).where(table.c.run_id == run_id, table.c.cell.in_(replaced)))
    costs = costs_of(connection, run_id, [record.cell for record in records])
    _insert(connection, records, costs)
    failed = sum(r.status == "failed" for r in records) - sum(status == "failed" for _, status in before)
    books.count(run_id, done=len(records) - len(before), failed=failed)


def _insert(connection: Connection, records: Iterable[ResultRecord], costs: Mapping[int, CellCost]) -> None:
    finished = now_ms()
    results, texts, scores = [], [], []
    for record in records:
        preview = preview_of(record.output if record.status == "ok" else record.error)
        results.append(
            {name: getattr(record, name) for name in _RESULT_COLUMNS}
            | columns_of(costs.get(record.cell, NOTHING))
            | {"value": record.value, "passed": record.passed, "preview": preview, "finished_ms": finished}
        )
        key = {"run_id": record.run_id, "cell": record.cell}
        said = {"output": record.output, "reasoning": record.reasoning, "error": record.error, "note": record.note}
        texts.append(key | said)
        judges = record.judge_calls or (None,) * len(record.scores)
        scores += [
            key | {"grader": n, "value": s.value, "passed": s.passed, "reason": s.reason, "call_id": judge}
            for n, (s, judge) in enumerate(zip(record.scores, judges, strict=True))
        ]
    _INSERT_RESULT.many(connection, results)
    _INSERT_TEXT.many(connection, texts)
    _INSERT_SCORE.many(connection, scores)


def preview_of(text: str) -> str:
    """The beginning of an answer or error on one line."""
    return " ".join(text[: 4 * PREVIEW].split())[:PREVIEW]


def finished_cells(connection: Connection, run_id: str, *, retry_failed: bool = False) -> bytearray:
    """One byte per cell of the grid, 1 where a result stands; retry_failed leaves failed cells open."""
    run = get_run(connection, run_id)
    cells = bytearray(run.cells)
    query = select(RESULT.c.cell).where(RESULT.c.run_id == run.id)
    if retry_failed:
        query = query.where(RESULT.c.status == "ok")
    for batch in connection.execute(query).yield_per(10_000).partitions():
        for (cell,) in batch:
            cells[cell] = 1
    return cells


def ungraded_cells(connection: Connection, run_id: str, plan: RunPlan) -> set[int]:
    """Cells whose answer stands and that a grader has still to look at, or a judge to be asked about."""
    if not plan.graders:
        return set()
    waits = SCORE.c.reason.startswith(NOT_ASKED) | (SCORE.c.reason == NOT_GRADED)
    query = select(SCORE.c.cell).where(
        SCORE.c.run_id == run_id, SCORE.c.call_id.is_(None), SCORE.c.value.is_(None), waits
    )
    return set(connection.execute(query).scalars())


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
            self.key, self.calls + other.calls, self.known_pico + other.known_pico,
            self.unknown_calls + other.unknown_calls, self.unknown_bound_pico + other.unknown_bound_pico,
        )  # fmt: skip


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
                RESULT.c.error_kind, RESULT.c.contestant, func.count().label("count"),
                func.min(RESULT_TEXT.c.error).label("error"), func.min(RESULT.c.cell).label("cell"),
            )
            .join(RESULT_TEXT, (RESULT_TEXT.c.run_id == RESULT.c.run_id) & (RESULT_TEXT.c.cell == RESULT.c.cell))
            .where(RESULT.c.run_id == run_id, RESULT.c.status == "failed")
            .group_by(RESULT.c.error_kind, RESULT.c.contestant)
            .order_by(func.count().desc())
            .limit(limit)
        )
    )  # fmt: skip
