"""Runs through the batch endpoint, over real HTTP to the sandbox: half the price, and nothing lost or paid twice."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from assay.config import Gateway, Settings
from assay.domain.contestant import Contestant, Prompt
from assay.domain.score import GraderSpec
from assay.money import from_pico, usd
from assay.sandbox import Fault, SandboxConfig, SandboxServer
from assay.store.tables import CALL, GATEWAY_BATCH, RUN
from assay.workbench.datasets import kept
from assay.workbench.results import cells
from assay.workbench.running import growth, runs
from assay.workbench.running.review import review
from assay.workbench.running.runs import RunDraft, RunProgress
from assay.workbench.session import Session, open_session

PAIR = (Contestant("sandbox/atlas-large"), Contestant("sandbox/swift"))


@contextmanager
def workbench(folder: Path, server: SandboxServer) -> Iterator[Session]:
    """A workbench before a sandbox of the test's own, which looks after batches often."""
    settings = Settings(database_url=f"sqlite:///{folder}/a.db", batch_poll_s=0.02, max_attempts=2)
    with open_session(settings, gateway=Gateway("sandbox", server.base_url, SecretStr("key"))) as session:
        session.ready()
        yield session


def draft_of(session: Session, **more: Any) -> RunDraft:
    """The support tickets before two models, as a batch."""
    dataset = kept.open_dataset(session, "support_tickets")
    values: dict[str, Any] = {
        "prompts": (Prompt("Classify: {{ticket}}"),),
        "contestants": PAIR,
        "graders": (GraderSpec("contains"),),
        "expected_column": "category",
        "mode": "batch",
        "limit": 20,
    } | more
    return RunDraft(dataset.id, **values)


def finished(session: Session, draft: RunDraft) -> RunProgress:
    """The draft's run after its end."""
    return runs.wait_for_run(session, runs.start_run(session, draft), timeout_s=30)


def details(session: Session, run_id: str) -> list[cells.CellDetail]:
    """All cells of a run."""
    return [cells.cell_detail(session, run_id, cell) for cell in range(40)]


def billed(server: SandboxServer) -> Decimal:
    """What the gateway charged in all."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/sandbox/stats") as answer:
        return usd(json.loads(answer.read(), parse_float=Decimal)["spend"])


def stats(server: SandboxServer) -> dict[str, Any]:
    """What the gateway was asked."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/sandbox/stats") as answer:
        found: dict[str, Any] = json.loads(answer.read())
        return found


def states(session: Session) -> list[str]:
    """The states of all calls."""
    with session.store.read() as connection:
        return [row.state for row in connection.execute(CALL.select())]


def test_batch_run_gives_the_answers_of_a_normal_run_at_half_the_price(tmp_path: Path) -> None:
    """Outputs and verdicts are the same, the ledger is the gateway's bill, and that is half."""
    with SandboxServer(SandboxConfig(speed=0)) as server, workbench(tmp_path, server) as session:
        batch = finished(session, draft_of(session))
        half = billed(server)
        normal = finished(session, draft_of(session, mode="normal"))

        answers = [
            [(d.record.output, d.record.result.passed) for d in details(session, run.id)] for run in (batch, normal)
        ]
    assert (batch.state, batch.done, batch.failed) == ("done", 40, 0)
    assert answers[0] == answers[1]
    assert from_pico(batch.spent_pico) == half
    assert from_pico(normal.spent_pico) == half * 2


def test_requests_that_a_batch_fails_are_asked_one_by_one(tmp_path: Path) -> None:
    """Every cell has its answer, the ledger agrees with the bill, and the run says what happened."""
    faults = (Fault("500", model="sandbox/swift", rate=0.4),)
    with (
        SandboxServer(SandboxConfig(speed=0, faults=faults, seed=3)) as server,
        workbench(tmp_path, server) as session,
    ):
        run = finished(session, draft_of(session))

        assert (run.state, run.done) == ("done", 40)
        assert "asked call by call" in run.reason
        assert from_pico(run.spent_pico) == billed(server)
        assert set(states(session)) == {"settled"}


