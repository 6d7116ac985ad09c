"""Commands over stored datasets: the list, and below it policy, tag, split, rows, derive, failed, rename, delete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from assay.cli.options import AsJson
from assay.cli.terminal import UsageError, app, opened, out, print_json, print_json_text, say

if TYPE_CHECKING:
    from assay.workbench.datasets.kept import StoredDataset
    from assay.workbench.datasets.versions import DatasetRecord, Made, RowChoice
    from assay.workbench.session import Session

group = typer.Typer(help="List the stored datasets, newest first; or change one.")
app.add_typer(group, name="datasets")
Name = Annotated[str, typer.Argument(metavar="DATASET", help="Name of a dataset, or id of a version.")]
Where = Annotated[
    list[str], typer.Option("--where", help="COLUMN=VALUE, COLUMN!=VALUE or COLUMN~TEXT (contains); several.")
]
Search = Annotated[str, typer.Option(help="Text in any column.")]
InSplit = Annotated[str, typer.Option("--split", help="A split of the dataset.")]


@group.callback(invoke_without_command=True)
def datasets(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List the stored datasets, newest first; or change one."""
    if context.invoked_subcommand is not None:
        return
    from assay.workbench.datasets import kept as workbench

    with opened() as session:
        found = workbench.list_datasets(session, limit=limit)
        records = {name: _record(session, name) for name in dict.fromkeys(d.name for d in found)}
    if as_json:
        print_json([{**_version_json(d), **_shared_json(records[d.name])} for d in found])
        return
    for d in found:
        out(_line(d, records[d.name]))
    if not found:
        out("There are no datasets yet. `assay import FILE` keeps one.")


def _record(session: Session, name: str) -> DatasetRecord:
    from assay.workbench.datasets import versions

    return versions.get_record(session, name)


def _version_json(d: StoredDataset) -> dict[str, Any]:
    return {
        "dataset": d.id,
        "name": d.name,
        "version": d.version,
        "rows": d.row_count,
        "columns": d.columns,
        "source": d.source,
        "findings": d.findings,
    }


def _shared_json(record: DatasetRecord) -> dict[str, Any]:
    return {"tags": record.tags, "splits": dict(record.splits), "policy": dict(record.policy)}


def _line(d: StoredDataset, record: DatasetRecord) -> str:
    from assay.workbench.running.policies import in_words

    noticed = f"  {len(d.findings)} finding{'s' if len(d.findings) > 1 else ''}" if d.findings else ""
    tags = "".join(f"  #{tag}" for tag in record.tags)
    policy = f"  [{in_words(record.policy)}]" if record.policy else ""
    columns = ", ".join(d.columns)[:60]
    return f"{d.id}  {d.name} version {d.version}  {d.row_count:,} rows{noticed}{tags}{policy}  {columns}"


