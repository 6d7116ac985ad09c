"""Which process holds a lease or sent a call, and whether it still lives."""

from __future__ import annotations

import os
import secrets
import socket

BATCH_OWNER = "batch:"
"""Begins the owner of a call that the gateway's batch endpoint has; such a call outlives every process."""


def new_owner() -> str:
    """A name for this process and opening: host/pid/random."""
    return f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"


def is_surely_dead(owner: str, *, living: frozenset[str] = frozenset()) -> bool:
    """Whether an owner on this host is known to be gone; an owner on another host never is.

    living: owners of this very process, which share its pid.
    """
    host, _, rest = owner.partition("/")
    pid = rest.partition("/")[0]
    if owner in living or host != socket.gethostname() or not pid.isdigit():
        return False
    if int(pid) == os.getpid():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
