"""How a spreadsheet shows the numbers of its cells: fifteen digits, leading zeros, dates and durations."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

Kind = tuple[str, int]
"""How a cell is shown: general, date, elapsed, percent, or zeros and how many digits at least."""
GENERAL: Kind = ("general", 0)
_DATES = {*range(14, 23), *range(27, 37), 45, 47, *range(50, 59)}
BUILT_IN: dict[int, Kind] = {
    **dict.fromkeys(_DATES, ("date", 0)),
    46: ("elapsed", 0),
    9: ("percent", 0),
    10: ("percent", 0),
}
_NO_DATE = re.compile(
    r'"[^"]*"|\\.|_.|\*.|\[(?!h+\]|m+\]|s+\])[^\]]*\]|general|standard|[aA]/[pP]|[aA][mM]/[pP][mM]', re.IGNORECASE
)
"""Parts of a number format that hold letters and say nothing of dates."""


def kind_of(code: str) -> Kind:
    """How a number format shows its numbers."""
    bare = _NO_DATE.sub("", code.partition(";")[0]).lower()
    if re.search(r"\[[hms]+\]", bare):
        return "elapsed", 0
    if re.search("[ymdhs]", bare):
        return "date", 0
    if "%" in bare:
        return "percent", 0
    return ("zeros", len(bare)) if re.fullmatch("0{2,}", bare) else GENERAL


def shown_number(text: str, kind: Kind, *, epoch_1904: bool = False) -> str:
    """A number of a sheet as it is shown: whole numbers as written, others with 15 digits, dates in ISO's form."""
    digits = text.removeprefix("-")
    whole = digits.isascii() and digits.isdigit()
    if kind[0] == "zeros" and whole:
        return text.replace(digits, digits.zfill(kind[1]))
    if kind[0] not in ("date", "elapsed") and whole and len(digits) < 400:
        return text
    try:
        number = float(text)
    except ValueError:
        return text
    if kind[0] == "elapsed" and 0 <= number < 1e6:
        return elapsed(number)
    if kind[0] == "date" and 0 <= number < 2_958_466:
        return date_of(number, epoch_1904=epoch_1904)
    return short_number(number)


def short_number(number: float) -> str:
    """A number with the 15 digits that a spreadsheet keeps; whole numbers without a point."""
    shown = f"{number:.15G}"
    return f"{float(shown):.0f}" if "E+" in shown and abs(number) < 1e21 else shown


def elapsed(days: float) -> str:
    """A duration as hours, minutes and seconds."""
    seconds = round(days * 86_400)
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def date_of(serial: float, *, epoch_1904: bool = False) -> str:
    """A date, with its time of day where it has one; below one day only the time."""
    milliseconds = round(serial * 86_400_000)
    # Day 60 is 29 February 1900, which there was not.
    since_1900 = datetime(1899, 12, 30) if serial >= 60 else datetime(1899, 12, 31)
    start = datetime(1904, 1, 1) if epoch_1904 else since_1900
    try:
        moment = start + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return short_number(serial)
    if serial < 1 and not epoch_1904 and serial:
        return _trimmed(moment.time().isoformat())
    return moment.date().isoformat() if milliseconds % 86_400_000 == 0 else _trimmed(moment.isoformat(" "))


def _trimmed(text: str) -> str:
    return text.rstrip("0") if "." in text else text
