"""The pilot: a few rows drawn at random that a run asks first, so that its bill can be told early (STATISTICS 2)."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from itertools import chain

from assay.domain.plan import RunPlan

PILOT_ROWS = 5


def pilot_rows(plan: RunPlan) -> tuple[int, ...]:
    """The rows of a plan's pilot, ascending; empty where the run has hardly more rows than a pilot.

    Drawn at random, for a file is often sorted; the same for the same plan, so that a run taken over goes on with it.
    """
    if plan.row_count <= 2 * PILOT_ROWS or plan.mode == "batch":
        return ()  # a batch is answered as a whole
    seed = hashlib.sha256(f"{plan.dataset_id} {plan.row_count}".encode()).digest()
    return tuple(sorted(random.Random(seed).sample(range(plan.row_count), PILOT_ROWS)))  # noqa: S311 - no secret


def pilot_cells(plan: RunPlan) -> frozenset[int]:
    """The numbers of the cells of the pilot's rows."""
    return frozenset(chain.from_iterable(_cells_of(plan, row) for row in pilot_rows(plan)))


def cells_in_order(plan: RunPlan, contestant: int, *, pilot_only: bool = False) -> Iterator[int]:
    """The cells of a contestant in the order in which they are asked: those of the pilot, then the others by row."""
    first = pilot_cells(plan)
    width = len(plan.contestants)
    yield from sorted(number for number in first if number % width == contestant)
    if pilot_only:
        return
    yield from (number for number in range(contestant, plan.cell_count, width) if number not in first)


def awaits_pilot(plan: RunPlan, done: bytes | bytearray) -> bool:
    """Whether a run is to pause after its pilot: it was asked for, and no other cell is done yet.

    done: one byte per cell, 0 for those that are missing.
    """
    first = pilot_cells(plan) if plan.pilot else frozenset()
    return bool(first) and len(done) - done.count(0) == sum(bool(done[n]) for n in first) < len(first)


def _cells_of(plan: RunPlan, row: int) -> range:
    width = plan.samples * len(plan.prompts) * len(plan.contestants)
    return range(row * width, (row + 1) * width)
