"""Imports beside each other: two processes, a killed one, and what that leaves."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from assay.config import Settings
from assay.leftovers import mark, sweep
from assay.store.tables import DATASET, DATASET_ROW
from assay.workbench.datasets import importing
from assay.workbench.datasets import kept as datasets
from assay.workbench.session import Session, open_session

ROWS = 12_000
IMPORTING = """
import sys, time
from pathlib import Path
from assay.config import Settings
from assay.workbench.datasets import importing
from assay.workbench.session import open_session
url, path, mine, other = sys.argv[1:]
Path(mine).touch()
while not Path(other).exists():
    pass
with open_session(Settings(database_url=url), watch=True) as rt:
    def show(share):
        print(share, flush=True)
        if mine == other and share > 0.7:
            sys.stdin.read()
    found = importing.import_file(rt, Path(path), on_share=show)
    print("kept", found.dataset.row_count, flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of many rows."""
    found = tmp_path / "rows.csv"
    found.write_text("id,text\n" + "".join(f"{n},row {n}\n" for n in range(ROWS)), "utf-8")
    return found


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """A workbench without the app's work in the background."""
    with open_session(Settings(database_url=f"sqlite:///{tmp_path}/a.db")) as opened:
        yield opened


def importer(folder: Path, path: Path, mine: str, other: str) -> subprocess.Popen[str]:
    """A process that imports a file once another one is ready too; without another it stays in the middle of it."""
    words = [f"sqlite:///{folder}/a.db", str(path), str(folder / mine), str(folder / other)]
    return subprocess.Popen(
        [sys.executable, "-c", IMPORTING, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
    )


def test_two_processes_that_import_one_file_at_once_both_get_it(tmp_path: Path, path: Path) -> None:
    """On a database that neither has opened yet; it is kept once and whole."""
    pair = [importer(tmp_path, path, *names) for names in (("a", "b"), ("b", "a"))]

    said = [process.communicate(timeout=120) for process in pair]

    assert [errors for _, errors in said] == ["", ""]
    assert all(out.endswith(f"kept {ROWS}\n") for out, _ in said)
    with open_session(Settings(database_url=f"sqlite:///{tmp_path}/a.db")) as session:
        assert [d.row_count for d in datasets.list_datasets(session)] == [ROWS]


def test_two_threads_that_import_one_file_at_once_both_get_it(session: Session, path: Path) -> None:
    """Two tabs of one app."""
    found: list[int] = []
    tabs = [
        threading.Thread(target=lambda: found.append(importing.import_file(session, path).dataset.row_count))
        for _ in range(2)
    ]
    for tab in tabs:
        tab.start()
    for tab in tabs:
        tab.join(120)

    assert found == [ROWS, ROWS]
    assert len(datasets.list_datasets(session)) == 1


def test_import_of_a_killed_process_is_taken_back_and_begun_anew(tmp_path: Path, path: Path) -> None:
    """While it lives nobody drops it, though others open the database; once it is dead the rows go."""
    process = importer(tmp_path, path, "a", "a")
    assert process.stdout is not None
    while float(process.stdout.readline()) < 0.7:
        pass
    with open_session(Settings(database_url=f"sqlite:///{tmp_path}/a.db"), watch=True) as session:
        session.store.writer.call(lambda _: None)
        begun = unfinished(session)
        process.kill()
        process.communicate()
        again = importing.import_file(session, path).dataset

        assert begun == [-1]
        assert (again.row_count, unfinished(session)) == (ROWS, [])
        with session.store.read() as connection:
            assert len(connection.execute(select(DATASET_ROW.c.position)).all()) == ROWS


def test_app_that_starts_takes_back_what_dead_imports_left(tmp_path: Path, path: Path) -> None:
    """Rows that nobody will ever see do not stay in the file."""
    process = importer(tmp_path, path, "a", "a")
    assert process.stdout is not None
    while float(process.stdout.readline()) < 0.7:
        pass
    process.kill()
    process.communicate()
    with open_session(Settings(database_url=f"sqlite:///{tmp_path}/a.db"), watch=True) as session:
        session.store.writer.call(lambda _: None)

        assert unfinished(session) == []


def unfinished(session: Session) -> list[int]:
    """Row counts of the datasets that are being written."""
    with session.store.read() as connection:
        return list(connection.execute(select(DATASET.c.row_count).where(DATASET.c.row_count < 0)).scalars())


def test_leftovers_of_dead_processes_are_swept_and_no_others(tmp_path: Path) -> None:
    """A killed export or upload leaves a file or folder, which the next takes away; those at work keep theirs."""
    dead = subprocess.run(
        [sys.executable, "-c", "from assay.leftovers import mark; print(mark())"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    (tmp_path / f".run.csv.{dead}-abc").touch()
    folder = Path(tempfile.mkdtemp(prefix=f"{dead}-", dir=tmp_path))
    (folder / "upload.csv").touch()
    kept = {f".run.csv.{mark()}-abc", "assay-notes", "run.csv"}
    for name in kept:
        (tmp_path / name).touch()

    sweep(tmp_path)

    assert {file.name for file in tmp_path.iterdir()} == kept


def test_folder_of_a_killed_reader_is_swept_by_the_next_import(tmp_path: Path) -> None:
    """The copy that a library is given to read, and what else an import keeps meanwhile."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    env = {**os.environ, "ASSAY_DATABASE_URL": f"sqlite:///{tmp_path / 'a.db'}", "TMPDIR": str(folder)}
    killed = (
        "import os; from assay.datasets.source import Source\n"
        "with Source(b'a secret', 'x').on_disk(): os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", killed], env=env, check=False)
    left = list(folder.iterdir())
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")

    done = subprocess.run([sys.executable, "-m", "assay", "import", str(tmp_path / "x.csv")], env=env, check=False)

    assert (done.returncode, len(left), left[0].exists()) == (0, 1, False)
