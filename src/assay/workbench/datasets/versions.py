"""Datasets over time: versions, tags, splits, and new versions out of old rows.

list_records, get_record          datasets by name, with what their versions share
rename, set_tags, make_splits     what the versions share
rows_page, RowChoice              rows by text, column values and split, paged in SQL
edit                              cells changed, rows added and deleted: a new version
derive                            the chosen rows, or a draw of them, as a dataset of their own or a new version
failed_rows                       the rows that a run did not get right, as a dataset
diff, delete_version              two versions side by side; a version that no run uses goes

A row keeps its key through every edit, so that comparisons still join it; only a new value in the id column makes it
another row. Whatever is made out of a dataset comes under its data policy.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from assay.datasets.identity import BUCKETS, KeySeries, content_hash, row_keys
from assay.datasets.roles import answer_columns
from assay.errors import DataError
from assay.store import dataset_names as names
from assay.store import dataset_rows as rows
from assay.store import datasets as stored
from assay.store.dataset_names import DatasetRecord
from assay.store.dataset_rows import Buckets, ColumnFilter, RowChange, RowFilter, VersionDiff
from assay.store.datasets import StoredDataset, StoredRow
from assay.workbench.results.cells import get_run
from assay.workbench.running.listing import RunSummary, summaries

if TYPE_CHECKING:
    from assay.workbench.session import Session

__all__ = ["ColumnFilter", "DatasetRecord", "RowChange", "StoredRow", "VersionDiff"]
LONGEST_NAME = 120
KeyedRow = tuple[str, list[str]]
Unsuccessful = Literal["failed", "errors", "either"]


# -- names, tags, splits ---------------------------------------------------------------------------------------


def list_records(session: Session, *, limit: int = 100, offset: int = 0, search: str = "") -> list[DatasetRecord]:
    """Datasets by name, the one with the newest version first."""
    with session.store.read() as connection:
        return names.dataset_records(connection, limit=limit, offset=offset, search=search)


def count_records(session: Session, *, search: str = "") -> int:
    """How many names there are."""
    with session.store.read() as connection:
        return names.count_datasets(connection, search=search)


def get_record(session: Session, name: str) -> DatasetRecord:
    """A dataset by its name, or by the id of a version. Raises NotFound."""
    with session.store.read() as connection:
        return names.dataset_record(connection, stored.get_dataset(connection, name).name)


def list_versions(session: Session, name: str, *, limit: int = 100, offset: int = 0) -> list[StoredDataset]:
    """The versions of a dataset, newest first."""
    with session.store.read() as connection:
        return stored.list_versions(connection, name, limit=limit, offset=offset)


def runs_by_version(session: Session, name: str) -> dict[str, int]:
    """Dataset id -> how many runs use it, for the versions that any run uses."""
    with session.store.read() as connection:
        return names.runs_by_version(connection, name)


def runs_of(session: Session, dataset_id: str, *, limit: int = 100) -> list[RunSummary]:
    """The runs over a version, newest first."""
    with session.store.read() as connection:
        return summaries(connection, names.runs_of(connection, dataset_id, limit=limit))


def _checked_name(name: str) -> str:
    name = " ".join(name.split())
    if not name or len(name) > LONGEST_NAME:
        raise DataError(f"A dataset's name has 1 to {LONGEST_NAME} characters, not {len(name)}.", cure="Change it.")
    return name


def rename(session: Session, name: str, new_name: str) -> None:
    """Gives all versions another name; tags, splits and policy go along. Raises NotFound, DataError, RunError."""
    new_name = _checked_name(new_name)
    session.store.writer.call(lambda c: names.rename(c, name, new_name))


def set_tags(session: Session, name: str, tags: Iterable[str]) -> tuple[str, ...]:
    """Replaces the tags, each once and without surrounding blanks. Raises NotFound."""
    clean = tuple(dict.fromkeys(tag for tag in (" ".join(t.split())[:60] for t in tags) if tag))
    record = get_record(session, name)
    session.store.writer.call(lambda c: names.set_tags(c, record.name, clean))
    return clean


class Split(NamedTuple):
    """A named part of a version's rows."""

    name: str
    rows: int
    share: int | None
    """Percent asked for; None: the split stands in a column."""


