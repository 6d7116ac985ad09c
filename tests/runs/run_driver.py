"""What several tests of runs do: put rows in front of contestants, and wait for what a run comes to."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from assay.domain.contestant import Contestant, Prompt
from assay.workbench.datasets import kept
from assay.workbench.running import runs
from assay.workbench.session import Session


def started(session: Session, contestants: Sequence[Contestant], *, rows: int) -> str:
    """A run of as many different prompts, under way."""
    content = "q\n" + "".join(f"Tell me about number {n}\n" for n in range(rows))
    table = kept.read_upload(session, content.encode(), filename="q.csv")
    dataset = kept.save_table(session, table, name="q", source="q")
    return runs.start_run(session, runs.RunDraft(dataset.id, (Prompt("{{q}}"),), tuple(contestants)))


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Waits for something; fails when it does not come."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come in time"
        time.sleep(0.02)
