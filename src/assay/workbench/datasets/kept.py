"""Datasets: reading uploads, keeping them, examples."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from assay.datasets.identity import content_hash, row_keys
from assay.datasets.reader import read_table
from assay.datasets.roles import answer_columns, guess_roles
from assay.datasets.table import Finding, ReadOptions, Table
from assay.domain.score import GraderSpec
from assay.errors import ImportRefused, NotFound
from assay.places import EXAMPLES
from assay.store import datasets as stored
from assay.store.datasets import StoredDataset
from assay.workbench.datasets.importing import import_file

if TYPE_CHECKING:
    from assay.workbench.session import Session

__all__ = ["Finding", "StoredDataset", "Table"]


@dataclass(frozen=True, slots=True)
class Example:
    """A dataset that comes with Assay, and what to try with it."""

    name: str
    title: str
    path: Path
    description: str
    system: str
    user: str
    expected: str | None
    grader: GraderSpec | None


def examples() -> list[Example]:
    """The bundled datasets; none where the folder is absent."""
    index = EXAMPLES / "examples.json"
    if not index.is_file():
        return []
    return [
        Example(
            e["name"],
            e["title"],
            EXAMPLES / e["file"],
            e["description"],
            e.get("system", ""),
            e["user"],
            e.get("expected"),
            GraderSpec.from_json(e["grader"]) if e.get("grader") else None,
        )
        for e in json.loads(index.read_text("utf-8"))
    ]


def read_upload(
    session: Session, content: bytes | Path, *, filename: str = "", options: ReadOptions | None = None
) -> Table:
    """The table in an uploaded file. Raises ImportRefused with what is wrong and the cure."""
    limit = session.settings.upload_limit_mb * 1024 * 1024
    return read_table(content, filename=filename, options=replace(options or ReadOptions(), max_bytes=limit))


def save_table(
    session: Session, table: Table, *, name: str, source: str = "", roles: Mapping[str, str] | None = None
) -> StoredDataset:
    """Keeps a table as a dataset; the same content is the same dataset. Raises ImportRefused when it has no rows."""
    if not table.rows:
        raise ImportRefused("The file has a header but no rows.", cure="Add at least one row.")
    given = dict(roles) if roles is not None else guess_roles(table.columns)
    keys = row_keys(table.columns, table.rows, id_column=given.get("id"), answers=answer_columns(given))
    findings = json.dumps([asdict(finding) for finding in table.findings], ensure_ascii=False)
    dataset_id = session.store.writer.call(
        lambda c: stored.save_dataset(
            c,
            content_hash=content_hash(table.columns, table.rows),
            name=name,
            columns=table.columns,
            rows=zip(keys, table.rows, strict=True),
            roles=given,
            source=source,
            findings_json=findings,
        )
    )
    return get_dataset(session, dataset_id)


def get_dataset(session: Session, dataset_id: str) -> StoredDataset:
    """A dataset by id or name. Raises NotFound."""
    with session.store.read() as connection:
        return stored.get_dataset(connection, dataset_id)


def warnings_of(dataset: StoredDataset) -> list[str]:
    """What was noticed in a dataset's file that changes what is sent, in words."""
    found = (Finding(**{**given, "lines": tuple(given["lines"])}) for given in dataset.findings)
    return [finding.words for finding in found if finding.severity == "warning"]


def list_datasets(session: Session, *, limit: int = 100) -> list[StoredDataset]:
    """Datasets, newest first."""
    with session.store.read() as connection:
        return stored.list_datasets(connection, limit=limit)


def dataset_rows(session: Session, dataset_id: str, *, start: int = 0, count: int = 10) -> list[dict[str, str]]:
    """Rows start..start+count-1 as dictionaries."""
    with session.store.read() as connection:
        found = stored.rows_of(connection, stored.get_dataset(connection, dataset_id), start=start, count=count)
    return [dict(row.values) for row in found]


def open_dataset(session: Session, given: str) -> StoredDataset:
    """A dataset by what a user typed: a file, a stored id or name, or an example. Raises NotFound, ImportRefused."""
    path = Path(given)
    if path.is_file():
        return import_file(session, path, folder=path.parent).dataset
    for example in examples():
        if given in (example.name, example.path.name):
            table = read_upload(session, example.path)
            return save_table(session, table, name=example.name, source=example.path.name)
    try:
        return get_dataset(session, given)
    except NotFound:
        names = ", ".join(example.name for example in examples())
        cure = f"Give a path, an id from `assay datasets`, or an example: {names}."
        raise NotFound(f"{given!r} is no file, dataset or example.", cure=cure) from None
