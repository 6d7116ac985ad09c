"""Reads a sheet of an old workbook (.xls, .ods, .xlsb) in a process of its own, whose memory is bounded.

    python -m assay.datasets.sheet_child FILE MEGABYTES [SHEET]

The library gives every cell of the rectangle around the values at once: a file of a few bytes can make it ask for
more memory than there is, which ends the process. Prints JSON lines: the sheet's name and all names, then a row each as
line, first column and cells. Ends with 3 and a JSON line {"refused", "cure"} where the file cannot be read.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import sys
from typing import Any

from assay.datasets.number_formats import elapsed, short_number


def main(path: str, megabytes: str, wanted: str = "") -> int:
    """Prints the sheet."""
    bound(int(megabytes) * 1024 * 1024)
    from python_calamine import CalamineWorkbook, PasswordError

    try:
        book = CalamineWorkbook.from_path(path)
        names = list(book.sheet_names)
        if not names or (wanted and wanted not in names):
            return refuse(f"There is no sheet {wanted!r}.", f"Choose one of {', '.join(names)}.")
        # Where no sheet is wanted, the first that holds something is.
        for chosen in (wanted,) if wanted else names[:20]:
            sheet = book.get_sheet_by_name(chosen)
            if sheet.height:
                break
        else:
            return refuse(f"The sheet {names[0]!r} is empty.", f"Choose another: {', '.join(names[:20])}.")
        print(json.dumps([chosen, names]))
        for number, row in enumerate(sheet.iter_rows(), 1):
            cells = [shown(value) for value in row]
            while cells and not cells[-1]:
                cells.pop()
            if cells:
                print(json.dumps([number, 0, cells]))
    except PasswordError:
        return refuse("The workbook has a password.", "Take the password off, or save the data as CSV.")
    except Exception as error:  # noqa: BLE001 - this process has no other purpose than to say what went wrong
        return refuse(f"The workbook cannot be read: {error}.", "Save it again, or as CSV.")
    return 0


def bound(size: int) -> None:
    """Bounds the memory and the time of this process where the system can."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (size, size))
        resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def refuse(words: str, cure: str) -> int:
    """Says why the file is refused."""
    print(json.dumps({"refused": words, "cure": cure}))
    return 3


def shown(value: Any) -> str:
    """A value as the spreadsheet shows it."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return short_number(value)
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ")
    if isinstance(value, datetime.timedelta):
        return elapsed(value / datetime.timedelta(days=1))
    return str(value)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
