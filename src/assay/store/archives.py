"""Everything that the store keeps of a run, out as plain objects and in again.

What follows from the rest is neither written nor believed: places in the grid come from the plan, counts from the
results, spend from the calls. Calls that were restored have the owner `restored`, and their run the tag `imported`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Table, func, insert, select, update

from assay.domain.data_policy import strictest
from assay.errors import DataError, RunError
from assay.store import dataset_names
from assay.store.archive_shapes import (
    BATCH_FIELDS,
    CALL_FIELDS,
    DATASET_FIELDS,
    RESULT_FIELDS,
    RUN_FIELDS,
    SCORE_FIELDS,
    TEXT_FIELDS,
    Archive,
    Record,
    of_today,
    without,
)
from assay.store.datasets import get_dataset, policy_of, rows_of, save_dataset
from assay.store.growth import changes_of
from assay.store.ledger import book_restored
from assay.store.prompts import link_prompts
from assay.store.results import calls_without_result
from assay.store.runs import LIVE, get_run, plan_of
from assay.store.saving import preview_of
from assay.store.tables import CALL, DATASET, GATEWAY_BATCH, RESULT, RESULT_TEXT, RUN, RUN_CHANGE, SCORE

Clean = Callable[[str], str]
RESTORED = "restored"
"""Owner of the calls that came with an archive."""
MARK = "imported"
"""Tag of a run that came with an archive."""
PAGE = 1_000


# -- out ---------------------------------------------------------------------------------------------------------


def archived(connection: Connection, run_id: str, *, clean: Clean = str) -> Iterator[Record]:
    """The run and its dataset, the rows, the results with their calls, and what else belongs to it.

    clean: takes keys out of texts that came from the gateway. Raises DataError for a run that is not at rest.
    """
    run = get_run(connection, run_id)
    _refuse_unrest(connection, run)
    dataset = get_dataset(connection, run.dataset_id)
    stored = connection.execute(select(DATASET).where(DATASET.c.id == dataset.id)).one()
    tags = [tag for tag in json.loads(run.tags_json) if tag != MARK]
    yield {
        "kind": "run",
        "run": _picked(run, RUN_FIELDS) | {"reason": clean(run.reason), "tags": tags},
        "plan": plan_of(run).as_json(),
        "estimate": json.loads(run.estimate_json),
        "dataset": _picked(stored, DATASET_FIELDS)
        | {
            "columns": list(dataset.columns),
            "roles": dict(dataset.roles),
            "findings": list(dataset.findings),
            "policy": policy_of(connection, dataset.id),
        },
    }
    for start in range(0, dataset.row_count, PAGE):
        for row in rows_of(connection, dataset, start=start, count=PAGE):
            yield {"kind": "row", "key": row.key, "values": list(row.values.values())}
    yield from _results(connection, run.id, clean)
    for call in calls_without_result(connection, run.id):
        yield {"kind": "call", "cell": call.cell, **_call(call, clean)}
    query = select(GATEWAY_BATCH).where(GATEWAY_BATCH.c.run_id == run.id).order_by(GATEWAY_BATCH.c.id)
    for batch in connection.execute(query):
        yield {"kind": "batch", **_picked(batch, BATCH_FIELDS)}
    for change in changes_of(connection, run.id):
        yield {"kind": "change", "at_ms": change.at_ms, "change": change.kind, "detail": dict(change.detail)}


def _refuse_unrest(connection: Connection, run: Any) -> None:
    if run.state in LIVE:
        raise DataError("The run is at work; an archive needs it at rest.", cure="Pause it, or wait until it is done.")
    sent = connection.execute(select(func.count()).where(CALL.c.run_id == run.id, CALL.c.state == "sent")).scalar_one()
    if sent:
        raise DataError(f"{sent:,} calls of the run are not settled.", cure="Wait until they are, then export again.")


def _picked(row: Any, names: Iterable[str]) -> Record:
    return {name: getattr(row, name) for name in names}


def _call(row: Any, clean: Clean) -> Record:
    found = _picked(row, CALL_FIELDS) | {"tags": json.loads(row.tags_json)}
    return found | {"error": None if row.error is None else clean(row.error)}


def _results(connection: Connection, run_id: str, clean: Clean) -> Iterator[Record]:
    last = -1
    while True:
        query = select(RESULT).where(RESULT.c.run_id == run_id, RESULT.c.cell > last).order_by(RESULT.c.cell)
        results = connection.execute(query.limit(PAGE)).all()
        if not results:
            return
        last = results[-1].cell
        cells = [result.cell for result in results]
        texts = {row.cell: row for row in _of_cells(connection, RESULT_TEXT, run_id, cells, "cell")}
        scores = _grouped(connection, SCORE, run_id, cells, "grader")
        calls = _grouped(connection, CALL, run_id, cells, "created_ms", "id")
        for result in results:
            text = texts[result.cell]
            yield {
                "kind": "result",
                **_picked(result, RESULT_FIELDS),
                **{name: clean(getattr(text, name)) for name in TEXT_FIELDS},
                "scores": [_picked(s, SCORE_FIELDS) | {"reason": clean(s.reason)} for s in scores.get(result.cell, ())],
                "calls": [_call(call, clean) for call in calls.get(result.cell, ())],
            }


def _of_cells(connection: Connection, table: Table, run_id: str, cells: Sequence[int], *order: str) -> list[Any]:
    query = select(table).where(table.c.run_id == run_id, table.c.cell.in_(cells))
    return list(connection.execute(query.order_by(*(table.c[name] for name in order))))


def _grouped(
    connection: Connection, table: Table, run_id: str, cells: Sequence[int], *order: str
) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = {}
    for row in _of_cells(connection, table, run_id, cells, *order):
        found.setdefault(row.cell, []).append(row)
    return found


# -- in ----------------------------------------------------------------------------------------------------------


def restore(connection: Connection, archive: Archive, records: Iterable[Record]) -> None:
    """Keeps a checked archive. Raises RunError, having written nothing, when the run is here already."""
    run = archive.run
    if connection.execute(select(RUN.c.id).where(RUN.c.id == run["id"])).scalar() is not None:
        raise RunError(f"The run {run['id']} is here already.", cure=f"`assay show {run['id'][:12]}` shows it.")
    source = iter(records)
    next(source)
    following: list[Record] = []

    def rows() -> Iterator[tuple[str, list[str]]]:
        for record in source:
            if record["kind"] != "row":
                following.append(record)
                return
            yield record["key"], record["values"]

    _restore_dataset(connection, archive.dataset, rows())
    _insert_run(connection, archive)
    link_prompts(connection, run["id"], archive.plan.prompts)
    for page in _pages(chain(following, source)):
        _insert_page(connection, archive, page)
    book_restored(connection, run["id"], archive.spent)


def _restore_dataset(connection: Connection, found: Record, rows: Iterator[tuple[str, list[str]]]) -> None:
    """Keeps the dataset as it was, unless it is here; rows that come bring the policy that they were under."""
    here = connection.execute(select(DATASET.c.name).where(DATASET.c.id == found["id"])).scalar()
    if here is None:
        save_dataset(
            connection,
            content_hash=found["content_hash"],
            name=found["name"],
            columns=found["columns"],
            rows=rows,
            roles=found["roles"],
            source=found["source"],
            findings_json=json.dumps(found["findings"], ensure_ascii=False),
        )
        taken = select(DATASET.c.id).where(DATASET.c.name == found["name"], DATASET.c.version == found["version"])
        values: Record = {"created_ms": found["created_ms"]}
        if connection.execute(taken.limit(1)).scalar() is None:
            values["version"] = found["version"]
        connection.execute(update(DATASET).where(DATASET.c.id == found["id"]).values(**values))
        own = dataset_names.policy_of_name(connection, found["name"])
        together = strictest(own, found["policy"])
        if together != own:
            dataset_names.set_policy(connection, found["name"], together)
        return
    for _ in rows:
        pass


def _insert_run(connection: Connection, archive: Archive) -> None:
    run = archive.run
    tags = [*run["tags"], *([] if MARK in run["tags"] else [MARK])]
    connection.execute(
        insert(RUN).values(
            **without(run, "tags"),
            tags_json=json.dumps(tags, ensure_ascii=False),
            plan_json=json.dumps(archive.plan.as_json(), ensure_ascii=False),
            dataset_id=archive.dataset["id"],
            estimate_json=json.dumps(archive.estimate, ensure_ascii=False),
            cells=archive.plan.cell_count,
            done=archive.results,
            failed=archive.failed,
            command="",
            settled_pico=0,
            reserved_pico=0,
            lease_owner="",
            beat_ms=0,
            lease_until_ms=0,
            lease_token=0,
        )
    )


def _pages(records: Iterable[Record]) -> Iterator[list[Record]]:
    page: list[Record] = []
    for record in records:
        page.append(record)
        if len(page) == PAGE:
            yield page
            page = []
    if page:
        yield page


def _insert_page(connection: Connection, archive: Archive, page: Sequence[Record]) -> None:
    run_id = archive.run["id"]
    lines: dict[str, list[Record]] = {"result": [], "text": [], "score": [], "call": [], "batch": [], "change": []}
    for record in page:
        if record["kind"] == "batch":
            lines["batch"].append(without(record, "kind") | {"run_id": run_id})
        elif record["kind"] == "change":
            detail = {"detail_json": json.dumps(record["detail"], ensure_ascii=False)}
            lines["change"].append({"run_id": run_id, "at_ms": record["at_ms"], "kind": record["change"]} | detail)
        elif record["kind"] == "call":
            lines["call"].append(_call_line(run_id, record["cell"], without(record, "kind", "cell")))
        else:
            record = of_today("result", record)
            cell = archive.plan.cell(record["cell"])
            key = {"run_id": run_id, "cell": cell.number}
            place = {"row": cell.row, "prompt": cell.prompt, "contestant": cell.contestant, "sample": cell.sample}
            preview = preview_of(record["output"] if record["status"] == "ok" else record["error"])
            lines["result"].append({name: record[name] for name in RESULT_FIELDS} | key | place | {"preview": preview})
            lines["text"].append(key | {name: record[name] for name in TEXT_FIELDS})
            lines["score"] += [key | score for score in record["scores"]]
            lines["call"] += [_call_line(run_id, cell.number, call) for call in record["calls"]]
    tables = {
        "result": RESULT,
        "text": RESULT_TEXT,
        "score": SCORE,
        "call": CALL,
        "batch": GATEWAY_BATCH,
        "change": RUN_CHANGE,
    }
    for name, table in tables.items():
        if lines[name]:
            connection.execute(insert(table), lines[name])


def _call_line(run_id: str, cell: int | None, call: Record) -> Record:
    tags = {"tags_json": json.dumps(call["tags"], ensure_ascii=False)}
    return (
        without(of_today("call", call), "tags")
        | tags
        | {"run_id": run_id, "cell": cell, "owner": RESTORED, "comparison_id": None}
    )
