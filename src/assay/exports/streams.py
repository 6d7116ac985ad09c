"""Writing text to a binary target piece by piece."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, BinaryIO

from assay.datasets.export import safe_cell

BLOCK = 1 << 18
"""Characters that are gathered before they are written."""
_UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069]")
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_pieces(target: BinaryIO, pieces: Iterable[str], *, encoding: str = "utf-8") -> None:
    """Writes the pieces one after the other; a lone surrogate becomes a question mark."""
    held: list[str] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= BLOCK:
            target.write("".join(held).encode(encoding, "replace"))
            held, size = [], 0
    target.write("".join(held).encode(encoding, "replace"))


def write_table(target: BinaryIO, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A CSV that Excel opens right, row by row: UTF-8 with a mark, CRLF, every cell safe."""
    target.write(b"\xef\xbb\xbf")

    def lines() -> Iterable[str]:
        buffer = io.StringIO(newline="")
        writer = csv.writer(buffer)
        writer.writerow([safe_cell(name) for name in columns])
        for row in rows:
            writer.writerow([safe_cell(value) for value in row])
            if buffer.tell() >= BLOCK:
                yield buffer.getvalue()
                buffer.seek(0)
                buffer.truncate()
        yield buffer.getvalue()

    write_pieces(target, lines())


def json_line(value: Any) -> str:
    """A value as one line of JSON."""
    # A lone surrogate has no UTF-8 form, so a line that holds one is written with escapes.
    text = json.dumps(value, ensure_ascii=False, default=str)
    try:
        text.encode()
    except UnicodeEncodeError:
        text = json.dumps(value, default=str)
    return f"{text}\n"


def visible(text: str) -> str:
    """The text with a mark in place of control characters and of those that turn the direction of what follows."""
    return _UNSEEN.sub("\ufffd", text)


def xml_text(text: str) -> str:
    """The text without the characters that XML forbids."""
    return _NOT_XML.sub("", text)
