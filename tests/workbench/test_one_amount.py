"""One amount for one thing: after a run full of faults, every face tells what the ledger holds, to the pico-dollar."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import func, select

from assay.config import Gateway, Settings
from assay.domain.completion import Cost
from assay.domain.contestant import Contestant, Prompt
from assay.domain.score import GraderSpec
from assay.exports import jsonl
from assay.money import from_pico
from assay.sandbox import Fault, SandboxConfig, SandboxServer
from assay.store import ledger
from assay.store.tables import CALL
from assay.workbench import datasets, exports, runs, spend, standing
from assay.workbench.runs import RunDraft
from assay.workbench.runtime import Runtime, open_runtime
from assay.workbench.spend import SpendFilter

ROWS = 50
FAULTS = (
    Fault("truncated", model="sandbox/swift", rate=0.2),
    Fault("429", rate=0.1),
    Fault("502_html", rate=0.1),
    Fault("mid_stream_error", rate=0.05),
)


@pytest.fixture
def rt(tmp_path: Path) -> Iterator[Runtime]:
    """A workbench in front of a sandbox with faults."""
    with SandboxServer(SandboxConfig(speed=0, faults=FAULTS, seed=3)) as server:
        settings = Settings(database_url=f"sqlite:///{tmp_path}/a.db", max_attempts=2)
        with open_runtime(settings, gateway=Gateway("sandbox", server.base_url, SecretStr("key"))) as opened:
            opened.ready()
            yield opened


def faulty_run(rt: Runtime) -> str:
    """A run of 100 cells, each with a judge, that has ended; some of its calls are of unknown cost."""
    table = datasets.read_upload(
        rt, ("q,a\n" + "".join(f"Question {n},billing\n" for n in range(ROWS))).encode(), filename="q.csv"
    )
    dataset = datasets.save_table(rt, table, name="q", source="q")
    draft = RunDraft(
        dataset.id, (Prompt("{{q}}"),), (Contestant("sandbox/swift"), Contestant("sandbox/atlas-large")),
        graders=(GraderSpec("contains"), GraderSpec("judge", {"model": "sandbox/sage"})), expected_column="a",
    )  # fmt: skip
    run_id = runs.start_run(rt, draft)
    assert runs.wait_for_run(rt, run_id, timeout_s=90).state == "done"
    return run_id


def told(rt: Runtime, run_id: str) -> dict[str, tuple[int, int]]:
    """(known pico-dollars, calls of unknown cost) of the run by every face."""
    with rt.store.read() as connection:
        row = connection.execute(
            select(func.sum(CALL.c.cost_pico), func.count(), func.count(CALL.c.cost_pico)).where(
                CALL.c.run_id == run_id
            )
        ).one()
    found = {"ledger": (int(row[0]), row[1] - row[2])}
    rt.progress_sums.clear()
    state, board = runs.progress(rt, run_id), standing.scoreboard(rt, run_id)
    listed = runs.list_runs(rt)[0]
    summed = spend.report(rt, SpendFilter(run_id=run_id)).sum
    found["run"] = (state.spent_pico, state.unknown_calls)
    found["runs"] = (listed.spent_pico, listed.unknown_calls)
    found["contestants"] = (
        sum(c.spent_pico for c in state.contestants) + state.judging.known_pico,
        sum(c.unknown_calls for c in state.contestants) + state.judging.unknown_calls,
    )
    found["board"] = (
        sum(line.known_pico + line.judging_pico for line in board),
        sum(line.unknown_calls + line.judging_unknown for line in board),
    )
    found["spend"] = (summed.known_pico, summed.unknown_calls)
    return found | of_exports(rt, run_id)


def of_exports(rt: Runtime, run_id: str) -> dict[str, tuple[int, int]]:
    """The same, by the exports that hold every cell or call."""

    def written(kind: str) -> bytes:
        target = io.BytesIO()
        exports.export_run(rt, run_id, kind, target)
        return target.getvalue()

    cells = list(jsonl.read(written("jsonl").splitlines()))
    record = exports.run_record(rt, run_id)
    results = json.loads(written("promptfoo"))["results"]["results"]
    archived = [json.loads(line) for line in written("archive").splitlines()]
    calls = [call for line in archived for call in line.get("calls", ())]
    calls += [line for line in archived if line.get("kind") == "call"]
    unknown = sum(c.unknown_calls + c.judging_unknown for c in cells)
    foo = sum((_usd(r["metadata"], "knownUsd", "judgingUsd") for r in results), Decimal(0))
    return {
        **{kind: (_column_sum(written(kind), "known_usd", "judging_usd"), unknown) for kind in ("csv", "wide")},
        "tidy": (_column_sum(written("tidy"), "cost_usd"), unknown),
        "jsonl": (sum(c.known_pico + c.judging_pico for c in cells), unknown),
        "calls of cells": (
            sum(call.cost_pico or 0 for c in cells for call in c.calls),
            sum(call.cost_pico is None for c in cells for call in c.calls),
        ),
        "evidence": (sum(x.known_pico for x in record.spend), sum(x.unknown_calls for x in record.spend)),
        "archive": (sum(c["cost_pico"] or 0 for c in calls), sum(c["cost_pico"] is None for c in calls)),
        "promptfoo": (int(foo.scaleb(12)), unknown),
    }


def _column_sum(table: bytes, *ends: str) -> int:
    """The pico-dollars of all columns whose names end so."""
    head, *rows = csv.reader(io.StringIO(table.decode("utf-8-sig")))
    places = [n for n, name in enumerate(head) if name.endswith(ends)]
    return int(sum((Decimal(row[n] or 0) for row in rows for n in places), Decimal(0)).scaleb(12))


def _usd(found: dict[str, Any], *names: str) -> Decimal:
    return sum((Decimal(found[name]) for name in names), Decimal(0))


def test_every_face_tells_the_ledgers_amount(rt: Runtime, sums_agree: Any) -> None:
    """Rows, run, board, exports and Spend agree after faults, and again when lost costs are told or stated."""
    run_id = faulty_run(rt)

    before = told(rt, run_id)
    assert len(set(before.values())) == 1, before
    known, unknown = before["ledger"]
    assert unknown > 1, "the faults left some cost unknown"

    with rt.store.read() as connection:
        query = select(CALL.c.id).where(CALL.c.run_id == run_id, CALL.c.cost_pico.is_(None)).limit(1)
        lost = connection.execute(query).scalar_one()
    rt.store.writer.call(lambda c: ledger.recover(c, lost, Cost(1234, "recovered")))
    after = told(rt, run_id)
    assert set(after.values()) == {(known + 1234, unknown - 1)}, after

    stated = spend.state_costs(rt, run_id=run_id, at_bound=False)
    assert (stated.calls, set(told(rt, run_id).values())) == (unknown - 1, {(known + 1234, 0)})
    assert all(line.cost_pico is not None for line in standing.scoreboard(rt, run_id))
    assert from_pico(known + 1234) == from_pico(spend.spent(rt, SpendFilter(run_id=run_id)).known_pico)
    sums_agree(rt.store)
