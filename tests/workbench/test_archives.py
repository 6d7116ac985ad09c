"""Export, wipe, import: the same run; and nothing but what Assay wrote comes in."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from assay.config import Gateway, Settings
from assay.domain.contestant import Contestant, Prompt
from assay.domain.score import GraderSpec
from assay.errors import AssayError, DataError, ImportRefused, RunError
from assay.sandbox import Fault, SandboxConfig, SandboxServer
from assay.store import spend as sums
from assay.store.cell_costs import run_cost
from assay.store.tables import MONTH_SPEND, RUN
from assay.workbench.datasets import kept as datasets
from assay.workbench.gating import gates
from assay.workbench.gating.suites import Gate
from assay.workbench.results import archives, compare, exports, standing
from assay.workbench.results import cells as results
from assay.workbench.running import growth, policies, runs
from assay.workbench.running.runs import RunDraft
from assay.workbench.session import Session, open_session
from assay.workbench.spending import spend

HOSTILE = "=1+1</script><img src=http://evil.example/x>\x00\x1b[31m\u202e {{ticket}}\n| a | b |"
FAULTS = (
    Fault("403_moderation", model="sandbox/swift", rate=0.3),
    Fault("no_usage", model="sandbox/atlas-large", rate=0.4),
    Fault("503", model="sandbox/scribe", rate=0.3, retry_after_s=0.01),
)
ROWS = 8
LINES = {"archive", "jsonl", "csv", "tidy", "wide", "promptfoo", "junit"}
"""Formats that hold nothing of the workbench that wrote them."""


def opened(folder: Path, server: SandboxServer) -> Any:
    """A workbench over a sandbox that fails at times."""
    gateway = Gateway("sandbox", server.base_url, SecretStr("sk-test"))
    return open_session(Settings(database_url=f"sqlite:///{folder}/a.db"), gateway=gateway)


def make_run(session: Session, folder: Path) -> str:
    """A run with failures, retries, a judge, unknown costs, samples, prompts, and hostile texts in its rows."""
    folder.mkdir(exist_ok=True)
    lines = [json.dumps({"id": f"t{n}", "ticket": f"{HOSTILE} {n}", "category": "billing"}) for n in range(ROWS)]
    (folder / "tickets.jsonl").write_text("\n".join(lines))
    dataset = datasets.open_dataset(session, str(folder / "tickets.jsonl"))
    draft = RunDraft(
        dataset.id,
        (Prompt("Which: billing, bug? {{ticket}}", name="one"), Prompt("{{ticket}}", "Name a category.")),
        tuple(Contestant(f"sandbox/{name}") for name in ("swift", "atlas-large", "scribe")),
        (GraderSpec("contains"), GraderSpec("judge", {"model": "sandbox/sage"})),
        samples=2,
        expected_column="category",
        tags=("weekly", "ci"),
        name=f"Run {HOSTILE}",
    )
    state = runs.wait_for_run(session, runs.start_run(session, draft), timeout_s=90)
    assert state.state == "done"
    return state.id


def written(session: Session, run_id: str, kind: str) -> bytes:
    """An export of a run."""
    target = io.BytesIO()
    exports.export_run(session, run_id, kind, target)
    return target.getvalue()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of a whole run, with its other exports and figures beside it."""
    folder = tmp_path_factory.mktemp("first")
    untold = SandboxConfig(speed=0, faults=FAULTS, seed=5, generation_delay_s=3_600)
    with SandboxServer(untold) as server, opened(folder, server) as session:
        session.ready()
        run_id = make_run(session, folder)
        for kind in LINES:
            (folder / kind).write_bytes(written(session, run_id, kind))
        (folder / "figures").write_text(repr(figures(session, run_id)))
    return folder / "archive"


def figures(session: Session, run_id: str) -> tuple[object, ...]:
    """What the pages show of a run."""
    run = results.get_run(session, run_id)
    chosen = sums.SpendFilter(run_id=run_id)
    progress = runs.progress(session, run_id)
    return (
        run.name,
        run.state,
        run.created_ms,
        run.plan,
        run.dataset,
        run.done,
        run.failed,
        [tag for tag in run.tags if tag != "imported"],
        standing.standing(session, run_id),
        spend.spent(session, chosen),
        progress.spent_pico,
        progress.unknown_calls,
        progress.unknown_bound_pico,
        [results.cell_detail(session, run_id, cell).record.values for cell in (0, run.done - 1)],
    )


@pytest.fixture
def empty(tmp_path: Path) -> Any:
    """A workbench with an empty database."""
    with open_session(Settings(database_url=f"sqlite:///{tmp_path}/empty.db"), sandbox_speed=0) as session:
        session.ready()
        yield session