@group.command()
def policy(
    dataset: Name,
    zdr: Annotated[bool, typer.Option("--zdr", help="Only providers that retain nothing.")] = False,
    no_training: Annotated[bool, typer.Option("--no-training", help="No providers that train on prompts.")] = False,
    only: Annotated[str, typer.Option(help="Allowed providers by slug, comma separated.")] = "",
    none: Annotated[bool, typer.Option("--none", help="No policy at all.")] = False,
    loosen: Annotated[bool, typer.Option("--loosen", help="Agree to a policy that allows more than before.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the data policy of a dataset, or set exactly the one given: every call on its rows carries it."""
    from assay.workbench.running import policies

    wanted = policies.make_policy(zdr=zdr, no_training=no_training, only=only.split(","))
    if none and wanted:
        raise UsageError("--none excludes --zdr, --no-training and --only.")
    with opened() as session:
        if wanted or none:
            session.ready()
            done = policies.set_policy(session, dataset, wanted, loosen=loosen)
            if done.paused:
                say(f"Runs that began under the old policy were paused: {done.paused}. `assay continue` goes on.")
        record = _record(session, dataset)
    if as_json:
        print_json({"name": record.name, **_shared_json(record)})
    else:
        out(f"{record.name}: {policies.in_words(record.policy) or 'no data policy'}")


@group.command()
def tag(
    dataset: Name, tags: Annotated[list[str] | None, typer.Argument(help="All its tags; none clears.")] = None
) -> None:
    """Give a dataset its tags."""
    from assay.workbench.datasets import versions

    with opened() as session:
        kept = versions.set_tags(session, _record(session, dataset).name, tags or ())
    out(", ".join(kept) or "No tags.")


@group.command()
def split(
    dataset: Name,
    parts: Annotated[list[str] | None, typer.Argument(metavar="NAME=PERCENT", help="Such as train=80 test=20.")] = None,
) -> None:
    """Show the splits of a dataset, or make them by a hash of the row keys: rows never change sides."""
    from assay.workbench.datasets import versions

    shares = {}
    for part in parts or ():
        name, _, percent = part.partition("=")
        if not percent.isdigit():
            raise UsageError(f"{part!r} is not NAME=PERCENT.")
        shares[name] = int(percent)
    with opened() as session:
        record = _record(session, dataset)
        if shares:
            versions.make_splits(session, record.name, shares)
        found = versions.splits_of(session, record.newest)
    for made in found:
        out(f"{made.name}: {made.rows:,} rows")
    if not found:
        out("No splits. `assay datasets split NAME train=80 test=20` makes them.")


def _choice(search: str, where: list[str], in_split: str) -> RowChoice:
    from assay.workbench.datasets.versions import ColumnFilter, RowChoice

    kinds = {"!=": "is not", "~": "contains", "=": "is"}
    columns = []
    for given in where:
        sign = next((sign for sign in kinds if sign in given), None)
        if sign is None:
            raise UsageError(f"--where {given!r} is not COLUMN=VALUE, COLUMN!=VALUE or COLUMN~TEXT.")
        column, _, value = given.partition(sign)
        columns.append(ColumnFilter(column.strip(), kinds[sign], value))  # type: ignore[arg-type]
    return RowChoice(search, tuple(columns), in_split)


@group.command()
def rows(
    dataset: Name,
    search: Search = "",
    where: Where = [],  # noqa: B006 - typer copies it
    in_split: InSplit = "",
    page: Annotated[int, typer.Option(min=1, help="Which page of them.")] = 1,
    size: Annotated[int, typer.Option(min=1, max=1000, help="Rows of a page.")] = 50,
) -> None:
    """Print rows of a dataset as JSON lines, each with its key."""
    import json

    from assay.workbench.datasets import versions

    with opened() as session:
        found = versions.rows_page(session, dataset, _choice(search, where, in_split), page=page, size=size)
    for row in found.rows:
        print_json_text(json.dumps({"key": row.key, **row.values}, ensure_ascii=False))
    say(f"{len(found.rows):,} of {found.total:,} rows")


@group.command()
def derive(
    dataset: Name,
    name: Annotated[str, typer.Option(help="Name of the new dataset, or of one that gets a new version.")],
    search: Search = "",
    where: Where = [],  # noqa: B006
    in_split: InSplit = "",
    sample: Annotated[int | None, typer.Option(min=1, help="Draw this many rows.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed draws the same rows.")] = 0,
) -> None:
    """Keep the chosen rows, or a draw of them, as a dataset; keys and data policy come along."""
    from assay.workbench.datasets import versions

    with opened() as session:
        _print_made(
            versions.derive(
                session, dataset, name=name, choice=_choice(search, where, in_split), sample=sample, seed=seed
            )
        )


@group.command()
def failed(
    run_id: Annotated[str, typer.Argument(metavar="RUN")],
    name: Annotated[str, typer.Option(help="Name of the dataset; made from the old one's when absent.")] = "",
) -> None:
    """Keep the rows of a run that got no passing answer as a dataset."""
    from assay.workbench.datasets import versions

    with opened() as session:
        _print_made(versions.failed_rows(session, run_id, name=name))


def _print_made(made: Made) -> None:
    d = made.dataset
    there = "" if made.is_new else "  (it was there already)"
    out(f"{d.id}  {d.name} version {d.version}: {d.row_count:,} rows{there}")


@group.command()
def rename(dataset: Name, new_name: str) -> None:
    """Give a dataset another name; tags, splits and data policy go along."""
    from assay.workbench.datasets import versions

    with opened() as session:
        versions.rename(session, _record(session, dataset).name, new_name)


@group.command()
def delete(version: Annotated[str, typer.Argument(metavar="VERSION", help="Id of a version.")]) -> None:
    """Delete a version that no run uses."""
    from assay.workbench.datasets import versions

    with opened() as session:
        versions.delete_version(session, version)
