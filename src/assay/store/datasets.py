"""Datasets: versions by content, rows in order."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select

from assay.datasets.identity import bucket_of
from assay.errors import NotFound
from assay.store.ledger import now_ms
from assay.store.tables import DATASET, DATASET_NAME, DATASET_ROW

BATCH = 5_000


@dataclass(frozen=True, slots=True)
class StoredDataset:
    """A version of a dataset."""

    id: str
    name: str
    version: int
    columns: tuple[str, ...]
    roles: Mapping[str, str]
    row_count: int
    source: str
    created_ms: int
    findings: tuple[Mapping[str, Any], ...] = ()
    """What was noticed in the file at its import: kind, severity, count, message, lines, cure."""


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A row of a dataset."""

    position: int
    key: str
    values: Mapping[str, str]


def _dataset(row: Row[Any]) -> StoredDataset:
    return StoredDataset(
        row.id, row.name, row.version, tuple(json.loads(row.columns_json)), json.loads(row.roles_json),
        row.row_count, row.source, row.created_ms, tuple(json.loads(row.findings_json)),
    )  # fmt: skip


def save_dataset(
    connection: Connection,
    *,
    content_hash: str,
    name: str,
    columns: Sequence[str],
    rows: Iterable[tuple[str, Sequence[str]]],
    roles: Mapping[str, str],
    source: str,
    findings_json: str = "[]",
) -> str:
    """Stores a dataset and returns its id; the same name and content is the same dataset.

    rows: (row key, values in the order of columns). content_hash: hex of columns and rows.
    """
    dataset_id = content_hash[:16]
    if connection.execute(select(DATASET.c.id).where(DATASET.c.id == dataset_id)).scalar() is not None:
        return dataset_id
    version = connection.execute(select(func.max(DATASET.c.version)).where(DATASET.c.name == name)).scalar() or 0
    connection.execute(
        insert(DATASET).values(
            id=dataset_id, name=name, version=version + 1, content_hash=content_hash,
            columns_json=json.dumps(list(columns), ensure_ascii=False), row_count=0,
            roles_json=json.dumps(dict(roles), ensure_ascii=False), source=source, findings_json=findings_json,
            created_ms=now_ms(),
        )
    )  # fmt: skip
    count = 0
    for batch in _batches(rows):
        connection.execute(
            insert(DATASET_ROW),
            [
                {
                    "dataset_id": dataset_id, "position": count + n, "row_key": key, "bucket": bucket_of(key),
                    "values_json": json.dumps(list(values), ensure_ascii=False),
                }
                for n, (key, values) in enumerate(batch)
            ],
        )  # fmt: skip
        count += len(batch)
    connection.execute(DATASET.update().where(DATASET.c.id == dataset_id).values(row_count=count))
    return dataset_id


def _batches(rows: Iterable[tuple[str, Sequence[str]]]) -> Iterator[Sequence[tuple[str, Sequence[str]]]]:
    source = iter(rows)
    while batch := list(islice(source, BATCH)):
        yield batch


def get_dataset(connection: Connection, dataset_id: str) -> StoredDataset:
    """A dataset by id, or the newest version by name. Raises NotFound."""
    row = connection.execute(select(DATASET).where(DATASET.c.id == dataset_id)).one_or_none()
    if row is None:
        query = select(DATASET).where(DATASET.c.name == dataset_id).order_by(DATASET.c.version.desc()).limit(1)
        row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"There is no dataset {dataset_id!r}.", cure="`assay datasets` lists them.")
    return _dataset(row)


def list_datasets(connection: Connection, *, limit: int = 100, offset: int = 0) -> list[StoredDataset]:
    """Datasets, newest first."""
    query = select(DATASET).order_by(DATASET.c.created_ms.desc()).limit(limit).offset(offset)
    return [_dataset(row) for row in connection.execute(query)]


def list_versions(connection: Connection, name: str, *, limit: int = 100, offset: int = 0) -> list[StoredDataset]:
    """The versions of a dataset, newest first."""
    query = select(DATASET).where(DATASET.c.name == name).order_by(DATASET.c.version.desc())
    return [_dataset(row) for row in connection.execute(query.limit(limit).offset(offset))]


def rows_of(connection: Connection, dataset: StoredDataset, *, start: int = 0, count: int = 100) -> list[StoredRow]:
    """Rows start..start+count-1 in order."""
    found = connection.execute(
        select(DATASET_ROW.c.position, DATASET_ROW.c.row_key, DATASET_ROW.c.values_json)
        .where(DATASET_ROW.c.dataset_id == dataset.id)
        .where(DATASET_ROW.c.position >= start, DATASET_ROW.c.position < start + count)
        .order_by(DATASET_ROW.c.position)
    )
    return [
        StoredRow(position, key, dict(zip(dataset.columns, json.loads(values), strict=True)))
        for position, key, values in found
    ]


def row_keys(connection: Connection, dataset_id: str, *, count: int) -> dict[int, str]:
    """Position -> row key of the first rows of a dataset."""
    query = select(DATASET_ROW.c.position, DATASET_ROW.c.row_key).where(DATASET_ROW.c.dataset_id == dataset_id)
    return {row.position: row.row_key for row in connection.execute(query.where(DATASET_ROW.c.position < count))}


def policy_of(connection: Connection, dataset_id: str) -> dict[str, Any]:
    """The data policy of the dataset that a version belongs to; {}: none."""
    found = connection.execute(
        select(DATASET_NAME.c.policy_json)
        .join(DATASET, DATASET.c.name == DATASET_NAME.c.name)
        .where(DATASET.c.id == dataset_id)
    ).scalar()
    return dict(json.loads(found)) if found else {}
