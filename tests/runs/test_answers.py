"""How long answers will be: learnt per model and prompt version, else guessed with a range that says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.config import Settings
from assay.domain.contestant import Contestant, Prompt
from assay.runs.answers import answer_length
from assay.stats.prediction import Sample
from assay.store.learnt import LEARNT_FROM, Learnt, answer_lengths
from assay.workbench.datasets import kept
from assay.workbench.running import runs
from assay.workbench.running.runs import RunDraft
from assay.workbench.session import Session, open_session

SWIFT = "sandbox/swift"
SHORT = Prompt("Which category fits: billing, bug, account? {{q}}")
LONG = Prompt("Write a long letter about this. {{q}}")


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """A workbench with a fast sandbox."""
    with open_session(Settings(database_url=f"sqlite:///{tmp_path}/a.db"), sandbox_speed=0) as opened:
        opened.ready()
        yield opened


def drafted(session: Session, *prompts: Prompt, rows: int = 30) -> RunDraft:
    """A draft over so many rows."""
    content = "q\n" + "".join(f"I was charged twice on invoice {n}\n" for n in range(rows))
    table = kept.read_upload(session, content.encode(), filename="q.csv")
    return RunDraft(kept.save_table(session, table, name="q", source="q").id, prompts, (Contestant(SWIFT),))


def test_lengths_are_learnt_for_each_version_of_a_prompt(session: Session) -> None:
    """What one prompt was answered says nothing of another: the next run of it is a guess until it was asked."""
    runs.wait_for_run(session, runs.start_run(session, drafted(session, LONG)), timeout_s=60)

    with session.store.read() as connection:
        known = answer_lengths(connection, SWIFT, LONG.key)
        other = answer_lengths(connection, SWIFT, SHORT.key)
    assert known is not None
    assert known.count == 30
    assert other is None
    assert not runs.estimate(session, drafted(session, LONG)).cost.guessed
    assert runs.estimate(session, drafted(session, SHORT)).cost.guessed
    assert runs.estimate(session, drafted(session, LONG, SHORT)).cost.guessed


@pytest.mark.parametrize("prompt", [SHORT, LONG], ids=["one word", "a letter"])
def test_bill_lies_in_the_range_before_and_after_the_prompt_was_asked(session: Session, prompt: Prompt) -> None:
    """The guess is wide enough for a word and for a letter; what was learnt is narrower and holds the next bill."""
    guess = runs.estimate(session, drafted(session, prompt)).cost
    first = runs.wait_for_run(session, runs.start_run(session, drafted(session, prompt)), timeout_s=60)
    learnt = runs.estimate(session, drafted(session, prompt, rows=40)).cost
    second = runs.wait_for_run(session, runs.start_run(session, drafted(session, prompt, rows=40)), timeout_s=60)

    assert None not in (guess.low, guess.high, learnt.low, learnt.high)
    assert guess.low <= first.spent_pico <= guess.high  # type: ignore[operator]
    assert learnt.low * 0.85 <= second.spent_pico <= learnt.high * 1.15  # type: ignore[operator]
    assert learnt.high / learnt.low < guess.high / guess.low / 4  # type: ignore[operator]


def test_answer_is_never_expected_past_its_limit() -> None:
    """Low, expected and high stay within the longest answer, learnt or guessed."""
    known = Sample.of([900.0, 1_000.0, 1_000.0, 1_000.0, 1_100.0])

    for sample in (known, None):
        found = answer_length(sample, taught=Learnt(5_000.0), reasons=False, calls=10, longest=1_000)
        assert found.low <= found.expected <= found.high <= 1_000


def test_short_answers_to_another_prompt_leave_the_range_wide() -> None:
    """A model that was asked for single words may write a letter next."""
    found = answer_length(None, taught=Learnt(1.0), reasons=False, calls=10, longest=4_000)

    assert found.guessed
    assert found.low <= 1 <= 500 <= found.high


def test_few_answers_teach_nothing(session: Session) -> None:
    """Below five answers a prompt counts as not asked."""
    runs.wait_for_run(session, runs.start_run(session, drafted(session, LONG, rows=LEARNT_FROM - 1)), timeout_s=60)

    assert runs.estimate(session, drafted(session, LONG)).cost.guessed
