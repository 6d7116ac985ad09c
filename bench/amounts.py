"""Compares what every face tells of the money of a run that met every fault, to the pico-dollar.

    python bench/amounts.py [--cells 1000]

Two models, one of them through a key of one's own, ten graders with hostile expected cells and a judge
(tests/runs/hostile_cells.py), retries, broken streams; then some lost costs are asked for, and one is stated. Prints a
line per face: workbench, exports, commands. Exit 1 when one differs from the ledger.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import select

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "runs"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "workbench"))

from amounts_told import Told, of_commands, of_exports, of_workbench, written
from hostile_cells import FAULTS, GRADERS, MODELS, draft_of

from assay.config import Gateway, Settings
from assay.money import exact_usd
from assay.sandbox import Fault, SandboxConfig, SandboxServer
from assay.store.tables import CALL
from assay.workbench.running import runs
from assay.workbench.session import Session, open_session
from assay.workbench.spending import spend

BROKEN = tuple(Fault(kind, rate=0.04) for kind in ("mid_stream_error", "502_html"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=1_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, SandboxServer(config()) as server:
        settings = Settings(database_url=f"sqlite:///{folder}/a.db", concurrency=16)
        gateway = Gateway("sandbox", server.base_url, SecretStr("key"))
        with open_session(settings, gateway=gateway) as session:
            session.ready()
            run_id = runs.start_run(session, draft_of(session, options.cells // len(MODELS), GRADERS))
            state = runs.wait_for_run(session, run_id, timeout_s=900)
            print(f"{state.cells:,} cells, {state.done:,} ended, {state.failed:,} failed, run {state.state}")
            print(f"{state.unknown_calls:,} calls of unknown cost when it ended")
            told = spend.recover(session)
            stated = spend.state_costs(session, call_id=lost_call(session, run_id), at_bound=True)
            print(f"{told:,} costs told later, {stated.calls} stated; by provenance: {provenances(session, run_id)}")
            found = of_workbench(session, run_id)
            found |= {f"export, {name}": amount for name, amount in of_exports(written(session, run_id)).items()}
        found |= of_commands(Path(folder), settings.database_url, run_id)
    return table(found)


def config() -> SandboxConfig:
    """A gateway with every fault, that bills one provider to a key of one's own."""
    return SandboxConfig(speed=0, faults=(*FAULTS, *BROKEN), byok=frozenset({"eastbay"}))


def lost_call(session: Session, run_id: str) -> str:
    """A call of unknown cost; none: an id of no call."""
    with session.store.read() as connection:
        query = select(CALL.c.id).where(CALL.c.run_id == run_id, CALL.c.cost_pico.is_(None)).limit(1)
        return connection.execute(query).scalar() or ""


def provenances(session: Session, run_id: str) -> str:
    """Where the costs of a run are known from, with the calls of each."""
    with session.store.read() as connection:
        query = select(CALL.c.provenance).where(CALL.c.run_id == run_id)
        every = list(connection.execute(query).scalars())
    return ", ".join(f"{name} {every.count(name):,}" for name in sorted(set(every)))


def table(found: Told) -> int:
    """Prints a line per face; 1 when one differs from the ledger."""
    right = found["ledger"]
    for name, (pico, unknown) in found.items():
        mark = "" if (pico, unknown) == right else "   DIFFERS"
        print(f"{name:36} ${exact_usd(pico):<16} + {unknown:,} unknown{mark}")
    return int(any(amount != right for amount in found.values()))


if __name__ == "__main__":
    sys.exit(main())
