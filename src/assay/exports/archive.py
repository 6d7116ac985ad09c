"""The archive of a run: all that is kept of it, one JSON object a line, for another workbench to take in.

    {"kind": "run", "format": 1, ...}     the run, its plan, its dataset
    {"kind": "row", ...}                  the dataset's rows, in order
    {"kind": "result", ...}               the results with texts, scores and calls, by cell
    {"kind": "call", ...}                 calls that left no result
    {"kind": "batch", ...}                batches at the gateway
    {"kind": "change", ...}               what was added to the run after its start
    {"kind": "end", "lines": 9, "sha256": ...}   of every byte before

The hash finds what was cut or changed by mistake or by hand; it does not say who wrote the file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any, BinaryIO

from assay.errors import DataError, ImportRefused
from assay.exports.record import RunRecord
from assay.exports.streams import json_line, write_pieces

FORMAT = 1
LINE_LIMIT = 64 * 1024 * 1024
"""Bytes of one line."""
_CURE = "Make one with `assay export RUN --out run.archive.jsonl`."


class _Hashed:
    """A target that hashes what it passes on."""

    def __init__(self, target: BinaryIO) -> None:
        self._target = target
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        """Writes and hashes."""
        self.digest.update(data)
        return self._target.write(data)


def write(record: RunRecord, target: BinaryIO) -> None:
    """Writes the archive. Raises DataError when something is to be left out: an archive is whole."""
    if record.hidden:
        raise DataError("An archive holds the whole run.", cure="Leave nothing out, or take another format.")
    hashed, lines = _Hashed(target), 0

    def pieces() -> Iterator[str]:
        nonlocal lines
        for value in record.kept():
            lines += 1
            yield json_line({"kind": "run", "format": FORMAT} | value if value["kind"] == "run" else value)

    write_pieces(hashed, pieces())  # type: ignore[arg-type]
    end = {"kind": "end", "lines": lines, "sha256": hashed.digest.hexdigest()}
    target.write(json_line(end).encode())


def read(file: BinaryIO) -> Iterator[dict[str, Any]]:
    """The objects of an archive, its end left out. Raises ImportRefused: at once when it is none, at the end when its
    hash says that it was cut or changed."""
    digest, lines = hashlib.sha256(), 0
    while line := file.readline(LINE_LIMIT):
        value = _object(line, lines)
        if value["kind"] == "end":
            if value.get("lines") != lines or value.get("sha256") != digest.hexdigest():
                raise ImportRefused("The archive was changed after it was written.", cure="Take the original.")
            if file.read(1):
                raise ImportRefused("The archive goes on after its end.", cure="Take the original.")
            return
        digest.update(line)
        lines += 1
        yield value
    raise _cut()


def _cut() -> ImportRefused:
    return ImportRefused("The archive has no end: it was cut short.", cure="Copy or export it again.")


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _object(line: bytes, number: int) -> dict[str, Any]:
    try:
        value = json.loads(line, parse_constant=_no_constant)
        if not isinstance(value, dict) or not isinstance(value.get("kind"), str):
            raise ValueError("no object")
        if b"\\u" in line:
            json.dumps(value, ensure_ascii=False).encode()  # half a character cannot be kept
    except (ValueError, RecursionError) as error:
        if number == 0:
            raise ImportRefused("The file is not the archive of a run.", cure=_CURE) from error
        if not line.endswith(b"\n"):
            raise _cut() from error
        raise ImportRefused(f"Line {number + 1} of the archive cannot be read.", cure="Take the original.") from error
    if number == 0 and (value["kind"] != "run" or "format" not in value):
        raise ImportRefused("The file is not the archive of a run.", cure=_CURE)
    if number == 0 and value["format"] != FORMAT:
        raise ImportRefused(f"The archive has the format {value['format']!r}; {FORMAT} is read.", cure="Update Assay.")
    return value
