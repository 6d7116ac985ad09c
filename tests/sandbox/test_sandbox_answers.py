"""What the sandbox's models say."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from assay.sandbox.answers import answer
from assay.sandbox.catalogue import BY_ID, PERSONAS
from assay.sandbox.labels import categories

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
RECORDED = Path(__file__).resolve().parents[2] / "src/assay/sandbox/recorded/gsm8k_200.jsonl"


def _say(model: str, user: str, **more: Any) -> str:
    return answer(BY_ID[model], {"messages": [{"role": "user", "content": user}], **more}).text


def _accuracy(model: str) -> float:
    example = next(e for e in json.loads((EXAMPLES / "examples.json").read_text()) if e["name"] == "support_tickets")
    with (EXAMPLES / example["file"]).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    said = [_say(model, example["user"].replace("{{ticket}}", row["ticket"])) for row in rows]
    return sum(row["category"] in text for row, text in zip(rows, said, strict=True)) / len(rows)


@pytest.mark.parametrize("system", ["6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification"])
def test_recorded_system_on_its_200_problems_gives_the_recorded_answers(system: str) -> None:
    """Each recorded system repeats exactly what it answered, wherever the problem stands in the prompt."""
    model = f"recorded/gsm8k-{system.replace('_', '-')}"
    rows = [json.loads(line) for line in RECORDED.read_text("utf-8").splitlines()]

    assert len(rows) == 200
    assert all(_say(model, f"Solve:\n{row['question']}\nThanks.") == row[system]["solution"] for row in rows)


def test_recorded_system_on_another_prompt_says_it_has_none() -> None:
    """A recorded system never makes up an answer."""
    said = _say("recorded/gsm8k-175b-verification", "What is 2 + 2?")

    assert said == "No recorded answer for this prompt."


def test_recorded_file_is_the_shared_one(shared_data: Path) -> None:
    """The bundled copy is the reference file, byte for byte."""
    assert RECORDED.read_bytes() == (shared_data / "gsm8k-recorded-200.jsonl").read_bytes()


def test_answer_to_the_same_request_is_the_same() -> None:
    """Model, messages and seed decide the answer."""
    asked = "Explain how to plan a product launch."

    assert all(_say(p.id, asked, seed=1) == _say(p.id, asked, seed=1) for p in PERSONAS)


def test_answer_with_other_seeds_varies() -> None:
    """The seed is what samples differ by; temperature is not."""
    asked = "Explain how to plan a product launch."

    assert len({_say("sandbox/scribe", asked, seed=seed) for seed in range(8)}) > 1
    assert _say("sandbox/scribe", asked, temperature=0) == _say("sandbox/scribe", asked, temperature=2)


@pytest.mark.parametrize(
    ("model", "low", "high"),
    [("sandbox/atlas-large", 0.90, 1.0), ("sandbox/swift", 0.75, 0.93), ("sandbox/budget-mini", 0.4, 0.78)],
)
def test_tickets_are_sorted_as_well_as_the_model_is_good(model: str, low: float, high: float) -> None:
    """The dear model is nearly always right, the cheap ones less often."""
    assert low <= _accuracy(model) <= high


def test_scribe_names_the_category_in_a_sentence() -> None:
    """The verbose model is right without being brief."""
    said = _say("sandbox/scribe", "One of: billing, bug.\nTicket: I was charged twice, please refund.", seed=3)

    assert len(said) > 40
    assert "billing" in said or "bug" in said


@pytest.mark.parametrize(
    "text",
    [
        "Answer with one of: billing, bug, feature request",
        "Categories: billing, bug, feature request",
        "Choose a label:\n- billing\n- bug\n- feature request\nTicket: x",
        "Which category (billing, bug or feature request)?",
    ],
)
def test_categories_in_the_usual_forms_are_found(text: str) -> None:
    """Lists in a line, in parentheses or in bullets are all read."""
    assert categories(text) == ["billing", "bug", "feature request"]


def test_categories_in_plain_prose_are_none() -> None:
    """An ordinary question is not taken for a classification."""
    assert categories("Explain why the sky is blue, and how clouds form.") == []


def test_json_is_kept_by_ledger_and_ignored_by_bard() -> None:
    """The strict model gives what the schema asks for; the chatty one never does."""
    schema = {"type": "object", "properties": {"city": {"type": "string"}, "size": {"type": "integer"}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "place", "schema": schema}}

    found = json.loads(_say("sandbox/ledger", "Describe Oslo.", response_format=wanted))

    assert isinstance(found["city"], str)
    assert isinstance(found["size"], int)
    with pytest.raises(ValueError, match="Expecting value"):
        json.loads(_say("sandbox/bard", "Describe Oslo.", response_format=wanted))


@pytest.mark.parametrize(("given", "passed"), [("It is 42.", True), ("No idea.", False)])
def test_judge_prompt_gets_a_verdict(given: str, passed: bool) -> None:
    """A judge's prompt is answered with the JSON it asks for, by containment of what was expected."""
    asked = f'Reply {{"score": ...}}\n<answer-x1>\n{given}\n</answer-x1>\n<expected-x1>\n42\n</expected-x1>'

    verdict = json.loads(_say("sandbox/atlas-large", asked))

    assert verdict["pass"] is passed
    assert 0 <= verdict["score"] <= 1


def test_maths_answer_ends_with_its_number() -> None:
    """A bundled problem is solved with its steps."""
    row = json.loads(RECORDED.read_text("utf-8").splitlines()[0])

    said = _say("sandbox/sage", row["question"])

    assert "The answer is **" in said
