"""Commands that bring something in: import for data, import-run for the archive of a run."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from assay.cli.options import AsJson
from assay.cli.progress import share_bar
from assay.cli.terminal import UsageError, app, opened, out, print_json
from assay.money import format_usd, from_pico

Encoding = Annotated[str | None, typer.Option(help="Such as utf-8 or cp1252; found out when absent.")]
Delimiter = Annotated[str | None, typer.Option(help="One character; found out when absent.")]
Sheet = Annotated[str | None, typer.Option(help="Sheet of a workbook; the first when absent.")]
NoHeader = Annotated[bool, typer.Option("--no-header", help="The first row is data; columns are numbered.")]
SkipBadRows = Annotated[bool, typer.Option("--skip-bad-rows", help="Leave out rows of a wrong width or size.")]
StripControl = Annotated[bool, typer.Option("--strip-control", help="Take out control and invisible characters.")]
BadRowsFile = Annotated[Path | None, typer.Option("--bad-rows", help="Write the rows that did not fit to this CSV.")]


@app.command("import")
def import_(
    file: Path,
    name: Annotated[str, typer.Option(help="Name of the dataset; the file's when absent.")] = "",
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    sheet: Sheet = None,
    no_header: NoHeader = False,
    skip_bad_rows: SkipBadRows = False,
    strip_control: StripControl = False,
    bad_rows: BadRowsFile = None,
    as_json: AsJson = False,
) -> None:
    """Keep a file as a dataset and say what was noticed in it, with line numbers."""
    from assay.datasets.table import ReadOptions
    from assay.workbench.datasets import importing

    if delimiter is not None and len(delimiter) != 1:
        raise UsageError(f"--delimiter {delimiter!r} is not one character.")
    options = ReadOptions(
        delimiter=delimiter,
        encoding=encoding,
        sheet=sheet,
        header=not no_header,
        bad_rows="skip" if skip_bad_rows else "pad",
        control="strip" if strip_control else "keep",
    )
    with opened() as session, share_bar(f"Importing {file.name}") as on_share:
        found = importing.import_file(session, file, name=name, options=options, on_share=on_share, folder=file.parent)
    kept = found.dataset
    if bad_rows is not None:
        try:
            if not bad_rows.exists():
                bad_rows.touch(mode=0o600)
            bad_rows.write_text(importing.bad_rows_csv(found.bad_rows), "utf-8-sig", newline="")
        except OSError as error:
            raise UsageError(f"{bad_rows} cannot be written: {error.strerror}.", cure="Check the path.") from error
    if as_json:
        print_json(
            {
                "dataset": kept.id,
                "name": kept.name,
                "version": kept.version,
                "rows": kept.row_count,
                "columns": kept.columns,
                "roles": dict(kept.roles),
                "read_as": found.dialect.describe(),
                "findings": [asdict(finding) for finding in found.findings],
            }
        )
        return
    out(f"{kept.id}  {kept.name} version {kept.version}: {kept.row_count:,} rows, {found.dialect.describe()}")
    out(f"Columns: {', '.join(kept.columns)}")
    for finding in found.findings:
        out(f"- {finding.words}")
    if not found.findings:
        out("Nothing unusual was noticed.")


@app.command("import-run")
def import_run(file: Path, as_json: AsJson = False) -> None:
    """Take in the archive of a run (`assay export RUN --out run.archive.jsonl`) as the run that it was.

    Its calls keep their dates: they count as spend of their own months, here too.
    """
    from assay.workbench.results import archives

    with opened() as session:
        found = archives.import_run(session, file)
    if as_json:
        print_json(
            {
                "run": found.id,
                "name": found.name,
                "state": found.state,
                "cells": found.cells,
                "done": found.results,
                "calls": found.calls,
                "cost_usd": from_pico(found.spent_pico),
                "unknown_calls": found.unknown_calls,
                "dataset": found.dataset_id,
            }
        )
        return
    unknown = f" and {found.unknown_calls:,} of unknown cost" if found.unknown_calls else ""
    out(
        f"{found.id}  {found.name}: {found.results:,} of {found.cells:,} cells, {found.calls:,} calls, "
        f"{format_usd(found.spent_pico)}{unknown}, {found.state}"
    )
