"""Count estimated costs at their bounds in the budgets of runs and months, and tell what was surely not billed apart."""

from collections import Counter

import sqlalchemy as sa
from alembic import op

from assay.store.books import month_of

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this revision."""
    op.execute(
        "UPDATE call SET provenance = 'unbilled' WHERE provenance = 'estimated' AND cost_pico = 0 AND outcome = 'failed'"
    )
    _book(1)


def downgrade() -> None:
    """Back to the revision before."""
    _book(-1)
    op.execute("UPDATE call SET provenance = 'estimated' WHERE provenance = 'unbilled'")


def _book(sign: int) -> None:
    """Adds to the sums by how much the bounds of estimated calls are above their estimates, or takes it away."""
    connection = op.get_bind()
    calls = connection.execute(
        sa.text(
            "SELECT run_id, created_ms, bound_pico - cost_pico FROM call"
            " WHERE state = 'settled' AND provenance = 'estimated' AND bound_pico > cost_pico"
        )
    )
    by_run: Counter[str] = Counter()
    by_month: Counter[str] = Counter()
    for run_id, created_ms, more in calls:
        by_month[month_of(created_ms)] += more
        if run_id is not None:
            by_run[run_id] += more
    for table, key, sums in (("run", "id", by_run), ("month_spend", "month", by_month)):
        for name, more in sums.items():
            connection.execute(
                sa.text(f"UPDATE {table} SET settled_pico = settled_pico + :more WHERE {key} = :name"),  # noqa: S608
                {"more": sign * more, "name": name},
            )
