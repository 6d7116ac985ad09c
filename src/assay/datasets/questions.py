"""Questions that lie within paragraphs, as SQuAD keeps them: a row for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from assay.datasets.table import Finding

FOUND = Finding(
    "questions",
    "note",
    1,
    "Each question is a row, its paragraph is the `context`, its first answer the `answer`.",
    cure="Under how the file is read, choose rows as they are if this is wrong.",
)


def holds_questions(value: Mapping[str, Any]) -> bool:
    """Whether a row is a paragraph with questions, or holds such paragraphs."""
    paragraphs = value.get("paragraphs", [value])
    return isinstance(paragraphs, list) and bool(paragraphs) and all(map(_is_paragraph, paragraphs))


def _is_paragraph(value: Any) -> bool:
    asked = value.get("qas") if isinstance(value, Mapping) else None
    return isinstance(asked, list) and all(isinstance(one, Mapping) and "question" in one for one in asked)


def questions_in(value: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A row for each question, with what is said of its paragraph and of the whole."""
    around = {name: inner for name, inner in value.items() if name not in ("paragraphs", "qas")}
    for paragraph in value.get("paragraphs", [value]):
        beside = around | {name: inner for name, inner in paragraph.items() if name != "qas"}
        for asked in paragraph["qas"]:
            given = asked.get("answers")
            answers = _texts(given)
            row = {name: inner for name, inner in asked.items() if name != "answers"}
            first = {"answer": answers[0] if answers else ""} if "answers" in asked and "answer" not in asked else {}
            rest = {"answers": answers if answers is not None else given} if "answers" in asked else {}
            kept = {f"paragraph.{name}" if name in row else name: inner for name, inner in beside.items()}
            yield row | first | rest | kept


def _texts(answers: Any) -> list[str] | None:
    """The different texts of answers; None: they are something else."""
    if not isinstance(answers, list):
        return None
    texts = [one.get("text") if isinstance(one, Mapping) else one for one in answers]
    told = [text for text in texts if isinstance(text, str)]
    return list(dict.fromkeys(told)) if len(told) == len(texts) else None
