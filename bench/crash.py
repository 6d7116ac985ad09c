"""Kills a run again and again with SIGKILL, resumes it, and looks for anything lost, paid twice unseen, or miscounted.

    python bench/crash.py [--kills 200] [--rows 2000] [--in-flight 16] [--latency-ms 100] [--seed 1]

A run of rows x 3 contestants is worked by a process of its own, which is killed at a random moment, as often as asked
or until the run is done. The gateway (bench/mock_gateway.py) lives on and counts what it received. Exit 1 and a line
per violation when a promise of the engine is broken.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from client import gateway

MODELS = ("bench/m0", "bench/m1", "bench/m2")
Settled = dict[int, tuple[Any, ...]]


def open_bench(database: str, url: str, in_flight: int) -> Any:
    from pydantic import SecretStr

    from assay.config import Gateway, Settings
    from assay.workbench.session import open_session

    settings = Settings(database_url=f"sqlite:///{database}", concurrency=in_flight)
    return open_session(settings, gateway=Gateway("openrouter", url, SecretStr("bench")))


def create(database: str, url: str, in_flight: int, rows: int) -> str:
    """A queued run that nobody works yet."""
    from assay.domain.contestant import Contestant, Prompt
    from assay.domain.score import GraderSpec
    from assay.store import runs as stored
    from assay.workbench.datasets import kept
    from assay.workbench.running import runs

    with open_bench(database, url, in_flight) as session:
        session.ready()
        text = "question,answer\n" + "".join(f"What is the capital number {n}?,Paris\n" for n in range(rows))
        dataset = kept.save_table(
            session, kept.read_upload(session, text.encode(), filename="q.csv"), name="crash", source="q.csv"
        )
        draft = runs.RunDraft(
            dataset.id,
            (Prompt("{{question}}"),),
            tuple(Contestant(model) for model in MODELS),
            graders=(GraderSpec("contains"),),
            expected_column="answer",
        )
        plan = runs.plan_of(session, draft)
        return str(session.store.writer.call(lambda c: stored.create_run(c, plan, name="crash")))


def work(database: str, url: str, in_flight: int, run_id: str) -> None:
    """Works the run to its end, if nobody kills this process before."""
    from assay.workbench.running import runs

    with open_bench(database, url, in_flight) as session:
        session.ready()
        print("working", flush=True)
        runs.continue_run(session, run_id)
        print(runs.wait_for_run(session, run_id).state, flush=True)


def read(database: str, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def results(database: str) -> Settled:
    found = read(
        database,
        "SELECT r.cell, r.call_id, r.status, r.cost_pico, t.output FROM result r "
        "JOIN result_text t ON t.run_id = r.run_id AND t.cell = r.cell",
    )
    return {row[0]: row[1:] for row in found}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--in-flight", type=int, default=16)
    parser.add_argument("--latency-ms", type=float, default=100)
    parser.add_argument("--longest-s", type=float, default=0.35, help="Seconds of work before a kill, at most.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        work(args.work[0], args.work[1], args.in_flight, args.work[2])
        return 0
    wrong: list[str] = []
    rng = random.Random(args.seed)
    kills = in_flight = 0
    with tempfile.TemporaryDirectory() as folder, gateway(20, args.latency_ms) as url:
        database = str(Path(folder) / "crash.db")
        run_id = create(database, url, args.in_flight, args.rows)
        command = [sys.executable, __file__, "--in-flight", str(args.in_flight), "--work", database, url, run_id]
        before: Settled = {}
        while True:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            assert process.stdout is not None
            assert process.stdout.readline() == "working\n"
            if kills < args.kills:
                time.sleep(rng.uniform(0, args.longest_s))
            else:
                process.wait()
            if process.poll() is not None:
                break
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
            after = results(database)
            lost = [cell for cell in before if after.get(cell) != before[cell]]
            if lost:
                wrong.append(f"kill {kills}: {len(lost)} settled results lost or changed, first cell {lost[0]}")
            before = after
            in_flight += read(database, "SELECT count(*) FROM call WHERE state = 'sent'")[0][0]
        stats = json.load(urllib.request.urlopen(f"{url}/stats"))
        cells = args.rows * len(MODELS)
        ((state, done, failed, settled, reserved),) = read(
            database, "SELECT state, done, failed, settled_pico, reserved_pico FROM run"
        )
        final = results(database)
        lost = [cell for cell in before if final.get(cell) != before[cell]]
        ((calls, counted, sent, orphans),) = read(
            database,
            "SELECT count(*), sum(coalesce(cost_pico, bound_pico, 0)), sum(state = 'sent'), sum(state = 'orphan') "
            "FROM call",
        )
        ((intact,),) = read(database, "PRAGMA integrity_check")
    twice = stats["received"] - stats["distinct"]
    checks = {
        "run is done": (state, done, failed) == ("done", cells, 0),
        "every cell has one result": len(final) == cells,
        "no settled result lost at the end": not lost,
        "paid twice <= in flight at the kills": twice <= min(in_flight, kills * args.in_flight),
        "every request has a ledger row": calls >= stats["received"],
        "nothing left as sent": sent == 0 and reserved == 0,
        "possibly paid are visible": orphans <= in_flight,
        "totals equal rows": settled == counted,
        "integrity": intact == "ok",
    }
    wrong += [name for name, good in checks.items() if not good]
    print(f"{kills} kills, {cells} cells, {args.in_flight} in flight")
    print(f"gateway received {stats['received']}, of which {twice} twice; in flight at the kills {in_flight}")
    print(f"ledger {calls} calls, {orphans} possibly paid; settled {settled} pico, of rows {counted}; {intact}")
    for line in wrong:
        print(f"WRONG: {line}")
    print("every promise held" if not wrong else f"{len(wrong)} promises broken")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
