"""Names of contestants: two are never shown as one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.domain.contestant import Contestant, Prompt, names_of
from assay.domain.plan import RunPlan
from assay.workbench.results.cells import label_of


@pytest.mark.parametrize(
    ("contestants", "names"),
    [
        ((Contestant("ollama/qwen3"), Contestant("vllm/qwen3")), ("ollama/qwen3", "vllm/qwen3")),
        ((Contestant("a/x"), Contestant("a/y")), ("x", "y")),
        (
            (Contestant("a/x", {"temperature": 0, "top_p": 1}), Contestant("a/x", {"temperature": 1, "top_p": 1})),
            ("a/x (temperature 0)", "a/x (temperature 1)"),
        ),
        ((Contestant("a/x"), Contestant("a/x", {}, {"sort": "price"})), ("a/x", "a/x (sort price)")),
        ((Contestant("a/x", label="best"), Contestant("b/y", label="best")), ("best", "best (2)")),
        ((Contestant("a/x"), Contestant("b/y", label="x")), ("a/x", "x")),
        ((Contestant("a/x"), Contestant("a/x", variant="floor")), ("x", "x:floor")),
    ],
)
def test_names_are_as_short_as_tells_them_apart(contestants: tuple[Contestant, ...], names: tuple[str, ...]) -> None:
    """The author, then the settings that differ, then a number are added where they are needed."""
    assert names_of(contestants) == names


FEW = st.sampled_from(["", "a", "b", "a (2)"])


@given(st.lists(st.builds(Contestant, model=FEW, params=st.dictionaries(FEW, FEW, max_size=2), label=FEW), max_size=6))
def test_names_are_never_the_same(contestants: list[Contestant]) -> None:
    """Whatever the models, settings and labels are."""
    assert len(set(names_of(contestants))) == len(contestants)


def test_lines_of_a_plan_have_labels_of_their_own() -> None:
    """Prompts of one name and contestants of one short name make four lines."""
    prompts = (Prompt("a", name="v"), Prompt("b", name="v"))
    plan = RunPlan("d", 1, prompts, (Contestant("ollama/qwen3"), Contestant("vllm/qwen3")))

    assert {label_of(plan, p, c) for p in (0, 1) for c in (0, 1)} == {
        "ollama/qwen3 · v",
        "vllm/qwen3 · v",
        "ollama/qwen3 · v (2)",
        "vllm/qwen3 · v (2)",
    }
