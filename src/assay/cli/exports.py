"""Files that a command writes: refused before anything is spent, written at the end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from assay.cli.terminal import UsageError, say
from assay.errors import DataError

if TYPE_CHECKING:
    from assay.workbench.session import Session


def check_outs(paths: list[Path], format_name: str | None = None) -> list[str]:
    """The export format of each file: the one named, else the one that its ending asks for. Raises UsageError for a
    file that cannot be written, before anything is spent."""
    if not paths:
        return []  # the exports are half of the program: a run that writes none starts without them
    from assay.workbench.results.exports import KINDS, kind_for, kind_of

    found = []
    for path in paths:
        try:
            kind = kind_of(format_name) if format_name else kind_for(path)
        except DataError as error:
            raise UsageError(error.message, cure=error.cure) from error
        if kind is None:
            endings = ", ".join(f".{kind.suffix}" for kind in KINDS.values())
            raise UsageError(
                f"{path} is not a kind of file that can be written.", cure=f"Use a name that ends in one of {endings}."
            )
        if not path.parent.is_dir():
            raise UsageError(f"The folder {path.parent} does not exist.")
        found.append(kind.name)
    return found


def write_outs(
    session: Session, run_id: str, paths: list[Path], *, format_name: str | None = None, redact: Sequence[str] = ()
) -> None:
    """Writes a run to files."""
    if not paths:
        return
    from assay.workbench.results.exports import export_run

    for path, kind in zip(paths, check_outs(paths, format_name), strict=True):
        export_run(session, run_id, kind, path, redact=redact)
        say(f"Wrote {path}")
