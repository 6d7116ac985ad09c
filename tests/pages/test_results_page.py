"""The results page of runs that are paused, interrupted or new: what it says, and what its buttons do."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import SecretStr
from streamlit.testing.v1 import AppTest

from assay.config import Gateway, Settings
from assay.domain.contestant import Contestant, Prompt
from assay.domain.score import GraderSpec, Score
from assay.money import from_pico
from assay.sandbox import Fault, SandboxConfig, SandboxServer
from assay.store import ledger, saving
from assay.store import runs as stored
from assay.views import resources
from assay.workbench.datasets import kept
from assay.workbench.running import runs
from assay.workbench.running.runs import RunDraft
from assay.workbench.session import Session, open_session
from store_steps import open_intent, save_results

ROOT = Path(__file__).resolve().parents[2]
MODELS = ("sandbox/swift", "sandbox/scribe")


def draft(session: Session, folder: Path, *, budget_usd: Decimal | None = None, rows: int = 6) -> RunDraft:
    """Questions to two models, graded."""
    table = folder / "rows.csv"
    table.write_text("question,answer\n" + "".join(f"What is capital {n}?,Paris\n" for n in range(rows)))
    dataset = kept.open_dataset(session, str(table))
    return RunDraft(
        dataset.id,
        (Prompt("{{question}}"),),
        tuple(map(Contestant, MODELS)),
        (GraderSpec("contains"),),
        expected_column="answer",
        budget_usd=budget_usd,
    )


def opened_page(run_id: str) -> AppTest:
    """The results page of a run inside the frame, without an exception."""
    at = AppTest.from_file(str(ROOT / "src" / "assay" / "views" / "shell.py"), default_timeout=30).run()
    at.switch_page(str(ROOT / "pages" / "results.py"))
    at.query_params["run"] = run_id
    return ran(at)


def ran(at: AppTest) -> AppTest:
    """The page run again, without an exception."""
    at.run()
    assert not at.exception
    return at


def said(at: AppTest) -> str:
    """Captions, messages and headings of the page."""
    return "\n".join(part.value for part in (*at.caption, *at.warning, *at.info, *at.error, *at.markdown))


def test_run_without_answers_says_that_rows_will_come(session: Session, tmp_path: Path) -> None:
    """A queued run: no verdict yet, its waiting cells, and words instead of an empty grid."""
    plan = runs.plan_of(session, draft(session, tmp_path))
    at = opened_page(session.store.writer.call(lambda c: stored.create_run(c, plan, name="new")))

    assert "No answer yet" in said(at)
    assert "12 waiting" in said(at)
    assert "Nothing can be decided" not in said(at)


def test_rows_of_a_run_at_work_can_be_read_anew(session: Session, tmp_path: Path) -> None:
    """The rows say when they were read, and one click later they hold what came meanwhile; so does the verdict."""
    plan = runs.plan_of(session, draft(session, tmp_path))
    run_id = session.store.writer.call(lambda c: stored.create_run(c, plan, name="new"))

    def answer(cell: int) -> None:
        record = saving.ResultRecord(
            run_id=run_id,
            cell=cell,
            row=cell // 2,
            prompt=0,
            contestant=cell % 2,
            sample=0,
            status="ok",
            output="Paris",
            scores=(Score("contains", 1.0, True, ""),),
        )
        session.store.writer.call(lambda c: save_results(c, [record]))

    answer(0)
    at = opened_page(run_id)
    assert "1 row so far, as of" in said(at)
    assert "Nothing can be decided" in said(at)

    answer(2)
    at.button(key="results.rows.refresh").click()
    assert "2 rows so far, as of" in said(ran(at))


def test_spent_budget_says_the_cure_and_goes_on_when_raised(session: Session, tmp_path: Path) -> None:
    """A budget that does not cover the run pauses it in words; a higher one and Continue finish it."""
    one_call = runs.estimate(session, draft(session, tmp_path)).cost.dearest or 0
    run_id = runs.start_run(session, draft(session, tmp_path, budget_usd=from_pico(one_call)))
    assert runs.wait_for_run(session, run_id, timeout_s=20).state == "paused"
    at = opened_page(run_id)
    assert "is reached" in said(at)
    assert "Raise the budget" in said(at)

    at.number_input(key="results.budget").set_value(5.0)
    at.button(key="results.continue").click()
    ran(at)

    found = runs.wait_for_run(session, run_id, timeout_s=20)
    assert (found.state, found.waiting) == ("done", 0)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (SandboxConfig(speed=0, faults=(Fault("402_credits", after=4),)), ("credits", "Add credits")),
        (SandboxConfig(speed=0, keys=frozenset({"right"})), ("key", "OPENROUTER_API_KEY")),
    ],
)
def test_gateway_that_will_not_go_on_pauses_with_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: SandboxConfig, words: tuple[str, str]
) -> None:
    """Spent credits after some calls, or a refused key: the page says why it paused and what to do."""
    settings = Settings(database_url=f"sqlite:///{tmp_path}/b.db")
    with SandboxServer(config) as server:
        gateway = Gateway("openrouter", server.base_url, SecretStr("wrong"))
        with open_session(settings, gateway=gateway) as session:
            session.ready()
            monkeypatch.setattr(resources, "get_runtime", lambda: session.runtime)
            run_id = runs.start_run(session, draft(session, tmp_path))
            assert runs.wait_for_run(session, run_id, timeout_s=20).state == "paused"
            page = said(opened_page(run_id)).replace("\\", "")

    for word in words:
        assert word in page


def test_calls_of_a_dead_process_are_possibly_paid(session: Session, tmp_path: Path) -> None:
    """Orphans are told with their bound, and those with a generation id can be asked for."""
    plan = runs.plan_of(session, draft(session, tmp_path))
    run_id = session.store.writer.call(lambda c: stored.create_run(c, plan, name="interrupted"))
    intent = ledger.Intent(
        id=ledger.new_id(),
        created_ms=ledger.now_ms(),
        gateway="sandbox",
        purpose="run",
        model=MODELS[0],
        owner="gone",
        bound_pico=10**10,
        run_id=run_id,
        cell=0,
        contestant_key=plan.contestants[0].key,
    )
    session.store.writer.call(lambda c: open_intent(c, intent))
    session.store.writer.call(lambda c: ledger.note_generations(c, [(intent.id, "gen-none")]))
    session.store.writer.call(lambda c: ledger.mark_orphans(c, run_id=run_id))
    at = opened_page(run_id)
    assert any("1 call was in flight" in w.value and "possibly paid" in w.value for w in at.warning)

    at.button(key="results.recover").click()
    ran(at)
    assert "possibly paid" in said(at)


def test_rows_show_what_was_asked_and_expected_before_the_answers(session: Session, tmp_path: Path) -> None:
    """The key stands first and once; columns that no prompt uses follow the answers."""
    table = tmp_path / "wide.csv"
    table.write_text("id,channel,question,answer\nR1,chat,Capital?,Paris\n")
    chosen = replace(draft(session, tmp_path), dataset_id=kept.open_dataset(session, str(table)).id)
    run_id = runs.start_run(session, chosen)
    runs.wait_for_run(session, run_id, timeout_s=30)

    shown = opened_page(run_id).dataframe[-1].value

    assert list(shown.columns) == ["Row", "question", "answer", "swift", "scribe", "channel"]
    assert list(shown["Row"]) == ["R1"]


def test_filter_begins_at_the_first_page(session: Session, tmp_path: Path) -> None:
    """A filter chosen on a later page shows its first rows, not an empty page."""
    run_id = runs.start_run(session, draft(session, tmp_path, rows=120))
    runs.wait_for_run(session, run_id, timeout_s=30)
    at = opened_page(run_id)
    at.session_state["results.page"] = 3
    ran(at)

    at.text_input(key="results.search").set_value("capital 11")
    ran(at)
    assert "11 rows" in said(at)
    assert len(at.dataframe[-1].value) == 11
