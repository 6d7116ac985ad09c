"""Row keys that stay the same from version to version, and the content hash of a dataset."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence


def row_keys(columns: Sequence[str], rows: Iterable[Sequence[str]], *, id_column: str | None = None) -> list[str]:
    """A key per row: the id column's value, or else a hash of the row; equal ones get #2, #3 ... in order."""
    place = columns.index(id_column) if id_column in columns else None
    seen: dict[str, int] = {}
    keys = []
    for row in rows:
        key = row[place].strip() if place is not None else ""
        key = key or hashlib.sha256(json.dumps(list(row)).encode("utf-8", "surrogatepass")).hexdigest()[:12]
        seen[key] = seen.get(key, 0) + 1
        keys.append(key if seen[key] == 1 else f"{key}#{seen[key]}")
    return keys


def content_hash(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """SHA-256 of columns and rows as hex: equal content, equal hash."""
    digest = hashlib.sha256(json.dumps(list(columns)).encode("utf-8", "surrogatepass"))
    for row in rows:
        digest.update(json.dumps(list(row)).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
