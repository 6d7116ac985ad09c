"""Kills what people do with SIGKILL, at random moments, and looks for anything half made after the next start.

    python bench/kills.py [--kills 100] [--seed 1] [--actions start import grow export continue]

Each kill has a database of its own and a process that does one thing over and over (tests/workbench/killed_driver.py);
the sandbox that answers lives on. Exit 1 and a line per broken promise.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import traceback
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "workbench"))

from killed_driver import ACTIONS, check, killed

from assay.sandbox import SandboxConfig, SandboxServer


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--longest-s", type=float, default=1.0, help="Seconds from the first time done to the kill.")
    parser.add_argument("--actions", nargs="+", choices=ACTIONS, default=list(ACTIONS))
    args = parser.parse_args()
    rng, kills, times, broken = random.Random(args.seed), Counter[str](), Counter[str](), 0
    with tempfile.TemporaryDirectory() as folder, SandboxServer(SandboxConfig(speed=0.02)) as server:
        for number in range(args.kills):
            action = args.actions[number % len(args.actions)]
            place = Path(folder) / str(number)
            place.mkdir()
            done = killed(action, place, server.base_url, rng, longest_s=args.longest_s)
            kills[action] += 1
            times[action] += done
            try:
                check(action, place, server.base_url, done)
            except AssertionError as error:
                broken += 1
                where = traceback.extract_tb(error.__traceback__)[-1]
                print(f"BROKEN: kill {number}, {action}, done {done}: {error!r} at {where.line}", flush=True)
            shutil.rmtree(place)
    for action in args.actions:
        print(f"{action:<10} {kills[action]:>5} kills, {times[action]:>6} times done before")
    print("every promise held" if not broken else f"{broken} promises broken")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
