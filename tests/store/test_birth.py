"""Opening a database: by several processes at once, of another release, of another program, locked, or none at all."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from assay.errors import StoreError
from assay.store.engine import HEAD, open_store, sqlite_driver

OPENING = """
import sys, time
from pathlib import Path
from assay.store import datasets
from assay.store.engine import open_store
url, mine, other = sys.argv[1:]
Path(mine).touch()
while not Path(other).exists():
    pass
store = open_store(url)
name = mine[-1]
store.writer.call(lambda c: datasets.save_dataset(
    c, content_hash=name * 64, name=name, columns=["q"], rows=[("k", ["v"])], roles={}, source=""))
store.close()
"""


def together(folder: Path, code: str, *arguments: str) -> list[str]:
    """What two processes say that do the same at the same moment; empty: both did it. Each is told two files: its own,
    which it makes when it is ready, and the other's."""
    ready = [str(folder / name) for name in ("a", "b")]
    pair = [
        subprocess.Popen(
            [sys.executable, "-c", code, *arguments, mine, other], stderr=subprocess.PIPE, text=True, cwd=folder
        )
        for mine, other in (ready, ready[::-1])
    ]
    return [process.communicate(timeout=60)[1] for process in pair]


@pytest.mark.parametrize("before", [None, "0001"])
def test_processes_that_open_one_database_at_once_both_get_it(tmp_path: Path, before: str | None) -> None:
    """Whether it is empty or of an earlier release: one makes the tables, the other finds them."""
    for number in range(4):
        folder = tmp_path / str(number)
        folder.mkdir()
        url = f"sqlite:///{folder}/assay.db"
        if before is not None:
            older(folder / "assay.db", before)

        said = together(folder, OPENING, url)

        assert said == ["", ""]
        store = open_store(url)
        with store.read() as connection:
            names = set(connection.execute(text("SELECT name FROM dataset")).scalars())
            revisions = list(connection.execute(text("SELECT version_num FROM alembic_version")).scalars())
        store.close()
        assert (names, revisions) == ({"a", "b"}, [HEAD])


def older(path: Path, revision: str) -> None:
    """A database as an earlier release left it."""
    from alembic import command
    from sqlalchemy import create_engine

    from assay.store.migrations.upgrade import config

    engine = create_engine(f"sqlite:///{path}", module=sqlite_driver())
    with engine.begin() as connection:
        command.upgrade(config(connection), revision)
    engine.dispose()


def newer(path: Path) -> None:
    """A database of a release to come."""
    open_store(f"sqlite:///{path}").close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9001'")
    connection.close()


def foreign(path: Path) -> None:
    """A database of another program."""
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE bookmark (id INTEGER)")
    connection.close()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (newer, r"was made by a newer Assay: its tables are of revision '9001', .* Update Assay"),
        (foreign, r"holds tables of another program"),
        (Path.mkdir, r"is a folder\. Name a file in it"),
        (lambda path: path.write_bytes(b"no database at all" * 100), r"cannot be opened: file is not a database"),
    ],
)
def test_what_is_no_database_of_this_release_is_refused_in_words(
    tmp_path: Path, make: Callable[[Path], object], said: str
) -> None:
    """Nothing is changed in it, and no thread is left behind."""
    path = tmp_path / "other.db"
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    threads = threading.active_count()

    with pytest.raises(StoreError, match=said):
        open_store(f"sqlite:///{path}")

    assert (path.read_bytes() if path.is_file() else b"") == before
    assert threading.active_count() == threads


@pytest.mark.parametrize("exclusively", [False, True])
def test_locked_database_is_waited_for_in_words(tmp_path: Path, exclusively: bool) -> None:
    """Opening and writing say once that they wait, and go on as soon as the other program lets go."""
    path = tmp_path / "assay.db"
    open_store(f"sqlite:///{path}").close()
    holder = locked(path, exclusively)
    told = threading.Event()
    said: list[str] = []

    def hear(words: str) -> None:
        said.append(words)
        told.set()

    def write() -> None:
        store = open_store(f"sqlite:///{path}", on_wait=hear)
        store.writer.call(lambda c: c.execute(text("UPDATE alembic_version SET version_num = version_num")))
        store.close()

    opening = threading.Thread(target=write)
    opening.start()
    assert told.wait(30)
    holder.close()
    opening.join(30)

    assert not opening.is_alive()
    assert set(said) == {"Waiting for the database: another program holds it locked."}


def locked(path: Path, exclusively: bool) -> sqlite3.Connection:
    """Another program that holds a database: to write, or all of it."""
    # The library that the store uses: two of them in one process do not see each other's locks.
    holder: sqlite3.Connection = sqlite_driver().connect(str(path), isolation_level=None, check_same_thread=False)
    if exclusively:
        holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    holder.execute("UPDATE alembic_version SET version_num = version_num")
    return holder


def test_patience_with_a_locked_database_ends_in_words(tmp_path: Path) -> None:
    """Who waited long enough is told why nothing came of it."""
    path = tmp_path / "assay.db"
    open_store(f"sqlite:///{path}").close()
    holder = locked(path, True)
    started = time.monotonic()

    with pytest.raises(StoreError, match="Another program holds the database locked"):
        open_store(f"sqlite:///{path}", patience_s=0)

    holder.close()
    assert time.monotonic() - started < 30


def test_read_that_fails_is_a_store_error(tmp_path: Path) -> None:
    """Whoever reads hears the words, not the driver's error, and reads again when the cause is gone."""
    path = tmp_path / "assay.db"
    store = open_store(f"sqlite:///{path}")
    with pytest.raises(StoreError, match="refused a reading: no such table: nowhere"), store.read() as connection:
        connection.execute(text("SELECT * FROM nowhere"))

    with store.read() as connection:
        assert connection.execute(text("SELECT 1")).scalar() == 1
    store.close()
