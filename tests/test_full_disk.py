"""A disk without any room left, and one that may not be written: said in words, and nothing is half-made."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 12 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except OSError:
        pytest.skip("the system has no mount")
    if done.returncode:
        pytest.skip("only root may mount a disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def fill(disk: Path) -> None:
    """Takes all room."""
    with (disk / "fill").open("wb", buffering=0) as file:
        for size in (65_536, 4_096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


def give_back(disk: Path) -> None:
    """Leaves no room within the database's own files: what the failed import wrote there may be written over."""
    subprocess.run(["mount", "-o", "remount,size=24m", str(disk)], check=True)
    with closing(sqlite3.connect(disk / "a.db")) as connection:
        assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0


def assay(disk: Path, *words: str) -> tuple[int, str]:
    """Exit code of a command with its database on the disk, and all that it prints."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("OPENROUTER_", "ASSAY_"))}
    env["ASSAY_DATABASE_URL"] = f"sqlite:///{disk}/a.db"
    done = subprocess.run(
        [sys.executable, "-m", "assay", *words], env=env, cwd=disk.parent, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done.returncode, done.stdout + done.stderr


def test_full_disk_is_told_by_every_command_and_loses_nothing(disk: Path) -> None:
    """Import, run and export end in words with a cure; with room again they work, and nothing stands half-made."""
    small, large = disk.parent / "small.csv", disk.parent / "large.csv"
    small.write_text("question,answer\nq,a\n")
    large.write_text("question,answer\n" + "".join(f"{n} {'x' * 200},a\n" for n in range(60_000)))
    run = ("run", str(small), "--model", "sandbox/swift", "--prompt", "{{question}}")
    assert assay(disk, *run)[0] == 0
    name = assay(disk, "runs")[1].splitlines()[0].split()[0]
    export = ("export", name, "--out", str(disk / "out.csv"))

    code, told = assay(disk, "import", str(large))
    assert code == 1
    assert "disk is full" in told
    assert "large" not in assay(disk, "datasets")[1]

    give_back(disk)
    fill(disk)
    for words in (("import", str(large)), run, export):
        code, told = assay(disk, *words)
        assert code == 1
        assert "disk" in told or "free space" in told, told
    assert not list(disk.glob("*out.csv*"))

    subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
    assert [assay(disk, *words)[0] for words in (run, export)] == [0, 0]
    assert "large" not in assay(disk, "datasets")[1]


def test_disk_that_may_not_be_written_is_told(disk: Path) -> None:
    """A database that can only be read is named, with what to check."""
    (disk.parent / "small.csv").write_text("question,answer\nq,a\n")
    assert assay(disk, "import", str(disk.parent / "small.csv"))[0] == 0
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)

    code, told = assay(disk, "import", str(disk.parent / "small.csv"))

    assert code == 1
    assert "cannot be opened" in told
    assert "permissions" in told
