"""Which process holds a lease or sent a call, and whether it still lives."""

from __future__ import annotations

import os
import secrets
import socket
from pathlib import Path

BATCH_OWNER = "batch:"
"""Begins the owner of a call that the gateway's batch endpoint has; such a call outlives every process."""


def new_owner() -> str:
    """A name for this process and opening: host/pid/start-random."""
    pid = os.getpid()
    return f"{socket.gethostname()}/{pid}/{started(pid)}-{secrets.token_hex(4)}"


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


def is_surely_dead(owner: str, *, living: frozenset[str] = frozenset()) -> bool:
    """Whether an owner on this host is known to be gone; an owner on another host never is.

    living: owners of this very process, which share its pid.
    """
    host, _, rest = owner.partition("/")
    pid, _, opening = rest.partition("/")
    if owner in living or host != socket.gethostname() or not pid.isdigit():
        return False
    if int(pid) == os.getpid():
        return True
    start, dash, _ = opening.partition("-")
    return not is_running(int(pid), start if dash else "")
