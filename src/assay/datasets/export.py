"""Tables out: spreadsheet-safe CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

_FORMULA = re.compile(r"^\s*[=+\-@\t\r\x00\uff1d\uff0b\uff0d\uff20|%]")
_NUMBER = re.compile(r"^\s*[+-]?(\d+([.,]\d+)?|[.,]\d+)([eE][+-]?\d+)?\s*%?$")


def safe_cell(value: object) -> str:
    """The value as a cell that no spreadsheet takes for a formula: such text gets a leading apostrophe.

    Plain numbers such as -5 stay as they are; None is an empty cell.
    """
    text = "" if value is None else str(value).replace("\x00", "\ufffd")
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.match(text) else text


def write_csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """A CSV that Excel opens right: UTF-8 with a mark, CRLF, every cell safe."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow([safe_cell(name) for name in columns])
    writer.writerows([safe_cell(value) for value in row] for row in rows)
    return buffer.getvalue().encode("utf-8-sig", "replace")
