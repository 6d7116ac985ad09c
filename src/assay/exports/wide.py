"""Wide CSV: one line per row of the dataset, the contestants beside each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import BinaryIO

from assay.exports.record import MONEY, CellFact, RowFact, RunRecord, money_cells, ms_cell, unique
from assay.exports.streams import write_table


def columns(record: RunRecord) -> list[str]:
    """Names of the columns; each contestant's begin with its name."""
    whats = _whats(record)
    several = record.plan.samples > 1
    names = [
        f"{line.label}{f' #{sample + 1}' if several else ''} {what}"
        for line in record.grid_lines
        for sample in range(record.plan.samples)
        for what in whats
    ]
    return list(unique([*record.visible(["row_key"]), *record.shown_columns, *names]))


def _whats(record: RunRecord) -> list[str]:
    graders = [f"{name} {what}" for name in record.graders for what in record.visible(["score", "reason"])]
    return [*record.visible(["output", "error"]), "result", "score", *graders, *MONEY, "total_ms"]


def lines(record: RunRecord) -> Iterator[list[object]]:
    """A line per row, answered or not; a cell without a result is empty."""
    places = [(x.prompt, x.contestant, n) for x in record.grid_lines for n in range(record.plan.samples)]
    empty: list[object] = [None] * len(_whats(record))
    rows = record.rows()

    def line(row: RowFact, cells: Sequence[CellFact]) -> list[object]:
        by_place = {(c.prompt, c.contestant, c.sample): _values(record, c) for c in cells}
        key = [] if "row_key" in record.hidden else [row.key]
        return [*key, *row.values, *(value for place in places for value in by_place.get(place, empty))]

    for number, found in groupby(record.cells(), key=lambda cell: cell.row):
        cells = list(found)
        for row in rows:
            if row.row == number:
                break
            yield line(row, ())
        yield line(RowFact(number, cells[0].row_key, cells[0].values), cells)
    yield from (line(row, ()) for row in rows)


def _values(record: RunRecord, cell: CellFact) -> list[object]:
    by_grader = {score.grader: score for score in cell.scores}
    graders: list[object] = []
    for name in record.graders:
        score = by_grader.get(name)
        graders.append(score.value if score else None)
        if "reason" not in record.hidden:
            graders.append(score.reason if score else None)
    texts = [text for name, text in (("output", cell.output), ("error", cell.error)) if name not in record.hidden]
    return [*texts, cell.mark, cell.value, *graders, *money_cells(cell), ms_cell(cell.total_ms)]


def write(record: RunRecord, target: BinaryIO) -> None:
    """Writes the table as CSV."""
    write_table(target, columns(record), lines(record))
