"""CSV in any dialect: delimiter found by trying, values kept as typed, problems reported by line."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from dataclasses import replace

from assay.datasets.encoding import Encoding, decode, detect
from assay.datasets.table import Dialect, Finding, Notes, ReadOptions, Table, checked_columns
from assay.errors import ImportRefused

DELIMITERS = (",", ";", "\t", "|")
SAMPLE = 64 * 1024
_CONTROL = re.compile("[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]")
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")


def read_delimited(content: bytes, options: ReadOptions, *, tabs: bool = False) -> Table:
    """A CSV or TSV file. Raises ImportRefused in words with a line where it cannot be read."""
    encoding = detect(content[:SAMPLE])
    if options.encoding is None and encoding.name == "utf-8":
        encoding = _utf8_throughout(content)
    name = options.encoding or encoding.name
    text = decode(content, name).removeprefix("\ufeff")
    if not text.strip():
        raise ImportRefused("The file is empty.", cure="Choose a file with a header and at least one row.")
    delimiter = options.delimiter or ("\t" if tabs else find_delimiter(text[:SAMPLE]))
    table = _parse(text, delimiter, options)
    dialect = Dialect("csv", encoding=name.removesuffix("-sig"), delimiter=delimiter)
    findings = list(table.findings)
    if options.encoding is None and not encoding.certain:
        message = f"The file is not UTF-8; it was read as {name}. Check that accents and signs look right."
        findings.insert(0, Finding("encoding", "note", 1, message, cure="Change the encoding if they do not."))
    return replace(table, dialect=dialect, findings=tuple(findings))


def _utf8_throughout(content: bytes) -> Encoding:
    """The sample was UTF-8; the rest decides."""
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return replace(detect(content), certain=False)
    return Encoding("utf-8", certain=True)


def find_delimiter(sample: str) -> str:
    """The delimiter that splits the sample's rows most evenly into most cells; a comma where none does."""
    best, best_score = ",", 0.0
    for delimiter in DELIMITERS:
        try:
            rows = [row for row in csv.reader(io.StringIO(sample), delimiter=delimiter) if row]
        except csv.Error:
            continue
        widths = Counter(len(row) for row in rows[:-1] or rows)
        if not widths:
            continue
        width, count = max(widths.items(), key=lambda item: (item[1], item[0]))
        header = len(rows[0])
        score = (count / widths.total()) * min(header, width) if min(header, width) > 1 else 0.0
        if score > best_score:
            best, best_score = delimiter, score
    return best


def _parse(text: str, delimiter: str, options: ReadOptions) -> Table:
    csv.field_size_limit(options.max_cell)
    notes = Notes()
    if "\x00" in text:
        for line, part in enumerate(text.split("\n"), 1):
            if "\x00" in part:
                notes.note("nul", line)
        text = text.replace("\x00", "\ufffd")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=False)
    rows: list[list[str]] = []
    header: list[str] | None = None
    columns: tuple[str, ...] = ()
    header_findings: list[Finding] = []
    suspicious = bool(_CONTROL.search(text) or _INVISIBLE.search(text))
    line = 1
    try:
        for row in reader:
            start, line = line, reader.line_num + 1
            if not row or (len(row) == 1 and not row[0].strip() and (header is None or len(columns) > 1)):
                if header is not None:
                    notes.note("blank", start)
                continue
            if header is None:
                header = row if options.header else [f"column {n}" for n in range(1, len(row) + 1)]
                columns, header_findings = checked_columns(header)
                if options.header:
                    continue
            if suspicious:
                _inspect(row, start, notes)
            if len(row) != len(columns):
                notes.note("short" if len(row) < len(columns) else "long", start)
                if options.bad_rows == "skip":
                    continue
                row = (row + [""] * len(columns))[: len(columns)]
            rows.append(row)
    except csv.Error as error:
        raise ImportRefused(f"Line {line} cannot be read: {error}.", cure="Check the quotes around it.") from error
    if header is None:
        raise ImportRefused("The file is empty.", cure="Choose a file with a header and at least one row.")
    findings = (*header_findings, *notes.findings(options.bad_rows))
    return Table(columns, rows, Dialect("csv"), findings)


def _inspect(row: list[str], line: int, notes: Notes) -> None:
    if any(_CONTROL.search(cell) for cell in row):
        notes.note("control", line)
    if any(_INVISIBLE.search(cell) for cell in row):
        notes.note("invisible", line)
