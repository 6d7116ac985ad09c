"""Reads a file in a process of its own, bounded in memory, time and bytes written: what a library does ends there.

A few bytes can make the libraries of Parquet and of workbooks ask for all memory there is, or abort. The process prints
one JSON list to a line, its kind first; it is never believed further than rows of text.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from assay.datasets.source import written_limit
from assay.errors import ImportRefused

log = logging.getLogger("assay.datasets")
Reader = Literal["workbook", "parquet"]
CHILD = "assay.datasets.apart_child"
SECONDS = 30
SECONDS_PER_MB = 10
MEMORY = 192 * 1024 * 1024
"""Bytes beside the libraries' own and twice the file's size."""
LINE_LIMIT = 256 * 1024 * 1024
CURE = "Save the data again, or as CSV."
_KEPT = (
    "PATH",
    "HOME",
    "TMPDIR",
    "TEMP",
    "TMP",
    "LANG",
    "LC_ALL",
    "PYTHONPATH",
    "PYTHONHOME",
    "VIRTUAL_ENV",
    "SYSTEMROOT",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
)
"""What the process may know of our environment: no key."""
# Arrow's own allocators reserve gigabytes of addresses at once, which the bound would refuse.
_SET = {"ARROW_DEFAULT_MEMORY_POOL": "system", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}


@contextmanager
def read_apart(reader: Reader, path: Path, *, size: int, **options: Any) -> Iterator[Iterator[list[Any]]]:
    """What the process tells of a file, as it is asked for; it ends when it is no longer listened to.

    size: bytes of the file. options: for the reader, as JSON. Raises ImportRefused, also while it is listened to.
    """
    megabytes = size / (1024 * 1024)
    seconds = int(SECONDS + SECONDS_PER_MB * megabytes)
    bounds = {"memory": MEMORY + 2 * size, "seconds": seconds, "written": written_limit(size)}
    told = json.dumps({"path": str(path), "size": size, **bounds, "options": options})
    command = [sys.executable, "-P", "-m", CHILD, reader]
    env = {name: os.environ[name] for name in _KEPT if name in os.environ} | _SET
    child = subprocess.Popen(  # noqa: S603 - our own module
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env
    )
    # The bound on its processor time does not count what it waits.
    timer = threading.Timer(2 * seconds, child.kill)
    timer.daemon = True
    timer.start()
    with child:
        try:
            if child.stdin is not None:
                with suppress(BrokenPipeError):
                    child.stdin.write(told.encode())
                    child.stdin.close()
            yield _lines(child, reader)
        finally:
            timer.cancel()
            child.kill()


def _lines(child: subprocess.Popen[bytes], reader: Reader) -> Iterator[list[Any]]:
    while child.stdout is not None and (line := child.stdout.readline(LINE_LIMIT)):
        if not line.endswith(b"\n"):
            break
        kind, *told = json.loads(line)
        if kind == "refused":
            raise ImportRefused(told[0], cure=told[1])
        if kind == "end":
            return
        if kind == "taken":
            log.debug("The reader of a %s took %s MB of memory at most, and %s s of processor time.", reader, *told)
        else:
            yield [kind, *told]
    raise ImportRefused(f"The file cannot be read: {_ending(child.wait())}.", cure=CURE)


def _ending(code: int) -> str:
    """Why a process ended without a word. code: as Popen gives it, a signal's number below 0."""
    if -code in (signal.SIGABRT, signal.SIGSEGV, getattr(signal, "SIGBUS", None), getattr(signal, "SIGFPE", None)):
        return "it breaks the library that reads it, or asks it for more memory than its size allows"
    if -code in (getattr(signal, "SIGKILL", None), getattr(signal, "SIGXCPU", None)):
        return "that takes more time or memory than its size allows"
    return "its reader broke off"