def split_column(dataset: StoredDataset) -> str | None:
    """The column that names each row's split; None: there is none."""
    found = dataset.roles.get("split") or next((c for c in dataset.columns if c.strip().lower() == "split"), None)
    return found if found in dataset.columns else None


def make_splits(session: Session, name: str, shares: Mapping[str, int]) -> None:
    """Splits the rows by a hash of their key, the same for every version: a row never changes sides, however many are
    added. shares: split -> percent, 100 in all; {} takes the splits back. Raises NotFound, DataError."""
    record = get_record(session, name)
    if column := split_column(record.newest):
        raise DataError(f"The column {column!r} names the splits already.", cure="Edit that column.")
    clean = {part.strip(): percent for part, percent in shares.items()}
    if clean and (sum(clean.values()) != 100 or min(clean.values()) < 1 or "" in clean or len(clean) < 2):
        given = ", ".join(f"{part!r} {percent} %" for part, percent in clean.items())
        raise DataError(f"Splits need two names and 100 % in all, not {given}.", cure="Such as train 80, test 20.")
    session.store.writer.call(lambda c: names.set_splits(c, record.name, clean))


def _buckets(shares: Mapping[str, int], split: str) -> Buckets | None:
    low = 0
    for part, percent in shares.items():
        high = low + percent * BUCKETS // 100
        if part == split:
            return Buckets(low, high)
        low = high
    return None


def splits_of(session: Session, dataset: StoredDataset) -> list[Split]:
    """The splits of a version with their rows: those in its column, else those made by hash; none: []."""
    with session.store.read() as connection:
        if column := split_column(dataset):
            return [Split(part, n, None) for part, n in rows.column_counts(connection, dataset, column)]
        shares = names.dataset_record(connection, dataset.name).splits
        return [
            Split(part, rows.count_rows(connection, dataset, RowFilter(buckets=_buckets(shares, part))), percent)
            for part, percent in shares.items()
        ]


# -- rows ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RowChoice:
    """Which rows are meant, in a user's words; everything empty: all of them."""

    search: str = ""
    columns: tuple[ColumnFilter, ...] = ()
    split: str = ""

    def in_words(self) -> str:
        """The choice in a line; empty: all rows."""
        parts = [f"split {self.split}"] if self.split else []
        parts += [f"{f.column} {f.kind} {f.value!r}" for f in self.columns]
        return ", ".join([*parts, *([f"text {self.search!r}"] if self.search else [])])


@dataclass(frozen=True, slots=True)
class DatasetPage:
    """A page of rows; total counts all that the choice lets through."""

    total: int
    rows: list[StoredRow]


def _filter(connection: Any, dataset: StoredDataset, choice: RowChoice) -> RowFilter:
    for wanted in choice.columns:
        if wanted.column not in dataset.columns:
            raise DataError(
                f"The dataset has no column {wanted.column!r}.", cure=f"There are: {', '.join(dataset.columns)}."
            )
    if not choice.split:
        return RowFilter(choice.search, choice.columns)
    if column := split_column(dataset):
        return RowFilter(choice.search, (*choice.columns, ColumnFilter(column, "is", choice.split)))
    buckets = _buckets(names.dataset_record(connection, dataset.name).splits, choice.split)
    if buckets is None:
        raise DataError(f"There is no split {choice.split!r}.", cure="Make splits first.")
    return RowFilter(choice.search, choice.columns, buckets)


