"""The ZIP archive in which a workbook is packed, and the XML in it, within bounds.

Every part is unpacked once to be counted before it is parsed; the sizes that the archive states are not believed.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, NamedTuple
from xml.parsers import expat

from assay.datasets.source import OnPart
from assay.errors import ImportRefused

UNPACKED_LIMIT = 1024 * 1024 * 1024
"""Bytes of one part at most."""
RATIO_LIMIT = 200
"""A part of more than this many times the file's size is a bomb; tables unpack to 5 to 20 times."""
TAG_LIMIT = 100_000_000
ROW_LIMIT = 1_048_576
DIRECTORY_LIMIT = 4 * 1024 * 1024
"""Bytes of the archive's own list of its parts."""
CURE = "Save the data as CSV."
_CHUNK = 1024 * 1024


@contextmanager
def opened_archive(file: BinaryIO) -> Iterator[zipfile.ZipFile]:
    """A ZIP archive whose list of parts is small. Raises ImportRefused, also when a part proves damaged."""
    _check_directory(file)
    try:
        with zipfile.ZipFile(file) as archive:
            yield archive
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, KeyError, zlib.error) as error:
        raise ImportRefused("The workbook is damaged.", cure=CURE) from error


def _check_directory(file: BinaryIO) -> None:
    size = file.seek(0, 2)
    file.seek(max(0, size - 70_000))
    tail = file.read()
    place = len(tail) - 22 if tail[-22:-18] == b"PK\x05\x06" else tail.rfind(b"PK\x05\x06")
    if place < 0 or len(tail) - place < 22:
        raise ImportRefused("The workbook is damaged.", cure=CURE)
    stated = struct.unpack("<L", tail[place + 12 : place + 16])[0]
    if stated > DIRECTORY_LIMIT or tail[place - 20 : place - 16] == b"PK\x06\x07":
        raise ImportRefused("The workbook holds far too many parts.", cure=CURE)
    file.seek(0)


def checked_part(archive: zipfile.ZipFile, name: str, size: int) -> None:
    """Unpacks a part to count it. size: bytes of the whole file. Raises ImportRefused."""
    entry = archive.getinfo(name)
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ImportRefused("The workbook is packed in an unusual way.", cure=CURE)
    unpacked = tags = rows = 0
    with archive.open(entry) as part:
        while chunk := part.read(_CHUNK):
            unpacked, tags, rows = unpacked + len(chunk), tags + chunk.count(b"<"), rows + chunk.count(b"<row")
            if unpacked > UNPACKED_LIMIT or unpacked > RATIO_LIMIT * max(size, 50_000):
                raise ImportRefused("The workbook unpacks to far more than its size.", cure=CURE)
            if tags > TAG_LIMIT or rows > ROW_LIMIT + 10:
                raise ImportRefused("The sheet has too many rows or cells.", cure=CURE)


class Handlers(NamedTuple):
    """What is called while XML is parsed; names are without their namespace, those of extensions empty."""

    start: Callable[[str, dict[str, str]], None]
    end: Callable[[str], None] | None = None
    text: Callable[[str], None] | None = None


def parse(archive: zipfile.ZipFile, name: str, handlers: Handlers, on_part: OnPart | None = None) -> None:
    """Parses a part as it is unpacked. Raises ImportRefused for XML that is damaged or declares a document type."""
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    start, end, known = handlers.start, handlers.end, _Names()
    parser.StartElementHandler = lambda name, attributes: start(known[name], attributes)
    if end is not None:
        parser.EndElementHandler = lambda name: end(known[name])
    if handlers.text is not None:
        parser.CharacterDataHandler = handlers.text
    parser.StartDoctypeDeclHandler = _refuse_doctype
    whole, done = archive.getinfo(name).file_size, 0
    try:
        with archive.open(name) as part:
            while chunk := part.read(_CHUNK):
                parser.Parse(chunk, False)
                done += len(chunk)
                if on_part is not None:
                    on_part(min(done, whole), whole)
            parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise ImportRefused(f"The workbook is damaged: {error}.", cure=CURE) from error


class _Names(dict[str, str]):
    """Names of elements by their full names; the cells of extensions are no cells."""

    def __missing__(self, full: str) -> str:
        space, _, name = full.rpartition(" ")
        own = not space or space.startswith(("http://schemas.openxmlformats.org/", "http://purl.oclc.org/ooxml/"))
        if len(self) < 1_000:
            self[full] = name if own else ""
        return name if own else ""


def _refuse_doctype(*_: Any) -> None:
    raise ImportRefused("The workbook declares XML entities.", cure=CURE)