ODD_ONES = {
    "pinned": Contestant("sandbox/swift", provider={"sort": "price"}),
    "free": Contestant("sandbox/penny:free"),
    "variant": Contestant("sandbox/swift", variant="floor"),
    "fallbacks": Contestant("sandbox/swift", {"models": ["sandbox/scribe"]}),
}


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("odd", ODD_ONES)
def test_contestant_that_cannot_be_batched_costs_the_others_nothing(tmp_path: Path, odd: str, first: bool) -> None:
    """The others keep the batch and its price, wherever the odd one stands; who is asked as usual is told."""
    pair = (ODD_ONES[odd], PAIR[0]) if first else (PAIR[0], ODD_ONES[odd])
    with SandboxServer(SandboxConfig(speed=0)) as server, workbench(tmp_path, server) as session:
        run = finished(session, draft_of(session, contestants=pair, limit=5))
        with session.store.read() as connection:
            handed_in = [batch.contestant for batch in connection.execute(GATEWAY_BATCH.select())]

        assert (run.state, run.done, run.failed) == ("done", 10, 0)
        assert handed_in == [1 if first else 0]
        assert "was asked call by call" in run.reason
        assert from_pico(run.spent_pico) == billed(server)


@pytest.mark.parametrize("ends", ["failed", "expired"])
def test_batch_that_ends_without_answers_falls_back_to_calls(tmp_path: Path, ends: Any) -> None:
    """The whole run is asked one by one; the batch cost nothing."""
    with SandboxServer(SandboxConfig(speed=0, batch_ends=ends)) as server, workbench(tmp_path, server) as session:
        run = finished(session, draft_of(session))

        assert (run.state, run.done, run.failed) == ("done", 40, 0)
        assert ends in run.reason
        assert from_pico(run.spent_pico) == billed(server)


def test_gateway_without_batches_is_asked_one_by_one(tmp_path: Path) -> None:
    """No intent of the refused batch stays behind."""
    with SandboxServer(SandboxConfig(speed=0, batches=False)) as server, workbench(tmp_path, server) as session:
        run = finished(session, draft_of(session))

        assert (run.state, run.done) == ("done", 40)
        assert "the gateway offers no batches" in run.reason
        assert states(session) == ["settled"] * 40
        with session.store.read() as connection:
            assert connection.execute(GATEWAY_BATCH.select()).all() == []


def test_batch_whose_acceptance_was_lost_is_found_again(tmp_path: Path) -> None:
    """The gateway took the batch and answered 502: it is found in the list, not handed in twice."""
    with SandboxServer(SandboxConfig(speed=0, batch_lost=True)) as server, workbench(tmp_path, server) as session:
        run = finished(session, draft_of(session))

        assert (run.state, run.done, run.failed) == ("done", 40, 0)
        assert stats(server)["paid_calls"] == 40
        assert stats(server)["paid_twice"] == 0


def test_batch_survives_the_death_of_its_process(tmp_path: Path) -> None:
    """A second workbench on the same file fetches what the first one handed in, and pays nothing twice."""
    with SandboxServer(SandboxConfig(speed=1, batch_s=1.5)) as server:
        with workbench(tmp_path, server) as session:
            run_id = runs.start_run(session, draft_of(session))
            while not handed_in(session, 2):
                pass
        with workbench(tmp_path, server) as session:
            runs.continue_run(session, run_id)
            run = runs.wait_for_run(session, run_id, timeout_s=30)

            assert (run.state, run.done, run.failed) == ("done", 40, 0)
            assert stats(server)["paid_calls"] == 40
            assert from_pico(run.spent_pico) == billed(server)


def handed_in(session: Session, count: int) -> bool:
    """Whether so many batches wait at the gateway."""
    with session.store.read() as connection:
        return [row.state for row in connection.execute(GATEWAY_BATCH.select())] == ["waiting"] * count


