"""What a run will cost and how long it will take: guessed at first, then learnt from this team's own calls."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from assay.config import Settings
from assay.domain.contestant import Contestant, Prompt
from assay.domain.score import GraderSpec
from assay.runs.estimate import RunEstimate
from assay.store import learnt
from assay.workbench.datasets import kept as datasets
from assay.workbench.running import estimating, runs
from assay.workbench.running.runs import RunDraft
from assay.workbench.session import Session, open_session

SWIFT, ATLAS = "sandbox/swift", "sandbox/atlas-large"


def draft_of(session: Session, rows: int, **changes: object) -> RunDraft:
    """A draft over rows whose texts a quarter-of-a-character rule misjudges: digits and rare words."""
    content = "q,answer\n" + "".join(f'"{n} 0x{n * 7919:08x} 4711,99 {n * 31}?",billing\n' for n in range(rows))
    table = datasets.read_upload(session, content.encode(), filename="q.csv")
    dataset = datasets.save_table(session, table, name="q", source="q")
    given = {"graders": (GraderSpec("contains"),), "expected_column": "answer", **changes}
    return RunDraft(dataset.id, (Prompt("{{q}}"),), (Contestant(SWIFT), Contestant(ATLAS)), **given)  # type: ignore[arg-type]


@pytest.fixture
def session(tmp_path: Path) -> Session:
    """A workbench with a fast sandbox, 16 calls in flight."""
    settings = Settings(database_url=f"sqlite:///{tmp_path}/a.db", concurrency=16, requests_per_minute={ATLAS: 60})
    with open_session(settings, sandbox_speed=0) as opened:
        opened.ready()
        yield opened


def work(session: Session, draft: RunDraft) -> tuple[str, RunEstimate]:
    """The run of a draft, worked to its end, and its estimate."""
    found = runs.estimate(session, draft)
    run_id = runs.start_run(session, draft)
    assert runs.wait_for_run(session, run_id, timeout_s=60).state == "done"
    return run_id, found


def test_estimate_learns_lengths_and_characters_from_the_ledger(session: Session) -> None:
    """After a few calls to a model the expected cost of the next run is near its bill; before, it is a guess."""
    draft = replace(draft_of(session, 40), contestants=(Contestant(SWIFT),))

    first_id, first = work(session, draft)
    second_id, second = work(session, draft)

    billed = [runs.progress(session, run_id).spent_pico for run_id in (first_id, second_id)]
    off = [abs((one.cost.expected or 0) - bill) / bill for one, bill in zip((first, second), billed, strict=True)]
    assert off[1] < 0.2 < 1 < off[0]  # the listed price is one provider's; others take a little more
    assert second.cost.low is not None
    assert second.cost.worst is not None
    assert second.cost.low < billed[1] < second.cost.worst
    with session.store.read() as connection:
        taught = learnt.learnt_of(connection, SWIFT)
        assert taught.tokens_per_char is not None
        assert 0.1 < taught.tokens_per_char < 1
        assert learnt.learnt_of(connection, SWIFT, True) == learnt.Learnt()


def test_estimate_has_a_time_for_each_contestant_and_for_all(session: Session) -> None:
    """Places are shared; a model that takes 60 calls a minute keeps the run as long as its calls need."""
    few, many = runs.estimate(session, draft_of(session, 4)), runs.estimate(session, draft_of(session, 300))

    assert [share.seconds for share in few.per_contestant] == [pytest.approx(4 * 3 / 16)] * 2
    assert few.seconds == pytest.approx(4)  # 60 calls a minute: four take four seconds
    assert many.seconds == pytest.approx(300)
    assert sum(share.seconds for share in many.per_contestant) == pytest.approx(2 * 300 * 3 / 16)


def test_every_judge_counts_even_of_the_same_model(session: Session) -> None:
    """Two judges of one model are two calls a cell, in money and in time."""
    one = GraderSpec("judge", {"model": SWIFT, "rubric": "Is it short?"})
    two = GraderSpec("judge", {"model": SWIFT, "rubric": "Is it kind?"})

    alone, both = (runs.estimate(session, draft_of(session, 50, graders=graders)) for graders in ((one,), (one, two)))

    assert (alone.judge_calls, both.judge_calls) == (100, 200)
    none = runs.estimate(session, draft_of(session, 50)).cost.expected
    assert none is not None
    assert alone.cost.expected is not None
    assert both.cost.expected is not None
    assert both.cost.expected - none == pytest.approx(2 * (alone.cost.expected - none), rel=0.01)
    assert both.per_contestant[0].seconds == pytest.approx(alone.per_contestant[0].seconds * 3 / 2)


def test_estimate_kept_from_an_earlier_form_is_the_one_made_anew(session: Session) -> None:
    """Lengths are measured once for the same rows and prompts; whatever else the form changes is heeded."""
    first = draft_of(session, 30)
    drafts = [
        replace(first, samples=3),
        replace(first, contestants=first.contestants[:1]),
        replace(first, limit=7),
        replace(first, prompts=(Prompt("Once more, please: {{q}}"),)),
        replace(first, prompts=(Prompt("{{q}}"), Prompt("{{answer}} {{q}}"))),
    ]
    runs.estimate(session, first)

    kept = [runs.estimate(session, draft) for draft in drafts]
    session.memos.of(estimating.MEASURED).clear()

    assert kept == [runs.estimate(session, draft) for draft in drafts]
    assert len({one.cost.expected for one in kept}) == len(drafts)
