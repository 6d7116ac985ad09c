"""What a draft's templates and rows leave out: said before anything is sent, on the page as on the command line.

cautions   everything of it, in words
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assay.domain.contestant import Prompt
from assay.domain.plan import RunPlan
from assay.errors import AssayError
from assay.prompts.template import (
    detect_foreign,
    mapped,
    prompt_variables,
    render_prompt,
    statements,
    unsendable,
    value_of,
)
from assay.scoring.graders import Grader, build
from assay.store.datasets import get_dataset, rows_of
from assay.workbench.memo import Kind

if TYPE_CHECKING:
    from assay.workbench.session import Session

CHUNK = 2_000
SHOWN = 5


@dataclass(slots=True)
class RowCounts:
    """What was counted over the rows of a draft."""

    rows: int = 0
    unsent: int = 0
    """Prompts of rows that ask nothing, which are not sent."""
    blank: Counter[str] = field(default_factory=Counter)
    """Variable -> rows that are sent with nothing in its place."""
    unexpected: Counter[str] = field(default_factory=Counter)
    """Grader -> rows that give it nothing to score by."""


COUNTED: Kind[RowCounts] = Kind("cautions", kept=8)


def cautions(session: Session, plan: RunPlan) -> list[str]:
    """What is not replaced in the templates, not sent of the rows, sent with gaps, and not graded; none: empty."""
    with session.store.read() as connection:
        columns = get_dataset(connection, plan.dataset_id).columns
    found = [words for prompt in plan.prompts for words in _of_template(prompt, (*columns, *plan.mapping))]
    counts = _counts(session, plan)
    if counts.unsent:
        many = counts.unsent * len(plan.contestants) * plan.samples
        found.append(f"{_of(counts.unsent, 'prompt')} of rows without anything to ask: {_of(many, 'call')} not sent.")
    for name, rows in counts.blank.most_common(SHOWN):
        found.append(f"{{{{{name}}}}} is empty in {_of(rows, 'row')} of {counts.rows:,}; sent all the same.")
    for label, rows in counts.unexpected.most_common(SHOWN):
        left = "it is" if rows == 1 else "they are"
        found.append(
            f"{label} has nothing to go by in {_of(rows, 'row')} of {counts.rows:,} without an expected answer: {left} "
            "left out of its scores, which the coverage shows."
        )
    return list(dict.fromkeys(found))


def _of(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _of_template(prompt: Prompt, columns: Iterable[str]) -> Iterator[str]:
    texts = [message.text for message in prompt.messages] or [prompt.system, prompt.user]
    for text in texts:
        for name in detect_foreign(text, columns)[:SHOWN]:
            yield f"The prompt names the column {name!r} without double braces, and is sent so: write {{{{{name}}}}}."
        for mark in statements(text)[:SHOWN]:
            yield f"The prompt holds {mark!r}, which is not run but sent as it stands: only {{{{column}}}} is replaced."


def _counts(session: Session, plan: RunPlan) -> RowCounts:
    """The counts over the plan's rows, kept: a form asks for them with every change of anything."""
    graders = [grader for grader in _built(plan) if grader.needs_expected]
    asked = (
        plan.dataset_id,
        plan.row_count,
        tuple(p.key for p in plan.prompts),
        tuple(sorted(plan.mapping.items())),
        tuple((g.spec.label, str(g.spec.params.get("expected") or plan.expected_column)) for g in graders),
    )
    return session.memos.of(COUNTED).get(asked, lambda _: _counted(session, plan, graders))


def _counted(session: Session, plan: RunPlan, graders: Sequence[Grader]) -> RowCounts:
    found = RowCounts()
    for values in _rows(session, plan):
        _count(found, plan, graders, values)
    return found


def _built(plan: RunPlan) -> Iterator[Grader]:
    for spec in plan.graders:
        try:
            yield build(spec)
        except AssayError:
            continue  # the check of the draft says what is wrong with it


def _rows(session: Session, plan: RunPlan) -> Iterator[Mapping[str, str]]:
    with session.store.read() as connection:
        dataset = get_dataset(connection, plan.dataset_id)
    for start in range(0, plan.row_count, CHUNK):
        with session.store.read() as connection:
            chunk = rows_of(connection, dataset, start=start, count=min(CHUNK, plan.row_count - start))
        yield from (row.values for row in chunk)


def _count(counts: RowCounts, plan: RunPlan, graders: Iterable[Grader], values: Mapping[str, str]) -> None:
    counts.rows += 1
    given = mapped(values, plan.mapping)
    blank: set[str] = set()
    for prompt in plan.prompts:
        known = {name: value_of(name, given) for name in prompt_variables(prompt)}
        if None in known.values():
            continue  # undefined in this row, which the estimate refuses
        empty = [name for name, value in known.items() if value is not None and not value.strip()]
        # A prompt without an empty variable asks what its template says, which the check of the draft looks at.
        if empty and unsendable(prompt, given, render_prompt(prompt, given)):
            counts.unsent += 1
        else:
            blank.update(empty)
    counts.blank.update(blank)
    counts.unexpected.update(
        grader.spec.label for grader in graders if not (grader.expected_of(values, plan.expected_column) or "").strip()
    )
