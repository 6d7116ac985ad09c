"""Tables out: spreadsheet-safe CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

_UNSEEN = "\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff"
_SIGNS = r"=+\-@|%\uff0b\uff0d\uff1d\uff20\ufe62\ufe63\ufe66\ufe6b\u2212"
_FORMULA = re.compile(rf"[\s\x00-\x1f{_UNSEEN}]*[{_SIGNS}]|[\t\r\x00]")
_NUMBER = re.compile(r"\s*[+-]?(\d+([.,]\d+)*|[.,]\d+)([eE][+-]?\d+)?\s*%?")


def safe_cell(value: object) -> str:
    """The value as a cell that no spreadsheet takes for a formula: such text gets a leading apostrophe.

    Plain numbers such as -5 stay as they are; None is an empty cell.
    """
    text = "" if value is None else str(value).replace("\x00", "\ufffd")
    if not text or text[0].isalnum():
        return text
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def write_csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """A CSV that Excel opens right: UTF-8 with a mark, CRLF, every cell safe."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow([safe_cell(name) for name in columns])
    writer.writerows([safe_cell(value) for value in row] for row in rows)
    return buffer.getvalue().encode("utf-8-sig", "replace")