def test_archive_holds_what_makes_it_hard(archive: Path) -> None:
    """Failures, several attempts, judges, unknown costs, both samples and prompts are in the run of these tests."""
    lines = [json.loads(line) for line in archive.read_bytes().splitlines()]
    found = [line for line in lines if line["kind"] == "result"]
    calls = [call for line in found for call in line["calls"]]

    assert len(found) == ROWS * 2 * 3 * 2
    assert {"ok", "failed"} == {line["status"] for line in found}
    assert any(call["cost_pico"] is None for call in calls)
    assert any(call["attempt"] > 1 for call in calls)
    assert {call["purpose"] for call in calls} == {"run", "judge"}


def test_run_exported_wiped_and_imported_is_the_same(archive: Path, empty: Session) -> None:
    """In an empty database every export has the same bytes again, and the pages show the same figures."""
    found = archives.import_run(empty, archive)

    assert (found.results, found.cells, found.state) == (96, 96, "done")
    for kind in LINES:
        assert written(empty, found.id, kind) == (archive.parent / kind).read_bytes(), kind
    assert repr(figures(empty, found.id)) == (archive.parent / "figures").read_text()
    assert "imported" in results.get_run(empty, found.id).tags


def test_imported_spend_counts_once_and_in_its_month(archive: Path, tmp_path: Path, empty: Session) -> None:
    """The month of the calls holds what they cost, unknown ones at their bound; a second import is refused."""
    head, *rest = archive.read_bytes().splitlines(keepends=True)[:-1]
    before = 1_700_000_000_000

    def earlier(value: dict[str, Any]) -> None:
        for call in value.get("calls", ()):
            call["created_ms"] = before

    file = rewritten(tmp_path, [head, *rest], earlier)
    found = archives.import_run(empty, file)

    with empty.store.read() as connection:
        months = {row.month: row.settled_pico for row in connection.execute(MONTH_SPEND.select())}
        run = connection.execute(RUN.select()).one()
        cost = run_cost(connection, run.id)
    assert found.spent_pico == cost.known_pico + cost.judging_pico > 0
    held = found.spent_pico + cost.unknown_bound_pico + cost.judging_bound_pico
    assert months == {"2023-11": held}
    assert run.settled_pico == held
    with pytest.raises(RunError, match="here already"):
        archives.import_run(empty, archive)
    with empty.store.read() as connection:
        assert {row.month for row in connection.execute(MONTH_SPEND.select())} == {"2023-11"}


def test_gates_and_growth_come_with_the_run(tmp_path: Path, empty: Session) -> None:
    """What was added later is told, every bound is checked as before, and a baseline that stayed behind is named."""
    with open_session(Settings(database_url=f"sqlite:///{tmp_path}/g.db"), sandbox_speed=0) as session:
        session.ready()
        draft = RunDraft(
            datasets.open_dataset(session, "support_tickets").id,
            (Prompt("{{ticket}}"),),
            (Contestant("sandbox/swift"),),
            (GraderSpec("contains"),),
            expected_column="category",
            limit=4,
            name="main",
            budget_usd=Decimal(1),
        )
        runs.wait_for_run(session, runs.start_run(session, draft), timeout_s=60)
        kept = [Gate.model_validate(gate) for gate in ({"not_worse_than": {"run": "main"}}, {"failed": {"max": 0}})]
        draft = replace(draft, name="change", gates=gates.frozen(kept, gates.find_baselines(session, kept)))
        run_id = runs.start_run(session, draft)
        runs.wait_for_run(session, run_id, timeout_s=60)
        growth.grow_run(session, run_id, growth.Growth(contestants=(Contestant("sandbox/scribe"),), samples=2, rows=6))
        assert runs.wait_for_run(session, run_id, timeout_s=60).state == "done"
        for kind in LINES:
            (tmp_path / kind).write_bytes(written(session, run_id, kind))
        here, history = gates.check_run(session, run_id), growth.history(session, run_id)

    found = archives.import_run(empty, tmp_path / "archive")

    there = gates.check_run(empty, found.id)
    assert here is not None
    assert there is not None
    assert there[0].words == "the baseline run 'main' is not in this workbench, so nothing is compared"
    assert (there[0].passed, there[1:]) == (False, here[1:])
    assert growth.history(empty, found.id) == history
    for kind in LINES:
        assert written(empty, found.id, kind) == (tmp_path / kind).read_bytes(), kind
    assert b"is not in this workbench" in written(empty, found.id, "evidence")


