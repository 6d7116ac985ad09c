"""Which calls a process has begun to send: a file of its own that outlives its kill, one line per call.

A call's intent is durable before it waits for its place; only this mark tells, after a kill, whether it was sent. A
line costs microseconds, for it need not survive the machine: the file names the boot in which it was begun, and after
another boot, or without the file, every intent may have been sent.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from sqlalchemy import URL

from assay.store.owner import is_surely_dead

_BOOT = Path("/proc/sys/kernel/random/boot_id")


def folder_of(url: URL) -> Path:
    """Where the marks of a database's processes stand: beside its file, or for a server in the temporary folder."""
    if url.get_backend_name() == "sqlite":
        return Path(f"{url.database}.sent")
    return Path(tempfile.gettempdir()) / f"assay-sent-{os.getuid() if hasattr(os, 'getuid') else 0}"


def _head() -> bytes:
    """The first line of a file of this boot; empty where the system does not tell its boots apart."""
    try:
        return b"assay " + _BOOT.read_bytes().strip() + b"\n"
    except OSError:
        return b""


def _file(folder: Path, owner: str) -> Path:
    return folder / owner.replace("/", "+")


class SentMarks:
    """The marks of this process. Where none can be written there is no file: nothing is then taken for unsent."""

    def __init__(self, url: URL, owner: str) -> None:
        self._path = _file(folder_of(url), owner)
        self._handle: int | None = None
        head = _head()
        if not head:
            return
        with suppress(OSError):
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            self._handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self._write(head)

    def mark(self, call_id: str) -> None:
        """Notes, before its first byte leaves, that a call is sent."""
        self._write(call_id.encode() + b"\n")

    def _write(self, line: bytes) -> None:
        if self._handle is None:
            return
        try:
            if os.write(self._handle, line) == len(line):
                return
        except OSError:
            pass  # a full disk: a mark that is missing must not be taken for a call that was not sent
        self.close()

    def close(self) -> None:
        """Takes the file away: what is still open then may have been sent."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
            self._path.unlink(missing_ok=True)


def unsent(url: URL, owner: str, call_ids: Iterable[str]) -> set[str]:
    """Those of a dead owner's calls that were certainly not sent; empty where nobody can know."""
    head = _head()
    try:
        found = _file(folder_of(url), owner).read_bytes()
    except (OSError, ValueError):
        return set()
    if not head or not found.startswith(head):
        return set()
    marked = set(found[len(head) :].decode("ascii", "replace").split())
    return {call_id for call_id in call_ids if call_id not in marked}


def sweep(url: URL) -> None:
    """Takes away the files of dead owners, whose calls have been told apart."""
    with suppress(OSError):
        for file in folder_of(url).iterdir():
            if is_surely_dead(file.name.replace("+", "/")):
                file.unlink(missing_ok=True)
