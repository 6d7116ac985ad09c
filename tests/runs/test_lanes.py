"""Whose cell comes next, and that nobody's pause holds up the others or the user."""

from __future__ import annotations

import time
from pathlib import Path

from pydantic import SecretStr
from run_driver import started, until

from assay.config import Gateway, Settings
from assay.domain.contestant import Contestant
from assay.runs.lanes import Lane, Lanes, ahead
from assay.sandbox import Fault, SandboxConfig, SandboxServer
from assay.workbench.running import runs
from assay.workbench.session import Session, open_session

MODELS = ("sandbox/swift", "sandbox/scribe", "sandbox/atlas-large")


class FixedPace:
    """Models that take so many calls at once; those named are held."""

    def __init__(self, limits: dict[str, int], held: tuple[str, ...] = ()) -> None:
        self._limits = limits
        self._held = held

    def limit(self, model: str) -> int:
        return self._limits[model]

    def held_s(self, model: str) -> float:
        return 60.0 if model in self._held else 0.0


def lanes_of(pace: FixedPace, *, rows: int = 1000, limit: int = 64) -> tuple[dict[int, Lane], Lanes]:
    """Two lanes whose cells alternate."""
    lanes = {n: Lane(n, "ab"[n], iter(range(n, 2 * rows, 2))) for n in (0, 1)}
    return lanes, Lanes(lanes, pace, limit=limit)


def taken(lanes: Lanes, count: int) -> list[int]:
    """The numbers of the next cells, all of which stay at work."""
    found = []
    for _ in range(count):
        lane = lanes.next_up(0.0)
        if lane is None:
            break
        found.append(lanes.take(lane))
    return found


def test_lanes_take_row_by_row_with_contestants_inside() -> None:
    """A run that stops anywhere is a fair comparison."""
    _, lanes = lanes_of(FixedPace({"a": 64, "b": 64}))

    assert taken(lanes, 9) == [0, 1, 2, 3, 4, 5, 6, 7, 8]


def test_lane_at_its_limit_leaves_the_room_to_the_other() -> None:
    """A slow model has its calls and a few ahead at work, not all of the run's."""
    found, lanes = lanes_of(FixedPace({"a": 2, "b": 64}))

    numbers = taken(lanes, 60)

    assert len(numbers) == 60
    assert found[0].working == 2 + ahead(2)
    assert [n for n in numbers if n % 2] == list(range(1, 2 * found[1].working, 2))


def test_run_has_a_bounded_number_of_cells_ahead_that_grows_while_places_stay_empty() -> None:
    """A quick disk needs few intents ahead of their calls, a slow one more; never more than twice the places."""
    _, lanes = lanes_of(FixedPace({"a": 512, "b": 512}), limit=16)
    first = len(taken(lanes, 999))

    for _ in range(5):
        lanes.place_left(0)
    more = len(taken(lanes, 999))
    for _ in range(1000):
        lanes.place_left(0)
    most = len(taken(lanes, 999))
    for _ in range(1000):
        lanes.place_left(40)

    assert first == 16 + ahead(16)
    assert more == 5
    assert first + more + most == 16 + 32
    assert taken(lanes, 1) == []


def test_lane_that_is_held_rests_or_is_stopped_takes_no_cell() -> None:
    """The other goes on; the run is open as long as one of them may come back."""
    found, lanes = lanes_of(FixedPace({"a": 64, "b": 64}, held=("a",)), rows=3)

    assert taken(lanes, 9) == [1, 3, 5]
    assert lanes.open
    found[0].stopped = "gone"
    assert not lanes.open
    assert lanes.next_up(0.0) is None


def test_lane_reads_its_cells_only_when_they_are_up() -> None:
    """What is answered meanwhile, by a batch, is not asked again."""
    done = bytearray(6)
    lane = Lane(0, "a", (n for n in range(6) if not done[n]))
    done[0] = done[1] = 1

    assert lane.take() == 2


def start(session: Session, rows: int) -> str:
    """A run of three contestants under way."""
    return started(session, [Contestant(model, {"max_tokens": 60}) for model in MODELS], rows=rows)


def test_run_is_fair_from_its_first_second(tmp_path: Path) -> None:
    """With more places than a model takes at first, no contestant runs ahead of the others."""
    with SandboxServer(SandboxConfig(fixed_latency_ms=150)) as sandbox:
        settings = Settings(database_url=f"sqlite:///{tmp_path}/a.db", concurrency=128)
        with open_session(settings, gateway=Gateway("sandbox", sandbox.base_url, SecretStr("k"))) as session:
            session.ready()
            run_id = start(session, 300)
            until(lambda: runs.progress(session, run_id).done >= 60, 30)
            runs.pause_run(session, run_id)
            until(lambda: runs.progress(session, run_id).state == "paused", 10)
            counts = [contestant.done for contestant in runs.progress(session, run_id).contestants]

    assert min(counts) > 0.6 * max(counts)


def test_pause_does_not_wait_for_a_model_that_asks_for_an_hour(tmp_path: Path) -> None:
    """A 429 with a long hint parks its model; the others go on, and a pause is obeyed at once."""
    parked = Fault("429", model=MODELS[0], retry_after_s=3600, after=5)
    with SandboxServer(SandboxConfig(speed=0, faults=(parked,))) as sandbox:
        settings = Settings(database_url=f"sqlite:///{tmp_path}/a.db", concurrency=16)
        with open_session(settings, gateway=Gateway("sandbox", sandbox.base_url, SecretStr("k"))) as session:
            session.ready()
            run_id = start(session, 120)
            until(lambda: all(c.done == 120 for c in runs.progress(session, run_id).contestants[1:]), 200)
            started = time.monotonic()
            runs.pause_run(session, run_id)
            until(lambda: runs.progress(session, run_id).state == "paused", 100)
            waited = time.monotonic() - started
            state = runs.progress(session, run_id)

    assert waited < 100  # not an hour
    assert state.reserved_pico == 0
    assert state.contestants[0].done < 120
