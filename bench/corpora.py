"""Files of other projects: each is read, or refused in words; none ends in a traceback, an abort or a hang.

    python bench/corpora.py FOLDER [FOLDER ...] [--seconds 30] [--list]

FOLDER (or ASSAY_CORPORA, folders apart by the system's path separator) holds checkouts such as apache/parquet-testing,
nst/JSONTestSuite, the spreadsheets of apache/poi, SheetJS/test_files and tafia/calamine; nothing is fetched. Each file
is read in a process of its own, which is ended after the seconds. Prints, by ending, how many were read, refused, or
ended otherwise, the slowest and the largest; exits 1 where any ended otherwise. --list prints every refusal.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

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
READ = """
import json, resource, sys, time
from pathlib import Path
from assay.datasets.reader import open_table
from assay.datasets.table import ReadOptions
from assay.errors import AssayError
started, path, rows = time.perf_counter(), Path(sys.argv[1]), 0
try:
    with open_table(path, options=ReadOptions(folder=path.parent)) as file, file.rows() as found:
        rows = sum(map(len, found))
    ended, words = "read", ""
except AssayError as error:
    ended, words = ("refused" if error.cure else "refused without a cure"), str(error)
peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024
print(json.dumps([ended, rows, time.perf_counter() - started, peak, words]))
"""


class Ended(NamedTuple):
    """How the reading of a file ended."""

    path: Path
    how: str
    rows: int
    seconds: float
    peak_mb: float
    words: str


def read(path: Path, seconds: float) -> Ended:
    """Reads a file in a process of its own."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", READ, str(path)], capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return Ended(path, "hang", 0, seconds, 0, "")
    if done.returncode:
        return Ended(path, f"exit {done.returncode}", 0, 0, 0, done.stderr.strip().splitlines()[-1:][0])
    return Ended(path, *json.loads(done.stdout))


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
        path for folder in folders for path in folder.rglob("*")
        if path.is_file() and path.suffix[1:].lower() in ENDINGS
    )  # fmt: skip
    found = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for one in pool.map(lambda path: read(path, args.seconds), paths):
            found.append(one)
            if one.how not in ("read", "refused"):
                print(f"{one.how}: {one.path}: {one.words}", flush=True)
            elif args.list and one.how == "refused":
                print(f"{one.path}: {one.words}", flush=True)
    counts = Counter((one.path.suffix.lower(), one.how) for one in found)
    for (ending, how), count in sorted(counts.items()):
        print(f"{ending:10}{how:24}{count:>6}")
    odd = [one for one in found if one.how not in ("read", "refused")]
    for name, key in (("slowest", lambda one: one.seconds), ("largest", lambda one: one.peak_mb)):
        worst = max(found, key=key, default=None)
        if worst is not None:
            print(f"{name}: {worst.path}, {worst.seconds:.1f} s, {worst.peak_mb:.0f} MB")
    print(f"{len(found):,} files, {len(odd)} ended otherwise than read or refused in words")
    return 1 if odd else 0


if __name__ == "__main__":
    sys.exit(main())
