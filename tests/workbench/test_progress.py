"""What the progress of a run says about calls possibly paid, a crash behind it, and money in flight."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr

from assay.config import Gateway, Settings
from assay.domain.contestant import Contestant, Prompt
from assay.domain.plan import RunPlan
from assay.sandbox import SandboxConfig, SandboxServer
from assay.store import ledger
from assay.store import runs as stored
from assay.workbench.datasets import kept
from assay.workbench.running import runs
from assay.workbench.running.runs import RunDraft
from assay.workbench.session import Session, open_session
from assay.workbench.spending import spend
from store_steps import open_intent

MODEL = "sandbox/swift"
DEAD = "gone-host:1:0"


def small_run(session: Session, folder: Path) -> tuple[RunPlan, str]:
    """A queued run of four cells, and its plan."""
    table = folder / "rows.csv"
    table.write_text("question\n" + "".join(f"What is {n}?\n" for n in range(4)))
    draft = RunDraft(kept.open_dataset(session, str(table)).id, (Prompt("{{question}}"),), (Contestant(MODEL),))
    plan = runs.plan_of(session, draft)
    return plan, session.store.writer.call(lambda c: stored.create_run(c, plan, name="small"))


def send(session: Session, run_id: str, plan: RunPlan, *, generation: str | None = None) -> None:
    """A call that a process now gone has sent."""
    intent = ledger.Intent(
        id=ledger.new_id(),
        created_ms=ledger.now_ms(),
        gateway="sandbox",
        purpose="run",
        model=MODEL,
        owner=DEAD,
        bound_pico=70,
        run_id=run_id,
        cell=0,
        contestant_key=plan.contestants[0].key,
    )
    session.store.writer.call(lambda c: open_intent(c, intent))
    if generation:
        session.store.writer.call(lambda c: ledger.note_generations(c, [(intent.id, generation)]))


def test_orphans_stand_apart_with_their_bound(session: Session, tmp_path: Path) -> None:
    """Calls of a dead process are told as possibly paid: how many, at most how much, how many can be asked for."""
    plan, run_id = small_run(session, tmp_path)
    send(session, run_id, plan)
    send(session, run_id, plan, generation="gen-1")
    session.store.writer.call(lambda c: ledger.mark_orphans(c, run_id=run_id))

    found = runs.progress(session, run_id)

    assert found.orphans == (2, 140, 1)
    assert (found.unknown_calls, found.unknown_bound_pico) == (2, 140)


def test_money_in_flight_is_no_spend_of_the_month(session: Session, tmp_path: Path) -> None:
    """The month's line counts calls that have ended; one in flight is not yet of unknown cost."""
    plan, run_id = small_run(session, tmp_path)
    send(session, run_id, plan)
    assert spend.this_month(session).unknown_calls == 0

    session.store.writer.call(lambda c: ledger.mark_orphans(c, run_id=run_id))
    assert spend.this_month(session).unknown_calls == 1


def test_run_of_a_dead_process_is_picked_up_with_a_notice(tmp_path: Path) -> None:
    """An engine that finds a running run whose process is gone works it to the end, and the run says so."""
    settings = Settings(database_url=f"sqlite:///{tmp_path}/a.db")
    with open_session(settings, sandbox_speed=0) as session:
        session.ready()
        _, run_id = small_run(session, tmp_path)
        session.store.writer.call(lambda c: stored.take_lease(c, run_id, DEAD, ttl_ms=0))
    with open_session(settings, sandbox_speed=0, watch=True) as session:
        found = runs.wait_for_run(session, run_id, timeout_s=20)

    assert (found.state, found.waiting) == ("done", 0)
    assert "Picked up" in found.reason


def test_counts_of_a_run_at_work_follow_it(tmp_path: Path) -> None:
    """What all who watch share is counted anew once the run has gone on, not only at its end."""
    with SandboxServer(SandboxConfig(speed=1)) as server:
        gateway = Gateway("sandbox", server.base_url, SecretStr("k"))
        with open_session(
            Settings(database_url=f"sqlite:///{tmp_path}/b.db", concurrency=2), gateway=gateway
        ) as session:
            session.ready()
            table = tmp_path / "many.csv"
            table.write_text("question\n" + "".join(f"What is {n}?\n" for n in range(500)))
            dataset = kept.open_dataset(session, str(table))
            run_id = runs.start_run(session, RunDraft(dataset.id, (Prompt("{{question}}"),), (Contestant(MODEL),)))
            while (seen := runs.progress(session, run_id)).is_live and not seen.contestants[0].done:
                pass

    assert seen.is_live
    assert 0 < seen.contestants[0].done < 500
