"""A run that grows on a real SQLite file: texts, scores and calls follow their results, money stays what it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text, update
from sqlalchemy.dialects import postgresql
from sqlmodel import SQLModel

from assay.domain.completion import Cost
from assay.domain.contestant import Contestant, Prompt
from assay.domain.plan import Cell, RunPlan
from assay.domain.score import Score
from assay.errors import RunError
from assay.store import growth, ledger, runs, saving
from assay.store.engine import Store, open_store
from assay.store.migrations.upgrade import config
from assay.store.tables import CALL, RESULT, RESULT_TEXT, RUN, SCORE
from store_steps import open_intent, save_results

SIZES = st.integers(min_value=1, max_value=4)
STEPS = st.tuples(*[st.integers(min_value=0, max_value=2)] * 4).filter(any)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    opened = open_store(f"sqlite:///{tmp_path}/assay.db")
    yield opened
    opened.close()


def make_plan(rows: int, prompts: int, contestants: int, samples: int) -> RunPlan:
    """A plan of the asked size."""
    return RunPlan(
        "d",
        rows,
        tuple(Prompt(f"{n}") for n in range(prompts)),
        tuple(Contestant(f"m/{n}") for n in range(contestants)),
        samples=samples,
    )


def larger(plan: RunPlan, rows: int, prompts: int, contestants: int, samples: int) -> RunPlan:
    """The plan with so many more of each."""
    have = len(plan.prompts), len(plan.contestants)
    return plan.grown(
        prompts=[Prompt(f"{have[0] + n}") for n in range(prompts)],
        contestants=[Contestant(f"m/{have[1] + n}") for n in range(contestants)],
        samples=plan.samples + samples,
        row_count=plan.row_count + rows,
    )


def place(cell: Cell) -> str:
    """The place of a cell as text."""
    return f"row {cell.row} prompt {cell.prompt} contestant {cell.contestant} sample {cell.sample}"


def answered(store: Store, plan: RunPlan, *, share: int = 2) -> str:
    """A run at rest in which every share-th cell has a call, a result, a text and two scores that name its place."""

    def write(connection: Any) -> str:
        run_id = runs.create_run(connection, plan, name="test")
        for number in range(0, plan.cell_count, share):
            cell = plan.cell(number)
            call = ledger.Intent(
                id=ledger.new_id(),
                created_ms=ledger.now_ms(),
                gateway="g",
                purpose="run",
                model=place(cell),
                owner="me",
                bound_pico=9,
                run_id=run_id,
                cell=number,
            )
            open_intent(connection, call)
            ended = ledger.Settlement(call_id=call.id, settled_ms=1, outcome="ok", cost=Cost(7, "billed"))
            ledger.settle(connection, ended)
            record = saving.ResultRecord(
                run_id=run_id,
                cell=number,
                row=cell.row,
                prompt=cell.prompt,
                contestant=cell.contestant,
                sample=cell.sample,
                status="ok",
                output=place(cell),
                call_id=call.id,
                scores=(Score("a", 1, True, place(cell)), Score("b", 0, False, place(cell))),
            )
            save_results(connection, [record])
        runs.set_state(connection, run_id, "paused")
        return run_id

    return store.writer.call(write)


def grow(store: Store, run_id: str, before: RunPlan, after: RunPlan, **more: Any) -> None:
    """Lets a run grow."""
    store.writer.call(lambda c: growth.grow_run(c, run_id, after, before=before, detail={}, **more))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SIZES, SIZES, SIZES, SIZES, st.lists(STEPS, min_size=1, max_size=3))
def test_everything_of_a_cell_follows_it(
    store: Store, rows: int, prompts: int, contestants: int, samples: int, steps: list[tuple[int, int, int, int]]
) -> None:
    """After any growths each number leads to the place it led to before, in all four tables, and the totals stand."""
    plan = make_plan(rows, prompts, contestants, samples)
    run_id = answered(store, plan)
    had = -(-plan.cell_count // 2)
    for step in steps:
        after = larger(plan, *step)
        grow(store, run_id, plan, after)
        plan = after

    with store.read() as connection:
        run = runs.get_run(connection, run_id)
        done = saving.finished_cells(connection, run_id)
        found = connection.execute(select(RESULT).where(RESULT.c.run_id == run_id)).all()
        for row in found:
            cell = plan.cell(row.cell)
            assert (row.row, row.prompt, row.contestant, row.sample) == tuple(cell)[1:]
            key = {"run_id": run_id, "cell": row.cell}
            assert connection.execute(select(RESULT_TEXT.c.output).filter_by(**key)).scalars().all() == [place(cell)]
            assert connection.execute(select(SCORE.c.reason).filter_by(**key)).scalars().all() == [place(cell)] * 2
            call = connection.execute(select(CALL.c.id, CALL.c.model).filter_by(**key)).all()
            assert [tuple(c) for c in call] == [(row.call_id, place(cell))]
        assert len(found) == had == sum(done)
        assert (run.cells, run.done, run.settled_pico, run.state) == (plan.cell_count, had, 7 * had, "queued")
        assert len(growth.changes_of(connection, run_id)) == len(steps)


def test_every_table_with_cells_is_renumbered() -> None:
    """A table that holds numbers of a run's cells is one that growth knows."""
    holding = {
        t.name for t in SQLModel.metadata.tables.values() if {"run_id", "cell"} <= {column.name for column in t.columns}
    }

    assert holding == {table.name for table in growth.NUMBERED}
    assert {table.name for table in growth.KEYED} == {
        name for name in holding if "cell" in SQLModel.metadata.tables[name].primary_key.columns
    }


