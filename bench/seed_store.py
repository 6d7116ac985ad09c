"""Fills a database with a finished run of the asked size: python bench/seed_store.py FILE RESULTS [CALLS].

CALLS: calls in the ledger in all (those of the run by default), the others spread over 90 days.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from assay.datasets.identity import content_hash
from assay.domain.completion import Cost
from assay.domain.contestant import Contestant, Prompt
from assay.domain.plan import RunPlan
from assay.domain.score import GraderSpec, Score
from assay.store import ledger, runs, saving
from assay.store.datasets import save_dataset
from assay.store.engine import Store, open_store

COLUMNS = ["ticket", "category"]
MODELS = ("sandbox/atlas-large", "sandbox/swift", "sandbox/scribe", "sandbox/ledger")
PROVIDERS = ("Northwind", "Eastbay", "Harbour")
BATCH = 2_000
DAYS = 90
DAY_MS = 86_400_000


def main(file: str, results: int, calls: int) -> None:
    """Writes the run, its results and its ledger."""
    store = open_store(f"sqlite:///{file}")
    seed_run(store, results)
    seed_ledger(store, calls - results)
    store.close()


def seed_run(store: Store, results: int) -> str:
    """A finished run of four models with a grader; its id."""
    rows = results // len(MODELS)
    values = [(f"r{n}", [f"Question {n} of a customer about an invoice", "billing"]) for n in range(rows)]
    dataset = store.writer.call(
        lambda c: save_dataset(
            c,
            content_hash=content_hash(COLUMNS, (row for _, row in values)),
            name="seeded",
            columns=COLUMNS,
            rows=values,
            roles={},
            source="bench",
        )
    )
    contestants = tuple(Contestant(m) for m in MODELS)
    plan = RunPlan(
        dataset, rows, (Prompt("{{ticket}}"),), contestants, (GraderSpec("equals"),), expected_column="category"
    )
    run_id = store.writer.call(lambda c: runs.create_run(c, plan, name="seeded"))
    for start in range(0, plan.cell_count, BATCH):
        cells = [plan.cell(n) for n in range(start, min(start + BATCH, plan.cell_count))]
        intents = [
            ledger.Intent(
                id=ledger.new_id(),
                created_ms=ledger.now_ms(),
                gateway="sandbox",
                purpose="run",
                owner="bench",
                model=MODELS[cell.contestant],
                bound_pico=10**9,
                run_id=run_id,
                cell=cell.number,
                contestant_key=contestants[cell.contestant].key,
            )
            for cell in cells
        ]
        records = []
        for cell, intent in zip(cells, intents, strict=True):
            right = (cell.number * 7919) % 10 > cell.contestant
            records.append(
                saving.ResultRecord(
                    run_id=run_id,
                    cell=cell.number,
                    row=cell.row,
                    prompt=cell.prompt,
                    contestant=cell.contestant,
                    sample=cell.sample,
                    status="ok",
                    output="billing" if right else "bug",
                    call_id=intent.id,
                    total_ms=400.0,
                    prompt_tokens=30,
                    completion_tokens=5,
                    scores=(Score("equals", float(right), right, "compared"),),
                )
            )
        write_calls(store, intents)
        savings = [saving.Saving(record, None, None) for record in records]
        store.writer.call(lambda c, savings=savings: saving.save_all(c, savings))
    store.writer.call(lambda c: runs.set_state(c, run_id, "done"))
    return run_id


def seed_ledger(store: Store, calls: int) -> None:
    """Calls of the playground, spread evenly over the last days."""
    began = ledger.now_ms() - DAYS * DAY_MS
    for start in range(0, calls, BATCH):
        write_calls(
            store,
            [
                ledger.Intent(
                    id=ledger.new_id(),
                    created_ms=began + DAYS * DAY_MS * n // calls,
                    gateway="sandbox",
                    purpose="playground",
                    owner="bench",
                    model=MODELS[n % len(MODELS)],
                    bound_pico=10**9,
                )
                for n in range(start, min(start + BATCH, calls))
            ],
        )


def write_calls(store: Store, intents: Sequence[ledger.Intent]) -> None:
    """Opens and settles calls as the app does; one in a thousand is of unknown cost."""

    def write(connection: Any) -> None:
        ledger.open_intents(connection, [ledger.Opening(intent) for intent in intents])
        ledger.settle_many(
            connection,
            [
                ledger.Settlement(
                    call_id=intent.id,
                    settled_ms=intent.created_ms + 400,
                    outcome="ok",
                    total_ms=400.0,
                    cost=Cost(10**8, "billed") if place % 1_000 else Cost(None, "unknown"),
                    provider=PROVIDERS[place % len(PROVIDERS)],
                    prompt_tokens=30,
                    completion_tokens=5,
                )
                for place, intent in enumerate(intents)
            ],
        )

    store.writer.call(write)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else int(sys.argv[2]))
