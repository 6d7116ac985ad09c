"""What one contestant's trouble does to a run: nothing to the others, and as little as can be to the bill."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr
from run_driver import started, until

from assay.config import Gateway, Settings
from assay.domain.contestant import Contestant
from assay.runs.lanes import UNWELL_LIMIT, UNWELL_S, Lane, Lanes, ahead
from assay.sandbox import Fault, SandboxConfig, SandboxServer
from assay.workbench.running import runs
from assay.workbench.running.runs import RunProgress
from assay.workbench.session import Session, open_session

SICK, WELL = "sandbox/swift", "sandbox/scribe"
ROWS = 60


class Unlimited:
    """Models that take anything."""

    def limit(self, model: str) -> int:
        return 64

    def held_s(self, model: str) -> float:
        return 0.0


@contextmanager
def workbench(folder: Path, *faults: Fault, waits_s: tuple[float, ...]) -> Iterator[Session]:
    """A workbench whose gateway has faults, without waiting between attempts."""
    with SandboxServer(SandboxConfig(speed=0, faults=faults)) as sandbox:
        settings = Settings(
            database_url=f"sqlite:///{folder}/a.db", concurrency=8, max_attempts=1, probe_waits_s=waits_s
        )
        with open_session(settings, gateway=Gateway("sandbox", sandbox.base_url, SecretStr("k"))) as session:
            session.ready()
            yield session


@contextmanager
def client_of(folder: Path, sandbox: SandboxServer, *, patience_s: float) -> Iterator[Session]:
    """A workbench at a sandbox that comes and goes."""
    settings = Settings(
        database_url=f"sqlite:///{folder}/a.db", concurrency=4, max_attempts=3, unreachable_patience_s=patience_s
    )
    with open_session(settings, gateway=Gateway("sandbox", sandbox.base_url, SecretStr("k"))) as session:
        session.ready()
        yield session


def start(session: Session) -> str:
    """A run of two contestants."""
    return started(session, [Contestant(SICK), Contestant(WELL)], rows=ROWS)


def counted(session: Session, run_id: str) -> bool:
    """Whether the counts by contestant, which watchers share for a while, are up to date."""
    state = runs.progress(session, run_id)
    return sum(contestant.done for contestant in state.contestants) == state.done


def ended(session: Session, run_id: str) -> RunProgress:
    """The run once it has ended."""
    return runs.wait_for_run(session, run_id, timeout_s=30)


def test_contestant_that_keeps_failing_is_paused_probed_and_given_up(tmp_path: Path) -> None:
    """It gets a few cells, then one for each probe; the other's cells are all answered, and the reason is told."""
    with workbench(tmp_path, Fault("500", model=SICK), waits_s=(0.1, 0.1, 0.1)) as session:
        state = ended(session, start(session))

    sick, well = state.contestants
    assert (well.done, well.failed) == (ROWS, 0)
    at_work = 8 + ahead(8)
    assert UNWELL_LIMIT + 3 <= sick.failed <= UNWELL_LIMIT + at_work + 3
    assert sick.done == sick.failed
    assert state.state == "done"
    assert "It kept failing" in state.reason


def test_contestant_that_recovers_goes_on_after_its_probe(tmp_path: Path) -> None:
    """While it rests the page says why and until when; the missing cells come after the pause."""
    with workbench(tmp_path, Fault("500", model=SICK), waits_s=(12.0,)) as session:
        run_id = start(session)
        until(lambda: "tried again in" in runs.progress(session, run_id).contestants[0].note)
        until(lambda: counted(session, run_id) and runs.progress(session, run_id).contestants[1].done == ROWS)
        sick = runs.progress(session, run_id).contestants[0]

        assert sick.failed == sick.done < ROWS / 2
        assert ended(session, run_id).contestants[0].failed == sick.failed + 1


def test_model_that_is_gone_stops_its_contestant_only(tmp_path: Path) -> None:
    """A 404 for a model sends no further cell to it; the others are asked to the end."""
    with workbench(tmp_path, Fault("404", model=SICK, after=3), waits_s=()) as session:
        state = ended(session, start(session))

    sick, well = state.contestants
    assert (well.done, well.failed) == (ROWS, 0)
    assert sick.done < ROWS / 2
    assert "was stopped" in state.reason


def test_lane_under_probe_has_one_cell_at_work_until_it_answers() -> None:
    """A provider that may still be down meets a single call."""
    lane = Lane(0, "a", iter(range(100)))
    lanes = Lanes({0: lane}, Unlimited(), limit=32)
    for _ in range(UNWELL_LIMIT):
        lane.failed("down", now=0.0, waits_s=(5.0,))

    assert lanes.next_up(4.0) is None
    assert lanes.next_up(6.0) is lane
    lane.take()
    assert lanes.next_up(6.0) is None
    lane.answered(6.0)
    assert lanes.next_up(6.0) is lane


@pytest.mark.parametrize(("cells", "paused"), [("..x.x" * 4, False), ("xx.x." * 4, True)])
def test_lane_is_paused_by_its_share_of_failures(cells: str, paused: bool) -> None:
    """Answers between the failures do not hide that most cells fail; a few failures among many pause nobody."""
    lane = Lane(0, "a", iter(range(100)))
    for n, cell in enumerate(cells):
        if cell == "x":
            lane.failed("down", now=n / 10, waits_s=(5.0,))
        else:
            lane.answered(n / 10)

    assert (lane.resting != "") is paused


def test_old_failures_are_forgotten() -> None:
    """Five failures over a quarter of an hour are no outage."""
    lane = Lane(0, "a", iter(range(100)))
    for n in range(UNWELL_LIMIT * 3):
        lane.failed("down", now=n * UNWELL_S / 3, waits_s=(5.0,))

    assert lane.resume_at == 0


def test_run_waits_for_a_gateway_that_cannot_be_reached(tmp_path: Path) -> None:
    """A short outage costs no cell: what did not reach the gateway is tried again when it is back."""
    first = SandboxServer(SandboxConfig(fixed_latency_ms=50))
    first.start()
    with client_of(tmp_path, first, patience_s=30) as session:
        run_id = start(session)
        until(lambda: runs.progress(session, run_id).done > 8)
        first.stop()
        until(lambda: "cannot be reached" in runs.progress(session, run_id).reason)
        with SandboxServer(SandboxConfig(speed=0), port=first.port):
            state = ended(session, run_id)

    assert (state.state, state.done, state.failed) == ("done", 2 * ROWS, 0)


def test_run_pauses_when_the_gateway_stays_away(tmp_path: Path) -> None:
    """No cell fails one by one; the reason says what to do, and Continue asks for what is missing."""
    first = SandboxServer(SandboxConfig(fixed_latency_ms=50))
    first.start()
    with client_of(tmp_path, first, patience_s=0.2) as session:
        run_id = start(session)
        until(lambda: runs.progress(session, run_id).done > 8)
        first.stop()
        paused = ended(session, run_id)
        with SandboxServer(SandboxConfig(speed=0), port=first.port):
            runs.continue_run(session, run_id)
            state = ended(session, run_id)

    assert (paused.state, paused.failed) == ("paused", 0)
    assert "cannot be reached" in paused.reason
    assert paused.reserved_pico == 0
    assert (state.state, state.done, state.failed) == ("done", 2 * ROWS, 0)
