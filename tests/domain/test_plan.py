"""The grid of a run."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.domain.contestant import Contestant, Prompt
from assay.domain.messages import CompletionRequest, Message
from assay.domain.plan import RunPlan
from assay.domain.score import GraderSpec


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
