"""One amount for one thing: after a run full of faults, every face tells what the ledger holds, to the pico-dollar."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from amounts_told import Told, of_commands, of_exports, of_workbench, written
from pydantic import SecretStr
from sqlalchemy import select

from assay.config import Gateway, Settings
from assay.domain.completion import Cost
from assay.domain.contestant import Contestant, Prompt
from assay.domain.score import GraderSpec
from assay.money import from_pico
from assay.sandbox import Fault, SandboxConfig, SandboxServer
from assay.store import ledger
from assay.store.tables import CALL
from assay.workbench.datasets import kept
from assay.workbench.results import standing
from assay.workbench.running import runs
from assay.workbench.running.runs import RunDraft
from assay.workbench.session import Session, open_session
from assay.workbench.spending import spend
from assay.workbench.spending.spend import SpendFilter

ROWS = 50
FAULTS = (
    Fault("truncated", model="sandbox/swift", rate=0.2),
    Fault("429", rate=0.1),
    Fault("502_html", rate=0.1),
    Fault("mid_stream_error", rate=0.05),
)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """A workbench in front of a sandbox with faults."""
    with SandboxServer(SandboxConfig(speed=0, faults=FAULTS, seed=3)) as server:
        settings = Settings(database_url=f"sqlite:///{tmp_path}/a.db", max_attempts=2)
        with open_session(settings, gateway=Gateway("sandbox", server.base_url, SecretStr("key"))) as opened:
            opened.ready()
            yield opened


def faulty_run(session: Session) -> str:
    """A run of 100 cells, each with a judge, that has ended; some of its calls are of unknown cost."""
    table = kept.read_upload(
        session, ("q,a\n" + "".join(f"Question {n},billing\n" for n in range(ROWS))).encode(), filename="q.csv"
    )
    dataset = kept.save_table(session, table, name="q", source="q")
    draft = RunDraft(
        dataset.id,
        (Prompt("{{q}}"),),
        (Contestant("sandbox/swift"), Contestant("sandbox/atlas-large")),
        graders=(GraderSpec("contains"), GraderSpec("judge", {"model": "sandbox/sage"})),
        expected_column="a",
    )
    run_id = runs.start_run(session, draft)
    assert runs.wait_for_run(session, run_id, timeout_s=90).state == "done"
    return run_id


def told(session: Session, run_id: str) -> Told:
    """The amounts by every face in this process."""
    return of_workbench(session, run_id) | of_exports(written(session, run_id))


def test_every_face_tells_the_ledgers_amount(session: Session, sums_agree: Any) -> None:
    """Rows, run, board, exports and Spend agree after faults, and again when lost costs are told or stated."""
    run_id = faulty_run(session)

    before = told(session, run_id)
    assert len(set(before.values())) == 1, before
    known, unknown = before["ledger"]
    assert unknown > 1, "the faults left some cost unknown"

    with session.store.read() as connection:
        query = select(CALL.c.id).where(CALL.c.run_id == run_id, CALL.c.cost_pico.is_(None)).limit(1)
        lost = connection.execute(query).scalar_one()
    session.store.writer.call(lambda c: ledger.recover(c, lost, Cost(1234, "recovered")))
    after = told(session, run_id)
    assert set(after.values()) == {(known + 1234, unknown - 1)}, after

    stated = spend.state_costs(session, run_id=run_id, at_bound=False)
    assert (stated.calls, set(told(session, run_id).values())) == (unknown - 1, {(known + 1234, 0)})
    assert all(line.cost_pico is not None for line in standing.scoreboard(session, run_id))
    assert from_pico(known + 1234) == from_pico(spend.spent(session, SpendFilter(run_id=run_id)).known_pico)
    sums_agree(session.store)


def test_every_command_tells_the_ledgers_amount(session: Session, tmp_path: Path) -> None:
    """What `runs`, `show`, `spend` and `export` in all formats print adds up to the ledger, in plain digits."""
    run_id = faulty_run(session)
    ledger_says = of_workbench(session, run_id)["ledger"]

    found = of_commands(tmp_path, f"sqlite:///{tmp_path}/a.db", run_id)

    assert len(found) > 15
    assert found == dict.fromkeys(found, ledger_says)
