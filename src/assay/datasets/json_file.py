"""JSON and JSON Lines, read row by row: a list's entries or a file's lines, in plain columns; and YAML.

The file is read once to find out its columns and its shape, and once more for each use. Only a file that is one object,
and YAML, is read whole, within a bound; `json_rows` finds the rows in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TextIO

from assay.datasets.doctor import CHARS_TOGETHER, Doctor
from assay.datasets.encoding import SAMPLE, chosen_encoding, opened_text
from assay.datasets.json_rows import Within, all_texts, first_names, named, names_of, rows_within
from assay.datasets.promptfoo_config import ReadRows, expanded, is_config, rows_of
from assay.datasets.questions import FOUND, holds_questions, questions_in
from assay.datasets.shapes import Layout, Survey
from assay.datasets.source import OnPart, Source, written_limit
from assay.datasets.table import Dialect, Finding, Notes, ReadOptions, checked_columns
from assay.domain.json_values import Decoder, as_text, has_half, loads
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
    odd: tuple[str, ...] = ()
    """Kinds of findings that its text gives rise to."""


class JsonFile:
    """A JSON, JSON Lines or YAML file whose rows are objects. read: for the files that a configuration names."""

    def __init__(
        self, source: Source, options: ReadOptions, on_part: OnPart | None = None, *, read: ReadRows | None = None
    ) -> None:
        self._source, self._options, self._read = source, options, read
        self._encoding = chosen_encoding(source, options.encoding)
        self._mode = _find_mode(source, self._encoding.name)
        self._within: tuple[Finding, ...] = ()
        self._names: tuple[Finding, ...] = ()
        self._questions: tuple[Finding, ...] = ()
        kind = {"lines": "jsonl", "yaml": "yaml"}.get(self._mode, "json")
        survey = Survey(shaped=options.shape == "auto")
        with self._entries(on_part) as entries:
            for entry in entries:
                survey.add(entry.value)
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
            beside = [
                *self._encoding.findings(),
                *self._ending(),
                *self._within,
                *self._names,
                *self._questions,
                *self._header_findings,
                *self._layout.findings,
            ]
            limit = written_limit(self._source.size)
            yield ObjectRows(entries, self.columns, self._layout, self._options, beside, limit)

    def _ending(self) -> list[Finding]:
        ending = self._source.ending
        if ending in ("", *ENDINGS):
            return []
        message = f"The file is called .{ending}, but holds JSON; it was read as JSON."
        return [Finding("ending", "warning", 1, message, cure="Check that it is the right file.")]

    @contextmanager
    def _entries(self, on_part: OnPart | None) -> Iterator[Iterator[Entry]]:
        """The rows as objects."""
        with opened_text(self._source, self._encoding.name, on_part) as text:
            if self._mode in _WHOLE:
                whole = _WHOLE[self._mode](text)
                within = self._rows_within(whole.value)
                self._within = (*within.findings, *whole.findings)
                entries = whole.entries(within.rows)
            else:
                entries = _STREAMED[self._mode](text)
            found = self._objects(entries)
            yield self._expanded(found) if self._options.shape == "auto" else found

    def _rows_within(self, value: Any) -> Within:
        if self._options.shape == "auto" and self._read is not None and is_config(value):
            return rows_of(value, self._options.folder, self._read)
        return rows_within(value)

    def _objects(self, entries: Iterator[Entry]) -> Iterator[Entry]:
        """Rows that are lists become objects with the names of the first."""
        names: list[str] | None = None
        is_header = False
        for number, entry in enumerate(entries):
            if isinstance(entry.value, list) and (number == 0 or names is not None):
                if names is None:
                    names, is_header = names_of(entry.value, header=self._options.header)
                    if is_header:
                        continue
                elif number == 1 and is_header and all_texts(entry.value):
                    self._names = (first_names(names),)
                yield entry._replace(value=named(names, entry.value))
            elif isinstance(entry.value, Mapping):
                yield entry
            else:
                raise ImportRefused(f"Line {entry.line:,} is not an object.", cure="Every row must be a JSON object.")

    def _expanded(self, entries: Iterator[Entry]) -> Iterator[Entry]:
        """A row for each question of a paragraph, and each combination of the lists in a promptfoo test's variables."""
        for entry in entries:
            if holds_questions(entry.value):
                self._questions = (FOUND,)
                yield from (entry._replace(value=one) for one in questions_in(entry.value))
            elif isinstance(entry.value.get("vars"), Mapping):
                yield from (entry._replace(value=one) for one in expanded(entry.value))
            else:
                yield entry


def values_of(source: Source, options: ReadOptions) -> list[Any]:
    """The values of a file as they stand in it: the entries of its list, its lines, or the one that it is."""
    encoding = chosen_encoding(source, options.encoding).name
    mode = _find_mode(source, encoding)
    with opened_text(source, encoding) as text:
        if mode in _WHOLE:
            value = _WHOLE[mode](text).value
            return value if isinstance(value, list) else [value]
        return [entry.value for entry in _STREAMED[mode](text)]


def _find_mode(source: Source, encoding: str) -> str:
    """lines, list, object or yaml, by the ending, the first sign and, for an object, its first line."""
    if source.ending in ("yaml", "yml"):
        return "yaml"
    with opened_text(source, encoding) as text:
        head = text.read(SAMPLE).lstrip("\ufeff" + _SPACE)
        if not head:
            raise ImportRefused("The file is empty.", cure="Choose a file with at least one row.")
        first, end, rest = head.partition("\n")
        if not end:
            rest = text.read(SAMPLE).partition("\n")[2]
    if head[0] == "[" and not (source.ending in ("jsonl", "ndjson") and rest.strip() and _is_value(first)):
        return "list"
    if source.ending in ("jsonl", "ndjson"):
        return "lines"
    if not _is_value(first):
        # A first line that is longer than the sample tells nothing: only one object can be as long as that.
        return "lines" if not end and rest.strip() else "object"
    return "lines" if rest.strip() else "object"


