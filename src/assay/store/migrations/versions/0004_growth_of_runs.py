"""Keep what a run grew by, and the time that it was worked."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this revision."""
    op.create_table(
        "run_change",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("detail_json", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("run_change", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_run_change_run_id"), ["run_id"], unique=False)
    op.add_column("run", sa.Column("worked_ms", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("run", sa.Column("beat_ms", sa.BigInteger(), nullable=False, server_default="0"))
    op.execute("UPDATE run SET worked_ms = finished_ms - started_ms WHERE finished_ms > started_ms")


def downgrade() -> None:
    """Back from this revision."""
    op.drop_column("run", "beat_ms")
    op.drop_column("run", "worked_ms")
    with op.batch_alter_table("run_change", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_run_change_run_id"))
    op.drop_table("run_change")