def test_other_runs_are_left_alone(store: Store) -> None:
    """Growing a run moves no cell and no call of another one."""
    plan = make_plan(2, 1, 2, 1)
    first, second = answered(store, plan), answered(store, plan, share=1)

    grow(store, first, plan, larger(plan, 0, 0, 1, 0))

    with store.read() as connection:
        for table in growth.NUMBERED:
            query = select(table.c.cell).where(table.c.run_id == second)
            assert set(connection.execute(query).scalars()) == {0, 1, 2, 3}


def test_worked_run_is_refused_and_a_resting_one_is_fenced(store: Store) -> None:
    """While an engine holds the lease nothing changes; afterwards an engine that comes back can write nothing."""
    plan = make_plan(2, 1, 2, 1)
    run_id = answered(store, plan)
    store.writer.call(lambda c: runs.set_state(c, run_id, "queued"))
    token = store.writer.call(lambda c: runs.take_lease(c, run_id, "me", ttl_ms=60_000))
    after = larger(plan, 0, 0, 1, 0)

    with pytest.raises(RunError, match="Pause it first"):
        grow(store, run_id, plan, after)

    assert token is not None
    store.writer.call(lambda c: c.execute(update(RUN).values(state="paused")))
    grow(store, run_id, plan, after)
    late = saving.ResultRecord(run_id=run_id, cell=3, row=1, prompt=0, contestant=1, sample=0, status="ok")
    with pytest.raises(RunError, match="another process"):
        store.writer.call(lambda c: save_results(c, [late], token=token))
    with pytest.raises(RunError, match="another process"):
        store.writer.call(lambda c: runs.heartbeat(c, run_id, token, ttl_ms=1000))


def test_plan_that_was_changed_meanwhile_is_refused(store: Store) -> None:
    """Two who grow a run from the same plan: the second one is told, and nothing is lost."""
    plan = make_plan(2, 1, 1, 1)
    run_id = answered(store, plan)
    grow(store, run_id, plan, larger(plan, 0, 0, 1, 0))

    with pytest.raises(RunError, match="changed by somebody else"):
        grow(store, run_id, plan, larger(plan, 1, 0, 0, 0))

    with store.read() as connection:
        assert runs.get_run(connection, run_id).cells == 4
        assert [dict(change.detail)["before"]["row_count"] for change in growth.changes_of(connection, run_id)] == [2]


def test_budget_stays_unless_a_new_one_is_given(store: Store) -> None:
    """Growing by itself allows no cent more."""
    plan = RunPlan("d", 1, (Prompt("p"),), (Contestant("m/0"),), budget_pico=50)
    run_id = answered(store, plan)

    grow(store, run_id, plan, first := larger(plan, 1, 0, 0, 0))
    with store.read() as connection:
        assert runs.get_run(connection, run_id).budget_pico == 50
    store.writer.call(lambda c: runs.set_state(c, run_id, "paused"))
    grow(store, run_id, first, larger(first, 1, 0, 0, 0), budget_pico=80)
    with store.read() as connection:
        assert runs.get_run(connection, run_id).budget_pico == 80


def test_new_numbers_are_whole_on_postgresql_too() -> None:
    """The expression divides whole numbers by the database's own operator, without a detour over fractions."""
    plan = make_plan(3, 2, 2, 2)
    moved = growth._moved(RESULT.c.cell, plan, larger(plan, 0, 1, 1, 1))

    said = str(moved.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True}))

    assert "FLOOR" not in said.upper()
    assert "CAST" not in said.upper()
    assert said.count("result.cell / 2") >= 1


def test_time_at_work_leaves_pauses_out(store: Store) -> None:
    """Only the time between beats counts, and a machine that slept for hours adds a quarter of a minute at most."""
    run_id = store.writer.call(lambda c: runs.create_run(c, make_plan(1, 1, 1, 1), name="test"))
    token = store.writer.call(lambda c: runs.take_lease(c, run_id, "me", ttl_ms=60_000))
    assert token is not None

    def beat_after(ms: int) -> int:
        store.writer.call(lambda c: c.execute(update(RUN).values(beat_ms=ledger.now_ms() - ms)))
        store.writer.call(lambda c: runs.heartbeat(c, run_id, token, ttl_ms=60_000))
        with store.read() as connection:
            return int(runs.get_run(connection, run_id).worked_ms)

    assert 400 <= beat_after(400) < 5_000
    assert beat_after(-86_400_000) < 5_000
    assert beat_after(7_200_000) < 5_000 + runs.LONGEST_BEAT_MS


def test_run_of_an_earlier_release_keeps_its_time(tmp_path: Path) -> None:
    """The migration takes the time of a finished run from its start and end."""
    from alembic import command

    store = open_store(f"sqlite:///{tmp_path}/old.db")
    answered(store, make_plan(1, 1, 1, 1))
    with store._writer_engine.begin() as connection:
        command.downgrade(config(connection), "0001")
        connection.execute(text("UPDATE run SET started_ms = 1000, finished_ms = 4500"))
    store.close()

    reopened = open_store(f"sqlite:///{tmp_path}/old.db")

    with reopened.read() as connection:
        assert connection.execute(text("SELECT worked_ms, beat_ms FROM run")).one() == (3500, 0)
    reopened.close()