def rows_page(
    session: Session, dataset_id: str, choice: RowChoice | None = None, *, page: int = 1, size: int = 50
) -> DatasetPage:
    """A page of a version's rows, from 1. Raises NotFound, DataError for a column or split that does not exist."""
    with session.store.read() as connection:
        dataset = stored.get_dataset(connection, dataset_id)
        chosen = _filter(connection, dataset, choice or RowChoice())
        total = rows.count_rows(connection, dataset, chosen)
        return DatasetPage(total, rows.rows_page(connection, dataset, chosen, page=page, size=size))


def column_values(session: Session, dataset: StoredDataset, column: str, *, limit: int = 30) -> list[tuple[str, int]]:
    """(value, rows) of a column, the most frequent first."""
    with session.store.read() as connection:
        return rows.column_counts(connection, dataset, column, limit=limit)


# -- new versions ----------------------------------------------------------------------------------------------


class Made(NamedTuple):
    """A dataset that was made, and whether its content is new."""

    dataset: StoredDataset
    is_new: bool
    """False: exactly these rows were a dataset already, and this is it."""


def _save(
    session: Session, source: StoredDataset, name: str, note: str, produce: Callable[[Any], Iterator[KeyedRow]]
) -> Made:
    """Stores what `produce` gives as a version of `name`, under the policy of the source. It is read twice: once for
    the content hash, once to be written, so that no table stands in memory."""
    with session.store.read() as connection:
        digest = content_hash(source.columns, (values for _, values in produce(connection)))

    def write(connection: Any) -> tuple[str, int]:
        before = names.count_versions(connection)
        dataset_id = stored.save_dataset(
            connection,
            content_hash=digest,
            name=name,
            columns=source.columns,
            rows=produce(connection),
            roles=source.roles,
            source=note,
        )
        names.inherit_policy(connection, source.name, stored.get_dataset(connection, dataset_id).name)
        return dataset_id, names.count_versions(connection) - before

    dataset_id, added = session.store.writer.call(write)
    with session.store.read() as connection:
        return Made(stored.get_dataset(connection, dataset_id), added > 0)


