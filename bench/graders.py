"""Grades hostile cells with every grader through the fault sandbox, and looks how long the engine's loop was held.

    python bench/graders.py [--cells 1000]

Two models, ten graders, and a file whose expected cells are patterns without end, schemas that branch, numbers beyond
every number and more of the kind (tests/runs/hostile_cells.py). Exit 1 when a cell has no end, a paid answer cannot be
read, a score is missing without a reason, or the loop was held for more than 0.1 s (on a busy machine: than twice what
the same run without graders is).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "runs"))

from hostile_cells import MODELS, drive

HELD_S = 0.1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=1_000)
    options = parser.parse_args()
    rows = options.cells // len(MODELS)
    with tempfile.TemporaryDirectory() as folder:
        bare = drive(Path(folder), rows, graders=()).longest_gap_s
    with tempfile.TemporaryDirectory() as folder:
        found = drive(Path(folder), rows)
    print(f"{found.cells:,} cells, {found.results:,} ended, run {found.state}, {found.seconds:.1f} s")
    print(f"paid answers that cannot be read: {found.paid_without_answer}")
    print(f"scores: {found.scored:,}; missing without a reason: {found.unexplained}")
    print(
        f"longest time in which the loop was held: {1000 * found.longest_gap_s:.0f} ms, ungraded {1000 * bare:.0f} ms"
    )
    broken = (
        found.state != "done",
        found.results != found.cells,
        found.paid_without_answer,
        found.unexplained,
        found.longest_gap_s > max(HELD_S, 2 * bare),
    )
    return int(any(broken))


if __name__ == "__main__":
    sys.exit(main())
