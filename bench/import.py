"""Reading files: time and peak memory beside pandas, and a file that is larger than the memory it may take.

    python bench/import.py [--runs 3] [--large 500000]

Each measurement is a process of its own, interleaved; the medians are printed.

read      100,000 rows of four columns into memory: `read_table` (every cell as typed, with the doctor's findings)
          beside `pandas.read_csv(dtype=str, keep_default_na=False)`
import    the real command `assay import` into a new database: narrow rows (4 columns, 45 bytes), and 500,000 rows
          that make 300 MB; rows per second and the peak of resident memory
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

READERS = {
    "assay read_table": "from pathlib import Path; from assay.datasets.reader import read_table; import sys; "
    "t = read_table(Path(sys.argv[1])); n = len(t.rows)",
    "pandas.read_csv": "import pandas, sys; "
    "t = pandas.read_csv(sys.argv[1], dtype=str, keep_default_na=False); n = len(t)",
}
TIMED = """import time, resource
a = time.perf_counter()
{}
print(n, time.perf_counter() - a, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"""


def narrow(path: Path, rows: int) -> None:
    """Four short columns."""
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write("id,question,answer,category\n")
        file.writelines(f"{n},What is {n} plus {n % 97}?,{n + n % 97},maths\n" for n in range(rows))


def wide(path: Path, rows: int) -> None:
    """Rows of 600 bytes: 500,000 of them make 300 MB."""
    text = "The customer writes that the parcel, which was promised for Monday, has not come. " * 7
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write("id,ticket,category\n")
        file.writelines(f'{n},"{n} {text}",delivery\n' for n in range(rows))


def read_once(code: str, path: Path) -> tuple[float, float]:
    """Seconds of importing the library and reading, and the peak of memory in MB."""
    done = subprocess.run(
        [sys.executable, "-c", TIMED.format(code.replace("; ", "\n")), str(path)], capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    _, seconds, peak = done.stdout.split()
    return float(seconds), float(peak)


def import_once(path: Path, folder: Path) -> tuple[float, float]:
    """Seconds and peak memory in MB of `assay import`, its start included."""
    database = folder / f"{time.monotonic_ns()}.db"
    env = {k: v for k, v in os.environ.items() if not k.startswith(("OPENROUTER_", "ASSAY_"))}
    env["ASSAY_DATABASE_URL"] = f"sqlite:///{database}"
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "assay", "import", str(path)], env=env, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        raise SystemExit("The import failed.")
    for kept in folder.glob(f"{database.name}*"):  # its marks of what was sent are a folder
        shutil.rmtree(kept) if kept.is_dir() else kept.unlink()
    return seconds, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--large", type=int, default=500_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small, large, big = folder / "small.csv", folder / "narrow.csv", folder / "wide.csv"
        narrow(small, 100_000)
        narrow(large, args.large)
        wide(big, args.large)
        found: dict[str, list[tuple[float, float]]] = {}
        for _ in range(args.runs):
            for label, code in READERS.items():
                found.setdefault(label, []).append(read_once(code, small))
        for label, path in (("assay import, narrow", large), ("assay import, wide", big)):
            for _ in range(args.runs):
                found.setdefault(label, []).append(import_once(path, folder))
        sizes = {"assay import, narrow": (args.large, large), "assay import, wide": (args.large, big)}
        print(f"{'median of ' + str(args.runs):24}{'rows':>10}{'MB':>6}{'seconds':>9}{'rows/s':>10}{'peak MB':>9}")
        for label, values in found.items():
            rows, path = sizes.get(label, (100_000, small))
            seconds, peak = (statistics.median(one) for one in zip(*values, strict=True))
            size = path.stat().st_size / 1e6
            print(f"{label:24}{rows:>10,}{size:>6.0f}{seconds:>9.2f}{rows / seconds:>10,.0f}{peak:>9.0f}")


if __name__ == "__main__":
    main()
