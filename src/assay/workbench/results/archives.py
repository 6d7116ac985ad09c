"""Runs that come back: an archive, written by the export of that name, as a run of this workbench."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from errno import EIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from assay.datasets.source import size_of
from assay.errors import ImportRefused
from assay.exports import archive
from assay.store import archives
from assay.store.archive_shapes import Archive, check_archive

if TYPE_CHECKING:
    from assay.workbench.session import Session


@dataclass(frozen=True, slots=True)
class ImportedRun:
    """A run that was taken in."""

    id: str
    name: str
    state: str
    cells: int
    results: int
    calls: int
    spent_pico: int
    """The known costs of its calls; they count in the months in which they were made."""
    unknown_calls: int
    dataset_id: str


def import_run(session: Session, path: Path) -> ImportedRun:
    """Takes in the archive of a run: the same run, with its results, scores, calls and costs, tagged `imported`.

    Its calls keep their times, so they count as spend of their own months, and never twice: a run that is here is
    refused. All of it is kept or nothing. Raises ImportRefused for a file that is no archive, was cut or changed,
    RunError when the run is here already.
    """
    with _opened(path) as file:
        found = check_archive(archive.read(file))
        session.store.writer.call(lambda c: _restore(c, found, file))
    return ImportedRun(
        found.run["id"],
        found.run["name"],
        found.run["state"],
        found.plan.cell_count,
        found.results,
        found.calls,
        found.known_pico,
        found.unknown_calls,
        found.dataset["id"],
    )


def _restore(connection: Any, found: Archive, file: BinaryIO) -> None:
    file.seek(0)
    try:
        archives.restore(connection, found, archive.read(file))
    except ImportRefused as error:
        # Something is written by now: only an error that the writer does not know undoes it.
        raise OSError(EIO, "it was changed while it was read") from error


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    size_of(path)
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise ImportRefused(f"{path} cannot be read: {error.strerror}.", cure="Check the path.") from error
