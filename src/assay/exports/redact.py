"""Leaving out columns, and taking keys out of texts."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from assay.domain.contestant import Prompt
from assay.domain.score import Score
from assay.errors import DataError
from assay.exports.record import CellFact, RowFact, RunRecord

TEXTS = ("output", "reasoning", "error", "reason", "template", "row_key")
"""What can be left out besides the dataset's columns; template: the prompts' texts."""
GONE = "[redacted]"
NO_KEY = "[key removed]"
SHORTEST_KEY = 12
_KEY = re.compile(r"\bsk-(?:or-v1-|ant-|proj-)?[A-Za-z0-9_-]{16,}")


def redacted(record: RunRecord, names: Collection[str]) -> RunRecord:
    """The record without the named columns and texts.

    Where an answer, an error or a reason quotes a left-out value word for word, the quotation goes too. Reasons quote
    answers and expected values, so they go with either. Raises DataError for a name that the run does not have.
    """
    wanted = frozenset(names)
    if not wanted:
        return record
    unknown = sorted(wanted - {*record.columns, *TEXTS})
    if unknown:
        raise DataError(
            f"The run has no column {unknown[0]!r} to leave out.",
            cure=f"It has: {', '.join([*record.columns, *TEXTS])}.",
        )
    texts = wanted & {*TEXTS}
    if "output" in wanted or record.plan.expected_column in wanted:
        texts |= {"reason"}
    kept = [n for n, name in enumerate(record.columns) if name not in wanted]
    gone = [n for n, name in enumerate(record.columns) if name in wanted]
    plan = record.plan
    plan = replace(
        plan,
        mapping={name: column for name, column in plan.mapping.items() if column not in wanted},
        expected_column=None if plan.expected_column in wanted else plan.expected_column,
        prompts=tuple(Prompt(GONE, name=p.name) for p in plan.prompts) if "template" in wanted else plan.prompts,
    )

    def cells() -> Iterator[CellFact]:
        for cell in record.cells():
            yield _cell(cell, kept, gone, texts)

    def rows() -> Iterator[RowFact]:
        for row in record.rows():
            secret = [row.values[n] for n in gone if row.values[n].strip()]
            yield RowFact(row.row, _row_key(row.row, row.key, secret, texts), tuple(row.values[n] for n in kept))

    return replace(
        record,
        columns=tuple(record.columns[n] for n in kept),
        plan=plan,
        cells=cells,
        rows=rows,
        hidden=record.hidden | texts,
    )


def _cell(cell: CellFact, kept: Sequence[int], gone: Sequence[int], texts: Collection[str]) -> CellFact:
    secret = [cell.values[n] for n in gone if cell.values[n].strip()]
    output, reasoning, error = (_masked(text, secret) for text in (cell.output, cell.reasoning, cell.error))
    note = "" if "output" in texts else _masked(cell.note, secret)  # it may quote a refusal or a call of a tool
    no_reason = "reason" in texts or output != cell.output
    scores = tuple(
        Score(s.grader, s.value, s.passed, "" if no_reason else _masked(s.reason, secret)) for s in cell.scores
    )
    return replace(
        cell,
        row_key=_row_key(cell.row, cell.row_key, secret, texts),
        values=tuple(cell.values[n] for n in kept),
        scores=scores,
        output="" if "output" in texts else output,
        reasoning="" if "reasoning" in texts else reasoning,
        error="" if "error" in texts else error,
        note=note,
    )


def _row_key(row: int, key: str, secret: Sequence[str], texts: Collection[str]) -> str:
    """The row's key; its number where the key is left out or repeats what is."""
    if "row_key" in texts or any(_is_key_of(value, key) for value in secret):
        return f"row {row + 1}"
    return key


def _is_key_of(value: str, key: str) -> bool:
    return key == value.strip() or key.startswith(f"{value.strip()}#")


def _masked(text: str, values: Sequence[str]) -> str:
    """The text without the values, in any case and however their words are spaced."""
    for value in values:
        words = r"\s+".join(re.escape(word) for word in value.split())
        text = re.sub(rf"(?<!\w){words}(?!\w)", GONE, text, flags=re.IGNORECASE)
    return text


def without_keys(text: str, keys: Collection[str] = ()) -> str:
    """The text without anything that looks like a gateway's key, nor the given ones of 12 characters or more."""
    for key in keys:
        if len(key) >= SHORTEST_KEY:
            text = text.replace(key, NO_KEY)
    return _KEY.sub(NO_KEY, text) if "sk-" in text else text
