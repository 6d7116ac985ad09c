"""Grading a run: nothing that stands in an answer or a cell ends it, loses an answer or holds the engine's loop."""

from __future__ import annotations

from pathlib import Path

from hostile_cells import HOSTILE, drive

BLOCKED_S = 2.0
"""Far more than the 0.1 s that bench/graders.py looks for: the machine of a test is shared."""


def test_hostile_cells_through_every_grader_leave_every_answer_readable(tmp_path: Path) -> None:
    """Some 100 rows in two models: all cells end, every paid answer stands, each score that is missing says why."""
    found = drive(tmp_path, rows=2 * len(HOSTILE) + 14)

    assert (found.state, found.results) == ("done", found.cells)
    assert (found.paid_without_answer, found.unexplained) == (0, 0)
    assert found.scored > found.cells
    assert found.longest_gap_s < BLOCKED_S
