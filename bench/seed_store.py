"""Fills a database with a finished run of the asked size: python bench/seed_store.py FILE RESULTS."""

from __future__ import annotations

import sys

from assay.datasets.identity import content_hash
from assay.domain.completion import Cost
from assay.domain.contestant import Contestant, Prompt
from assay.domain.plan import RunPlan
from assay.domain.score import GraderSpec, Score
from assay.store import ledger, runs
from assay.store.datasets import save_dataset
from assay.store.engine import open_store

COLUMNS = ["ticket", "category"]
MODELS = ("sandbox/atlas-large", "sandbox/swift", "sandbox/scribe", "sandbox/ledger")
BATCH = 500


def main(file: str, results: int) -> None:
    """Writes the run, its results and its ledger."""
    store = open_store(f"sqlite:///{file}")
    rows = results // len(MODELS)
    values = [(f"r{n}", [f"Question {n} of a customer about an invoice", "billing"]) for n in range(rows)]
    dataset = store.writer.call(
        lambda c: save_dataset(
            c, content_hash=content_hash(COLUMNS, (row for _, row in values)), name="seeded", columns=COLUMNS,
            rows=values, roles={}, source="bench",
        )
    )  # fmt: skip
    contestants = tuple(Contestant(m) for m in MODELS)
    plan = RunPlan(dataset, rows, (Prompt("{{ticket}}"),), contestants, (GraderSpec("equals"),),
                   expected_column="category")  # fmt: skip
    run_id = store.writer.call(lambda c: runs.create_run(c, plan, name="seeded"))
    for start in range(0, plan.cell_count, BATCH):
        cells = [plan.cell(n) for n in range(start, min(start + BATCH, plan.cell_count))]

        def write(connection: object, cells: list = cells) -> None:
            records = []
            for cell in cells:
                call = ledger.new_id()
                ledger.open_intent(connection, ledger.Intent(
                    id=call, created_ms=ledger.now_ms(), gateway="sandbox", purpose="run", owner="bench",
                    model=MODELS[cell.contestant], bound_pico=10**9, run_id=run_id, cell=cell.number,
                    contestant_key=contestants[cell.contestant].key,
                ))  # fmt: skip
                ledger.settle(connection, ledger.Settlement(
                    call_id=call, settled_ms=ledger.now_ms(), outcome="ok", cost=Cost(10**8, "billed"),
                    provider="Northwind", prompt_tokens=30, completion_tokens=5, total_ms=400.0,
                ))  # fmt: skip
                right = (cell.number * 7919) % 10 > cell.contestant
                records.append(runs.ResultRecord(
                    run_id=run_id, cell=cell.number, row=cell.row, prompt=cell.prompt, contestant=cell.contestant,
                    sample=cell.sample, status="ok", output="billing" if right else "bug", call_id=call,
                    cost_pico=10**8, total_ms=400.0, prompt_tokens=30, completion_tokens=5,
                    scores=(Score("equals", float(right), right, "compared"),),
                ))  # fmt: skip
            runs.save_results(connection, records)

        store.writer.call(write)
    store.writer.call(lambda c: runs.set_state(c, run_id, "done"))
    store.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
