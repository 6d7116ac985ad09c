"""Datasets: versions by content, rows in order."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, text

from assay.datasets.identity import bucket_of, values_json
from assay.errors import DataError, NotFound
from assay.store.ledger import now_ms
from assay.store.owner import is_surely_dead
from assay.store.tables import DATASET, DATASET_NAME, DATASET_ROW

BATCH = 5_000
_BEGINNING = 0x4153534159_01
"""The advisory lock of a server under which datasets are begun: one at a time, each sees the one before."""
UNFINISHED = -1
"""The row count of a dataset whose rows are still being written."""
_INSERT_ROW = insert(DATASET_ROW)
_ROW_COLUMNS = ("dataset_id", "position", "row_key", "values_json", "bucket")
"""In the order of the table, which is that of the statement's parameters."""
FINISHED = DATASET.c.row_count != UNFINISHED


class BeingWritten(DataError):
    """The rows are being kept by another import, which is not at its end."""


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
        row.id,
        row.name,
        row.version,
        tuple(json.loads(row.columns_json)),
        json.loads(row.roles_json),
        row.row_count,
        row.source,
        row.created_ms,
        tuple(json.loads(row.findings_json)),
    )


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
    """Stores a dataset and returns its id; the same name and content is the same dataset. Raises BeingWritten.

    rows: (row key, values in the order of columns). content_hash: hex of columns and rows.
    """
    dataset_id = begin_dataset(
        connection, content_hash=content_hash, name=name, columns=columns, roles=roles, source=source
    )
    if dataset_id is None:
        return content_hash[:16]
    count = 0
    for batch in _batches(rows):
        add_rows(connection, dataset_id, count, batch)
        count += len(batch)
    finish_dataset(connection, dataset_id, row_count=count, findings_json=findings_json)
    return dataset_id


def begin_dataset(
    connection: Connection,
    *,
    content_hash: str,
    name: str,
    columns: Sequence[str],
    roles: Mapping[str, str],
    source: str,
    owner: str = "",
) -> str | None:
    """Begins a dataset whose rows follow in slices, and returns its id; None: this content is kept already.

    Nobody sees it before `finish_dataset`. One that a dead process left half written is begun anew.
    owner: this import. Raises BeingWritten, having written nothing, while another import
    of the same content is under way.
    """
    dataset_id = content_hash[:16]
    if connection.dialect.name == "postgresql":  # SQLite's writers exclude each other
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _BEGINNING})
    found = connection.execute(
        select(DATASET.c.row_count, DATASET.c.owner).where(DATASET.c.id == dataset_id)
    ).one_or_none()
    if found is not None and found.row_count != UNFINISHED:
        return None
    if found is not None:
        if found.owner and not is_surely_dead(found.owner):
            raise BeingWritten("The same rows are being imported already.", cure="Try again when that has ended.")
        drop_unfinished(connection, dataset_id, owner=found.owner)
    version = connection.execute(select(func.max(DATASET.c.version)).where(DATASET.c.name == name)).scalar() or 0
    connection.execute(
        insert(DATASET).values(
            id=dataset_id,
            name=name,
            version=version + 1,
            content_hash=content_hash,
            columns_json=json.dumps(list(columns), ensure_ascii=False),
            row_count=UNFINISHED,
            roles_json=json.dumps(dict(roles), ensure_ascii=False),
            source=source,
            findings_json="[]",
            created_ms=now_ms(),
            owner=owner,
        )
    )
    return dataset_id


def add_rows(connection: Connection, dataset_id: str, start: int, rows: Sequence[tuple[str, Sequence[str]]]) -> None:
    """Stores rows (row key, values) of a dataset that was begun, from a position on."""
    compiled = _INSERT_ROW.compile(dialect=connection.dialect, column_keys=_ROW_COLUMNS)
    found = [(dataset_id, start + n, key, values_json(values), bucket_of(key)) for n, (key, values) in enumerate(rows)]
    if compiled.positional:  # as SQLite's driver takes them: a dictionary for each row would double the time
        connection.exec_driver_sql(str(compiled), found)
    else:
        connection.execute(_INSERT_ROW, [dict(zip(_ROW_COLUMNS, row, strict=True)) for row in found])


def finish_dataset(connection: Connection, dataset_id: str, *, row_count: int, findings_json: str = "[]") -> None:
    """Makes a dataset that was begun visible."""
    values = {"row_count": row_count, "findings_json": findings_json, "owner": ""}
    connection.execute(DATASET.update().where(DATASET.c.id == dataset_id).values(values))


def drop_unfinished(connection: Connection, dataset_id: str, *, owner: str) -> None:
    """Takes back a dataset that this owner began and did not finish."""
    this = (DATASET.c.id == dataset_id) & (DATASET.c.row_count == UNFINISHED) & (DATASET.c.owner == owner)
    if connection.execute(select(DATASET.c.id).where(this)).scalar() is not None:
        connection.execute(delete(DATASET_ROW).where(DATASET_ROW.c.dataset_id == dataset_id))
        connection.execute(delete(DATASET).where(this))


def drop_abandoned(connection: Connection) -> int:
    """Takes back what dead processes left half written, and returns how many datasets that were."""
    left = connection.execute(select(DATASET.c.id, DATASET.c.owner).where(DATASET.c.row_count == UNFINISHED)).all()
    gone = [found for found in left if is_surely_dead(found.owner)]
    for found in gone:
        drop_unfinished(connection, found.id, owner=found.owner)
    return len(gone)


def _batches(rows: Iterable[tuple[str, Sequence[str]]]) -> Iterator[Sequence[tuple[str, Sequence[str]]]]:
    source = iter(rows)
    while batch := list(islice(source, BATCH)):
        yield batch


def get_dataset(connection: Connection, dataset_id: str) -> StoredDataset:
    """A dataset by id, or the newest version by name. Raises NotFound."""
    row = connection.execute(select(DATASET).where(DATASET.c.id == dataset_id, FINISHED)).one_or_none()
    if row is None:
        query = (
            select(DATASET).where(DATASET.c.name == dataset_id, FINISHED).order_by(DATASET.c.version.desc()).limit(1)
        )
        row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"There is no dataset {dataset_id!r}.", cure="`assay datasets` lists them.")
    return _dataset(row)


def list_datasets(connection: Connection, *, limit: int = 100, offset: int = 0) -> list[StoredDataset]:
    """Datasets, newest first."""
    query = select(DATASET).where(FINISHED).order_by(DATASET.c.created_ms.desc()).limit(limit).offset(offset)
    return [_dataset(row) for row in connection.execute(query)]


def list_versions(connection: Connection, name: str, *, limit: int = 100, offset: int = 0) -> list[StoredDataset]:
    """The versions of a dataset, newest first."""
    query = select(DATASET).where(DATASET.c.name == name, FINISHED).order_by(DATASET.c.version.desc())
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
    found = connection.execute(query.where(DATASET_ROW.c.position < count))
    return dict(found.cursor.fetchall()) if found.cursor is not None else {}  # no row object for each of very many


def policy_of(connection: Connection, dataset_id: str) -> dict[str, Any]:
    """The data policy of the dataset that a version belongs to; {}: none."""
    found = connection.execute(
        select(DATASET_NAME.c.policy_json)
        .join(DATASET, DATASET.c.name == DATASET_NAME.c.name)
        .where(DATASET.c.id == dataset_id)
    ).scalar()
    return dict(json.loads(found)) if found else {}
