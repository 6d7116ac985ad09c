"""Which process holds a lease or sent a call, and whether it still lives."""

from __future__ import annotations

import os
import secrets
import socket
import sys
from types import ModuleType

from assay.processes import is_running, started

BATCH_OWNER = "batch:"
"""Begins the owner of a call that the gateway's batch endpoint has; such a call outlives every process."""
PIN = "_assay_owners"
"""Name of the module without a file that holds this process's owners: it survives the reload of edited modules."""


def new_owner() -> str:
    """A name for this process and opening, host/pid/start-random, which lives until it is ended."""
    pid = os.getpid()
    owner = f"{socket.gethostname()}/{pid}/{started(pid)}-{secrets.token_hex(4)}"
    _living().add(owner)
    return owner


def end_owner(owner: str) -> None:
    """Notes that an owner of this process does nothing more."""
    _living().discard(owner)


def _living() -> set[str]:
    """The owners of this process that have not ended."""
    pin = sys.modules.setdefault(PIN, ModuleType(PIN))
    found: set[str] = vars(pin).setdefault("owners", set())
    return found


def is_of_this_host(owner: str) -> bool:
    """Whether an owner is, or was, a process of this machine."""
    return owner.partition("/")[0] == socket.gethostname()


def is_surely_dead(owner: str) -> bool:
    """Whether an owner on this host is known to be gone; an owner on another host never is."""
    _, _, rest = owner.partition("/")
    pid, _, opening = rest.partition("/")
    if not is_of_this_host(owner) or not pid.isdigit():
        return False
    if int(pid) == os.getpid():
        return owner not in _living()
    start, dash, _ = opening.partition("-")
    return not is_running(int(pid), start if dash else "")
