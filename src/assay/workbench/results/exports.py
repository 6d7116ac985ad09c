"""Exports of a run: reads the store in pages and hands the formats of `assay.exports` what they write."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import assay
from assay.domain.score import Score
from assay.errors import DataError
from assay.exports import answers, archive, evidence, jsonl, junit, markdown, promptfoo, tidy, wide, xlsx
from assay.exports.record import (
    CallFact,
    CellFact,
    GateFact,
    RowFact,
    RunRecord,
    SpendLine,
    unique,
    utc_text,
)
from assay.exports.redact import TEXTS, redacted, without_keys
from assay.leftovers import mark, sweep
from assay.store import archives, datasets, runs
from assay.store import results as stored
from assay.store import spend as sums
from assay.store.cell_costs import NAMES
from assay.workbench.results import cells as results
from assay.workbench.results import outcome, standing
from assay.workbench.running import growth

if TYPE_CHECKING:
    from assay.workbench.session import Session


@dataclass(frozen=True, slots=True)
class Kind:
    """A format that a run can be exported in."""

    name: str
    suffix: str
    """End of the file's name, without the first dot."""
    media_type: str
    words: str
    write: Callable[[RunRecord, BinaryIO], None]
    whole: bool = False
    """Of a run at rest only, and nothing can be left out."""


_EXCEL = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("evidence", "html", "text/html", "Evidence pack: one page that opens offline", evidence.write),
        Kind("csv", "csv", "text/csv", "CSV, one line per answer", answers.write),
        Kind("tidy", "tidy.csv", "text/csv", "Tidy CSV, one line per call and score", tidy.write),
        Kind("wide", "wide.csv", "text/csv", "Wide CSV, one line per row", wide.write),
        Kind("xlsx", "xlsx", _EXCEL, "Excel workbook, summary and rows", xlsx.write),
        Kind("jsonl", "jsonl", "application/jsonl", "JSONL, one object per answer", jsonl.write),
        Kind("promptfoo", "promptfoo.json", "application/json", "JSON that promptfoo reads", promptfoo.write),
        Kind("junit", "junit.xml", "application/xml", "JUnit XML for a build server", junit.write),
        Kind(
            "archive",
            "archive.jsonl",
            "application/jsonl",
            "Archive that another workbench takes in",
            archive.write,
            whole=True,
        ),
        Kind("markdown", "md", "text/markdown", "Markdown summary for a pull request", markdown.write),
    )
}
_OTHER_SUFFIXES = {"json": "promptfoo", "xml": "junit", "htm": "evidence"}


def kind_of(name: str) -> Kind:
    """The format of a name. Raises DataError."""
    if name not in KINDS:
        raise DataError(f"There is no export format {name!r}.", cure=f"There are: {', '.join(KINDS)}.")
    return KINDS[name]


def kind_for(path: Path) -> Kind | None:
    """The format that a file's name asks for; None when it asks for none."""
    name = path.name.lower()
    by_length = sorted(KINDS.values(), key=lambda kind: -len(kind.suffix))
    found = next((kind for kind in by_length if name.endswith(f".{kind.suffix}")), None)
    return found or KINDS.get(_OTHER_SUFFIXES.get(path.suffix.lower().lstrip("."), ""))


def file_name(run_id: str, kind: Kind) -> str:
    """The name under which an export is downloaded."""
    return f"assay-{run_id[:12]}.{kind.suffix}"


def redactable(session: Session, run_id: str) -> tuple[str, ...]:
    """Names of what can be left out of a run's exports."""
    return (*results.get_run(session, run_id).dataset.columns, *TEXTS)


def export_run(
    session: Session, run_id: str, kind: str, target: BinaryIO | Path, *, redact: Collection[str] = ()
) -> None:
    """Writes a run in a format; a file appears whole or not at all. Raises NotFound, DataError."""
    chosen = kind_of(kind)
    record = redacted(run_record(session, run_id), redact)
    if not isinstance(target, Path):
        chosen.write(record, target)
        return
    try:
        write_whole(target, lambda file: chosen.write(record, file))
    except OSError as error:
        raise DataError(f"{target} cannot be written: {error.strerror}.", cure="Check folder and rights.") from error


