"""The rows that a run asks first: drawn at random, so that its bill can be told early."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from assay.config import Settings
from assay.domain.contestant import Contestant, Prompt
from assay.domain.plan import RunPlan
from assay.domain.score import GraderSpec
from assay.runs.lanes import Lane, Lanes
from assay.runs.pilot import PILOT_ROWS, awaits_pilot, cells_in_order, pilot_cells, pilot_rows
from assay.workbench.datasets import kept
from assay.workbench.results import cells as results
from assay.workbench.running import runs
from assay.workbench.running.runs import RunDraft
from assay.workbench.session import Session, open_session


def plan_of(rows: int, *, samples: int = 1) -> RunPlan:
    """A plan of two prompts and three contestants."""
    contestants = tuple(Contestant(f"maker/model-{n}") for n in range(3))
    return RunPlan("dataset", rows, (Prompt("a {{x}}"), Prompt("b {{x}}")), contestants, samples=samples)


@pytest.mark.parametrize("rows", [11, 200, 100_000])
def test_pilot_is_drawn_once_and_for_all_from_the_whole_run(rows: int) -> None:
    """Five different rows within the run, the same at every look."""
    drawn = pilot_rows(plan_of(rows))

    assert drawn == pilot_rows(plan_of(rows))
    assert len(set(drawn)) == PILOT_ROWS
    assert all(0 <= row < rows for row in drawn)


def test_pilot_of_a_run_of_few_rows_is_empty() -> None:
    """Ten rows are asked as they stand: a pilot would be half of them."""
    assert pilot_rows(plan_of(10)) == ()


@pytest.mark.parametrize("samples", [1, 3])
def test_cells_of_a_contestant_all_come_once_the_pilot_first(samples: int) -> None:
    """Nothing is left out or asked twice, and each cell is the contestant's own."""
    plan = plan_of(40, samples=samples)

    cells = list(cells_in_order(plan, 1))

    assert sorted(cells) == [n for n in range(plan.cell_count) if plan.cell(n).contestant == 1]
    first = cells[: PILOT_ROWS * 2 * samples]
    assert {plan.cell(n).row for n in first} == set(pilot_rows(plan))


class Freely:
    """A pace that holds nobody."""

    def limit(self, model: str) -> int:
        """As many as anybody wants."""
        return 99

    def held_s(self, model: str) -> float:
        """Never held."""
        return 0.0


def test_lanes_take_the_pilot_of_all_contestants_before_any_other_row() -> None:
    """A contestant that is done with its pilot does not run ahead of the others' pilots."""
    plan = plan_of(500)
    first = pilot_cells(plan)
    lanes = Lanes(
        {n: Lane(n, f"model-{n}", cells_in_order(plan, n)) for n in range(3)}, Freely(), limit=99, first=first
    )

    taken = [lanes.take(lane) for _ in range(len(first) + 3) if (lane := lanes.next_up(0.0)) is not None]

    assert taken[: len(first)] == sorted(first)
    assert taken[len(first) :] == [n for n in range(9) if n not in first][:3]


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """A workbench with a fast sandbox."""
    with open_session(Settings(database_url=f"sqlite:///{tmp_path}/a.db"), sandbox_speed=0) as opened:
        opened.ready()
        yield opened


def drafted(session: Session, **changes: object) -> RunDraft:
    """A draft of 60 rows for two models with a judge."""
    content = "q\n" + "".join(f"Question {n} about {'a long thing ' * (n % 7)}\n" for n in range(60))
    dataset = kept.save_table(
        session, kept.read_upload(session, content.encode(), filename="q.csv"), name="q", source="q"
    )
    models = (Contestant("sandbox/swift"), Contestant("sandbox/atlas-large"))
    graders = (GraderSpec("judge", {"model": "sandbox/swift", "rubric": "Is it short?"}),)
    return replace(RunDraft(dataset.id, (Prompt("{{q}}"),), models, graders), **changes)  # type: ignore[arg-type]


def test_run_with_a_pilot_pauses_after_it_and_foretells_its_bill(session: Session) -> None:
    """Five rows are asked; the bill of the finished run, judges included, lies in the interval they gave."""
    run_id = runs.start_run(session, drafted(session, pilot=True))
    after = runs.wait_for_run(session, run_id, timeout_s=60)
    assert (after.state, after.done) == ("paused", PILOT_ROWS * 2)
    assert after.forecast is not None
    assert after.forecast.count == PILOT_ROWS

    runs.continue_run(session, run_id)
    ended = runs.wait_for_run(session, run_id, timeout_s=60)

    assert (ended.state, ended.done, ended.forecast) == ("done", 120, None)
    assert after.forecast.low <= ended.spent_pico <= after.forecast.high
    assert abs(after.forecast.expected / ended.spent_pico - 1) < 0.3


def test_run_without_a_pilot_asks_its_rows_first_and_goes_on(session: Session) -> None:
    """Nothing pauses; the random rows are the first that end, and are asked once."""
    run_id = runs.start_run(session, drafted(session, concurrency=1))

    ended = runs.wait_for_run(session, run_id, timeout_s=60)

    with session.store.read() as connection:
        query = "SELECT cell FROM call WHERE purpose = 'run' ORDER BY created_ms, id"
        asked = [row.cell for row in connection.execute(text(query))]
    plan = results.get_run(session, run_id).plan
    assert ended.state == "done"
    assert len(asked) == len(set(asked)) == 120
    assert {plan.cell(number).row for number in asked[:4]} <= set(pilot_rows(plan))


def test_retry_of_a_pilots_failed_cell_does_not_pause_again(session: Session) -> None:
    """Once any other row is done, the pilot is over."""
    plan = replace(plan_of(60), pilot=True)
    first = sorted(pilot_cells(plan))
    only_pilot = bytearray(plan.cell_count)
    for number in first[1:]:
        only_pilot[number] = 1
    beyond = bytearray(only_pilot)
    beyond[next(n for n in range(plan.cell_count) if n not in first)] = 1

    assert awaits_pilot(plan, only_pilot)
    assert not awaits_pilot(plan, beyond)
    assert not awaits_pilot(replace(plan, pilot=False), only_pilot)