def test_imported_run_is_compared_with_one_made_here(archive: Path, empty: Session, tmp_path: Path) -> None:
    """Rows are joined by key, on the dataset that came with the archive."""
    found = archives.import_run(empty, archive)
    draft = RunDraft(
        found.dataset_id,
        (Prompt("Which: billing, bug? {{ticket}}", name="one"),),
        (Contestant("sandbox/swift"),),
        (GraderSpec("contains"),),
        expected_column="category",
    )
    here = runs.start_run(empty, draft)
    runs.wait_for_run(empty, here, timeout_s=60)

    comparison = compare.compare_runs(empty, found.id, here)

    assert comparison is not None


def test_data_policy_comes_with_the_rows(tmp_path: Path, empty: Session) -> None:
    """Rows that were under a policy are under it where they arrive."""
    with open_session(Settings(database_url=f"sqlite:///{tmp_path}/b.db"), sandbox_speed=0) as session:
        session.ready()
        dataset = datasets.open_dataset(session, "support_tickets")
        policies.set_policy(session, dataset.id, policies.make_policy(zdr=True, no_training=False, only=()))
        draft = RunDraft(dataset.id, (Prompt("{{ticket}}"),), (Contestant("sandbox/atlas-large"),), limit=2)
        run_id = runs.start_run(session, draft)
        runs.wait_for_run(session, run_id, timeout_s=60)
        (tmp_path / "run").write_bytes(written(session, run_id, "archive"))

    found = archives.import_run(empty, tmp_path / "run")

    assert policies.effective(empty, found.dataset_id, {}) == {"zdr": True}


def test_run_at_work_has_no_archive(tmp_path: Path) -> None:
    """A run that goes on is refused with the cure, and no file is left."""
    with open_session(Settings(database_url=f"sqlite:///{tmp_path}/c.db"), sandbox_speed=3) as session:
        session.ready()
        dataset = datasets.open_dataset(session, "support_tickets")
        run_id = runs.start_run(session, RunDraft(dataset.id, (Prompt("{{ticket}}"),), (Contestant("sandbox/swift"),)))
        with pytest.raises(DataError, match="at rest"):
            exports.export_run(session, run_id, "archive", tmp_path / "x.archive.jsonl")
        runs.stop_run(session, run_id)
        runs.wait_for_run(session, run_id, timeout_s=60)

    assert not (tmp_path / "x.archive.jsonl").exists()


def test_archive_leaves_nothing_out(archive: Path, empty: Session) -> None:
    """An archive without a column would not be the run."""
    found = archives.import_run(empty, archive)

    with pytest.raises(DataError, match="whole run"):
        exports.export_run(empty, found.id, "archive", io.BytesIO(), redact=["category"])


def rewritten(folder: Path, lines: list[bytes], change: Callable[[dict[str, Any]], None]) -> Path:
    """An archive with changed objects and a right end, as a forger would make it."""
    changed = []
    for line in lines:
        value = json.loads(line)
        change(value)
        changed.append(json.dumps(value).encode() + b"\n")
    body = b"".join(changed)
    end = {"kind": "end", "lines": len(changed), "sha256": hashlib.sha256(body).hexdigest()}
    (folder / "forged").write_bytes(body + json.dumps(end).encode())
    return folder / "forged"


def test_notes_of_answers_come_with_the_run(tmp_path: Path, empty: Session) -> None:
    """What the reader of an answer must know is in the archive; one from before there were notes is read too."""
    dataset = datasets.open_dataset(empty, "support_tickets")
    draft = RunDraft(dataset.id, (Prompt("{{ticket}}"),), (Contestant("sandbox/swift", {"max_tokens": 1}),), limit=1)
    run_id = runs.wait_for_run(empty, runs.start_run(empty, draft), timeout_s=60).id
    lines = written(empty, run_id, "archive").splitlines(keepends=True)[:-1]

    def taken(name: str, change: Callable[[dict[str, Any]], object]) -> str:
        with open_session(Settings(database_url=f"sqlite:///{tmp_path}/{name}.db"), sandbox_speed=0) as session:
            found = archives.import_run(session, rewritten(tmp_path, lines, change))
            return results.cell_detail(session, found.id, 0).record.note

    assert taken("today", dict.keys) == results.cell_detail(empty, run_id, 0).record.note
    assert taken("today-again", dict.keys) == "It was cut at its limit of tokens."
    assert taken("before", lambda value: value.pop("note", "")) == ""


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: data[:-200], "cut short"),
        (lambda data: data.replace(b'"billed"', b'"estimated"', 1), "changed"),
        (lambda data: data + b"{}", "after its end"),
        (lambda data: b"", "cut short"),
        (lambda data: b"a,b\n1,2\n", "not the"),
        (lambda data: b'{"kind": "row"}\n', "not the"),
        (lambda data: data.replace(b'"format": 1', b'"format": 2', 1), "format 2"),
        (lambda data: b"[" * 100_000, "not the"),
        (lambda data: data.replace(b"\n", b"\nx", 1), "Line 2"),
        (lambda data: data.replace(b'"run":', b'"\\ud800":', 1), "not the"),
    ],
)
def test_damaged_file_is_refused_in_words(
    archive: Path, tmp_path: Path, empty: Session, damage: Callable[[bytes], bytes], said: str
) -> None:
    """Cut, changed, continued, foreign or newer: nothing of it is kept."""
    (tmp_path / "damaged").write_bytes(damage(archive.read_bytes()))

    with pytest.raises(ImportRefused, match=said):
        archives.import_run(empty, tmp_path / "damaged")
    assert (runs.list_runs(empty), datasets.list_datasets(empty)) == ([], [])


