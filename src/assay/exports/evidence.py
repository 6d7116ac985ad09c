"""The evidence pack: one HTML page with verdict, statistics, charts, rows, method, versions and spend.

It opens offline and loads nothing: a policy in the page forbids every request. Texts of models reach the page only as
text. A page stays under ten million bytes: long texts are cut, and after that rows left out, and the page says so.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from html import escape
from importlib import resources
from itertools import groupby
from typing import Any, BinaryIO

from assay.exports.drawings import cost_plot, interval_plot
from assay.exports.markdown import COMPARISON, comparison_cells, spent_words
from assay.exports.record import CellFact, RunRecord, exact_usd, prompt_name, settings_text, utc_text
from assay.exports.scoreboard import FOR_PEOPLE
from assay.exports.streams import visible, write_pieces

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
)
DATA_LIMIT = 8_000_000
"""Bytes of the rows."""
TEXT_LIMITS = (100_000, 8_000, 4_000, 2_000, 1_000, 500, 240, 120, 60)
"""Characters that each text keeps at most; the first is taken with which the rows fit."""
TEMPLATE_LIMIT = 20_000
CUT = " … [cut]"
SHOWS = {"all": "All rows", "failed": "Failed", "errors": "Errors", "disagree": "Disagreements"}
METHOD = (
    "A contestant's score is the mean over rows; where a row was answered several times, the mean of its answers "
    "counts once. A call that failed is missing data, not a wrong answer: contestants are compared on the rows that "
    "all of them have a score for, and one with a score on less than 95 % of its rows is left out.",
    "The interval holds the true mean in 95 of 100 such experiments. A difference is called real where its p, adjusted "
    "for how many are compared, is below 0.05, and also when every missing answer counts as a failure.",
    "Costs come from the ledger, one line per call. Billed: the gateway said so with the answer. Recovered: asked for "
    "later. Estimated: tokens at the catalogue's price. Unknown costs are counted apart and never taken for nothing.",
)


@dataclass(slots=True)
class _Fit:
    """What a first pass over the cells found out."""

    limit: int
    """Characters per text."""
    rows: int
    """Rows that fit."""
    total: int
    longest: int = 0
    answered_by: dict[tuple[int, int], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))


def write(record: RunRecord, target: BinaryIO) -> None:
    """Writes the page."""
    write_pieces(target, _pieces(record))


def _pieces(record: RunRecord) -> Iterator[str]:
    fit = _fit(record)
    title = _escaped(record.name)
    yield (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="referrer" '
        f'content="no-referrer">\n<title>{title}: evidence</title>\n<style>\n{_asset("evidence.css")}</style>\n'
        f"</head>\n<body>\n"
    )
    yield from _head(record)
    yield from _statistics(record)
    yield from _rows_part(record, fit)
    yield from _method(record, fit)
    yield from _spend_part(record)
    yield '<script type="application/json" id="cells">'
    yield from _data(record, fit)
    yield f"</script>\n<script>\n{_asset('evidence.js')}</script>\n</body>\n</html>\n"


@cache
def _asset(name: str) -> str:
    return resources.files("assay.exports").joinpath(name).read_text("utf-8")


def _head(record: RunRecord) -> Iterator[str]:
    when = utc_text(record.started_ms or record.created_ms).replace("T", " ").replace("Z", " UTC")
    yield f"<header>\n<h1>{_escaped(record.name)}</h1>\n"
    facts = [f"Run {record.id}", record.state, when, f"gateway {record.gateway}", *record.tags]
    yield f'<p class="quiet">{_escaped(" · ".join(facts))}</p>\n'
    if record.is_sandbox:
        yield '<p class="notice">Sandbox: the answers are simulated and the prices invented.</p>\n'
    if record.state != "done":
        yield f'<p class="notice">The run is not done. {_escaped(record.reason)}</p>\n'
    yield f'<p class="verdict">{_escaped(record.verdict)}</p>\n</header>\n'


def _statistics(record: RunRecord) -> Iterator[str]:
    yield "<section>\n<h2>Statistics</h2>\n"
    head = ("Contestant", *(column.title for column in FOR_PEOPLE))
    rows = [
        (
            _Html(f'<span class="swatch" style="background:{line.colour}"></span>{number}. {_escaped(line.label)}'),
            *(column.words(line) for column in FOR_PEOPLE),
        )
        for number, line in enumerate(record.board, 1)
    ]
    yield _table(head, rows)
    for title, chart in (
        ("Score with its 95 % interval", interval_plot(record.board)),
        ("Score against cost", cost_plot(record.board)),
    ):
        if chart:
            yield f'<h3>{title}</h3>\n<div class="scroll">{chart}</div>\n'
    if record.compared:
        yield f"<h3>Against {_escaped(record.board[0].label)}</h3>\n"
        cells = [comparison_cells(line) for line in record.compared]
        yield _table(COMPARISON, cells, texts=(0, len(COMPARISON) - 1))
    if record.gates:
        yield "<h3>Gates</h3>\n"
        verdicts = [(gate.about, gate.mark, gate.words) for gate in record.gates]
        yield _table(("About", "Verdict", "Measured and bound"), verdicts, texts=range(3))
    yield "</section>\n"


def _rows_part(record: RunRecord, fit: _Fit) -> Iterator[str]:
    shows = "".join(f'<option value="{name}">{words}</option>' for name, words in SHOWS.items())
    yield "<section>\n<h2>Rows</h2>\n"
    if fit.rows < fit.total:
        yield (
            f'<p class="notice">The page holds the first {fit.rows:,} of {fit.total:,} rows. '
            f"The JSONL export has them all.</p>\n"
        )
    if fit.longest > fit.limit:
        yield (
            f'<p class="notice">Texts are cut after {fit.limit:,} characters to keep the page small. '
            f"The JSONL export has them whole.</p>\n"
        )
    yield (
        f'<div id="found"></div>\n'
        f'<div class="tools"><input id="search" type="search" placeholder="Text in rows and answers" '
        f'aria-label="Search"><select id="show" aria-label="Show">{shows}</select>'
        f'<button id="back" type="button">Back</button><button id="next" type="button">Next</button>'
        f'<span id="count" class="quiet" aria-live="polite"></span></div>\n'
        f'<p class="quiet">Click a row, or press Enter on it, to read it whole; click a heading to sort.</p>\n'
        f'<div class="scroll"><table id="rows"></table></div>\n'
        f"<noscript><p>The rows need JavaScript; everything else on the page does not.</p></noscript>\n</section>\n"
    )


def _method(record: RunRecord, fit: _Fit) -> Iterator[str]:
    plan = record.plan
    yield "<section>\n<h2>Method</h2>\n"
    samples = f", {plan.samples} answers each" if plan.samples > 1 else ""
    yield (
        f"<p>Dataset {_escaped(record.dataset)} version {record.dataset_version}, {plan.row_count:,} rows{samples}; "
        f'content hash <span class="quiet">{_escaped(record.dataset_hash)}</span>.</p>\n'
    )
    if record.changes:
        items = "".join(f"<li>{_escaped(change)}</li>" for change in record.changes)
        yield f"<p>The run grew after its start:</p>\n<ul>{items}</ul>\n"
    yield "".join(f"<p>{_escaped(text)}</p>\n" for text in (*METHOD, *_statistics_used(record)))
    yield "<h3>Contestants</h3>\n"
    rows = []
    for line in record.grid_lines:
        contestant = plan.contestants[line.contestant]
        by = fit.answered_by[line.prompt, line.contestant]
        told = ", ".join(f"{name} ({count:,})" for name, count in by.most_common(6))
        rows.append((line.label, contestant.model_id, settings_text(contestant) or "defaults", told or "not told"))
    yield _table(("Contestant", "Model", "Settings", "Answered by (calls)"), rows, texts=range(4))
    for number, prompt in enumerate(plan.prompts):
        yield f"<h3>Prompt: {_escaped(prompt_name(plan, number))}</h3>\n"
        parts = [(m.role, m.text) for m in prompt.messages] or [("system", prompt.system), ("user", prompt.user)]
        for role, text in parts:
            if text:
                yield f'<p class="quiet">{_escaped(role)}</p>\n<pre>{_escaped(_cut(text, TEMPLATE_LIMIT))}</pre>\n'
    if plan.graders:
        yield "<h3>Graders</h3>\n"
        graders = [
            (name, spec.kind, _cut(", ".join(f"{k}={v}" for k, v in spec.params.items()), TEMPLATE_LIMIT) or "defaults")
            for name, spec in zip(record.graders, plan.graders, strict=True)
        ]
        yield _table(("Grader", "Kind", "Settings"), graders, texts=range(3))
    yield "<h3>Versions</h3>\n"
    yield _table(("Part", "Version"), list(record.versions.items()), texts=range(2))
    if record.hidden:
        yield f"<p>Left out on request: {_escaped(', '.join(sorted(record.hidden)))}.</p>\n"
    yield "</section>\n"


def _statistics_used(record: RunRecord) -> Iterator[str]:
    """The methods of this run's decision by name."""
    if (found := record.decision) is None or not found.method:
        return
    test = f" Differences: {found.test}." if found.test else ""
    family = f" Family: {found.family.words}; adjustment: {found.family.adjustment}." if found.family.size else ""
    yield f"Intervals: {found.method}.{test}{family} Margin: {100 * found.margin:g} points."


