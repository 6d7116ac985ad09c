"""A file of any size becomes a dataset: rows go through the disk, and in slices into the database beside other work."""

from __future__ import annotations

import csv
import io
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from assay.datasets.export import safe_cell
from assay.datasets.identity import ContentHash, RowKeys
from assay.datasets.reader import TableFile, open_table
from assay.datasets.roles import answer_columns, guess_roles
from assay.datasets.source import OnPart, told_of_full_disk
from assay.datasets.spool import keep_batch, kept_batches
from assay.datasets.table import BadRow, Dialect, Finding, ReadOptions
from assay.errors import ImportRefused
from assay.leftovers import mark, sweep
from assay.store import datasets as stored
from assay.store.datasets import StoredDataset
from assay.store.owner import end_owner, new_owner

if TYPE_CHECKING:
    from assay.workbench.session import Session

SLICE = 4
"""Batches of up to 1,000 rows of one transaction: short enough that a run at work does not wait for an import."""
AHEAD = 4
"""Slices that wait to be written."""
LOOK_S = 0.2
"""Seconds between two looks whether another import of the same rows has ended."""
STEP = 0.005
"""Share of the work that is worth telling."""
OnShare = Callable[[float], None]
"""Told the share of the work that is done, 0..1."""


@dataclass(frozen=True, slots=True)
class Imported:
    """A dataset and what was noticed in its file."""

    dataset: StoredDataset
    dialect: Dialect
    findings: tuple[Finding, ...]
    bad_rows: tuple[BadRow, ...]
    """The first 10,000 rows that were cut, filled up or left out."""


def import_file(
    session: Session,
    path: Path,
    *,
    name: str = "",
    source: str = "",
    options: ReadOptions | None = None,
    roles: Mapping[str, str] | None = None,
    on_share: OnShare | None = None,
    folder: Path | None = None,
) -> Imported:
    """Keeps a file as a dataset; the same content is the same dataset. Files may be of any size, but for workbooks.

    folder: whose files a configuration may name; None for a file that was uploaded, which names none of ours.
    Raises ImportRefused, having kept nothing.
    """
    options = replace(options or ReadOptions(), max_bytes=session.settings.upload_limit_mb * 1024 * 1024, folder=folder)
    name, source = name or path.stem, source or path.name
    shares = _Shares(on_share)
    sweep(Path(tempfile.gettempdir()))
    with open_table(path, filename=source, options=options, on_part=shares.part(0.0, 0.2)) as file:
        given = dict(roles) if roles is not None else guess_roles(file.columns)
        found = _keep(session, file, name, source, given, shares)
    shares.done()
    return found


def import_upload(
    session: Session,
    source: Path | BinaryIO,
    *,
    filename: str,
    options: ReadOptions,
    name: str = "",
    on_share: OnShare | None = None,
) -> Imported:
    """Keeps an uploaded file as a dataset: spooled to the disk, from where files of any size are read.

    Raises ImportRefused.
    """
    name = name or Path(filename).stem
    if isinstance(source, Path):
        return import_file(session, source, name=name, source=filename, options=options, on_share=on_share)
    sweep(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=f"{mark()}-") as folder:
        path = Path(folder) / f"upload{Path(filename).suffix.lower()}"
        with told_of_full_disk(), path.open("wb") as spooled:
            source.seek(0)
            shutil.copyfileobj(source, spooled, 1024 * 1024)
        return import_file(session, path, name=name, source=filename, options=options, on_share=on_share)