def _set(kind: str, *path: str | int) -> Callable[[object], Callable[[dict[str, Any]], None]]:
    """Changes a field of every object of a kind."""

    def with_value(value: object) -> Callable[[dict[str, Any]], None]:
        def change(found: dict[str, Any]) -> None:
            if found["kind"] != kind:
                return
            inner: Any = found
            for name in path[:-1]:
                if isinstance(inner, list) and not inner:
                    return
                inner = inner[name]
            inner[path[-1]] = value

        return change

    return with_value


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_set("run", "run", "id")("../../etc"), "an id"),
        (_set("run", "run", "state")("running"), "state"),
        (_set("run", "run", "owner")("me"), "other fields"),
        (_set("run", "run", "name")(None), "name"),
        (_set("run", "plan", "samples")("2"), "plan"),
        (_set("run", "plan", "samples")(10**9), "plan"),
        (_set("run", "plan", "more")(1), "plan"),
        (_set("run", "plan", "contestants", 0, "params")("x"), "plan"),
        (_set("run", "plan", "prompts", 0, "user")(["x"]), "plan"),
        (_set("run", "plan", "gateway")("openrouter"), "plan"),
        (_set("run", "plan")(None), "plan"),
        (_set("run", "estimate", "cost")("free"), "plan"),
        (_set("run", "dataset", "policy", "only")("x"), "policy"),
        (_set("run", "dataset", "policy", "sort")("p"), "policy"),
        (_set("run", "dataset", "roles", "expected")(1), "roles"),
        (_set("row", "values", 1)("other"), "rows that are not"),
        (_set("row", "values")(["x"]), "longer or shorter"),
        (_set("row", "key")(3), "key"),
        (_set("result", "cell")(0), "cell 0 twice"),
        (_set("result", "cell")(10**6), "grid"),
        (_set("result", "cell")(True), "cell"),
        (_set("result", "status")("great"), "status"),
        (_set("result", "prompt_tokens")(2**64), "prompt_tokens"),
        (_set("result", "output")(None), "output"),
        (_set("result", "scores", 0, "grader")(7), "grader"),
        (_set("result", "calls", 0, "state")("sent"), "state"),
        (_set("result", "calls", 0, "cost_pico")(-5), "cost"),
        (_set("result", "calls", 0, "created_ms")(10**18), "time"),
        (_set("result", "calls", 0, "tags")([1]), "tags"),
        (_set("result", "kind")("other"), "kind 'other'"),
        (_set("result", "calls", 0, "id")("same"), "UNIQUE"),
    ],
)
def test_forged_archive_is_refused_whole(
    archive: Path, tmp_path: Path, empty: Session, change: Callable[[dict[str, Any]], None], said: str
) -> None:
    """A right hash does not help: every field is checked, and nothing is kept of a file in which one is wrong."""
    file = rewritten(tmp_path, archive.read_bytes().splitlines(keepends=True)[:-1], change)

    with pytest.raises(AssayError, match=said):
        archives.import_run(empty, file)
    assert (runs.list_runs(empty), datasets.list_datasets(empty)) == ([], [])
    with empty.store.read() as connection:
        assert connection.execute(MONTH_SPEND.select()).all() == []


def test_file_that_is_not_there_is_said(tmp_path: Path, empty: Session) -> None:
    """A path without a file, and a folder."""
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(ImportRefused, match=r"cannot be read|not a file"):
            archives.import_run(empty, path)
