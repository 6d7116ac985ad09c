"""Row keys that stay the same from version to version, and the content hash of a dataset."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Iterable, Sequence

BUCKETS = 10_000


def row_keys(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, id_column: str | None = None, answers: Container[str] = ()
) -> list[str]:
    """A key per row: the id column's value, or else a hash of the variables; equal ones get #2, #3 ... in order.

    answers: columns that are no variables (expected answers, splits), so that correcting them keeps the key.
    """
    place = columns.index(id_column) if id_column in columns else None
    hashed = [n for n, column in enumerate(columns) if column not in answers] or range(len(columns))
    keys = KeySeries()
    found = []
    for row in rows:
        key = row[place].strip() if place is not None else ""
        found.append(keys.take(key or _digest([row[n] for n in hashed])))
    return found


def _digest(values: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(list(values)).encode("utf-8", "surrogatepass")).hexdigest()[:12]


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
    digest = hashlib.sha256(json.dumps(list(columns)).encode("utf-8", "surrogatepass"))
    for row in rows:
        digest.update(json.dumps(list(row)).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
