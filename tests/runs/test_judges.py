"""A judge that cannot be asked: the answer it was to grade is kept, and is never paid twice."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import text

from assay.config import Gateway, Settings
from assay.domain.contestant import Contestant, Prompt
from assay.domain.score import GraderSpec
from assay.sandbox import Fault, SandboxConfig, SandboxServer
from assay.workbench.datasets import kept
from assay.workbench.results import cells as results
from assay.workbench.results import standing
from assay.workbench.running import runs
from assay.workbench.running.runs import RunDraft, RunProgress
from assay.workbench.session import Session, open_session

MODEL, JUDGE, ROWS = "sandbox/budget-mini", "sandbox/sage", 6
GRADERS = (GraderSpec("contains", {"value": "e"}), GraderSpec("judge", {"model": JUDGE}))


def opened(folder: Path, server: SandboxServer) -> AbstractContextManager[Session]:
    """A workbench on the folder's database that talks to a sandbox."""
    settings = Settings(database_url=f"sqlite:///{folder}/a.db")
    return open_session(settings, gateway=Gateway("sandbox", server.base_url, SecretStr("k")))


def draft(session: Session, graders: tuple[GraderSpec, ...] = GRADERS) -> RunDraft:
    """Six rows, one model, a grader and a judge."""
    content = "q\n" + "".join(f"Tell me about number {n}\n" for n in range(ROWS))
    table = kept.read_upload(session, content.encode(), filename="q.csv")
    dataset = kept.save_table(session, table, name="q", source="q.csv")
    return RunDraft(
        dataset.id,
        (Prompt("{{q}}"),),
        (Contestant(MODEL, {"max_tokens": 20}),),
        graders,
        concurrency=1,
        budget_usd=Decimal(5),
    )


def finished(session: Session, run_id: str) -> RunProgress:
    """The run at rest."""
    return runs.wait_for_run(session, run_id, timeout_s=60)


def reasons(session: Session) -> list[str]:
    """What the judge said of each answer, in the order of the cells."""
    with session.store.read() as connection:
        return list(connection.execute(text("SELECT reason FROM score WHERE grader = 1 ORDER BY cell")).scalars())


def all_judged(session: Session, run_id: str) -> None:
    """Every cell is graded, and its cost is that of its calls."""
    with session.store.read() as connection:
        cells = connection.execute(text("SELECT cell, cost_pico + judging_pico FROM result ORDER BY cell")).all()
        ledger = connection.execute(
            text("SELECT cell, sum(cost_pico) FROM call WHERE outcome = 'ok' GROUP BY cell ORDER BY cell")
        ).all()
        judged = connection.execute(text("SELECT count(*) FROM score WHERE grader = 1 AND value IS NOT NULL")).scalar()
    assert judged == ROWS
    assert cells == ledger
    assert standing.scoreboard(session, run_id)[0].coverage == 1


def test_judge_refused_by_the_budget_is_asked_alone_later(tmp_path: Path) -> None:
    """The answer stands unscored by the judge; after Continue each answer and each verdict was paid once."""
    with SandboxServer(SandboxConfig(speed=0)) as server, opened(tmp_path, server) as session:
        session.ready()
        # A verdict is the dearest call: there is room for the first beside all answers, however many are paid by then,
        # and none for a second once that is paid.
        long = GraderSpec("judge", {"model": JUDGE, "rubric": "Is it polite? " * 2_000})
        wanted = draft(session, (GRADERS[0], long))
        dearest, answers = (
            runs.estimate(session, wanted).cost.dearest,
            runs.estimate(session, draft(session, GRADERS[:1])).cost.worst,
        )
        assert dearest is not None
        assert answers is not None
        tight = replace(wanted, budget_usd=Decimal(dearest + answers).scaleb(-12))
        run_id = runs.start_run(session, tight)
        paused = finished(session, run_id)
        asked = dict(server.sandbox.books.calls)
        said = reasons(session)
        cell = results.cell_detail(session, run_id, paused.done - 1).record

        runs.continue_run(session, run_id, budget_usd=Decimal(5))
        done = finished(session, run_id)

        assert (paused.state, asked[JUDGE]) == ("paused", 1)
        assert asked[MODEL] == paused.done >= 2
        assert "budget" in paused.reason
        refused = [one for one in said if one.startswith("The judge has not been asked yet. The run's budget")]
        assert len(refused) == paused.done - 1
        assert cell.output
        assert cell.scores[0].value is not None
        assert (done.state, done.done, done.failed) == ("done", ROWS, 0)
        assert (server.sandbox.books.calls[MODEL], server.sandbox.books.calls[JUDGE]) == (ROWS, ROWS)
        assert max(server.sandbox.books.paid.values()) == 1
        all_judged(session, run_id)


def test_judge_without_credits_is_asked_again_when_there_are_some(tmp_path: Path) -> None:
    """A refusal that pauses the run is no verdict: the judge is asked again, the model is not."""
    with SandboxServer(SandboxConfig(speed=0, faults=(Fault("402_credits", model=JUDGE, after=2),))) as poor:
        with opened(tmp_path, poor) as session:
            session.ready()
            run_id = runs.start_run(session, draft(session))
            paused = finished(session, run_id)
            assert (paused.state, "credits" in paused.reason) == ("paused", True)
            assert sum(reason.startswith("The judge has not been asked yet.") for reason in reasons(session)) >= 1
        first = poor.sandbox.books.calls[MODEL]
    with SandboxServer(SandboxConfig(speed=0)) as rich, opened(tmp_path, rich) as session:
        session.ready()
        runs.continue_run(session, run_id)
        assert finished(session, run_id).state == "done"

        assert first + rich.sandbox.books.calls[MODEL] == ROWS
        assert rich.sandbox.books.calls[JUDGE] == ROWS - 2
        all_judged(session, run_id)


def test_app_closed_while_a_judge_thinks_pays_no_answer_twice(tmp_path: Path) -> None:
    """The answer was stored before the judge was asked."""
    with SandboxServer(SandboxConfig(speed=0, faults=(Fault("stall", model=JUDGE),))) as stalled:
        with opened(tmp_path, stalled) as session:
            session.ready()
            run_id = runs.start_run(session, draft(session))
            until = time.monotonic() + 20
            while not stalled.sandbox.books.calls[JUDGE] and time.monotonic() < until:
                pass
        first = stalled.sandbox.books.calls[MODEL]
    with SandboxServer(SandboxConfig(speed=0)) as server, opened(tmp_path, server) as session:
        session.ready()
        runs.continue_run(session, run_id)
        done = finished(session, run_id)

        assert (done.state, done.done) == ("done", ROWS)
        assert first >= 1
        assert first + server.sandbox.books.calls[MODEL] == ROWS
        assert server.sandbox.books.calls[JUDGE] == ROWS
