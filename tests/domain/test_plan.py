"""The grid of a run."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.domain.contestant import Contestant, Prompt
from assay.domain.messages import CompletionRequest, Message
from assay.domain.plan import RunPlan
from assay.domain.score import GraderSpec
from assay.errors import RunError


def make_plan(rows: int, prompts: int, contestants: int, samples: int) -> RunPlan:
    """A plan of the asked size."""
    return RunPlan(
        dataset_id="d",
        row_count=rows,
        prompts=tuple(Prompt(user=f"{n} {{{{x}}}}") for n in range(prompts)),
        contestants=tuple(Contestant(model=f"m/{n}") for n in range(contestants)),
        graders=(GraderSpec("numeric", {"tolerance": 0.1}),),
        samples=samples,
    )


SIZES = st.integers(min_value=1, max_value=5)


@given(SIZES, SIZES, SIZES, SIZES)
def test_cell_numbers_cover_the_grid_once(rows: int, prompts: int, contestants: int, samples: int) -> None:
    """Every combination has exactly one number."""
    plan = make_plan(rows, prompts, contestants, samples)

    cells = {plan.cell(n)[1:] for n in range(plan.cell_count)}

    assert len(cells) == plan.cell_count == rows * prompts * contestants * samples


def test_cell_order_is_row_by_row() -> None:
    """All contestants answer a row before the next row begins, so that a partial run is a fair comparison."""
    plan = make_plan(3, 2, 2, 2)

    assert [plan.cell(n).row for n in range(plan.cell_count)] == sorted(list(range(3)) * 8)
    assert [plan.cell(n).contestant for n in range(4)] == [0, 1, 0, 1]


@pytest.mark.parametrize("number", [-1, 24])
def test_cell_outside_the_grid_is_refused(number: int) -> None:
    """A number outside the grid raises instead of wrapping around."""
    with pytest.raises(IndexError, match="24 cells"):
        make_plan(3, 2, 2, 2).cell(number)


def test_plan_through_json_is_equal() -> None:
    """A stored plan is the plan that was frozen."""
    plan = make_plan(2, 1, 2, 1)

    assert RunPlan.from_json(json.loads(json.dumps(plan.as_json()))) == plan


def test_contestant_key_ignores_label_and_counts_parameters() -> None:
    """A renamed contestant is the same; one with another temperature is not."""
    plain = Contestant("a/b")

    assert Contestant("a/b", label="x").key == plain.key
    assert Contestant("a/b", params={"temperature": 0}).key != plain.key


def test_request_body_holds_only_what_was_set() -> None:
    """No default goes on the wire that the user did not choose."""
    request = CompletionRequest("a/b", (Message("user", "hi"),), {"temperature": 0})

    assert request.body() == {"model": "a/b", "messages": [{"role": "user", "content": "hi"}], "temperature": 0}


GROWTH = st.tuples(*[st.integers(min_value=0, max_value=2)] * 4)


def grown(plan: RunPlan, rows: int, prompts: int, contestants: int, samples: int) -> RunPlan:
    """The plan with so many more of each."""
    have = len(plan.prompts), len(plan.contestants)
    return plan.grown(
        prompts=[Prompt(user=f"{have[0] + n} {{{{x}}}}") for n in range(prompts)],
        contestants=[Contestant(model=f"m/{have[1] + n}") for n in range(contestants)],
        samples=plan.samples + samples,
        row_count=plan.row_count + rows,
    )


@given(SIZES, SIZES, SIZES, SIZES, st.lists(GROWTH.filter(any), min_size=1, max_size=3))
def test_cells_of_a_grown_plan_keep_their_places(
    rows: int, prompts: int, contestants: int, samples: int, steps: list[tuple[int, int, int, int]]
) -> None:
    """Through any growths every cell keeps its place in the grid, and the missing cells are exactly the new ones."""
    first = plan = make_plan(rows, prompts, contestants, samples)
    numbers = list(range(plan.cell_count))
    done = bytearray(b"\1" * plan.cell_count)

    for step in steps:
        larger = grown(plan, *step)
        numbers = [plan.moved(number, larger) for number in numbers]
        done = plan.spread(done, larger)
        plan = larger

    assert len(set(numbers)) == first.cell_count
    assert [plan.cell(number)[1:] for number in numbers] == [first.cell(n)[1:] for n in range(first.cell_count)]
    assert {number for number, byte in enumerate(done) if byte} == set(numbers)
    assert plan.prompts[:prompts] == first.prompts
    assert plan.contestants[:contestants] == first.contestants


@given(SIZES, SIZES, SIZES, SIZES)
def test_number_is_the_cell_turned_round(rows: int, prompts: int, contestants: int, samples: int) -> None:
    """A cell's number is found again from its place."""
    plan = make_plan(rows, prompts, contestants, samples)

    for cell in map(plan.cell, range(plan.cell_count)):
        assert cell.number == plan.number(
            row=cell.row, prompt=cell.prompt, contestant=cell.contestant, sample=cell.sample
        )


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"contestants": (Contestant("m/1", label="other name"),)}, "'other name' is in the run already"),
        ({"contestants": (Contestant("m/9"), Contestant("m/9"))}, "in the run already"),
        ({"prompts": (Prompt(user="0 {{x}}", name="same"),)}, "'same' is in the run already"),
        ({"samples": 1}, "has 2 samples; it cannot shrink to 1"),
        ({"row_count": 2}, "has 3 rows; it cannot shrink to 2"),
        ({"samples": 2}, "Nothing would be added"),
    ],
)
def test_growth_that_adds_nothing_new_is_refused(more: dict[str, object], said: str) -> None:
    """What is there already, less than there is, and nothing at all are refused in words."""
    with pytest.raises(RunError, match=said):
        make_plan(3, 2, 2, 2).grown(**more)  # type: ignore[arg-type]


def test_plan_of_an_earlier_release_loads() -> None:
    """Plans that were stored before gates were kept have none."""
    stored = make_plan(1, 1, 1, 1).as_json()
    del stored["gates"]

    assert RunPlan.from_json(stored).gates == {}
