"""A real run to export, and records made by hand for odd texts."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from assay.config import Settings
from assay.domain.contestant import Contestant, Prompt
from assay.domain.plan import RunPlan
from assay.domain.score import GraderSpec, Score
from assay.exports.record import CallFact, CellFact, RunRecord, SpendLine
from assay.exports.scoreboard import ContestantScore
from assay.stats.values import Estimate
from assay.workbench.datasets import kept
from assay.workbench.results.exports import KINDS
from assay.workbench.running import runs
from assay.workbench.running.runs import RunDraft
from assay.workbench.session import Session, open_session

ROWS = 12
MODELS = ("sandbox/atlas-large", "sandbox/swift")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the database of the real run is."""
    return tmp_path_factory.mktemp("canary-folder")


@pytest.fixture(scope="module")
def session(folder: Path) -> Iterator[Session]:
    """A workbench with a fast sandbox, shared by a module's tests: they only read."""
    with open_session(Settings(database_url=f"sqlite:///{folder}/a.db"), sandbox_speed=0) as opened:
        opened.ready()
        yield opened


@pytest.fixture(scope="module")
def run_id(session: Session) -> str:
    """A done run: 12 tickets, two models, a grader and a judge."""
    dataset = kept.open_dataset(session, "support_tickets")
    example = next(e for e in kept.examples() if e.name == "support_tickets")
    draft = RunDraft(
        dataset.id,
        (Prompt(example.user),),
        tuple(Contestant(m) for m in MODELS),
        graders=(GraderSpec("contains"), GraderSpec("judge", {"model": "sandbox/sage"})),
        expected_column="category",
        limit=ROWS,
    )
    state = runs.wait_for_run(session, runs.start_run(session, draft), timeout_s=60)
    assert state.state == "done"
    return state.id


def written(record: RunRecord, kind: str) -> bytes:
    """An export of a record."""
    target = io.BytesIO()
    KINDS[kind].write(record, target)
    return target.getvalue()


def call_fact(cell: int, **more: object) -> CallFact:
    """A paid call."""
    values = {
        "id": f"call{cell}",
        "created_ms": 1_700_000_000_000,
        "purpose": "run",
        "attempt": 1,
        "model": "maker/one",
        "answered_by": "maker/one-2026",
        "provider": "Acme",
        "generation_id": f"gen-{cell}",
        "outcome": "ok",
        "error_kind": None,
        "http_status": 200,
        "cost_pico": 123_456_789 + cell,
        "provenance": "billed",
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "reasoning_tokens": 0,
        "cached_tokens": 0,
        "first_token_ms": 12.5,
        "total_ms": 80.25,
        "finish_reason": "stop",
        **more,
    }
    return CallFact(**values)  # type: ignore[arg-type]


def cell_fact(cell: int, **more: object) -> CellFact:
    """A passed cell of one contestant; `output`, `values` and others can be given."""
    call = call_fact(cell)
    values = {
        "cell": cell,
        "row": cell,
        "row_key": f"k{cell}",
        "values": ("a question", "yes"),
        "prompt": 0,
        "contestant": 0,
        "sample": 0,
        "status": "ok",
        "error_kind": None,
        "output": "yes",
        "reasoning": "",
        "error": "",
        "cached": False,
        "value": 1.0,
        "passed": True,
        "cost_pico": call.cost_pico,
        "first_token_ms": 12.5,
        "total_ms": 80.25,
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "finished_ms": 1_700_000_001_000,
        "call_id": call.id,
        "scores": (Score("contains", 1.0, True, "Found 'yes'."),),
        "calls": (call,),
        **more,
    }
    return CellFact(**values)  # type: ignore[arg-type]


def record_of(
    cells: Callable[[], Iterator[CellFact]], *, rows: int, contestants: int = 1, name: str = "A run"
) -> RunRecord:
    """A record around cells made by hand."""
    chosen = tuple(Contestant(f"maker/{n}") for n in ("one", "two", "three")[:contestants])
    plan = RunPlan(
        "d" * 16, rows, (Prompt("{{question}}"),), chosen, (GraderSpec("contains"),), expected_column="expected"
    )
    board = tuple(
        ContestantScore(
            prompt=0,
            contestant=n,
            label=c.name,
            key=c.key,
            colour="#4f46e5",
            score=Estimate(0.8, 0.5, 0.95, rows, "by hand"),
            passes=Estimate(1.0, 0.8, 1.0, rows, "by hand"),
            cells=rows,
            answered=rows,
            scored=rows,
            failed=0,
            correct=rows,
            cost_pico=10**6 * (n + 1),
            known_pico=10**6 * (n + 1),
            unknown_cells=0,
            p50_ms=80.0,
            p95_ms=90.0,
            prompt_tokens=10,
            completion_tokens=5,
        )
        for n, c in enumerate(chosen)
    )
    return RunRecord(
        id="r" * 32,
        name=name,
        state="done",
        reason="",
        created_ms=1_700_000_000_000,
        started_ms=1_700_000_000_000,
        finished_ms=1_700_000_002_000,
        gateway="openrouter",
        tags=(),
        dataset="questions",
        dataset_version=1,
        dataset_hash="d" * 16,
        columns=("question", "expected"),
        plan=plan,
        done=rows * contestants,
        board=board,
        verdict="one is best.",
        cells=cells,
        spend=(SpendLine("one", "run", "billed", rows, 10**6, 0, 0),),
        versions={"Assay": "0.1.0"},
    )
