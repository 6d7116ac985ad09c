"""Where the bytes of a file are: in memory or on the disk, opened as often as needed."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from assay.errors import ImportRefused

BUFFER = 64 * 1024
OnPart = Callable[[int, int], None]
"""Told how much was read so far and how much there is, in bytes or in rows."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file by its content or its path, under the name that the user knows."""

    content: bytes | Path
    name: str

    @property
    def ending(self) -> str:
        """The name's ending in small letters, without the point."""
        return self.name.rpartition(".")[2].lower() if "." in self.name else ""

    @property
    def size(self) -> int:
        """Bytes. Raises ImportRefused."""
        if isinstance(self.content, bytes):
            return len(self.content)
        try:
            return self.content.stat().st_size
        except OSError as error:
            raise self._unreadable(error) from error

    @contextmanager
    def opened(self, on_part: OnPart | None = None) -> Iterator[BinaryIO]:
        """The bytes from their start. Raises ImportRefused."""
        if isinstance(self.content, bytes):
            raw: io.RawIOBase = _Memory(self.content)
        else:
            try:
                raw = self.content.open("rb", buffering=0)
            except OSError as error:
                raise self._unreadable(error) from error
        with _Told(raw, self.size, on_part) as file:
            yield file

    def head(self, size: int = BUFFER) -> bytes:
        """The first bytes. Raises ImportRefused."""
        with self.opened() as file:
            return file.read(size)

    def _unreadable(self, error: OSError) -> ImportRefused:
        return ImportRefused(f"{self.content!s} cannot be read: {error.strerror}.", cure="Check the path.")


class _Memory(io.RawIOBase):
    """Bytes as a file, without a copy of them."""

    def __init__(self, content: bytes) -> None:
        self._rest = memoryview(content)
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, target: bytearray | memoryview) -> int:  # type: ignore[override]
        part = self._rest[self._place : self._place + len(target)]
        target[: len(part)] = part
        self._place += len(part)
        return len(part)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: len(self._rest)}[whence]
        self._place = max(0, start + offset)
        return self._place


class _Told(io.BufferedReader):
    """A file that tells how far it was read."""

    def __init__(self, raw: io.RawIOBase, size: int, on_part: OnPart | None) -> None:
        super().__init__(raw, buffer_size=BUFFER)
        self._size = size
        self._on_part = on_part

    def read1(self, size: int = -1) -> bytes:
        """What a text wrapper asks for."""
        found = super().read1(size)
        if self._on_part is not None:
            self._on_part(self.tell(), self._size)
        return found