def _is_value(text: str) -> bool:
    try:
        loads(text)
    except (ValueError, RecursionError):
        return False
    return True


class ObjectRows:
    """Rows that are objects in plain columns, as they are asked for."""

    def __init__(
        self,
        entries: Iterator[Entry],
        columns: tuple[str, ...],
        layout: Layout,
        options: ReadOptions,
        beside: list[Finding],
        limit: int,
    ) -> None:
        self.notes = Notes()
        self.columns = columns
        self._entries, self._layout, self._options, self._beside = entries, layout, options, beside
        self._limit = limit

    def findings(self) -> tuple[Finding, ...]:
        """What was noticed so far."""
        return (*self._beside, *self.notes.findings(self._options))

    def __iter__(self) -> Iterator[list[list[str]]]:
        doctor = Doctor(self.columns, self._options, self.notes, limit=self._limit)
        keys, note = self._layout.keys, self.notes.note
        places = {key: place for place, key in enumerate(keys)}
        pending: list[tuple[int, list[str]]] = []
        size = 0
        for line, value, odd in self._entries:
            flat = self._layout.flat(value)
            for kind in odd:
                note(kind, line)
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
    number, decoder = 0, Decoder()
    while line := text.readline(RECORD_LIMIT):
        number += 1
        if number == 1:
            line = line.removeprefix("\ufeff")
        if len(line) >= RECORD_LIMIT and not line.endswith("\n"):
            raise _too_long(number)
        if line.isspace():
            continue
        yield _entry(line, number, decoder)


def _entry(text: str, line: int, decoder: Decoder | None = None) -> Entry:
    """The value of a text that begins in a line. decoder: one that is used again, which takes a third less time."""
    _check_values(text, line)
    decoder = decoder or Decoder()
    decoder.repeated = False
    try:
        value = decoder.loads(text)
        odd = [kind for kind, met in (("repeated", decoder.repeated), ("surrogate", has_half(text))) if met]
        return Entry(line, value, tuple(odd))
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
        yield window.decode()
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

    def decode(self) -> Entry:
        """The value that begins here. Raises ImportRefused."""
        self.next()
        decoder, line = Decoder(), self.line
        while True:
            waiting = len(self._buffer) - self._place
            if waiting > 2 * VALUES_LIMIT and self._buffer.count(",", self._place) > 2 * VALUES_LIMIT:
                raise _too_many(self.line)
            try:
                value, end = decoder.at(self._buffer, self._place)
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
        self.line += raw.count("\n")
        self._place = end
        if "\\u" in raw or raw.count(",") > VALUES_LIMIT:
            return _entry(raw, line)
        return Entry(line, value, ("repeated",) if decoder.repeated else ())

    def _more(self, size: int) -> bool:
        found = self._text.read(size)
        self._ended = not found
        self._buffer, self._place = self._buffer[self._place :] + found, 0
        return bool(found)


class Whole(NamedTuple):
    """A file that was read whole."""

    value: Any
    lines: Mapping[int, int]
    """The id of each object, and the line where it begins; empty: rows are numbered."""
    findings: tuple[Finding, ...]

    def entries(self, rows: Sequence[Any]) -> Iterator[Entry]:
        """The rows, each by its line or its number."""
        for number, row in enumerate(rows, 1):
            yield Entry(self.lines.get(id(row), number), row)


def _whole(text: TextIO) -> Whole:
    """The value of a file that is one object."""
    content = text.read(OBJECT_LIMIT + 1).removeprefix("\ufeff")
    if len(content) > OBJECT_LIMIT or content.count(",") > OBJECT_VALUES:
        raise ImportRefused(
            f"The file is one JSON object, which is read whole, up to {OBJECT_LIMIT // 2**20} MB.",
            cure="Save its rows as a JSON list or as JSON Lines.",
        )
    decoder = Decoder()
    try:
        value = decoder.loads(content)
    except json.JSONDecodeError as error:
        raise _not_json(error.lineno, error) from error
    except RecursionError as error:
        raise ImportRefused("The JSON is nested too deeply.", cure="Flatten it.") from error
    found = [_REPEATED] if decoder.repeated else []
    return Whole(value, {}, (*found, *([_HALF] if has_half(content) else [])))


def _yaml(text: TextIO) -> Whole:
    """The value of a YAML file."""
    from assay.datasets.yaml_text import SIZE_LIMIT, load_yaml  # slow to import

    found = load_yaml(text.read(SIZE_LIMIT + 1).removeprefix("\ufeff"))
    return Whole(found.value, found.lines, (_REPEATED,) if found.repeated else ())


_REPEATED = Finding(
    "repeated",
    "warning",
    1,
    "An object names a field twice; the later value was taken.",
    cure="Give each field its own name.",
)
_HALF = Finding(
    "surrogate",
    "warning",
    1,
    "The file holds half a character (a lone surrogate), which became \ufffd.",
    cure="Mend the text.",
)
_WHOLE = {"object": _whole, "yaml": _yaml}
_STREAMED = {"lines": _lines, "list": _list}
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
