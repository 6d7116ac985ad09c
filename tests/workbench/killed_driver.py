"""A process that does one thing over and over until it is killed, and what must be so after the next start.

    python tests/workbench/killed_driver.py ACTION FOLDER URL

It prints a line for each time that it has done it. `bench/kills.py` does this long, the tests do it a few times.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from io import BytesIO
from itertools import count
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import func, select, text

from assay import leftovers
from assay.config import Gateway, Settings
from assay.datasets.table import ReadOptions
from assay.domain.contestant import Contestant, Prompt
from assay.domain.score import GraderSpec
from assay.store import runs as stored
from assay.store.datasets import UNFINISHED
from assay.store.spend_slots import sums_of_calls
from assay.store.tables import CALL, DATASET, DATASET_ROW, MONTH_SPEND, RESULT, RUN, RUN_CHANGE, SPEND_SLOT
from assay.workbench.datasets import importing
from assay.workbench.datasets import kept as datasets
from assay.workbench.results import exports
from assay.workbench.running import growth, runs
from assay.workbench.running.runs import RunDraft
from assay.workbench.session import Session, open_session

PAIR = (Contestant("sandbox/swift"), Contestant("sandbox/scribe"))
FORMATS = ("csv", "jsonl", "xlsx", "archive")
MANY = 6_000


@contextmanager
def workbench(folder: Path, url: str, *, watch: bool = False) -> Iterator[Session]:
    """The app before a gateway that lives on when the app is killed."""
    settings = Settings(database_url=f"sqlite:///{folder}/a.db", concurrency=8)
    with open_session(settings, gateway=Gateway("sandbox", url, SecretStr("key")), watch=watch) as session:
        session.ready()
        yield session


def base(session: Session, rows: int) -> str:
    """A run of questions, under way."""
    table = datasets.read_upload(session, _questions("base", rows), filename="base.csv")
    dataset = datasets.save_table(session, table, name="base", source="base.csv", roles={"id": "id"})
    return runs.start_run(session, _draft(dataset.id), request_id="base")


def _questions(name: str, rows: int) -> bytes:
    return ("id,q\n" + "".join(f"{name} {n},What is {name} {n}?\n" for n in range(rows))).encode()


def _draft(dataset_id: str) -> RunDraft:
    return RunDraft(
        dataset_id, (Prompt("{{q}}"),), PAIR, graders=(GraderSpec("contains", {"value": "e"}),), budget_usd=Decimal(90)
    )


# -- what is done over and over ----------------------------------------------------------------------------------


def start(session: Session, folder: Path, number: int) -> None:
    """Starts a run; every third time one waits for it."""
    if number == 0:
        base(session, 3)
    dataset = datasets.list_datasets(session)[0]
    run_id = runs.start_run(session, _draft(dataset.id), request_id=f"run{number}")
    if number % 3 == 0:
        runs.wait_for_run(session, run_id, timeout_s=60)


def bring_in(session: Session, folder: Path, number: int) -> None:
    """Imports an upload that no other time has."""
    importing.import_upload(
        session, BytesIO(_questions(f"f{number}", MANY)), filename=f"f{number}.csv", options=ReadOptions()
    )


def grow(session: Session, folder: Path, number: int) -> None:
    """Adds samples to a run, or rows of another dataset."""
    run_id = "base"
    if number == 0:
        base(session, 3)
    runs.wait_for_run(session, run_id, timeout_s=60)
    if number % 2:
        table = datasets.read_upload(session, _questions(f"more{number}", 300), filename="more.csv")
        more = datasets.save_table(session, table, name=f"more{number}", source="more.csv", roles={"id": "id"})
        growth.grow_run(session, run_id, growth.Growth(dataset=more.id))
        runs.pause_run(session, run_id)
    else:
        growth.grow_run(session, run_id, growth.Growth(contestants=(Contestant("sandbox/swift", {"seed": number}),)))


def export(session: Session, folder: Path, number: int) -> None:
    """Writes a run over the file that is there."""
    if number == 0:
        base(session, 150)
    runs.wait_for_run(session, "base", timeout_s=60)
    for name in FORMATS:
        exports.export_run(session, "base", name, _target(folder, name))


def _target(folder: Path, name: str) -> Path:
    (folder / "out").mkdir(exist_ok=True)
    return folder / "out" / f"out.{exports.KINDS[name].suffix}"


def go_on(session: Session, folder: Path, number: int) -> None:
    """Pauses a run and continues it."""
    if number == 0:
        base(session, 400)
    runs.pause_run(session, "base")
    if runs.wait_for_run(session, "base", timeout_s=60).state == "paused":
        runs.continue_run(session, "base")


Action = Callable[[Session, Path, int], None]
ACTIONS: dict[str, Action] = {"start": start, "import": bring_in, "grow": grow, "export": export, "continue": go_on}


def main(action: str, folder: str, url: str) -> None:
    """Does it until somebody kills this process."""
    with workbench(Path(folder), url) as session:
        for number in count():
            ACTIONS[action](session, Path(folder), number)
            print(number, flush=True)


# -- the kill and what must be so afterwards -----------------------------------------------------------------------


def killed(action: str, folder: Path, url: str, rng: random.Random, *, longest_s: float = 0.6) -> int:
    """How often a process had done its action when it was killed with SIGKILL, at a moment drawn by chance."""
    (folder / "tmp").mkdir(exist_ok=True)
    command = [sys.executable, __file__, action, str(folder), url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=_environment(folder)) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        with suppress(subprocess.TimeoutExpired):
            process.wait(rng.uniform(0, longest_s))
        assert process.poll() is None, "it ended before it was killed"
        process.kill()
        done = [first, *process.stdout.read().splitlines(keepends=True)]
    return sum(line.endswith("\n") for line in done)


def _environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(folder / "tmp")}


def check(action: str, folder: Path, url: str, done: int) -> None:
    """Starts the app anew and asserts that nothing half made is there and that the ledger is whole."""
    with workbench(folder, url, watch=True) as session:
        session.store.writer.call(lambda _: None)
        _settle_down(session)
        _ledger_is_whole(session)
        _datasets_are_whole(session)
        _AFTER[action](session, folder, done)
    leftovers.sweep(folder / "tmp")
    assert list((folder / "tmp").iterdir()) == []


def _settle_down(session: Session) -> None:
    """Every run is worked to its end; one that was paused is gone on with."""
    with session.store.read() as connection:
        names = connection.execute(select(RUN.c.id)).scalars().all()
    for name in names:
        run = runs.wait_for_run(session, name, timeout_s=120)
        if run.state == "paused":
            runs.continue_run(session, name)
            run = runs.wait_for_run(session, name, timeout_s=120)
        assert (run.state, run.done, run.failed) == ("done", run.cells, 0), (name, run.state, run.reason)


def _ledger_is_whole(session: Session) -> None:
    cost = func.coalesce(CALL.c.cost_pico, CALL.c.bound_pico, 0)
    with session.store.read() as connection:
        assert connection.execute(text("PRAGMA integrity_check")).scalar() == "ok"
        assert connection.execute(select(func.count()).where(CALL.c.state == "sent")).scalar() == 0
        for run in connection.execute(select(RUN)).all():
            of_rows = connection.execute(select(func.coalesce(func.sum(cost), 0)).where(CALL.c.run_id == run.id))
            assert (run.settled_pico, run.reserved_pico) == (of_rows.scalar(), 0)
            cells = connection.execute(select(RESULT.c.cell).where(RESULT.c.run_id == run.id)).scalars().all()
            assert sorted(cells) == list(range(stored.plan_of(run).cell_count))
        of_month = connection.execute(
            select(func.sum(MONTH_SPEND.c.settled_pico), func.sum(MONTH_SPEND.c.reserved_pico))
        )
        assert tuple(of_month.one()) in ((connection.execute(select(func.sum(cost))).scalar(), 0), (None, None))
        kept = connection.execute(select(SPEND_SLOT).where(SPEND_SLOT.c.calls != 0)).all()
        assert sorted(map(tuple, kept)) == sorted(map(tuple, connection.execute(sums_of_calls()).all()))


def _datasets_are_whole(session: Session) -> None:
    with session.store.read() as connection:
        counted: dict[str, int] = dict(
            connection.execute(select(DATASET_ROW.c.dataset_id, func.count()).group_by(DATASET_ROW.c.dataset_id)).all()
        )  # type: ignore[arg-type]
        said = dict(connection.execute(select(DATASET.c.id, DATASET.c.row_count)).all())  # type: ignore[arg-type]
    assert counted == said
    assert UNFINISHED not in said.values()


def _started(session: Session, folder: Path, done: int) -> None:
    with session.store.read() as connection:
        names = set(connection.execute(select(RUN.c.id)).scalars())
    assert {f"run{number}" for number in range(done)} <= names


def _imported(session: Session, folder: Path, done: int) -> None:
    kept = {dataset.name: dataset.row_count for dataset in datasets.list_datasets(session, limit=1_000)}
    assert {f"f{number}" for number in range(done)} <= set(kept)
    assert set(kept.values()) <= {MANY}
    again = importing.import_upload(
        session, BytesIO(_questions(f"f{done}", MANY)), filename=f"f{done}.csv", options=ReadOptions()
    )
    assert again.dataset.row_count == MANY


def _grown(session: Session, folder: Path, done: int) -> None:
    with session.store.read() as connection:
        run = stored.get_run(connection, "base")
        changes = connection.execute(select(func.count()).select_from(RUN_CHANGE)).scalar()
        versions = connection.execute(select(DATASET.c.id, DATASET.c.version).where(DATASET.c.name == "base")).all()
    assert changes in (done, done + 1)
    assert max(versions, key=lambda found: found.version).id == run.dataset_id  # none that no run has asked


def _exported(session: Session, folder: Path, done: int) -> None:
    for name in FORMATS:
        before = _target(folder, name).read_bytes() if _target(folder, name).exists() else None
        exports.export_run(session, "base", name, _target(folder, name))
        after = _target(folder, name).read_bytes()
        assert before is not None
        assert name in ("xlsx", "archive") or before == after
        assert abs(len(before) - len(after)) < 64  # a workbook says when it was written
    assert sorted(path.name for path in (folder / "out").iterdir()) == sorted(_target(folder, n).name for n in FORMATS)


def _gone_on(session: Session, folder: Path, done: int) -> None:
    assert runs.progress(session, "base").done == 800


_AFTER: dict[str, Action] = {
    "start": _started,
    "import": _imported,
    "grow": _grown,
    "export": _exported,
    "continue": _gone_on,
}


if __name__ == "__main__":
    main(*sys.argv[1:])
