"""Amounts on the pages are the ledger's: of a run with known, estimated, unknown and recovered costs, and own keys."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pandas as pd
from sqlalchemy import func, select
from streamlit.testing.v1 import AppTest

from assay.domain.completion import UNKNOWN_COST, Cost
from assay.domain.contestant import Contestant, Prompt
from assay.money import format_usd, to_pico
from assay.store import ledger
from assay.store.tables import CALL
from assay.workbench.datasets import kept
from assay.workbench.results import cells
from assay.workbench.running import runs
from assay.workbench.running.runs import RunDraft
from assay.workbench.session import Session
from store_steps import open_intent

ROOT = Path(__file__).resolve().parents[2]
MODELS = ("sandbox/swift", "sandbox/scribe")
MICRO = 10**6
COSTS = (
    Cost(1_234_567 * MICRO, "billed"),
    Cost(7_654_321 * MICRO, "upstream", 7_000_000 * MICRO),
    Cost(33_333 * MICRO, "estimated"),
    UNKNOWN_COST,
    UNKNOWN_COST,
)


def mixed_run(session: Session, folder: Path) -> str:
    """A finished run whose first cells were paid for again, each in another way; one unknown cost was told later."""
    table = folder / "rows.csv"
    table.write_text("question\n" + "".join(f"What is capital {n}?\n" for n in range(4)))
    dataset = kept.open_dataset(session, str(table))
    run_id = runs.start_run(
        session, RunDraft(dataset.id, (Prompt("{{question}}"),), tuple(map(Contestant, MODELS)), budget_usd=Decimal(50))
    )
    assert runs.wait_for_run(session, run_id, timeout_s=60).state == "done"
    contestants = cells.get_run(session, run_id).plan.contestants
    ids = []
    for cell, cost in enumerate(COSTS):
        mine = contestants[cell % 2]
        intent = ledger.Intent(
            id=ledger.new_id(),
            created_ms=ledger.now_ms(),
            gateway="sandbox",
            purpose="run",
            model=mine.model_id,
            owner="me",
            bound_pico=10**10,
            run_id=run_id,
            cell=cell,
            contestant_key=mine.key,
        )
        ended = ledger.Settlement(call_id=intent.id, settled_ms=ledger.now_ms(), outcome="failed", cost=cost)
        session.store.writer.call(lambda c, i=intent: open_intent(c, i))
        session.store.writer.call(lambda c, e=ended: ledger.settle(c, e))
        ids.append(intent.id)
    assert session.store.writer.call(lambda c: ledger.recover(c, ids[-1], Cost(4_242 * MICRO, "recovered")))
    return run_id


def page(name: str, **query: str) -> AppTest:
    """A page inside the frame, without an exception."""
    at = AppTest.from_file(str(ROOT / "src" / "assay" / "views" / "shell.py"), default_timeout=60).run()
    at.switch_page(str(ROOT / "pages" / f"{name}.py"))
    for key, value in query.items():
        at.query_params[key] = value
    at.run()
    assert not at.exception
    return at


def column(at: AppTest, name: str) -> list[int]:
    """The pico-dollars of a column of amounts, of the first table that has it."""
    for table in at.dataframe:
        frame = table.value
        if isinstance(frame, pd.DataFrame) and name in frame.columns:
            return [to_pico(Decimal(str(value))) for value in frame[name] if not pd.isna(value)]
    raise AssertionError(f"no table has {name}")


def test_pages_print_what_the_ledger_holds_to_the_last_digit(session: Session, tmp_path: Path) -> None:
    """Run header, board, history and Spend: one amount, and what is unknown apart with its upper bound."""
    run_id = mixed_run(session, tmp_path)
    with session.store.read() as connection:
        sums = select(CALL.c.contestant_key, func.sum(CALL.c.cost_pico), func.count() - func.count(CALL.c.cost_pico))
        lines = connection.execute(sums.where(CALL.c.run_id == run_id).group_by(CALL.c.contestant_key)).all()
    known, unknown = sum(int(line[1]) for line in lines), sum(line[2] for line in lines)
    assert unknown == 1

    run, history, spent = page("results", run=run_id), page("results"), page("spend")
    run.session_state["results.numbers"] = True
    run.run()
    for dimension in ("day", "model"):
        spent.session_state[f"spend.open.{dimension}"] = True
    spent.run()

    texts = "\n".join(part.value for part in (*run.caption, *run.markdown, *run.info)).replace("\\", "")
    assert f"spent {format_usd(known)} of $50.00" in texts
    assert f"{unknown} call" in texts or f"{unknown} unknown" in texts
    assert sorted(column(run, "Cost")) == sorted(int(line[1]) for line in lines)
    assert column(history, "Spent") == [known]
    assert [tile.value for tile in spent.metric[:3]] == [format_usd(known)] * 3
    assert sum(column(spent, "Known, USD")) == known
