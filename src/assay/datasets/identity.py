"""Row keys that stay the same from version to version, and the content hash of a dataset."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Sequence
from json.encoder import encode_basestring, encode_basestring_ascii

BUCKETS = 10_000


def row_keys(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, id_column: str | None = None, answers: Container[str] = ()
) -> list[str]:
    """A key per row: the id column's value, or else a hash of the variables; equal ones get #2, #3 ... in order.

    answers: columns that are no variables (expected answers, splits), so that correcting them keeps the key.
    """
    keys = RowKeys(columns, id_column=id_column, answers=answers)
    return [keys.of(row) for row in rows]


class RowKeys:
    """Hands out the keys of rows in their order."""

    def __init__(self, columns: Sequence[str], *, id_column: str | None = None, answers: Container[str] = ()) -> None:
        self._place = columns.index(id_column) if id_column in columns else None
        self._hashed = [n for n, column in enumerate(columns) if column not in answers] or list(range(len(columns)))
        self._all = len(self._hashed) == len(columns)
        self._keys = KeySeries()

    def of(self, row: Sequence[str]) -> str:
        """The key of the next row."""
        key = row[self._place].strip() if self._place is not None else ""
        return self._keys.take(key or _digest(row if self._all else [row[n] for n in self._hashed]))


def _digest(values: Sequence[str]) -> str:
    return hashlib.sha256(_ascii_json(values).encode("ascii")).hexdigest()[:12]


def _ascii_json(values: Sequence[str]) -> str:
    """What json.dumps writes for a list of strings, without an encoder for each."""
    return f"[{', '.join(map(encode_basestring_ascii, values))}]"


def values_json(values: Sequence[str]) -> str:
    """A row's values as they are stored: JSON, not escaped."""
    return f"[{', '.join(map(encode_basestring, values))}]"


class KeySeries:
    """Hands out row keys, each once: equal ones get #2, #3 ... in order."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)
        self._seen: dict[str, int] = {}

    def take(self, key: str) -> str:
        """The key, or the first of its numbered forms that is free."""
        count = self._seen.get(key, 0) + 1
        while (name := key if count == 1 else f"{key}#{count}") in self._taken:
            count += 1
        self._seen[key] = count
        self._taken.add(name)
        return name


def bucket_of(key: str) -> int:
    """0..9999, the same for the same row key for ever: made splits are ranges of it."""
    return int.from_bytes(hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()[:6], "big") % BUCKETS


def content_hash(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """SHA-256 of columns and rows as hex: equal content, equal hash."""
    digest = ContentHash(columns)
    digest.add(rows)
    return digest.hex


class ContentHash:
    """The content hash of a dataset whose rows come one after another."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._digest = hashlib.sha256(_ascii_json(columns).encode("ascii"))

    def add(self, rows: Iterable[Sequence[str]]) -> None:
        """Takes in further rows."""
        self._digest.update("".join(map(_ascii_json, rows)).encode("ascii"))

    @property
    def hex(self) -> str:
        """The hash of columns and rows so far."""
        return self._digest.hexdigest()
