"""JSON and JSON Lines, read row by row: a list's entries or a file's lines, in plain columns; and YAML.

The file is read once to find out its columns and its shape, and once more for each use. Only a file that is one object,
and YAML, is read whole, within a bound.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, TextIO

from assay.datasets.doctor import CHARS_TOGETHER, Doctor
from assay.datasets.encoding import SAMPLE, chosen_encoding, opened_text
from assay.datasets.shapes import ROW_LISTS, Layout, Survey, is_row
from assay.datasets.source import OnPart, Source, written_limit
from assay.datasets.table import Dialect, Finding, Notes, ReadOptions, checked_columns
from assay.datasets.values import RepeatedFields, as_text, decoder, loads
from assay.errors import ImportRefused

RECORD_LIMIT = 16 * 1024 * 1024
"""Characters of a row."""
OBJECT_LIMIT = 64 * 1024 * 1024
"""Characters of a file that is one object."""
VALUES_LIMIT = 200_000
"""Values of a row: each takes far more memory than its text."""
OBJECT_VALUES = 3_000_000
"""Values of a file that is one object."""
ENDINGS = ("json", "jsonl", "ndjson", "yaml", "yml")
_SPACE = " \t\r\n"


class Entry(NamedTuple):
    """One value of the file."""

    line: int
    value: Any


class JsonFile:
    """A JSON, JSON Lines or YAML file whose rows are objects."""

    def __init__(self, source: Source, options: ReadOptions, on_part: OnPart | None = None) -> None:
        self._source, self._options = source, options
        self._encoding = chosen_encoding(source, options.encoding)
        self._mode = self._find_mode()
        kind = {"lines": "jsonl", "yaml": "yaml"}.get(self._mode, "json")
        survey = Survey(shaped=options.shape == "auto")
        with self._entries(on_part) as entries:
            for entry in entries:
                survey.add(self._object(entry))
        if not survey.count:
            raise ImportRefused("The file has no rows.", cure="Choose a file with at least one row.")
        self._layout = survey.layout()
        self.columns, self._header_findings = checked_columns(list(self._layout.keys))
        self.dialect = Dialect(kind, encoding=self._encoding.name.removesuffix("-sig"))

    def close(self) -> None:
        """There is nothing to free."""

    @contextmanager
    def rows(self, on_part: OnPart | None = None) -> Iterator[ObjectRows]:
        """The rows in lists of some. Raises ImportRefused, also while they are read."""
        with self._entries(on_part) as entries:
            objects = ((entry.line, self._object(entry)) for entry in entries)
            beside = [*self._encoding.findings(), *self._ending(), *self._header_findings, *self._layout.findings]
            yield ObjectRows(
                objects, self.columns, self._layout, self._options, beside, written_limit(self._source.size)
            )

    def _ending(self) -> list[Finding]:
        ending = self._source.ending
        if ending in ("", *ENDINGS):
            return []
        message = f"The file is called .{ending}, but holds JSON; it was read as JSON."
        return [Finding("ending", "warning", 1, message, cure="Check that it is the right file.")]

    def _find_mode(self) -> str:
        """lines, list, object or yaml, by the ending, the first sign and, for an object, its first line."""
        if self._source.ending in ("yaml", "yml"):
            return "yaml"
        with opened_text(self._source, self._encoding.name) as text:
            head = text.read(SAMPLE).lstrip("\ufeff" + _SPACE)
            if not head:
                raise ImportRefused("The file is empty.", cure="Choose a file with at least one row.")
            if head[0] == "[":
                return "list"
            if self._source.ending in ("jsonl", "ndjson"):
                return "lines"
            first, end, rest = head.partition("\n")
            if not end:
                rest = text.read(SAMPLE).partition("\n")[2]
        try:
            loads(first)
        except (ValueError, RecursionError):
            # A first line that is longer than the sample tells nothing: only one object can be as long as that.
            return "lines" if not end and rest.strip() else "object"
        return "lines" if rest.strip() else "object"

    @contextmanager
    def _entries(self, on_part: OnPart | None) -> Iterator[Iterator[Entry]]:
        readers = {"lines": _lines, "list": _list, "object": _whole, "yaml": _yaml}
        with opened_text(self._source, self._encoding.name, on_part) as text:
            yield readers[self._mode](text)

    def _object(self, entry: Entry) -> Mapping[str, Any]:
        if not isinstance(entry.value, Mapping):
            raise ImportRefused(f"Line {entry.line:,} is not an object.", cure="Every row must be a JSON object.")
        return entry.value


class ObjectRows:
    """Rows that are objects in plain columns, as they are asked for."""

    def __init__(
        self, objects: Iterator[tuple[int, Mapping[str, Any]]], columns: tuple[str, ...], layout: Layout,
        options: ReadOptions, beside: list[Finding], limit: int,
    ) -> None:  # fmt: skip
        self.notes = Notes()
        self.columns = columns
        self._objects, self._layout, self._options, self._beside = objects, layout, options, beside
        self._limit = limit

    def findings(self) -> tuple[Finding, ...]:
        """What was noticed so far."""
        return (*self._beside, *self.notes.findings(self._options))

    def __iter__(self) -> Iterator[list[list[str]]]:
        doctor = Doctor(len(self.columns), self._options, self.notes, limit=self._limit)
        keys, note = self._layout.keys, self.notes.note
        places = {key: place for place, key in enumerate(keys)}
        pending: list[tuple[int, list[str]]] = []
        size = 0
        for line, value in self._objects:
            flat = self._layout.flat(value)
            if isinstance(value, RepeatedFields):
                note("repeated", line)
            if len(flat) < len(keys):
                note("lacking", line)
            if None in flat.values():
                note("null", line)
            row = [""] * len(keys)
            for key, cell in flat.items():
                row[places[key]] = as_text(cell)
            pending.append((line, row))
            size += sum(map(len, row))
            if len(pending) == doctor.together or size > CHARS_TOGETHER:
                yield doctor.examined(pending)
                pending, size = [], 0
        if pending:
            yield doctor.examined(pending)


# -- texts to values -------------------------------------------------------------------------------------------


def _lines(text: TextIO) -> Iterator[Entry]:
    """A value for each line."""
    number = 0
    while line := text.readline(RECORD_LIMIT):
        number += 1
        if number == 1:
            line = line.removeprefix("\ufeff")
        if len(line) >= RECORD_LIMIT and not line.endswith("\n"):
            raise _too_long(number)
        if line.isspace():
            continue
        yield Entry(number, _value(line, number))


def _value(text: str, line: int) -> Any:
    _check_values(text, line)
    try:
        return loads(text)
    except json.JSONDecodeError as error:
        raise _not_json(line + error.lineno - 1, error) from error
    except RecursionError as error:
        raise ImportRefused(f"Line {line:,} is nested too deeply.", cure="Flatten it.") from error


def _list(text: TextIO) -> Iterator[Entry]:
    """The entries of a list, each decoded by itself, so that only one of them is in memory."""
    window = _Window(text)
    window.skip("\ufeff")
    window.skip("[")
    if window.next() == "]":
        return
    while True:
        line = window.line
        yield Entry(line, window.decode())
        sign = window.next()
        if sign == "]":
            window.skip("]")
            if window.next():
                raise ImportRefused(f"Line {window.line:,} is not JSON: more follows after the list.", cure=_MEND)
            return
        if sign != ",":
            reason = "the list does not end" if not sign else f"{sign!r} where a comma is expected"
            raise ImportRefused(f"Line {window.line:,} is not JSON: {reason}.", cure=_MEND)
        window.skip(",")


class _Window:
    """The part of a text that is being decoded."""

    def __init__(self, text: TextIO) -> None:
        self._text, self._buffer, self._place = text, "", 0
        self._ended = False
        self.line = 1

    def next(self) -> str:
        """The next sign that is no space; empty at the end."""
        while True:
            while self._place < len(self._buffer):
                sign = self._buffer[self._place]
                if sign not in _SPACE:
                    return sign
                self.line += sign == "\n"
                self._place += 1
            if not self._more(SAMPLE):
                return ""

    def skip(self, sign: str) -> None:
        """Passes the sign if it is the next."""
        if self.next() == sign:
            self._place += 1

    def decode(self) -> Any:
        """The value that begins here. Raises ImportRefused."""
        self.next()
        while True:
            waiting = len(self._buffer) - self._place
            if waiting > 2 * VALUES_LIMIT and self._buffer.count(",", self._place) > 2 * VALUES_LIMIT:
                raise _too_many(self.line)
            try:
                value, end = decoder.raw_decode(self._buffer, self._place)
                # A number at the window's end may go on.
                if end < len(self._buffer) or self._ended:
                    break
            except json.JSONDecodeError as error:
                if self._ended:
                    raise _not_json(self.line + self._buffer.count("\n", self._place, error.pos), error) from error
            except RecursionError as error:
                raise ImportRefused(f"Line {self.line:,} is nested too deeply.", cure="Flatten it.") from error
            if len(self._buffer) - self._place > RECORD_LIMIT:
                raise _too_long(self.line)
            self._more(max(SAMPLE, len(self._buffer) - self._place))
        raw = self._buffer[self._place : end]
        if "\\u" in raw or raw.count(",") > VALUES_LIMIT:
            value = _value(raw, self.line)
        self.line += raw.count("\n")
        self._place = end
        return value

    def _more(self, size: int) -> bool:
        found = self._text.read(size)
        self._ended = not found
        self._buffer, self._place = self._buffer[self._place :] + found, 0
        return bool(found)


def _whole(text: TextIO) -> Iterator[Entry]:
    """The rows of a file that is one object."""
    content = text.read(OBJECT_LIMIT + 1).removeprefix("\ufeff")
    if len(content) > OBJECT_LIMIT or content.count(",") > OBJECT_VALUES:
        raise ImportRefused(
            f"The file is one JSON object, which is read whole, up to {OBJECT_LIMIT // 2**20} MB.",
            cure="Save its rows as a JSON list or as JSON Lines.",
        )
    try:
        value = loads(content)
    except json.JSONDecodeError as error:
        raise _not_json(error.lineno, error) from error
    except RecursionError as error:
        raise ImportRefused("The JSON is nested too deeply.", cure="Flatten it.") from error
    yield from _entries_of(value)


def _yaml(text: TextIO) -> Iterator[Entry]:
    """The rows of a YAML file."""
    from assay.datasets.yaml_text import SIZE_LIMIT, load_yaml  # slow to import

    yield from _entries_of(load_yaml(text.read(SIZE_LIMIT + 1).removeprefix("\ufeff")))


def _entries_of(value: Any) -> Iterator[Entry]:
    """The rows of a value that was read whole, by their number."""
    rows = _rows_within(value) if isinstance(value, Mapping) else value
    if not isinstance(rows, list):
        raise ImportRefused("The file holds no rows.", cure="It must be a list of objects.")
    yield from (Entry(number, row) for number, row in enumerate(rows, 1))


def _rows_within(value: Mapping[str, Any]) -> list[Any]:
    """The rows of a file that is one object: its only list of objects, else the one under a name that tools give it.

    An object within that is the only value is looked into; an object without such a list is itself the row.
    """
    if is_row(value):
        return [value]
    lists = {name: inner for name, inner in value.items() if isinstance(inner, list) and _are_objects(inner)}
    if len(lists) == 1:
        return next(iter(lists.values()))
    named = next((lists[name] for name in ROW_LISTS if name in lists), None)
    if named is not None:
        return named
    only = next(iter(value.values()), None)
    if len(value) == 1 and isinstance(only, Mapping) and (within := _rows_within(only)) != [only]:
        return within
    return [value]


def _are_objects(values: list[Any]) -> bool:
    return bool(values) and all(isinstance(value, Mapping) for value in values)


_MEND = "Mend that line. If the file is a CSV, call it .csv."


def _not_json(line: int, error: json.JSONDecodeError) -> ImportRefused:
    return ImportRefused(f"Line {line:,} is not JSON: {error.msg}.", cure=_MEND)


def _too_long(line: int) -> ImportRefused:
    return ImportRefused(
        f"The row in line {line:,} has more than {RECORD_LIMIT // 2**20} million characters.", cure="Split the row."
    )


def _check_values(text: str, line: int) -> None:
    if len(text) > VALUES_LIMIT and text.count(",") > VALUES_LIMIT:
        raise _too_many(line)


def _too_many(line: int) -> ImportRefused:
    return ImportRefused(f"The row in line {line:,} has more than {VALUES_LIMIT:,} values.", cure="Split the row.")
