"""The process in which a file is read: see `apart`.

    python -m assay.datasets.apart_child READER

Takes what to read from the standard input, and prints a JSON list a line: what the reader tells, and at last ["taken",
most MB of memory, seconds of processor time] and ["end"] or ["refused", words, cure].
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from assay.errors import ImportRefused

CURE = "Save the data again, or as CSV."
READERS = {
    "workbook": "assay.datasets.workbook_reading",
    "parquet": "assay.datasets.parquet_reading",
}


def main(reader: str) -> None:
    """Prints what the reader tells."""
    given = json.loads(sys.stdin.buffer.read())
    # A slow import is no part of what is bounded.
    module = importlib.import_module(READERS[reader])
    last = ["end"]
    try:
        module.prepare()
        bound(memory=given["memory"], seconds=given["seconds"], written=given["written"])
        module.tell(say, Path(given["path"]), size=given["size"], **given["options"])
    except ImportRefused as error:
        last = ["refused", error.message, error.cure]
    except MemoryError:
        last = ["refused", "The file takes more memory than its size allows.", CURE]
    except OSError as error:
        last = ["refused", f"The file cannot be read: {error.strerror or error}.", CURE]
    except Exception as error:  # noqa: BLE001 - this process has no other purpose than to say what went wrong
        words = " ".join(str(error).split())[:200] or type(error).__name__
        last = ["refused", f"The file cannot be read: {words.removesuffix('.')}.", CURE]
    say(["taken", most_memory(), round(time.process_time(), 3)])
    say(last)
    sys.stdout.flush()
    # Libraries that were hurt may still hang or abort while they are put away.
    os._exit(0)


def say(told: list[Any]) -> None:
    """Prints one line."""
    sys.stdout.buffer.write(json.dumps(told).encode() + b"\n")


def most_memory() -> int | None:
    """MB that this process has held at most; None where the system does not say it.

    Not `ru_maxrss`, which begins with the memory of the process that started this one.
    """
    with contextlib.suppress(OSError, LookupError, ValueError):
        return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) // 1024
    return None


def bound(*, memory: int, seconds: int, written: int) -> None:
    """Bounds this process where the system can. memory: bytes beside what it has taken by now."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        resource.setrlimit(resource.RLIMIT_FSIZE, (written, written))
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        taken = pages * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (taken + memory, taken + memory))


if __name__ == "__main__":
    main(sys.argv[1])
