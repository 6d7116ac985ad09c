"""Rows of a dataset version: filtered and paged in SQL, drawn, and set against another version."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from typing import Any, Literal, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, Text, and_, cast, func, not_, select
from sqlalchemy.dialects.postgresql import JSON

from assay.store.datasets import StoredDataset, StoredRow
from assay.store.tables import DATASET_ROW, RESULT

CHUNK = 2_000
ROW = DATASET_ROW.c


@dataclass(frozen=True, slots=True)
class ColumnFilter:
    """One condition on a column's value."""

    column: str
    kind: Literal["is", "is not", "contains"]
    value: str


class Buckets(NamedTuple):
    """A made split: buckets low..high-1."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class RowFilter:
    """Which rows of a version are meant; everything empty: all of them."""

    search: str = ""
    """Text in any column, any case."""
    columns: tuple[ColumnFilter, ...] = ()
    """All of them hold."""
    buckets: Buckets | None = None


def _value(connection: Connection, dataset: StoredDataset, name: str) -> ColumnElement[str]:
    """The value of a column of a row, in SQL."""
    place = dataset.columns.index(name)
    if connection.dialect.name == "sqlite":
        return func.json_extract(ROW.values_json, f"$[{place}]", type_=Text)
    value: ColumnElement[str] = cast(ROW.values_json, JSON)[place].astext
    return value


def _matching(connection: Connection, dataset: StoredDataset, chosen: RowFilter) -> ColumnElement[bool]:
    conditions: list[ColumnElement[bool]] = [ROW.dataset_id == dataset.id]
    if chosen.search:
        # As the text stands in the JSON, so that a quote or a line break is found too.
        text = json.dumps(chosen.search, ensure_ascii=False)[1:-1]
        conditions.append(ROW.values_json.icontains(text, autoescape=True))
    for wanted in chosen.columns:
        value = _value(connection, dataset, wanted.column)
        if wanted.kind == "contains":
            conditions.append(value.icontains(wanted.value, autoescape=True))
        else:
            same = value == wanted.value
            conditions.append(same if wanted.kind == "is" else not_(same))
    if chosen.buckets is not None:
        conditions.append(ROW.bucket.between(chosen.buckets.low, chosen.buckets.high - 1))
    return and_(*conditions)


def count_rows(connection: Connection, dataset: StoredDataset, chosen: RowFilter) -> int:
    """How many rows the filter lets through."""
    return connection.execute(select(func.count()).where(_matching(connection, dataset, chosen))).scalar_one()


def _rows(dataset: StoredDataset, found: Any) -> list[StoredRow]:
    return [
        StoredRow(row.position, row.row_key, dict(zip(dataset.columns, json.loads(row.values_json), strict=True)))
        for row in found
    ]


def _selected(connection: Connection, dataset: StoredDataset, chosen: RowFilter) -> Select[Any]:
    query = select(ROW.position, ROW.row_key, ROW.values_json)
    return query.where(_matching(connection, dataset, chosen)).order_by(ROW.position)


def rows_page(
    connection: Connection, dataset: StoredDataset, chosen: RowFilter, *, page: int = 1, size: int = 50
) -> list[StoredRow]:
    """A page of rows, from 1, in file order."""
    query = _selected(connection, dataset, chosen).limit(size).offset((max(page, 1) - 1) * size)
    return _rows(dataset, connection.execute(query))


def each_row(connection: Connection, dataset: StoredDataset, chosen: RowFilter) -> Iterator[StoredRow]:
    """Every row that the filter lets through, in order, read in pages."""
    last = -1
    query = _selected(connection, dataset, chosen)
    while found := _rows(dataset, connection.execute(query.where(ROW.position > last).limit(CHUNK))):
        yield from found
        last = found[-1].position


def rows_at(connection: Connection, dataset: StoredDataset, positions: Sequence[int]) -> Iterator[StoredRow]:
    """The rows at some positions, in their order."""
    wanted = sorted(positions)
    for start in range(0, len(wanted), 500):
        part = wanted[start : start + 500]
        query = _selected(connection, dataset, RowFilter()).where(ROW.position.in_(part))
        yield from _rows(dataset, connection.execute(query))


def drawn(connection: Connection, dataset: StoredDataset, chosen: RowFilter, *, count: int, seed: int) -> list[int]:
    """Positions of `count` rows drawn by a hash of seed and row key: the same seed draws the same rows."""
    query = select(ROW.position, ROW.row_key).where(_matching(connection, dataset, chosen))

    def rank(row: Any) -> bytes:
        return hashlib.sha256(f"{seed}:{row.row_key}".encode("utf-8", "surrogatepass")).digest()

    return sorted(row.position for row in nsmallest(count, connection.execute(query), key=rank))


def column_counts(
    connection: Connection, dataset: StoredDataset, name: str, *, limit: int = 30, chosen: RowFilter | None = None
) -> list[tuple[str, int]]:
    """(value, rows) of a column, the most frequent first."""
    value = _value(connection, dataset, name).label("value")
    query = select(value, func.count().label("n")).where(_matching(connection, dataset, chosen or RowFilter()))
    ranked = query.group_by("value").order_by(func.count().desc(), "value").limit(limit)
    return [(row[0], row[1]) for row in connection.execute(ranked)]


class RowChange(NamedTuple):
    """A row that differs between two versions."""

    key: str
    before: Mapping[str, str]
    after: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class VersionDiff:
    """What lies between two versions, rows joined by their key."""

    added: int
    removed: int
    changed: int
    same: int
    changes: tuple[RowChange, ...]
    """The first of the changed rows."""


def diff(connection: Connection, old: StoredDataset, new: StoredDataset, *, shown: int = 50) -> VersionDiff:
    """Added, removed and changed rows from an old version to a new one.

    A row has changed when a column that both have, or one that only one of them has, holds something else.
    """
    a, b = DATASET_ROW.alias("a"), DATASET_ROW.alias("b")
    both = a.join(b, and_(a.c.row_key == b.c.row_key, b.c.dataset_id == new.id))
    joined = select(a.c.row_key, a.c.values_json, b.c.values_json).select_from(both).where(a.c.dataset_id == old.id)
    common = connection.execute(select(func.count()).select_from(joined.subquery())).scalar_one()
    if old.columns == new.columns:
        joined = joined.where(a.c.values_json != b.c.values_json)
    changed, changes = 0, list[RowChange]()
    for key, before, after in connection.execute(joined.order_by(b.c.position)):
        change = RowChange(
            key,
            dict(zip(old.columns, json.loads(before), strict=True)),
            dict(zip(new.columns, json.loads(after), strict=True)),
        )
        if change.before != change.after:
            changed += 1
            if len(changes) < shown:
                changes.append(change)
    return VersionDiff(new.row_count - common, old.row_count - common, changed, common - changed, tuple(changes))


def unsuccessful_rows(
    connection: Connection, run_id: str, kind: Literal["failed", "errors", "either"], *, contestant: int | None = None
) -> list[int]:
    """Positions of the rows of a run that some contestant did not get right.

    failed: an answer that did not pass; errors: a cell without an answer.
    """
    failed, errors = RESULT.c.passed.is_(False), RESULT.c.status == "failed"
    condition = {"failed": failed, "errors": errors, "either": failed | errors}[kind]
    query = select(RESULT.c.row).where(RESULT.c.run_id == run_id, condition).distinct()
    if contestant is not None:
        query = query.where(RESULT.c.contestant == contestant)
    return sorted(connection.execute(query).scalars())
