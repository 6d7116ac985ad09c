"""A Markdown summary for a pull request: verdict, scoreboard, comparisons, spend."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import BinaryIO

from assay.exports.record import RunRecord, SpendLine, exact_usd, utc_text
from assay.exports.scoreboard import FOR_PEOPLE, ContestantScore, p_text
from assay.exports.streams import visible, write_pieces
from assay.stats.values import Difference

_MARKS = re.compile(r"([\\`*_\[\]{}()#!|~$])")
COMPARISON = ("Contestant", "Difference", "95 % interval", "p", "p, adjusted", "Rows", "Better", "Worse", "Says")
"""Columns of what is compared; the interval is adjusted like the second p."""


def write(record: RunRecord, target: BinaryIO) -> None:
    """Writes the summary; every name is escaped, and no mention reaches a person."""
    write_pieces(target, (f"{line}\n" for line in _lines(record)))


def _lines(record: RunRecord) -> Iterable[str]:
    yield f"## Assay: {_text(record.name)}"
    yield ""
    yield f"**{_text(record.verdict)}**"
    if record.is_sandbox:
        yield ""
        yield "> Sandbox: the answers are simulated and the prices invented."
    yield ""
    head = ("Contestant", *(column.title for column in FOR_PEOPLE))
    yield from _table(head, [(line.label, *(column.words(line) for column in FOR_PEOPLE)) for line in record.board])
    if record.compared:
        yield ""
        yield f"Against {_text(record.board[0].label)}, on the rows that all of them have a score for:"
        yield ""
        yield from _table(COMPARISON, [comparison_cells(line) for line in record.compared])
    yield ""
    yield f"Spent: {spent_words(record.spend)}."
    if record.estimate:
        yield ""
        yield _text(record.estimate)
    if record.changes:
        yield ""
        yield from (f"- {_text(change)}" for change in record.changes)
    if record.gates:
        yield ""
        yield from _table(
            ("Gate", "Verdict", "Measured and bound"), [(gate.about, gate.mark, gate.words) for gate in record.gates]
        )
    yield ""
    dataset = f"{_text(record.dataset)} version {record.dataset_version} ({record.dataset_hash[:12]})"
    versions = ", ".join(f"{name} {value}" for name, value in record.versions.items())
    yield (
        f"Run `{record.id}`, {record.state}, {utc_text(record.created_ms)}, {record.plan.row_count:,} rows of {dataset}"
        f"; {_text(versions)}."
    )


def comparison_cells(line: ContestantScore) -> tuple[str, ...]:
    """The cells of COMPARISON: a contestant beside the first leader."""
    found = line.to_leader
    if found is None:
        return (line.label, *("",) * (len(COMPARISON) - 1))
    return (
        line.label,
        f"{found.value:+.3f}",
        f"{found.family_low:+.3f} to {found.family_high:+.3f}",
        p_text(found.p),
        p_text(found.p_adjusted),
        f"{found.n:,}",
        f"{found.better:,}",
        f"{found.worse:,}",
        says(found),
    )


def says(found: Difference) -> str:
    """A comparison in some words."""
    if not found.enough:
        return "not enough rows"
    if not found.real:
        return "not shown to be real"
    return "better" if found.value > 0 else "worse"


def spent_words(spend: Sequence[SpendLine]) -> str:
    """The exact sum of what is known, and how many calls are of unknown cost."""
    calls, unknown = sum(x.calls for x in spend), sum(x.unknown_calls for x in spend)
    known = f"${exact_usd(sum(x.known_pico for x in spend))} on {calls:,} calls"
    if judging := [x for x in spend if x.purpose == "judge"]:
        known += f", ${exact_usd(sum(x.known_pico for x in judging))} of it for judging"
    if own := sum(x.upstream_pico for x in spend):
        known += f", ${exact_usd(own)} of it to providers with an own key"
    if not unknown:
        return known
    bound = sum(x.unknown_bound_pico for x in spend)
    return f"{known}, {unknown:,} of them of unknown cost (at most ${exact_usd(bound)} more)"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterable[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' + ' ---: |' * (len(head) - 1)}"
    for row in rows:
        yield f"| {' | '.join(_text(value) for value in row)} |"


def _text(text: str) -> str:
    flat = visible(" ".join(text.split()))
    flat = flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKS.sub(r"\\\1", flat).replace("@", "@\u200b").replace("://", ":\u200b//")
