"""XLSX: a summary, the comparisons, the spend, and one line per answer.

Every text is an explicit string cell, never a formula, and carries the guard of CSV too: the file may be saved as CSV
again. Money is a number with all its digits.
"""

from __future__ import annotations

import os
import re
import tempfile
import warnings
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO

from assay.datasets.export import safe_cell
from assay.exports import answers
from assay.exports.markdown import COMPARISON, comparison_cells
from assay.exports.record import RunRecord, utc_text
from assay.exports.scoreboard import COLUMNS, numbers_of
from assay.exports.streams import xml_text
from assay.leftovers import mark, sweep
from assay.money import from_pico

CELL_LIMIT = 32_767
"""Characters that a cell holds, as UTF-16 counts them."""
SHEET_LIMIT = 1_000_000
"""Rows after which another sheet begins; a sheet holds 1,048,576."""
CUT = " … (cut: a cell holds no more)"
USD_FORMAT = "0.000000000000"
USD_COLUMNS = {
    "cost_usd": "cost_pico",
    "known_usd": "known_pico",
    "unknown_at_most_usd": "unknown_bound_pico",
    "judging_usd": "judging_pico",
}
"""Columns of amounts, with where a cell holds them."""
_CODE = re.compile("_(?=x[0-9A-Fa-f]{4}_)")
"""Begin of what Excel takes for the code of a character (ECMA-376, ST_Xstring)."""


def write(record: RunRecord, target: BinaryIO) -> None:
    """Writes the workbook."""
    from openpyxl import Workbook

    sweep(Path(tempfile.gettempdir()))
    book = Workbook(write_only=True)
    _sheet(book, "Summary", (), _summary(record), widths=(28, 18, 12, 12))
    if record.compared:
        head = [name.lower() for name in COMPARISON]
        _sheet(book, "Comparisons", head, [comparison_cells(line) for line in record.compared], widths=(28,))
    columns = ("contestant", "purpose", "known from", "calls", "known_usd", "unknown_calls", "unknown_at_most_usd")
    spend = [
        [
            x.contestant,
            x.purpose,
            x.provenance,
            x.calls,
            from_pico(x.known_pico),
            x.unknown_calls,
            from_pico(x.unknown_bound_pico),
        ]
        for x in record.spend
    ]
    _sheet(book, "Spend", columns, spend, widths=(28, 12, 12))
    _rows(book, record)
    with warnings.catch_warnings():
        # openpyxl closes the temporary file of a sheet late.
        warnings.simplefilter("ignore", ResourceWarning)
        book.save(target)


def _rows(book: Any, record: RunRecord) -> None:
    head = answers.columns(record)
    money = [(head.index(name), amount) for name, amount in USD_COLUMNS.items()]
    sheet, count = None, 0
    for cell in record.cells():
        if sheet is None or count == SHEET_LIMIT:
            number = len(book.sheetnames)
            sheet = _sheet(book, "Rows" if "Rows" not in book.sheetnames else f"Rows {number}", head, ())
            count = 0
        values = answers.line(record, cell)
        for place, amount in money:
            pico: int | None = getattr(cell, amount)
            values[place] = None if pico is None else from_pico(pico)
        sheet.append([_cell(sheet, value) for value in values])
        count += 1
    if sheet is None:
        _sheet(book, "Rows", head, ())


def _summary(record: RunRecord) -> Iterable[Sequence[object]]:
    yield ("run", record.name)
    yield ("id", record.id)
    yield ("verdict", record.verdict)
    yield ("state", record.state)
    yield ("started", utc_text(record.started_ms or record.created_ms))
    yield ("gateway", f"{record.gateway}: simulated answers, invented prices" if record.is_sandbox else record.gateway)
    yield ("dataset", f"{record.dataset} version {record.dataset_version}")
    yield ("dataset hash", record.dataset_hash)
    yield ("rows", record.plan.row_count)
    yield from record.versions.items()
    yield ()
    yield ("contestant", "model", *(column.name for column in COLUMNS))
    for line in record.board:
        yield (line.label, record.plan.contestants[line.contestant].model_id, *numbers_of(line).values())


def _sheet(
    book: Any, title: str, head: Sequence[str], rows: Iterable[Sequence[object]], *, widths: Sequence[int] = ()
) -> Any:
    sheet = book.create_sheet(title)
    for number, width in enumerate(widths):
        sheet.column_dimensions["ABCDEFGH"[number]].width = width
    if head:
        sheet.freeze_panes = "A2"
    _begin(sheet)
    if head:
        sheet.append([_cell(sheet, name) for name in head])
    for row in rows:
        sheet.append([_cell(sheet, value) for value in row])
    return sheet


def _begin(sheet: Any) -> None:
    """Begins a sheet in a temporary file that bears this process's name; what openpyxl makes bears none, and stays."""
    from openpyxl.worksheet import _writer

    handle, name = tempfile.mkstemp(prefix=f"{mark()}-")
    os.close(handle)
    _writer.ALL_TEMP_FILES.append(name)  # removed from it when the sheet is in the book, or at the process's end
    sheet._writer = _writer.WorksheetWriter(sheet, name)
    sheet._writer.write_top()


def _cell(sheet: Any, value: object) -> Any:
    from openpyxl.cell import WriteOnlyCell

    if value is None or value == "":
        return None
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, Decimal):
        cell = WriteOnlyCell(sheet, value)
        cell.number_format = USD_FORMAT
        return cell
    text = _CODE.sub("_x005F_", _shortened(xml_text(safe_cell(value).encode("utf-8", "replace").decode())))
    cell = WriteOnlyCell(sheet, "")
    # The text is put in past openpyxl's guess, which takes a leading "=" for a formula and "#N/A" for an error.
    cell._value = text
    cell.data_type = "s"
    return cell


def _shortened(text: str) -> str:
    units = text.encode("utf-16-le")
    if len(units) <= 2 * CELL_LIMIT:
        return text
    return units[: 2 * (CELL_LIMIT - len(CUT))].decode("utf-16-le", "ignore") + CUT
