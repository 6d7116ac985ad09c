"""The standing of runs that nobody works, as it was counted: opening one again reads a line instead of every cell."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select

from assay.store.tables import RUN_BOARD


def kept_board(connection: Connection, run_id: str, *, state: str) -> str | None:
    """What was kept of a run in exactly this state; None: nothing, or the run has changed since."""
    query = select(RUN_BOARD.c.standing_json).where(RUN_BOARD.c.run_id == run_id, RUN_BOARD.c.state == state)
    return connection.execute(query).scalar()


def keep_board(connection: Connection, run_id: str, *, state: str, standing_json: str) -> None:
    """Keeps the standing of a run in a state, in place of the one before."""
    connection.execute(delete(RUN_BOARD).where(RUN_BOARD.c.run_id == run_id))
    connection.execute(insert(RUN_BOARD).values(run_id=run_id, state=state, standing_json=standing_json))