@dataclass(frozen=True, slots=True)
class RowEdits:
    """What to change in a version."""

    changed: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Row key -> column -> new value."""
    added: Sequence[Mapping[str, str]] = ()
    """New rows, at the end; columns that are absent are empty."""
    deleted: Collection[str] = ()
    """Row keys."""


def edit(session: Session, dataset_id: str, edits: RowEdits) -> Made:
    """A new version with the edits; the old one stays as it is. Raises NotFound, DataError.

    An edited row keeps its key, unless the value in the id column changed: then that is its key.
    """
    with session.store.read() as connection:
        dataset = stored.get_dataset(connection, dataset_id)
        known = set(stored.row_keys(connection, dataset.id, count=dataset.row_count).values())
    _check_edits(dataset, known, edits)
    if len(known) == len(set(edits.deleted)) and not edits.added:
        raise DataError("Every row would be deleted.", cure="Keep at least one, or delete the version instead.")
    made = _save(
        session,
        dataset,
        dataset.name,
        f"version {dataset.version}, edited",
        lambda connection: _edited(connection, dataset, known, edits),
    )
    if made.dataset.id == dataset.id:
        raise DataError("Nothing was changed.", cure="Edit a cell, or add or delete a row.")
    return made


def _check_edits(dataset: StoredDataset, known: Collection[str], edits: RowEdits) -> None:
    unknown = [key for key in (*edits.changed, *edits.deleted) if key not in known]
    if unknown:
        raise DataError(f"There is no row {unknown[0]!r} in this version.", cure="Open the newest version.")
    for values in (*edits.changed.values(), *edits.added):
        if strange := [column for column in values if column not in dataset.columns]:
            raise DataError(
                f"The dataset has no column {strange[0]!r}.", cure=f"There are: {', '.join(dataset.columns)}."
            )


def _edited(connection: Any, dataset: StoredDataset, known: Collection[str], edits: RowEdits) -> Iterator[KeyedRow]:
    deleted = set(edits.deleted)
    id_column = dataset.roles.get("id")
    keys = KeySeries(known)
    for row in rows.each_row(connection, dataset, RowFilter()):
        if row.key in deleted:
            continue
        values = {**row.values, **edits.changed.get(row.key, {})}
        key = row.key
        if id_column in dataset.columns and values[id_column].strip() != row.values[id_column].strip():
            key = keys.take(values[id_column].strip() or row.key)
        yield key, [values[column] for column in dataset.columns]
    added = [[values.get(column, "") for column in dataset.columns] for values in edits.added]
    found = row_keys(dataset.columns, added, id_column=id_column, answers=answer_columns(dataset.roles))
    yield from ((keys.take(key), values) for key, values in zip(found, added, strict=True))


def derive(
    session: Session,
    dataset_id: str,
    *,
    name: str,
    choice: RowChoice | None = None,
    sample: int | None = None,
    seed: int = 0,
) -> Made:
    """The chosen rows, or `sample` of them drawn by a seed, as a dataset: a new one, or a new version of `name`.

    Rows keep their keys, and the dataset comes under the policy of the one it was made of. Raises NotFound, DataError.
    """
    name, choice = _checked_name(name), choice or RowChoice()
    with session.store.read() as connection:
        dataset = stored.get_dataset(connection, dataset_id)
        chosen = _filter(connection, dataset, choice)
        total = rows.count_rows(connection, dataset, chosen)
        if not total:
            raise DataError("No row fits, so there is nothing to keep.", cure="Change the filters.")
        if sample is not None and sample < 1:
            raise DataError(f"A draw of {sample} rows is empty.", cure="Draw at least one.")
        positions = None if sample is None else rows.drawn(connection, dataset, chosen, count=sample, seed=seed)

    def produce(connection: Any) -> Iterator[KeyedRow]:
        found = (
            rows.each_row(connection, dataset, chosen)
            if positions is None
            else rows.rows_at(connection, dataset, positions)
        )
        return ((row.key, list(row.values.values())) for row in found)

    said = [f"{len(positions):,} drawn with seed {seed}"] if positions is not None else []
    said += [choice.in_words()] if choice.in_words() else []
    return _save(
        session, dataset, name, f"{dataset.name} version {dataset.version}: {', '.join(said) or 'all rows'}", produce
    )


def failed_rows(
    session: Session, run_id: str, *, kind: Unsuccessful = "either", contestant: int | None = None, name: str = ""
) -> Made:
    """The rows of a run that did not get a passing answer, as a dataset.

    kind: failed = an answer did not pass, errors = a cell has no answer. contestant: its index; None: of anyone.
    Raises NotFound, DataError when there is none.
    """
    run = get_run(session, run_id)
    name = _checked_name(name or f"{run.dataset.name[:70]}, failed rows")
    with session.store.read() as connection:
        positions = rows.unsuccessful_rows(connection, run.id, kind, contestant=contestant)
    if not positions and not run.plan.graders:
        raise DataError("The run has no graders, so no row of it failed.", cure="Look at a run that was graded.")
    if not positions:
        raise DataError("No row of the run is of that kind: there is no failed one.", cure="Look at another run.")

    def produce(connection: Any) -> Iterator[KeyedRow]:
        return ((row.key, list(row.values.values())) for row in rows.rows_at(connection, run.dataset, positions))

    return _save(session, run.dataset, name, f"failed rows of run {run.id}", produce)


def diff(session: Session, old_id: str, new_id: str) -> VersionDiff:
    """What lies between two versions, rows joined by their key. Raises NotFound."""
    with session.store.read() as connection:
        return rows.diff(connection, stored.get_dataset(connection, old_id), stored.get_dataset(connection, new_id))


def delete_version(session: Session, dataset_id: str) -> None:
    """Deletes a version and its rows. Raises NotFound, RunError when a run uses it."""
    session.store.writer.call(lambda c: names.delete_version(c, dataset_id))
