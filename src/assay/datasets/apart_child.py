"""The process in which a file is read: see `apart`.

    python -m assay.datasets.apart_child READER

Takes what to read from the standard input, and prints a JSON list a line: what the reader tells, and at last ["end"] or
["refused", words, cure].
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
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
    try:
        module.prepare()
        bound(memory=given["memory"], seconds=given["seconds"], written=given["written"])
        module.tell(say, Path(given["path"]), size=given["size"], **given["options"])
    except ImportRefused as error:
        say(["refused", error.message, error.cure])
    except MemoryError:
        say(["refused", "The file takes more memory than its size allows.", CURE])
    except OSError as error:
        say(["refused", f"The file cannot be read: {error.strerror or error}.", CURE])
    except Exception as error:  # noqa: BLE001 - this process has no other purpose than to say what went wrong
        words = " ".join(str(error).split())[:200] or type(error).__name__
        say(["refused", f"The file cannot be read: {words.removesuffix('.')}.", CURE])
    else:
        say(["end"])
    sys.stdout.flush()
    # Libraries that were hurt may still hang or abort while they are put away.
    os._exit(0)


def say(told: list[Any]) -> None:
    """Prints one line."""
    sys.stdout.buffer.write(json.dumps(told).encode() + b"\n")


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
