"""How near a whole run comes to the physical limit, with everything on: ledger, grading, progress.

    python bench/engine.py [--cells 12000] [--concurrency 64 256] [--runs 3]

Each measurement is the real command, `assay run FILE --model ... --grader contains`, in its own process against
bench/mock_gateway.py, which answers after 200 ms with a stream of 20 chunks. Beside it, in the same turns, a bare
loop over aiohttp asks as many plain completions and keeps nothing. Printed, as medians over interleaved runs:

efficiency      ideal wall / wall, from the first request to the last answer; ideal = cells / in flight x 0.2 s
CPU             seconds of the command's process per 1,000 cells, its start included, and without it
memory          resident at its peak, and growth per cell against a run of a tenth of the cells
first request   seconds from the start of the command to its first request at the gateway
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from client import HERE, LATENCY_S, gateway

MODELS = ("bench/m0", "bench/m1", "bench/m2")


def run(url: str, folder: Path, cells: int, concurrency: int) -> dict[str, float]:
    """One run of the command; every figure of it."""
    rows = cells // len(MODELS)
    table = folder / f"{rows}.csv"
    if not table.exists():
        table.write_text("question,answer\n" + "".join(f"What is the capital number {n}?,Paris\n" for n in range(rows)))
    env = {k: v for k, v in os.environ.items() if not k.startswith(("OPENROUTER_", "ASSAY_"))}
    database = folder / f"{time.monotonic_ns()}.db"
    env |= {"OPENROUTER_API_KEY": "bench", "OPENROUTER_BASE_URL": url, "ASSAY_DATABASE_URL": f"sqlite:///{database}"}
    command = [sys.executable, "-m", "assay", "run", str(table), "--prompt", "{{question}}", "--grader", "contains"]
    command += ["--concurrency", str(concurrency), "--json"]
    for model in MODELS:
        command += ["--model", model]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.time()
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    printed, said = process.communicate()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode:
        raise SystemExit(f"The run failed: {said}")
    told = json.loads(printed)
    assert (told["done"], told["failed"]) == (rows * len(MODELS), 0), told
    stats = json.load(urllib.request.urlopen(f"{url}/stats"))
    done = rows * len(MODELS)
    wall = stats["last_at"] - stats["first_at"]
    for kept in folder.glob(f"{database.name}*"):  # its marks of what was sent are a folder
        shutil.rmtree(kept) if kept.is_dir() else kept.unlink()
    return {
        "efficiency": -(-done // concurrency) * LATENCY_S / wall,
        "wall": wall,
        "cpu": (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000 / done,
        "rss_mb": after.ru_maxrss / 1024,
        "first": stats["first_at"] - started,
    }


def bare(url: str, cells: int, concurrency: int) -> dict[str, float]:
    """As many completions by aiohttp alone: wall and CPU without its start."""
    rounds = -(-cells // concurrency)
    command = [sys.executable, str(HERE / "client.py"), "--one", "aiohttp", url, str(concurrency), str(rounds)]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    urllib.request.urlopen(f"{url}/stats").read()
    return {"efficiency": rounds * LATENCY_S / told["wall"], "cpu": told["cpu"] * 1000 / (rounds * concurrency)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=12_000)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    found: dict[tuple[int, int], list[dict[str, float]]] = {}
    alone: dict[int, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as name, gateway(20) as url:
        folder = Path(name)
        small = args.cells // 10
        run(url, folder, 30, 64)  # fills the caches of the machine
        for _ in range(args.runs):
            for concurrency in args.concurrency:
                alone.setdefault(concurrency, []).append(bare(url, args.cells, concurrency))
                for cells in (small, args.cells):  # ru_maxrss of children never falls: the small one first
                    found.setdefault((concurrency, cells), []).append(run(url, folder, cells, concurrency))

    def median(concurrency: int, cells: int, name: str) -> float:
        return statistics.median(one[name] for one in found[concurrency, cells])

    head = ("in flight", "cells", "wall s", "efficiency", "CPU s/1,000", "without start", "peak MB", "first request s")
    print("".join(f"{name:>16}" for name in head))
    for concurrency in args.concurrency:
        for cells in (small, args.cells):
            extra = (
                median(concurrency, args.cells, "cpu") * args.cells - median(concurrency, small, "cpu") * small
            ) / (args.cells - small)
            values = (
                f"{concurrency}",
                f"{cells}",
                f"{median(concurrency, cells, 'wall'):.2f}",
                f"{median(concurrency, cells, 'efficiency'):.2f}",
                f"{median(concurrency, cells, 'cpu'):.2f}",
                f"{extra:.2f}",
                f"{median(concurrency, cells, 'rss_mb'):.0f}",
                f"{median(concurrency, cells, 'first'):.2f}",
            )
            print("".join(f"{value:>16}" for value in values))
        told = {name: statistics.median(one[name] for one in alone[concurrency]) for name in ("efficiency", "cpu")}
        print(f"{concurrency:>16}{'bare aiohttp':>16}{'':>16}{told['efficiency']:>16.2f}{'':>16}{told['cpu']:>16.2f}")
    first = found[args.concurrency[0], small][0]["rss_mb"]
    grown = (found[args.concurrency[0], args.cells][0]["rss_mb"] - first) * 1024 / (args.cells - small)
    print(f"memory grows {grown:.2f} KB per cell")


if __name__ == "__main__":
    main()
