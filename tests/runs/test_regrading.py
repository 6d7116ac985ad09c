"""An answer whose grading was cut short: it is graded when the run goes on, and never asked for again."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import text

from assay.config import Gateway, Settings
from assay.domain.contestant import Contestant, Prompt
from assay.domain.score import NOT_GRADED, GraderSpec
from assay.sandbox import SandboxConfig, SandboxServer
from assay.workbench.datasets import kept
from assay.workbench.results import cells, standing
from assay.workbench.running import runs
from assay.workbench.session import open_session


def test_answer_that_was_stored_before_it_was_graded_is_graded_later(tmp_path: Path) -> None:
    """As a kill leaves it between the two: no second call, and the score of the stored answer."""
    with SandboxServer(SandboxConfig(speed=0)) as server:
        gateway = Gateway("sandbox", server.base_url, SecretStr("k"))
        with open_session(Settings(database_url=f"sqlite:///{tmp_path}/a.db"), gateway=gateway) as session:
            session.ready()
            table = kept.read_upload(session, b"q\nTell me about rivers\nTell me about tides\n", filename="q.csv")
            dataset = kept.save_table(session, table, name="q", source="q.csv")
            graders = (GraderSpec("regex", {"pattern": "(?=r)."}),)
            draft = runs.RunDraft(dataset.id, (Prompt("{{q}}"),), (Contestant("sandbox/swift"),), graders)
            run_id = runs.start_run(session, draft)
            runs.wait_for_run(session, run_id, timeout_s=30)
            before = cells.cell_detail(session, run_id, 0).record.scores[0].reason
            session.store.writer.call(
                lambda c: (
                    c.execute(
                        text("UPDATE score SET value = NULL, passed = NULL, reason = :r WHERE cell = 0"),
                        {"r": NOT_GRADED},
                    )
                    and None
                )
            )
            session.store.writer.call(
                lambda c: c.execute(text("UPDATE result SET value = NULL WHERE cell = 0")) and None
            )
            asked = server.sandbox.books.calls["sandbox/swift"]

            runs.continue_run(session, run_id)
            done = runs.wait_for_run(session, run_id, timeout_s=30)

            assert (done.state, done.done) == ("done", 2)
            assert server.sandbox.books.calls["sandbox/swift"] == asked == 2
            assert cells.cell_detail(session, run_id, 0).record.scores[0].reason == before
            assert standing.scoreboard(session, run_id)[0].scored == 2