def _spend_part(record: RunRecord) -> Iterator[str]:
    yield f"<section>\n<h2>Spend</h2>\n<p>{_escaped(spent_words(record.spend))}.</p>\n"
    if record.estimate:
        yield f"<p>{_escaped(record.estimate)}</p>\n"
    head = ("Contestant", "For", "Known from", "Calls", "Known, USD", "Unknown calls", "Unknown, at most USD")
    rows = [
        (
            x.contestant,
            {"run": "answers", "judge": "judging"}.get(x.purpose, x.purpose),
            x.provenance,
            f"{x.calls:,}",
            exact_usd(x.known_pico),
            f"{x.unknown_calls:,}",
            exact_usd(x.unknown_bound_pico) if x.unknown_calls else "",
        )
        for x in record.spend
    ]
    yield _table(head, rows, texts=range(3))
    yield "</section>\n"


class _Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], *, texts: Sequence[int] = (0,)) -> str:
    """A table; columns of numbers stand to the right, those of texts to the left."""

    def css(place: int) -> str:
        return "" if place in texts else ' class="n"'

    heads = "".join(f"<th{css(n)}>{_escaped(name)}</th>" for n, name in enumerate(head))
    lines = "".join(
        "<tr>"
        + "".join(
            f"<td{css(n)}>{value if isinstance(value, _Html) else _escaped(value)}</td>" for n, value in enumerate(row)
        )
        + "</tr>\n"
        for row in rows
    )
    return f'<div class="scroll"><table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{lines}</tbody>\n</table></div>\n'


