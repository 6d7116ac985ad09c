"""The rows that a run asks first: drawn at random, so that its bill can be told early."""

from __future__ import annotations

import pytest

from assay.domain.contestant import Contestant, Prompt
from assay.domain.plan import RunPlan
from assay.runs.lanes import Lane, Lanes
from assay.runs.pilot import PILOT_ROWS, cells_in_order, pilot_cells, pilot_rows


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
