"""Processes of this machine: when the one that bears a number began, and whether it still runs."""

from __future__ import annotations

import os
from pathlib import Path


def started(pid: int) -> str:
    """When a process began, as its system counts; empty where that cannot be told. With the pid it is no other's."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]


def is_running(pid: int, start: str) -> bool:
    """Whether the process of this machine that bore a pid then still runs; in doubt it does."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        pass
    return not start or started(pid) in ("", start)
