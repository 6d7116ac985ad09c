"""Files of other tools, imported and run without editing, over real HTTP to the sandbox."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assay.config import Settings
from assay.domain.contestant import Contestant, Prompt
from assay.domain.score import GraderSpec
from assay.scoring.graders import suggested
from assay.workbench.datasets import kept
from assay.workbench.results import cells as results
from assay.workbench.results import standing
from assay.workbench.running import runs
from assay.workbench.running.review import review
from assay.workbench.running.runs import RunDraft
from assay.workbench.session import Session, open_session

MODEL = (Contestant("sandbox/swift"),)
PROMPTFOO = (
    "topic,__expected,__expected2,__prefix,__metadata:kind\n"
    'tides,"icontains-any: tide, moon",latency(60000),Briefly: ,science\n'
    "code,javascript: output.length > 1,,,code\n"
    "{{topic}},not-contains: surely not this,cost(0),,odd\n"
)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """A workbench with a fast sandbox."""
    with open_session(Settings(database_url=f"sqlite:///{tmp_path}/a.db"), sandbox_speed=0) as opened:
        opened.ready()
        yield opened


def run(session: Session, draft: RunDraft) -> list[Any]:
    """The first score of every cell of a finished run."""
    run_id = runs.start_run(session, draft)
    state = runs.wait_for_run(session, run_id, timeout_s=60)
    assert (state.state, state.failed) == ("done", 0)
    return [results.cell_detail(session, run_id, number).record.scores[0] for number in range(state.cells)]


SETS = [("banking77", "equals"), ("countries", "numeric"), ("date-calculator", "equals")]
"""The public sets in OpenAI's legacy format, and the grader that fits each."""
PAIR = (Contestant("sandbox/swift"), Contestant("sandbox/atlas-large"))


@pytest.mark.shared
@pytest.mark.parametrize("shape", ["legacy", "platform"])
@pytest.mark.parametrize(("name", "grader"), SETS)
def test_openai_evals_set_is_imported_and_run(
    session: Session, tmp_path: Path, shared_data: Path, name: str, grader: str, shape: str
) -> None:
    """Imported as it is, every row is sent as its file's conversation to both models, answered and scored."""
    path = shared_data / "openai-evals" / f"{name}.jsonl"
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    if shape == "platform":
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps({"item": line, "sample": {}}) + "\n" for line in lines))
    dataset = kept.open_dataset(session, str(path))
    draft = RunDraft(
        dataset.id, (Prompt("{{input}}"),), PAIR, (GraderSpec(grader),), expected_column=dataset.roles["expected"]
    )

    sent = list(review(session, draft, previewed=len(lines)).preview)
    run_id = runs.start_run(session, draft)
    state = runs.wait_for_run(session, run_id, timeout_s=60)

    assert dataset.row_count == len(lines)
    assert [[m.as_json() for m in messages] for messages in sent] == [line["input"] for line in lines]
    assert (state.state, state.done, state.failed) == ("done", 2 * len(lines), 0)
    assert [line.coverage for line in standing.scoreboard(session, run_id)] == [1.0, 1.0]


def test_promptfoo_file_is_graded_by_its_own_checks(session: Session, tmp_path: Path) -> None:
    """Time and cost of the answer are known to the checks, code is unscored, a cell's braces are text."""
    path = tmp_path / "tests.csv"
    path.write_text(PROMPTFOO)
    dataset = kept.open_dataset(session, str(path))
    draft = RunDraft(dataset.id, (Prompt("Tell me about {{topic}}"),), MODEL, suggested(dataset.columns))

    sent = [messages[0].text for messages in list(review(session, draft).preview)]
    scores = run(session, draft)

    assert sent == ["Briefly: Tell me about tides", "Tell me about code", "Tell me about {{topic}}"]
    assert "allowed 60000 ms" in scores[0].reason
    assert (scores[1].value, scores[1].passed) == (None, None)
    assert "never run" in scores[1].reason
    assert (scores[2].value, scores[2].passed) == (0.5, False)


def test_checks_need_their_columns(session: Session) -> None:
    """The grader is refused in words for a dataset without checks."""
    dataset = kept.open_dataset(session, "support_tickets")
    draft = RunDraft(dataset.id, (Prompt("{{ticket}}"),), MODEL, (GraderSpec("row_assertions"),))

    assert "__expected" in " ".join(list(review(session, draft).problems))


def test_path_that_some_row_lacks_stops_the_start(session: Session, tmp_path: Path) -> None:
    """Nothing is paid when a dotted path is undefined in one row."""
    path = tmp_path / "a.csv"
    path.write_text('t\n"{""a"": 1}"\n"{}"\n')
    dataset = kept.open_dataset(session, str(path))
    draft = RunDraft(dataset.id, (Prompt("{{t.a}}"),), MODEL)

    with pytest.raises(Exception, match=r"\{\{t\.a\}\}"):
        runs.start_run(session, draft)
