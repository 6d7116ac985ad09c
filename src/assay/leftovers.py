"""Temporary files and folders that bear their process's name: what a killed one left is taken away by the next."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
from contextlib import suppress
from pathlib import Path

from assay.processes import is_running, started

_MARKED = re.compile(r"assay-([0-9a-f]{8})-(\d{1,9})-(\d*)-[^/]*\Z")


def mark() -> str:
    """What the name of a temporary file of this process holds, before a dash."""
    pid = os.getpid()
    return f"assay-{_host()}-{pid}-{started(pid)}"


def _host() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def sweep(folder: Path) -> None:
    """Takes away what processes of this machine left in a folder that are gone."""
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        if (found := _MARKED.search(name)) and found[1] == _host() and not is_running(int(found[2]), found[3]):
            left = folder / name
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left, ignore_errors=True)
            else:
                with suppress(OSError):
                    left.unlink()
