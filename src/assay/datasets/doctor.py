"""Rows as they are taken, whatever the format: what is wrong with them is noted, and cured as the options say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain
from operator import itemgetter

from assay.datasets.roles import guess_roles
from assay.datasets.source import WRITTEN_LIMIT
from assay.datasets.table import Notes, ReadOptions
from assay.errors import ImportRefused
from assay.prompts.conversation import fault

TOGETHER = 1_000
"""Rows that are examined at once, at most."""
CELLS_TOGETHER = 100_000
CHARS_TOGETHER = 1_000_000
"""Cells and characters past which fewer rows are examined at once, so that memory stays flat."""
CELL_BYTES = 8
"""What a cell takes beside its text."""
LARGE_SHOWN = 200
"""Characters of a cell that was too large, where it is listed."""
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_STRIPPED = re.compile(f"{_CONTROL.pattern}|{_INVISIBLE.pattern}")
_SUSPICIOUS = re.compile(f"{_STRIPPED.pattern}|{_SURROGATE.pattern}")

Numbered = tuple[int, list[str]]
"""A row and the line of the file in which it begins."""


class Doctor:
    """Examines the rows of one file. columns: their names. limit: bytes that the rows may take at most."""

    def __init__(
        self, columns: Sequence[str], options: ReadOptions, notes: Notes, *, limit: int = WRITTEN_LIMIT
    ) -> None:
        self._width, self._options, self._notes, self._left = len(columns), options, notes, limit
        self.together = max(1, min(TOGETHER, CELLS_TOGETHER // self._width))
        self._names = list(columns)
        roles = guess_roles(columns)
        self._prompt, self._expected = (
            columns.index(roles[role]) if role in roles and self._width > 1 else None for role in ("prompt", "expected")
        )

    def examined(self, pending: list[Numbered]) -> list[list[str]]:
        """The rows that are kept, each of the header's width."""
        width, options = self._width, self._options
        whole = "".join(chain.from_iterable(row for _, row in pending))
        # One look at all cells together: nearly no file has what each cell would be searched for. All of it is
        # unprintable, which is found out in half the time.
        if not whole.isprintable() and _SUSPICIOUS.search(whole):
            pending = [(line, self._inspected(row, line)) for line, row in pending]
        if len(whole) > options.max_cell:
            pending = [(line, fit) for line, row in pending if (fit := self._within(row, line)) is not None]
        if '"role"' in whole and self._prompt is not None:
            pending = [(line, row) for line, row in pending if self._is_sendable(row, line, self._prompt)]
        kept = pending
        if not all([len(row) == width and row[0].strip() for _, row in pending]):
            kept = self._fitted(pending)
        # A row of one sign may be filled up to thousands of cells, and one that is left out took them too.
        taken = max(len(kept), _full(pending, width)) if kept is not pending else len(pending)
        self._left -= len(whole) + CELL_BYTES * width * taken
        if self._left < 0:
            raise too_much()
        rows = [row for _, row in kept]
        if self._names in rows:
            for line, row in kept:
                if row == self._names:
                    self._notes.note("header_again", line)
        self._note_gaps(kept, rows)
        return rows

    def _fitted(self, pending: list[Numbered]) -> list[Numbered]:
        """The rows that hold something, each with a cell for every column."""
        width, notes, kept = self._width, self._notes, []
        for line, row in pending:
            if len(row) == width and (width == 1 or any(map(str.strip, row))):
                kept.append((line, row))
            elif len(row) == width or (row and not any(map(str.strip, row)) and len(row) > 1):
                notes.note("empty", line)
            elif not row or (len(row) == 1 and not row[0].strip()):
                notes.note("blank", line)
            else:
                notes.note("short" if len(row) < width else "long", line, row)
                if self._options.bad_rows == "pad":
                    kept.append((line, (row + [""] * width)[:width]))
        return kept

    def _note_gaps(self, kept: list[Numbered], rows: list[list[str]]) -> None:
        """Notes rows that have nothing to ask, or no answer to be graded by."""
        for kind, place in (("unasked", self._prompt), ("unanswered", self._expected)):
            if place is not None and not all(map(itemgetter(place), rows)):
                for line, row in kept:
                    if not row[place].strip():
                        self._notes.note(kind, line)

    def _is_sendable(self, row: list[str], line: int, place: int) -> bool:
        """Whether the conversation in a row, if it is one, can be sent as it is."""
        why = fault(row[place]) if place < len(row) else ""
        if why:
            self._notes.note("conversation", line, row)
        return not why

    def _inspected(self, row: list[str], line: int) -> list[str]:
        if any(_CONTROL.search(cell) for cell in row):
            self._notes.note("control", line)
        if any(_INVISIBLE.search(cell) for cell in row):
            self._notes.note("invisible", line)
        if any(_SURROGATE.search(cell) for cell in row):
            self._notes.note("surrogate", line)
            row = [_SURROGATE.sub("\ufffd", cell) for cell in row]
        return [_STRIPPED.sub("", cell) for cell in row] if self._options.control == "strip" else row

    def _within(self, row: list[str], line: int) -> list[str] | None:
        limit = self._options.max_cell
        if not any(len(cell) > limit for cell in row):
            return row
        self._notes.note("large", line, [cell[:LARGE_SHOWN] for cell in row])
        return [cell[:limit] for cell in row] if self._options.bad_rows == "pad" else None


def _full(pending: list[Numbered], width: int) -> int:
    """How many rows have a cell for each column, those that are left out included."""
    return sum(len(row) == width for _, row in pending)


def too_much() -> ImportRefused:
    """What is said of a file that is small and stands for rows without an end."""
    return ImportRefused("The file's rows take far more room than the file.", cure="Split it, or save the data as CSV.")
