"""A Markdown summary for a pull request: verdict, scoreboard, comparisons, spend."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import BinaryIO

from assay.exports.record import BoardLine, ComparisonLine, RunRecord, SpendLine, exact_usd, utc_text
from assay.exports.streams import visible, write_pieces
from assay.money import format_usd

_MARKS = re.compile(r"([\\`*_\[\]{}()#!|~$])")
FEWEST_ROWS = 10
"""Below it a comparison is called not enough data."""


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
    head = ("Contestant", "Score", "95 % interval", "Passed", "Scored", "Errors", "Cut", "Cost", "Judging", "p50")
    yield from _table(head, [_board(line) for line in record.board])
    if record.comparisons:
        yield ""
        base = record.comparisons[0].base
        yield f"Against {_text(base)}, on the rows that both have:"
        yield ""
        yield from _table(
            ("Contestant", "Difference", "95 % interval", "p", "p, corrected", "Rows", "Better", "Worse", "Says"),
            [comparison_cells(line) for line in record.comparisons],
        )
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


def _board(line: BoardLine) -> tuple[str, ...]:
    score, passes = line.score, line.passes
    return (
        line.label,
        f"{score.mean:.3f}" if score else "not scored",
        f"{score.low:.3f} to {score.high:.3f}" if score else "",
        f"{passes.mean:.0%}" if passes else "",
        f"{line.scored:,} of {line.cells:,}",
        f"{line.failed:,}",
        f"{line.cut:,}",
        cost_words(line),
        judging_words(line),
        "" if line.p50_ms is None else f"{line.p50_ms / 1000:.2f} s",
    )


def cost_words(line: BoardLine) -> str:
    """The cost of a line; what is unknown is said, never counted as nothing."""
    if line.unknown_calls:
        calls = "call" if line.unknown_calls == 1 else "calls"
        return f"{format_usd(line.known_pico)} and {line.unknown_calls} {calls} of unknown cost"
    return format_usd(line.cost_pico)


def judging_words(line: BoardLine) -> str:
    """What the judges of a line's answers cost; empty where none was asked."""
    unknown = f" and {line.judging_unknown} of unknown cost" if line.judging_unknown else ""
    return format_usd(line.judging_pico) + unknown if line.judging_pico or unknown else ""


def comparison_cells(line: ComparisonLine) -> tuple[str, ...]:
    """Difference, interval, p, corrected p, rows, better, worse, and what they say."""
    found = line.found
    if found is None:
        return (line.other, "", "", "", "", "0", "", "", "no row in common")
    return (
        line.other,
        f"{found.delta:+.3f}",
        f"{found.low:+.3f} to {found.high:+.3f}",
        p_text(found.p),
        p_text(line.p_corrected),
        f"{found.n:,}",
        f"{found.better:,}",
        f"{found.worse:,}",
        says(line),
    )


def says(line: ComparisonLine) -> str:
    """A comparison in two or three words."""
    found = line.found
    if found is None or found.n < FEWEST_ROWS:
        return "not enough data"
    p = found.p if line.p_corrected is None else line.p_corrected
    if p >= 0.05:
        return "no more than noise"
    return "better" if found.delta > 0 else "worse"


def p_text(p: float | None) -> str:
    """A chance with three decimals; smaller ones are bounded."""
    if p is None:
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


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
