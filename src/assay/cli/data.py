"""Commands for datasets: import, datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from assay.cli.options import AsJson
from assay.cli.terminal import app, opened, print_json


@app.command("import")
def import_(file: Path, name: Annotated[str, typer.Option()] = "", as_json: AsJson = False) -> None:
    """Keep a file as a dataset and say what was noticed in it."""
    from assay.workbench import datasets

    with opened() as rt:
        found = datasets.read_upload(rt, file)
        kept = datasets.save_table(rt, found, name=name or file.stem, source=file.name)
    findings = [{"kind": f.kind, "count": f.count, "message": f.message, "lines": f.lines} for f in found.findings]
    if as_json:
        print_json({"dataset": kept.id, "name": kept.name, "version": kept.version, "rows": kept.row_count,
                    "columns": kept.columns, "read_as": found.dialect.describe(), "findings": findings})  # fmt: skip
        return
    print(f"{kept.id}  {kept.name} version {kept.version}: {kept.row_count:,} rows, {found.dialect.describe()}")
    for finding in found.findings:
        print(f"- {finding.message} {finding.cure}".rstrip())


@app.command()
def datasets() -> None:
    """List the stored datasets."""
    from assay.workbench import datasets as workbench

    with opened() as rt:
        for d in workbench.list_datasets(rt):
            print(f"{d.id}  {d.name} version {d.version}  {d.row_count:,} rows  {', '.join(d.columns)[:60]}")
