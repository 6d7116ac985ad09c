"""The results page says the decision of a run word for word, as `assay show` and the exports do."""

from __future__ import annotations

from pathlib import Path

from test_results_page import draft, opened_page, said

from assay.domain.score import Score
from assay.store import runs as stored
from assay.store import saving
from assay.workbench.results import standing
from assay.workbench.running import runs
from assay.workbench.session import Session
from store_steps import save_results


def test_page_says_the_decision_of_the_run(session: Session, tmp_path: Path) -> None:
    """The sentences of the standing, not others; and each contestant's possible ranks."""
    plan = runs.plan_of(session, draft(session, tmp_path, rows=40))
    run_id = session.store.writer.call(lambda c: stored.create_run(c, plan, name="decided"))
    records = [
        saving.ResultRecord(
            run_id=run_id,
            cell=number,
            row=(cell := plan.cell(number)).row,
            prompt=0,
            contestant=cell.contestant,
            sample=0,
            status="ok",
            output="Paris",
            scores=(Score("contains", float(cell.contestant == 0 or cell.row < 9), cell.contestant == 0, ""),),
        )
        for number in range(plan.cell_count)
    ]
    session.store.writer.call(lambda c: save_results(c, records))
    session.store.writer.call(lambda c: stored.set_state(c, run_id, "done"))

    text = said(opened_page(run_id)).replace("\\", "").replace("\u200b", "")

    found = standing.standing(session, run_id)
    assert found.verdict.startswith("swift is best: 1.00")
    assert all(line in text for line in found.verdict_lines)