def write_whole(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Writes a file that appears whole or not at all; a new one is for its owner alone."""
    if path.exists() and not path.is_file():
        with path.open("wb") as device:
            write(device)
        return
    sweep(path.parent)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.{mark()}-")
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
        if path.exists():
            Path(name).chmod(path.stat().st_mode & 0o777)  # whoever opened it to others meant it
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def run_record(session: Session, run_id: str) -> RunRecord:
    """A run as the formats see it; its cells are read from the store when they are asked for."""
    run = results.get_run(session, run_id)
    stands = standing.standing(session, run.id)
    with session.store.read() as connection:
        row = runs.get_run(connection, run.id)
        spent = sums.spend_by_contestant(connection, run.id)
    keys = [
        key.get_secret_value() for key in (session.gateway.api_key, session.gateway.management_key) if key is not None
    ]
    estimate = outcome.estimate_outcome(session, run.id)
    return RunRecord(
        id=run.id,
        name=run.name,
        state=run.state,
        reason=without_keys(run.reason, keys),
        created_ms=run.created_ms,
        started_ms=row.started_ms,
        finished_ms=row.finished_ms,
        gateway=run.gateway,
        tags=run.tags,
        dataset=run.dataset.name,
        dataset_version=run.dataset.version,
        dataset_hash=run.dataset.id,
        columns=tuple(run.dataset.columns),
        plan=run.plan,
        done=run.done,
        board=stands.board,
        verdict=stands.verdict,
        decision=stands.decision,
        spend=_spend(run, spent),
        cells=lambda: _cells(session, run, keys),
        rows=lambda: _rows(session, run),
        other_calls=lambda: _other_calls(session, run.id),
        kept=lambda: _kept(session, run.id, keys),
        versions={"Assay": assay.__version__, "Python": platform.python_version()},
        estimate="" if estimate is None else estimate.words,
        gates=_gates(session, run),
        changes=tuple(f"{utc_text(change.at_ms)}: {change.words}" for change in growth.history(session, run.id)),
    )


def _gates(session: Session, run: results.RunRecord) -> tuple[GateFact, ...]:
    from assay.workbench.gating import gates

    found = gates.check_run(session, run.id) if run.state == "done" else None
    return tuple(
        GateFact(gate.contestant or "the run", gate.passed, gate.words, gate.undecided) for gate in found or ()
    )


def _spend(run: results.RunRecord, spent: Sequence[sums.ContestantSpend]) -> tuple[SpendLine, ...]:
    shown = {c.key: name for c, name in zip(run.plan.contestants, run.plan.names, strict=True)}
    return tuple(
        SpendLine(
            shown.get(x.contestant_key, "other"),
            x.purpose,
            x.provenance,
            x.sum.calls,
            x.sum.known_pico,
            x.sum.unknown_calls,
            x.sum.unknown_bound_pico,
            x.sum.upstream_pico,
        )
        for x in spent
    )


def _cells(session: Session, run: results.RunRecord, keys: Collection[str]) -> Iterator[CellFact]:
    graders = unique([spec.label for spec in run.plan.graders])
    with session.store.read() as connection:
        for row in stored.export_rows(connection, run.id, run.dataset.id):
            yield _cell(row, graders, keys)


def _rows(session: Session, run: results.RunRecord) -> Iterator[RowFact]:
    with session.store.read() as connection:
        for start in range(0, run.plan.row_count, ROWS_AT_ONCE):
            count = min(ROWS_AT_ONCE, run.plan.row_count - start)
            for row in datasets.rows_of(connection, run.dataset, start=start, count=count):
                yield RowFact(row.position, row.key, tuple(row.values.values()))


def _other_calls(session: Session, run_id: str) -> Iterator[tuple[int | None, CallFact]]:
    with session.store.read() as connection:
        for call in stored.calls_without_result(connection, run_id):
            yield call.cell, _call(call)


def _kept(session: Session, run_id: str, keys: Collection[str]) -> Iterator[dict[str, Any]]:
    with session.store.read() as connection:
        yield from archives.archived(connection, run_id, clean=lambda text: without_keys(text, keys))


ROWS_AT_ONCE = 1_000
_OF_RESULT = (
    "cell",
    "row",
    "prompt",
    "contestant",
    "sample",
    "status",
    "error_kind",
    "cached",
    "value",
    "passed",
    "cost_pico",
    "first_token_ms",
    "total_ms",
    "prompt_tokens",
    "completion_tokens",
    "finished_ms",
    "call_id",
    *NAMES,
    "cut",
)
_RESULT_VALUES = attrgetter(*_OF_RESULT)
_CALL_VALUES = attrgetter(*(field.name for field in fields(CallFact)))


def _cell(row: stored.ExportRow, graders: Sequence[str], keys: Collection[str]) -> CellFact:
    found: dict[str, Any] = dict(zip(_OF_RESULT, _RESULT_VALUES(row.result), strict=True))
    return CellFact(
        **found,
        row_key=row.row_key,
        values=row.values,
        output=without_keys(row.output, keys),
        reasoning=without_keys(row.reasoning, keys),
        error=without_keys(row.error, keys),
        note=without_keys(row.note, keys),
        scores=tuple(
            Score(graders[n], score.value, score.passed, without_keys(score.reason, keys))
            for n, score in sorted(row.scores.items())
        ),
        calls=tuple(_call(call) for call in row.calls),
    )


def _call(call: Any) -> CallFact:
    return CallFact(*_CALL_VALUES(call))
