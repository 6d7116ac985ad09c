"""A run whose expected cells are as hostile as a file can hold, through a gateway that fails now and then.

HOSTILE   the cells
drive     the run, and what became of it
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import text

from assay.config import Gateway, Settings
from assay.domain.contestant import Contestant, Prompt
from assay.domain.score import GraderSpec
from assay.sandbox import Fault, SandboxConfig, SandboxServer
from assay.workbench.datasets import kept
from assay.workbench.running import runs
from assay.workbench.session import Session, open_session

MODELS = ("sandbox/swift", "sandbox/scribe")
JUDGE = "sandbox/sage"
BRANCHING = json.dumps(
    {
        "$ref": "#/$defs/a20",
        "$defs": {"a0": {"type": "null"}}
        | {f"a{n}": {"anyOf": [{"$ref": f"#/$defs/a{n - 1}"}] * 2} for n in range(1, 21)},
    }
)
HOSTILE = (
    "C++",
    "(five",
    "[a-",
    "5e1234567",
    "1e999999999",
    "1e400",
    "-1e-999999",
    "7" * 9_000,
    r"^(a|a)*$",
    r"(\w*\s*)*:$",
    r"(?=(\w+\s?)+$)x",
    r"(.*)*\1x",
    "[" * 5_000,
    "{" * 5_000,
    '["a", ["b"]]',
    "a|b|" * 1_500,
    "a" + "\u0301\u0316" * 3_000,
    "is-json: " + BRANCHING,
    'is-json: {"$ref": "https://json.schemastore.org/package.json"}',
    "is-json: &a [*a]",
    "is-json: {a: " * 900,
    "contains-json: {type: string}",
    'contains-all: "a, b',
    "regex: (" * 300,
    "not-regex: a**",
    r"regex: ^(([0123]:)?[a-zA-Z-\d]+\s*)+$",
    "levenshtein(1e9): x",
    "levenshtein(3): " + "ab" * 5_000,
    "word-count: 1e99999",
    "cost(1e999)",
    "latency: NaN",
    "javascript: while(1){}",
    "file:///etc/passwd",
    "{{q}}{{q}}",
    "{{ q | upper }}",
    "similar(0.8): x",
    "\x1b]0;x\x07",
    "\u202e",
    "",
    " ",
    "ordinary",
    "regex: .",
    "icontains: e",
)
GRADERS = (
    GraderSpec("equals"),
    GraderSpec("contains"),
    GraderSpec("regex"),
    GraderSpec("numeric"),
    GraderSpec("json"),
    GraderSpec("json_schema", {"schema": BRANCHING}, "branching"),
    GraderSpec("json_schema", {"schema": '{"pattern": "^(a|a)*$", "uniqueItems": true}'}, "schema"),
    GraderSpec("regex", {"pattern": r"(?=(\w+\s?)+$)x"}, "lookahead"),
    GraderSpec("row_assertions"),
    GraderSpec("judge", {"model": JUDGE}),
)
FAULTS = tuple(
    Fault(kind, rate=0.04, retry_after_s=0.05)  # type: ignore[arg-type]
    for kind in ("429", "500", "503", "truncated", "malformed_chunk", "error_in_200", "reasoning_ate_budget")
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a run."""

    state: str
    cells: int
    results: int
    paid_without_answer: int
    """Cells with a successful call whose result has no readable output."""
    unexplained: int
    """Scores without a value that say no reason, or a longer one than is allowed."""
    scored: int
    longest_gap_s: float
    """Longest time in which this process worked and the engine's loop had no turn."""
    seconds: float


def drive(folder: Path, rows: int, graders: Sequence[GraderSpec] = GRADERS) -> Outcome:
    """Runs as many rows through two models and every grader, with a watch on the engine's loop."""
    settings = Settings(database_url=f"sqlite:///{folder}/a.db", concurrency=16)
    with SandboxServer(SandboxConfig(speed=0, faults=FAULTS)) as server:
        gateway = Gateway("sandbox", server.base_url, SecretStr("k"))
        with open_session(settings, gateway=gateway) as session:
            session.ready()
            gaps = [0.0]
            watch = session.spawn(_watch(gaps))
            started = time.monotonic()
            try:
                run_id = runs.start_run(session, draft_of(session, rows, graders))
                state = runs.wait_for_run(session, run_id, timeout_s=600).state
            finally:
                watch.cancel()
            return _outcome(session, state, rows * len(MODELS), max(gaps), time.monotonic() - started)


async def _watch(gaps: list[float]) -> None:
    last, worked = time.monotonic(), time.process_time()
    while True:
        await asyncio.sleep(0.005)
        now, spent = time.monotonic(), time.process_time()
        # What other programs of a busy machine take is not this process's: the loop was held while it worked itself.
        gaps.append(min(now - last, spent - worked) - 0.005)
        last, worked = now, spent


def draft_of(session: Session, rows: int, graders: Sequence[GraderSpec]) -> runs.RunDraft:
    """The run: a file of hostile cells, two models."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(["id", "q", "e", "__expected"])
    for n in range(rows):
        wanted = HOSTILE[n % len(HOSTILE)]
        writer.writerow([n, f"Tell me about number {n}", wanted, HOSTILE[(n * 7 + 3) % len(HOSTILE)]])
    table = kept.read_upload(session, file.getvalue().encode(), filename="hostile.csv")
    dataset = kept.save_table(session, table, name="hostile", source="hostile.csv")
    contestants = tuple(Contestant(model, {"max_tokens": 60}) for model in MODELS)
    return runs.RunDraft(dataset.id, (Prompt("{{q}}"),), contestants, tuple(graders), expected_column="e")


def _outcome(session: Session, state: str, cells: int, gap: float, seconds: float) -> Outcome:
    def count(query: str) -> int:
        return int(connection.execute(text(query)).scalar_one())

    with session.store.read() as connection:
        return Outcome(
            state,
            cells,
            count("SELECT count(*) FROM result"),
            count(
                "SELECT count(*) FROM call JOIN result USING (run_id, cell) JOIN result_text USING (run_id, cell) "
                "WHERE call.outcome = 'ok' AND call.purpose = 'run' AND call.completion_tokens > 0 AND finish_reason = "
                "'stop' AND (result.status != 'ok' OR result_text.output = '')"
            ),
            count("SELECT count(*) FROM score WHERE value IS NULL AND (reason = '' OR length(reason) > 1000)"),
            count("SELECT count(*) FROM score WHERE value IS NOT NULL"),
            gap,
            seconds,
        )
