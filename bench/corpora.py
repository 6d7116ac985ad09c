"""Files of other projects: each is read, or refused in words; none ends in a traceback, an abort or a hang.

    python bench/corpora.py FOLDER [FOLDER ...] [--seconds 30] [--list]

FOLDER (or ASSAY_CORPORA, folders apart by the system's path separator) holds checkouts such as apache/parquet-
testing, nst/JSONTestSuite, the spreadsheets of apache/poi, SheetJS/test_files and tafia/calamine; nothing is fetched.
One process reads them all, with the libraries that Assay asks in a process for each file; what ends otherwise there,
or takes more than the seconds, is read again as Assay does. Prints, by ending, how many were read, refused, or ended
otherwise, the slowest and the largest; exits 1 where any ended otherwise. --list prints every refusal.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

ENDINGS = {
    "csv",
    "tsv",
    "txt",
    "xlsx",
    "xlsm",
    "xls",
    "xlsb",
    "ods",
    "parquet",
    "json",
    "jsonl",
    "ndjson",
    "yaml",
    "yml",
}
WELL = ("read", "refused")
CHILD = """
import contextlib, importlib, json, resource, sys, time
from pathlib import Path
from assay.datasets import parquet_file, workbook
from assay.datasets.apart_child import CURE, READERS
from assay.datasets.reader import open_table
from assay.datasets.table import ReadOptions
from assay.errors import AssayError, ImportRefused

@contextlib.contextmanager
def read_here(reader, path, *, size, **options):
    told = []
    try:
        importlib.import_module(READERS[reader]).tell(told.append, path, size=size, **options)
    except (ImportRefused, OSError):
        raise
    except Exception as error:
        raise ImportRefused(f"The file cannot be read: {error}.", cure=CURE) from error
    yield iter(json.loads(json.dumps(told)))

if sys.argv[1] == "together":
    parquet_file.read_apart = workbook.read_apart = read_here
    resource.setrlimit(resource.RLIMIT_AS, (4 * 2**30, 4 * 2**30))
for line in sys.stdin:
    started, path, rows, words = time.perf_counter(), Path(json.loads(line)), 0, ""
    try:
        with open_table(path, options=ReadOptions(folder=path.parent)) as file, file.rows() as found:
            rows = sum(map(len, found))
        ended = "read"
    except AssayError as error:
        ended, words = ("refused" if error.cure else "refused without a cure"), str(error)
    except Exception as error:
        ended, words = "traceback", repr(error)
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024
    print(json.dumps([ended, rows, time.perf_counter() - started, peak, words]), flush=True)
"""


class Ended(NamedTuple):
    """How the reading of a file ended."""

    path: Path
    how: str
    rows: int
    seconds: float
    peak_mb: float
    """Of its process so far, and of the processes that it started."""
    words: str


class Reader:
    """A process that reads one file after another, and is started anew after its death."""

    def __init__(self, seconds: float, how: Literal["together", "apart"]) -> None:
        self._seconds, self._how = seconds, how
        self._child: subprocess.Popen[str] | None = None

    def read(self, path: Path) -> Ended:
        """Reads a file."""
        child = self._child or subprocess.Popen(
            [sys.executable, "-c", CHILD, self._how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._child = child
        if child.stdin is None or child.stdout is None:
            raise TypeError("It has no pipes.")
        late = threading.Timer(self._seconds, child.kill)
        late.start()
        started = time.perf_counter()
        child.stdin.write(json.dumps(str(path)) + "\n")
        child.stdin.flush()
        told = child.stdout.readline()
        late.cancel()
        if told:
            return Ended(path, *json.loads(told))
        self._child, code = None, child.wait()
        return Ended(path, "hang" if time.perf_counter() - started >= self._seconds else f"exit {code}", 0, 0, 0, "")

    def close(self) -> None:
        """Ends the process."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()


def read_all(paths: Sequence[Path], seconds: float) -> Iterator[Ended]:
    """How each file ended: what ends together with others otherwise than in rows or words is read as Assay does."""
    together, apart = Reader(seconds, "together"), Reader(seconds, "apart")
    try:
        for path in paths:
            ended = together.read(path)
            yield ended if ended.how in WELL else apart.read(path)
    finally:
        together.close()
        apart.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--list", action="store_true")
    args = parser.parse_args()
    given = [Path(name) for name in os.environ.get("ASSAY_CORPORA", "").split(os.pathsep) if name]
    folders = args.folders or given
    if not folders:
        print("No folder of files is given: name one, or set ASSAY_CORPORA.")
        return 0
    paths = sorted(
        path
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and path.suffix[1:].lower() in ENDINGS
    )
    found = []
    for one in read_all(paths, args.seconds):
        found.append(one)
        if one.how not in WELL:
            print(f"{one.how}: {one.path}: {one.words}", flush=True)
        elif args.list and one.how == "refused":
            print(f"{one.path}: {one.words}", flush=True)
    counts = Counter((one.path.suffix.lower(), one.how) for one in found)
    for (ending, how), count in sorted(counts.items()):
        print(f"{ending:10}{how:24}{count:>6}")
    odd = [one for one in found if one.how not in WELL]
    for name, key in (("slowest", lambda one: one.seconds), ("largest", lambda one: one.peak_mb)):
        worst = max(found, key=key, default=None)
        if worst is not None:
            print(f"{name}: {worst.path}, {worst.seconds:.1f} s, {worst.peak_mb:.0f} MB")
    print(f"{len(found):,} files, {len(odd)} ended otherwise than read or refused in words")
    return 1 if odd else 0


if __name__ == "__main__":
    sys.exit(main())
