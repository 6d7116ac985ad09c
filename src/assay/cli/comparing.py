"""The command that compares two runs: lines for people, Markdown for a pull request, or one object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assay.cli.options import AsJson
from assay.cli.terminal import UsageError, app, opened, out_lines, print_json
from assay.money import format_usd, from_pico

if TYPE_CHECKING:
    from assay.workbench.results.compare import LineComparison, RunComparison

HEAD = (
    "contestant",
    "rows",
    "better",
    "same",
    "worse",
    "score A",
    "score B",
    "change",
    "95 % interval",
    "p",
    "cost",
    "finding",
)


@app.command()
def compare(
    run_a: Annotated[str, typer.Argument(metavar="RUN_A", help="The baseline: an id, or the name of the newest.")],
    run_b: Annotated[str, typer.Argument(metavar="RUN_B", help="The run to judge.")],
    markdown: Annotated[bool, typer.Option("--md", help="Print Markdown.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare run B with run A, row by row: what got better or worse, and is it more than noise."""
    from assay.workbench.results.compare import compare_runs

    if markdown and as_json:
        raise UsageError("--md and --json exclude each other.")
    with opened() as session:
        found = compare_runs(session, run_a, run_b)
    if as_json:
        print_json(comparison_json(found))
    else:
        out_lines(in_markdown(found) if markdown else in_lines(found))


def comparison_json(found: RunComparison) -> dict[str, Any]:
    """A comparison as JSON."""
    return {
        "a": {"run": found.a.id, "name": found.a.name},
        "b": {"run": found.b.id, "name": found.b.name},
        "rows": found.rows,
        "rows_only_a": found.rows_only_a,
        "rows_only_b": found.rows_only_b,
        "only_a": found.only_a,
        "only_b": found.only_b,
        "notes": found.notes,
        "contestants": [_line_json(line) for line in found.lines],
    }


def _line_json(line: LineComparison) -> dict[str, Any]:
    paired, cost = line.paired, line.cost_delta_pico
    return {
        "contestant": line.label,
        "rows": line.rows,
        "unscored": line.unscored,
        "scored": paired.n if paired else 0,
        "better": paired.better if paired else 0,
        "same": paired.ties if paired else 0,
        "worse": paired.worse if paired else 0,
        "score_a": line.score_a,
        "score_b": line.score_b,
        "delta": paired.delta if paired else None,
        "low": paired.low if paired else None,
        "high": paired.high if paired else None,
        "p": paired.p if paired else None,
        "cost_delta_usd": None if cost is None else from_pico(cost),
        "finding": finding(line),
    }


def finding(line: LineComparison) -> str:
    """What a line shows, in a word or three."""
    from assay.workbench.results.verdict import SIGNIFICANT

    if line.paired is None:
        return "nothing to compare"
    if line.is_worse(SIGNIFICANT):
        return "worse"
    return "better" if line.is_better(SIGNIFICANT) else "no clear change"


def _cells(line: LineComparison) -> tuple[str, ...]:
    paired, cost = line.paired, line.cost_delta_pico
    money = "unknown" if cost is None else f"{'-' if cost < 0 else '+' if cost else ''}{format_usd(abs(cost))}"
    if paired is None or line.score_a is None or line.score_b is None:
        return (line.label, "0", *("-",) * 8, money, finding(line))
    return (
        line.label,
        f"{paired.n:,}",
        f"{paired.better:,}",
        f"{paired.ties:,}",
        f"{paired.worse:,}",
        f"{line.score_a:.3f}",
        f"{line.score_b:.3f}",
        f"{paired.delta:+.3f}",
        f"{paired.low:+.3f} to {paired.high:+.3f}",
        "<0.001" if paired.p < 0.001 else f"{paired.p:.3f}",
        money,
        finding(line),
    )


def _remarks(found: RunComparison) -> list[str]:
    """What the table does not show: rows and contestants without a partner, and notes."""
    said = [f"{found.rows:,} rows are in both runs, {found.rows_only_a:,} only in A, {found.rows_only_b:,} only in B."]
    said += [
        f"{line.label}: {line.unscored:,} rows lack a score in one of the runs and are left out."
        for line in found.lines
        if line.unscored
    ]
    if found.only_a:
        said.append(f"Only in A: {', '.join(found.only_a)}.")
    if found.only_b:
        said.append(f"Only in B: {', '.join(found.only_b)}.")
    return [*said, *found.notes]


def in_lines(found: RunComparison) -> list[str]:
    """A comparison as aligned lines."""
    rows = [HEAD, *(_cells(line) for line in found.lines)]
    widths = [max(len(row[n]) for row in rows) for n in range(len(HEAD))]
    return [
        f"A: {found.a.name} ({found.a.id})",
        f"B: {found.b.name} ({found.b.id})",
        *(
            "  ".join(
                c.rjust(w) if 0 < n < 11 else c.ljust(w) for n, (c, w) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ),
        *_remarks(found),
    ]


def in_markdown(found: RunComparison) -> list[str]:
    """A comparison as Markdown; names are shown as they are, never as markup."""
    return [
        f"### {_plain(found.b.name)} against {_plain(found.a.name)}",
        "",
        _row(HEAD),
        "|---|" + "---:|" * (len(HEAD) - 2) + "---|",
        *(_row(_cells(line)) for line in found.lines),
        "",
        *(f"- {_plain(remark)}" for remark in _remarks(found)),
    ]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_plain(cell) for cell in cells)} |"


def _plain(text: str) -> str:
    flat = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return "".join(f"\\{c}" if c in "\\`*_[]|~#@" else c for c in flat)