def _escaped(text: str) -> str:
    return escape(visible(text))


# -- the rows ------------------------------------------------------------------------------------------------------


def _fit(record: RunRecord) -> _Fit:
    """How much of each text and how many rows fit into the page."""
    place_of = _places(record)
    sizes = [0] * len(TEXT_LIMITS)
    rows, total = 0, 0
    found = _Fit(TEXT_LIMITS[-1], 0, 0)
    for cells in _by_row(record):
        total += 1
        for cell in cells:
            for call in cell.calls:
                if call.purpose == "run" and call.outcome == "ok":
                    by = [name for name in (call.answered_by, call.provider) if name]
                    found.answered_by[cell.prompt, cell.contestant][" by ".join(by) or "not told"] += 1
        texts = [*cells[0].values, *(text for cell in cells for text in _texts(record, cell))]
        longest = max(map(len, texts), default=0)
        found.longest = max(found.longest, longest)
        previous = 0
        for n, limit in enumerate(TEXT_LIMITS):
            if n == 0 or longest > limit:
                previous = len(_script_json(_row(record, cells, place_of, limit)).encode("utf-8", "replace")) + 2
            sizes[n] += previous
        if sizes[-1] <= DATA_LIMIT:
            rows = total
    fitting = [limit for limit, size in zip(TEXT_LIMITS, sizes, strict=True) if size <= DATA_LIMIT]
    found.limit, found.rows, found.total = fitting[0] if fitting else TEXT_LIMITS[-1], rows, total
    return found


def _data(record: RunRecord, fit: _Fit) -> Iterator[str]:
    place_of = _places(record)
    about = {
        "columns": [visible(name) for name in record.columns],
        "lines": [visible(line.label) for line in record.grid_lines],
        "samples": record.plan.samples,
        "keys": "row_key" not in record.hidden,
    }
    yield f'{_script_json(about)[:-1]},"rows":['
    for number, cells in enumerate(_by_row(record)):
        if number == fit.rows:
            break
        yield (",\n" if number else "\n") + _script_json(_row(record, cells, place_of, fit.limit))
    yield "]}"


def _by_row(record: RunRecord) -> Iterator[list[CellFact]]:
    for _, found in groupby(record.cells(), key=lambda cell: cell.row):
        yield list(found)


def _places(record: RunRecord) -> dict[tuple[int, int], int]:
    return {(line.prompt, line.contestant): n for n, line in enumerate(record.grid_lines)}


def _texts(record: RunRecord, cell: CellFact) -> tuple[str, str, str]:
    reasons = [f"{s.grader}: {s.reason}" for s in cell.scores if s.reason]
    return cell.output, cell.error, "\n".join([*filter(None, [cell.note]), *reasons])


def _row(
    record: RunRecord, cells: Sequence[CellFact], place_of: dict[tuple[int, int], int], limit: int
) -> list[object]:
    found = [
        [
            place_of[c.prompt, c.contestant],
            c.sample,
            c.mark,
            c.value,
            *(_cut(t, limit) for t in _texts(record, c)),
            exact_usd(c.cost_pico),
            None if c.total_ms is None else round(c.total_ms),
        ]
        for c in cells
    ]
    return [cells[0].row_key, [_cut(value, limit) for value in cells[0].values], found]


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}{CUT}"


def _script_json(value: Any) -> str:
    """JSON that cannot end the script it stands in."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for mark, code in (
        ("<", "\\u003c"),
        (">", "\\u003e"),
        ("&", "\\u0026"),
        ("\u2028", "\\u2028"),
        ("\u2029", "\\u2029"),
    ):
        text = text.replace(mark, code)
    return text
