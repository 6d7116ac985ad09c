"""Where the bytes of a file are: in memory or on the disk, opened as often as needed."""

from __future__ import annotations

import errno
import io
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO

from assay.errors import ImportRefused
from assay.leftovers import mark

BUFFER = 64 * 1024
WRITTEN_LIMIT = 256 * 1024 * 1024
WRITTEN_RATIO = 50
"""A file whose rows take more than WRITTEN_LIMIT bytes and this many times its size is a bomb."""
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
        return size_of(self.content)

    @contextmanager
    def opened(self, on_part: OnPart | None = None) -> Iterator[BinaryIO]:
        """The bytes from their start. Raises ImportRefused."""
        if isinstance(self.content, bytes):
            raw: io.RawIOBase = _Memory(self.content)
            size = len(self.content)
        else:
            size = size_of(self.content)
            raw = _Disk.opened(self.content)
        with _Told(raw, size, on_part) as file:
            yield file

    @contextmanager
    def on_disk(self) -> Iterator[Path]:
        """The file's own path, or that of a copy for as long as it is needed. Raises ImportRefused."""
        if isinstance(self.content, Path):
            yield self.content
            return
        with tempfile.TemporaryDirectory(prefix=f"{mark()}-") as folder:
            path = Path(folder) / "file"
            with told_of_full_disk():
                path.write_bytes(self.content)
            yield path

    def head(self, size: int = BUFFER) -> bytes:
        """The first bytes. Raises ImportRefused."""
        with self.opened() as file:
            return file.read(size)


def written_limit(size: int) -> int:
    """Bytes that the rows of a file of this size may take at most."""
    return max(WRITTEN_LIMIT, WRITTEN_RATIO * size)


def size_of(path: Path) -> int:
    """Bytes of an ordinary file. Raises ImportRefused for any other: a pipe may wait for ever, a device never end."""
    try:
        found = path.stat()
    except OSError as error:
        raise unreadable(path, error) from error
    if not S_ISREG(found.st_mode):
        raise ImportRefused(f"{path} is not a file, but a folder, a pipe or a device.", cure="Save the data as a file.")
    return found.st_size


@contextmanager
def told_of_full_disk() -> Iterator[None]:
    """Says in words that a temporary file could not be written. Raises ImportRefused."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise ImportRefused(
            f"The file's rows cannot be kept while it is read: {error.strerror}.",
            cure=f"Make room in {tempfile.gettempdir()}, or name another folder in TMPDIR.",
        ) from error


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def unreadable(path: object, error: OSError) -> ImportRefused:
    """What is said of a file that the system does not let us read."""
    return ImportRefused(f"{path!s} cannot be read: {error.strerror}.", cure="Check the path.")


class _Disk(io.FileIO):
    """A file on the disk whose errors are said in words."""

    @classmethod
    def opened(cls, path: Path) -> _Disk:
        try:
            return cls(path, "rb")
        except OSError as error:
            raise unreadable(path, error) from error

    def readinto(self, target: bytearray | memoryview) -> int | None:  # type: ignore[override]
        try:
            return super().readinto(target)
        except OSError as error:
            raise unreadable(self.name, error) from error


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
