"""Files that a command writes: refused before anything is spent, written at the end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from assay.cli.terminal import UsageError, say
from assay.errors import DataError

if TYPE_CHECKING:
    from assay.workbench.runtime import Runtime


def check_outs(paths: list[Path]) -> None:
    """Raises UsageError for a file that cannot be written, before anything is spent."""
    for path in paths:
        if path.suffix.lower() != ".csv":
            raise UsageError(f"{path} is not a kind of file that can be written.", cure="Use a name that ends in .csv.")
        if not path.parent.is_dir():
            raise UsageError(f"The folder {path.parent} does not exist.")


def write_outs(rt: Runtime, run_id: str, paths: list[Path]) -> None:
    """Writes the rows of a run to files."""
    from assay.workbench import results

    for path in paths:
        try:
            path.write_bytes(results.export_csv(rt, run_id))
        except OSError as error:
            raise DataError(f"{path} cannot be written: {error.strerror}.") from error
        say(f"Wrote {path}")
