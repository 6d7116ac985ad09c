"""What Assay writes of the user's data is the user's alone."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import BinaryIO

from assay.store.engine import open_store
from assay.workbench.results.exports import write_whole


def mode_of(path: Path) -> int:
    """The permission bits of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def write_new(file: BinaryIO) -> None:
    """Writes three letters."""
    file.write(b"new")


def test_new_database_and_its_log_are_for_the_owner_alone(tmp_path: Path) -> None:
    """0600 whatever the umask, the WAL and its index too."""
    path = tmp_path / "assay.db"
    store = open_store(f"sqlite:///{path}")
    try:
        store.writer.call(lambda c: c.exec_driver_sql("PRAGMA user_version"))
        modes = {one.name: mode_of(one) for one in tmp_path.iterdir() if one.name.startswith("assay.db")}
    finally:
        store.close()

    assert {"assay.db", "assay.db-wal", "assay.db-shm"} <= modes.keys()
    assert set(modes.values()) == {0o600}


def test_existing_database_keeps_its_mode(tmp_path: Path) -> None:
    """Whoever shares it with a group goes on sharing it."""
    path = tmp_path / "assay.db"
    open_store(f"sqlite:///{path}").close()
    path.chmod(0o660)
    open_store(f"sqlite:///{path}").close()

    assert mode_of(path) == 0o660


def test_new_export_is_for_the_owner_alone(tmp_path: Path) -> None:
    """0600 for a new file; one that exists keeps the mode that it was given."""
    fresh, shared = tmp_path / "run.csv", tmp_path / "shared.csv"
    shared.write_text("old")
    shared.chmod(0o644)
    for path in (fresh, shared):
        write_whole(path, write_new)

    assert (mode_of(fresh), mode_of(shared), shared.read_text()) == (0o600, 0o644, "new")
