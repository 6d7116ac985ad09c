"""Keep beside each result what its own calls and its judges' cost, as the ledger says, and whether it was cut."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

AMOUNTS = ("known_pico", "unknown_bound_pico", "judging_pico", "judging_bound_pico")
COUNTS = ("unknown_calls", "judging_unknown")
INDEX = ["run_id", "contestant_key", "purpose", "cost_pico", "bound_pico", "state"]


def upgrade() -> None:
    """To this revision."""
    for name in AMOUNTS:
        op.add_column("result", sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))
    for name in COUNTS:
        op.add_column("result", sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    op.add_column("result", sa.Column("cut", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.execute("UPDATE result SET cost_pico = 0")
    op.execute(
        """
        UPDATE result SET
            cost_pico = CASE WHEN paid.unknown > 0 THEN NULL ELSE paid.known END,
            known_pico = paid.known, unknown_calls = paid.unknown, unknown_bound_pico = paid.bound,
            judging_pico = paid.judged, judging_unknown = paid.judged_unknown, judging_bound_pico = paid.judged_bound
        FROM (
            SELECT run_id, cell,
                coalesce(sum(CASE WHEN purpose <> 'judge' THEN cost_pico END), 0) AS known,
                coalesce(sum(CASE WHEN purpose <> 'judge' AND cost_pico IS NULL THEN 1 END), 0) AS unknown,
                coalesce(sum(CASE WHEN purpose <> 'judge' AND cost_pico IS NULL THEN bound_pico END), 0) AS bound,
                coalesce(sum(CASE WHEN purpose = 'judge' THEN cost_pico END), 0) AS judged,
                coalesce(sum(CASE WHEN purpose = 'judge' AND cost_pico IS NULL THEN 1 END), 0) AS judged_unknown,
                coalesce(sum(CASE WHEN purpose = 'judge' AND cost_pico IS NULL THEN bound_pico END), 0) AS judged_bound
            FROM call WHERE state <> 'sent' AND run_id IS NOT NULL AND cell IS NOT NULL GROUP BY run_id, cell
        ) AS paid
        WHERE paid.run_id = result.run_id AND paid.cell = result.cell
        """
    )
    op.execute(
        "UPDATE result SET cut = true WHERE status = 'ok' AND call_id IN "
        "(SELECT id FROM call WHERE finish_reason = 'length')"
    )
    op.drop_index("ix_call_run_money", table_name="call")
    op.create_index("ix_call_run_money", "call", INDEX, unique=False)


def downgrade() -> None:
    """Back to the revision before."""
    op.drop_index("ix_call_run_money", table_name="call")
    op.create_index("ix_call_run_money", "call", [name for name in INDEX if name != "purpose"], unique=False)
    for name in (*AMOUNTS, *COUNTS, "cut"):
        op.drop_column("result", name)
