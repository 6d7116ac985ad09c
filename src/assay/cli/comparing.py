"""The command that compares two runs: lines for people, Markdown for a pull request, or one object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assay.cli.options import AsJson, Margin
from assay.cli.scoreboard import difference_json
from assay.cli.terminal import UsageError, app, opened, out_lines, print_json
from assay.exports.scoreboard import p_text, points_words
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
    "change, points",
    "p",
    "cost",
    "finding",
)


@app.command()
def compare(
    run_a: Annotated[str, typer.Argument(metavar="RUN_A", help="The baseline: an id, or the name of the newest.")],
    run_b: Annotated[str, typer.Argument(metavar="RUN_B", help="The run to judge.")],
    margin: Margin = None,
    markdown: Annotated[bool, typer.Option("--md", help="Print Markdown.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare run B with run A, row by row: what got better or worse, and is it more than noise."""
    from assay.workbench.results.compare import compare_runs

    if markdown and as_json:
        raise UsageError("--md and --json exclude each other.")
    with opened() as session:
        found = compare_runs(session, run_a, run_b, margin=margin)
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
        "doubles_a": found.doubles_a,
        "doubles_b": found.doubles_b,
        "only_a": found.only_a,
        "only_b": found.only_b,
        "notes": found.notes,
        "unit": "row",
        "margin": found.margin,
        "family": found.family,
        "contestants": [_line_json(line, found) for line in found.lines],
    }


def _line_json(line: LineComparison, run: RunComparison) -> dict[str, Any]:
    found, cost = line.difference, line.cost_delta_pico
    return {
        "contestant": line.label,
        "rows": line.rows,
        "unscored": line.unscored,
        "scored": found.n if found else 0,
        "better": found.better if found else 0,
        "same": found.ties if found else 0,
        "worse": found.worse if found else 0,
        "score_a": line.score_a,
        "score_b": line.score_b,
        **difference_json(found),
        "family": run.family,
        "margin": run.margin,
        "claim": line.claim,
        "cost_delta_usd": None if cost is None else from_pico(cost),
        "finding": line.finding,
    }


def _cells(line: LineComparison) -> tuple[str, ...]:
    found, cost = line.difference, line.cost_delta_pico
    money = "unknown" if cost is None else f"{'-' if cost < 0 else '+' if cost else ''}{format_usd(abs(cost))}"
    if found is None:
        return (line.label, "0", *("-",) * 7, money, line.finding)
    return (
        line.label,
        f"{found.n:,}",
        f"{found.better:,}",
        f"{found.ties:,}",
        f"{found.worse:,}",
        f"{line.score_a:.3f}",
        f"{line.score_b:.3f}",
        points_words(found),
        p_text(found.p_adjusted),
        money,
        line.finding,
    )


def _remarks(found: RunComparison) -> list[str]:
    """What the table does not show: rows and contestants without a partner, and notes."""
    said = [f"{found.rows:,} rows are in both runs, {found.rows_only_a:,} only in A, {found.rows_only_b:,} only in B."]
    if copies := [f"{count:,} in {name}" for name, count in (("A", found.doubles_a), ("B", found.doubles_b)) if count]:
        said.append(f"Further copies of rows, averaged with them: {', '.join(copies)}.")
    count = len([line for line in found.lines if line.comparison is not None])
    if count > 1:
        said.append(f"p is adjusted for {count:,} comparisons, and the intervals with it.")
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
                c.rjust(w) if 0 < n < 10 else c.ljust(w) for n, (c, w) in enumerate(zip(row, widths, strict=True))
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
