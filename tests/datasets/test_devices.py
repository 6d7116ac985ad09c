"""Paths that lead to no ordinary file: refused at once, in words, before a byte is read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from assay.datasets.reader import read_table
from assay.datasets.source import Source
from assay.errors import ImportRefused


def endless(folder: Path, kind: str) -> Path:
    """A path that never ends or never answers."""
    path = folder / f"{kind}.csv"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    return path


@pytest.mark.parametrize("kind", ["fifo", "device", "folder"])
def test_what_is_no_file_is_refused(tmp_path: Path, kind: str) -> None:
    """A FIFO would wait for ever and a device would never end."""
    source = Source(endless(tmp_path, kind), f"{kind}.csv")

    with pytest.raises(ImportRefused, match="not a file"):
        read_table(source.content)
    with pytest.raises(ImportRefused, match="not a file"):
        source.head()


def test_file_that_breaks_while_it_is_read_is_refused() -> None:
    """An input/output error in the middle is said in words."""
    broken = Path("/proc/self/mem")
    if not broken.exists():
        pytest.skip("there is no such file here")

    with pytest.raises(ImportRefused, match="cannot be read"):
        Source(broken, "broken.csv").head()