def test_run_grows_while_its_batches_wait(tmp_path: Path) -> None:
    """The answers that come afterwards land in the cells that they were asked for, under their new numbers."""
    with SandboxServer(SandboxConfig(speed=1, batch_s=1.5)) as server, workbench(tmp_path, server) as session:
        run_id = runs.start_run(session, draft_of(session, limit=8))
        while not handed_in(session, 2):
            pass
        runs.pause_run(session, run_id)
        runs.wait_for_run(session, run_id, timeout_s=30)
        wanted = growth.Growth(contestants=(Contestant("sandbox/scribe"),), samples=2)

        found = growth.grow_run(session, run_id, wanted, budget_usd=Decimal(5))
        run = runs.wait_for_run(session, run_id, timeout_s=60)

        assert (found.missing.calls, found.added.calls) == (32, 32)
        assert (run.state, run.done, run.failed) == ("done", 48, 0)
        assert (stats(server)["paid_calls"], stats(server)["paid_twice"]) == (48, 0)
        assert from_pico(run.spent_pico) == billed(server)
        for cell in range(48):
            detail = cells.cell_detail(session, run_id, cell)
            assert [call.model for call in detail.record.calls] == [detail.contestant.model]


def test_stopped_run_cancels_its_batches(tmp_path: Path) -> None:
    """The gateway charges nothing, and nothing stays reserved."""
    with SandboxServer(SandboxConfig(speed=1, batch_s=60)) as server, workbench(tmp_path, server) as session:
        run_id = runs.start_run(session, draft_of(session))
        while not handed_in(session, 2):
            pass
        runs.stop_run(session, run_id)
        run = runs.wait_for_run(session, run_id, timeout_s=30)

        assert (run.state, run.done, run.reserved_pico, run.spent_pico) == ("stopped", 0, 0, 0)
        assert billed(server) == 0


def test_budget_holds_in_batches_and_the_rest_goes_out_when_there_is_room(tmp_path: Path) -> None:
    """A budget below the worst case: batches go out in parts, and spend stays below it."""
    with SandboxServer(SandboxConfig(speed=0)) as server, workbench(tmp_path, server) as session:
        whole = runs.estimate(session, draft_of(session))
        assert whole.cost.worst is not None
        budget = from_pico(whole.cost.worst) / 3
        run = finished(session, draft_of(session, budget_usd=budget))

        assert (run.state, run.done) == ("done", 40)
        assert from_pico(run.spent_pico) <= budget
        with session.store.read() as connection:
            assert len(connection.execute(GATEWAY_BATCH.select()).all()) > 2
            assert connection.execute(RUN.select()).one().reserved_pico == 0


def test_estimate_shows_the_saving_of_a_batch(tmp_path: Path) -> None:
    """Half of the expected cost is saved; the bound stays what can be proved."""
    with SandboxServer(SandboxConfig(speed=0)) as server, workbench(tmp_path, server) as session:
        normal = runs.estimate(session, draft_of(session, mode="normal"))
        batch = runs.estimate(session, draft_of(session))

    assert normal.saving is None
    assert batch.saving is not None
    assert normal.cost.expected is not None
    assert abs(batch.saving - normal.cost.expected // 2) <= 2
    assert batch.cost.worst == normal.cost.worst


def test_flex_and_floor_are_cheaper_where_the_gateway_has_them(tmp_path: Path) -> None:
    """Flex reaches the tier's endpoint, floor the cheapest; each note names who has none."""
    with SandboxServer(SandboxConfig(speed=0)) as server, workbench(tmp_path, server) as session:
        spent = {}
        for mode in ("normal", "flex", "floor"):
            draft = draft_of(session, mode=mode, limit=5)
            runs.estimate(session, draft)
            run = finished(session, draft)
            assert (run.state, run.done, run.failed) == ("done", 10, 0)
            spent[mode] = [line.spent_pico for line in run.contestants]
        notes = list(review(session, draft_of(session, mode="flex")).notes)

    assert spent["flex"][0] * 2 == spent["normal"][0]
    assert spent["flex"][1] == spent["normal"][1]
    assert spent["floor"][0] < spent["normal"][0]
    assert spent["floor"][1] < spent["normal"][1]
    assert notes == [
        "swift is asked as usual: it has no flex tier.",
        "atlas-large, swift set no max_tokens: 1,024 is added, and a longer answer is cut there.",
    ]