def _keep(
    session: Session, file: TableFile, name: str, source: str, roles: Mapping[str, str], shares: _Shares
) -> Imported:
    content, count = ContentHash(file.columns), 0
    with tempfile.TemporaryFile() as kept:
        with file.rows(shares.part(0.2, 0.6)) as rows:
            for batch in rows:
                content.add(batch)
                count += len(batch)
                keep_batch(kept, batch)
            findings, bad = rows.findings(), tuple(rows.notes.bad)
        if not count:
            raise ImportRefused(
                "The file has a header but no rows.", cure="Add a row, or choose that the file has no header."
            )
        told = json.dumps([asdict(finding) for finding in findings], ensure_ascii=False)
        with _named() as owner:
            begin = partial(
                stored.begin_dataset,
                content_hash=content.hex,
                name=name,
                columns=file.columns,
                roles=roles,
                source=source,
                owner=owner,
            )
            dataset_id = _begun(session, begin)
            if dataset_id is not None:
                with _taken_back_on_error(session, dataset_id, owner):
                    keys = RowKeys(file.columns, id_column=roles.get("id"), answers=answer_columns(roles))
                    _write(session, dataset_id, keys, kept_batches(kept), _counted(shares.part(0.6, 1.0), count))
                    session.store.writer.call(
                        lambda c: stored.finish_dataset(c, dataset_id, row_count=count, findings_json=told)
                    )
    with session.store.read() as connection:
        dataset = stored.get_dataset(connection, content.hex[:16])
    return Imported(dataset, file.dialect, findings, bad)


@contextmanager
def _named() -> Iterator[str]:
    """The name of an import, which is known to be alive while it lasts."""
    owner = new_owner()
    try:
        yield owner
    finally:
        end_owner(owner)


def _begun(session: Session, begin: Callable[..., str | None]) -> str | None:
    """The id of a dataset that was begun; None: it is kept already, by another import of the same rows too, for which
    this one waits."""
    while True:
        try:
            return session.store.writer.call(begin)
        except stored.BeingWritten:
            time.sleep(LOOK_S)


def _counted(on_part: OnPart | None, count: int) -> Callable[[int], None]:
    """Tells how many of the rows are done."""
    return lambda done: on_part(done, count) if on_part is not None else None


class _Shares:
    """Turns parts of one of the readings of a file into the share of the whole."""

    def __init__(self, on_share: OnShare | None) -> None:
        self._on_share = on_share
        self._last = -1.0

    def part(self, start: float, end: float) -> OnPart | None:
        """What a reading tells that takes the share from start to end."""
        if self._on_share is None:
            return None
        return lambda done, size: self._tell(start + (end - start) * min(1.0, done / max(1, size)))

    def _tell(self, share: float) -> None:
        if self._on_share is not None and share >= self._last + STEP:
            self._last = share
            self._on_share(share)

    def done(self) -> None:
        """The end."""
        if self._on_share is not None:
            self._on_share(1.0)


def _write(
    session: Session, dataset_id: str, keys: RowKeys, batches: Iterable[list[list[str]]], on_done: Callable[[int], None]
) -> None:
    waiting: list[Future[None]] = []
    position = 0
    for batch in _slices(batches):
        keyed = [(keys.of(row), row) for row in batch]
        write = partial(stored.add_rows, dataset_id=dataset_id, start=position, rows=keyed)
        waiting.append(session.store.writer.submit(write))
        position += len(batch)
        if len(waiting) >= AHEAD:
            waiting.pop(0).result()
        on_done(position)
    for future in waiting:
        future.result()


def _slices(rows: Iterable[list[list[str]]]) -> Iterator[list[list[str]]]:
    pending: list[list[str]] = []
    for number, batch in enumerate(rows, 1):
        pending += batch
        if number % SLICE == 0:
            yield pending
            pending = []
    if pending:
        yield pending


@contextmanager
def _taken_back_on_error(session: Session, dataset_id: str, owner: str) -> Iterator[None]:
    try:
        yield
    except BaseException:
        session.store.writer.call(lambda c: stored.drop_unfinished(c, dataset_id, owner=owner))
        raise


def bad_rows_csv(bad: Sequence[BadRow]) -> str:
    """Rows that could not be taken as they stand, as a CSV that is safe in a spreadsheet: line, reason, cells."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(["line", "reason", "cells"])
    for row in bad:
        writer.writerow([row.line, row.reason, *map(safe_cell, row.cells)])
    return out.getvalue()
