"""What becomes of calls whose process was killed: those not sent are given back, the others wait for their cost."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.domain.completion import Cost
from assay.store import ledger
from assay.store.books import month_committed, month_of
from assay.store.engine import Store, open_store
from assay.store.sent_marks import SentMarks, folder_of, sweep, unsent
from store_steps import open_intent

KILLED = """
import os, signal, sys
from assay.store import ledger
from assay.store.engine import open_store
from assay.store.owner import new_owner
from assay.store.sent_marks import SentMarks

store, owner = open_store(sys.argv[1]), new_owner()
marks = SentMarks(store.writer_url, owner)
for number in range(4):
    intent = ledger.Intent(id=f"call{number}", created_ms=ledger.now_ms(), gateway="g", purpose="api", model="a/b",
                           owner=owner, bound_pico=10)
    store.writer.call(lambda c: ledger.open_intents(c, [ledger.Opening(intent)]))
    if number < int(sys.argv[2]):
        marks.mark(intent.id)
print(owner, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A database's address."""
    return f"sqlite:///{tmp_path}/a.db"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """An empty store."""
    opened = open_store(url)
    yield opened
    opened.close()


def killed(url: str, sent: int) -> str:
    """The owner of a process that was killed with four intents, of which it had sent so many."""
    done = subprocess.run([sys.executable, "-c", KILLED, url, str(sent)], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def states(store: Store) -> dict[str, str]:
    """The state of every call that the ledger holds."""
    with store.read() as connection:
        return {name: row.state for name, row in ledger.calls_of(connection, [f"call{n}" for n in range(4)]).items()}


def test_kill_gives_back_what_was_not_sent(store: Store, url: str) -> None:
    """Of four intents two were sent: these are orphans at their bound, the others are gone with their reservation."""
    killed(url, sent=2)

    store.writer.call(lambda c: ledger.mark_orphans(c))

    assert states(store) == {"call0": "orphan", "call1": "orphan"}
    committed = store.writer.call(lambda c: month_committed(c, month_of(ledger.now_ms())))
    assert committed == 20


def test_kill_without_marks_takes_nothing_for_unsent(store: Store, url: str) -> None:
    """A file that is gone, cut at its head or of another boot proves nothing: all four may have been paid."""
    owner = killed(url, sent=1)
    (file,) = folder_of(store.writer_url).iterdir()
    file.write_bytes(b"assay another-boot\ncall0\n")

    assert unsent(store.writer_url, owner, ["call1"]) == set()
    store.writer.call(lambda c: ledger.mark_orphans(c))
    assert set(states(store).values()) == {"orphan"}
    assert len(states(store)) == 4


def test_marks_that_cannot_be_written_leave_no_file(store: Store) -> None:
    """A process that ends in order leaves no marks, and a dead one's are swept."""
    marks = SentMarks(store.writer_url, "elsewhere/1/a")
    marks.mark("call0")
    assert unsent(store.writer_url, "elsewhere/1/a", ["call0", "call1"]) == {"call1"}

    marks.close()
    marks.mark("call1")

    assert unsent(store.writer_url, "elsewhere/1/a", ["call0", "call1"]) == set()
    sweep(store.writer_url)


def test_free_orphan_costs_nothing(store: Store) -> None:
    """A call that can cost nothing is settled at a known 0, whatever became of it."""
    intent = ledger.Intent(
        id="call0", created_ms=1, gateway="g", purpose="api", model="a/b:free", owner="x", bound_pico=0
    )
    store.writer.call(lambda c: open_intent(c, intent))
    lost = ledger.Settlement(call_id="call0", settled_ms=2, outcome="cancelled", cost=Cost(None, "unknown"))
    store.writer.call(lambda c: ledger.settle(c, lost))

    with store.read() as connection:
        assert ledger.calls_of(connection, ["call0"])["call0"].cost_pico == 0
