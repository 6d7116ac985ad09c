"""Keep what a run is for, from which run it came and who started it; and budgets that several runs share."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this revision."""
    op.create_table(
        "shared_budget",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("budget_pico", sa.BigInteger(), nullable=True),
        sa.Column("settled_pico", sa.BigInteger(), nullable=False),
        sa.Column("reserved_pico", sa.BigInteger(), nullable=False),
    )
    op.add_column("run", sa.Column("purpose", sa.String(), nullable=False, server_default="batch"))
    op.add_column("run", sa.Column("parent_id", sa.String(), nullable=True))
    op.add_column("run", sa.Column("actor", sa.String(), nullable=False, server_default="local"))
    op.add_column("run", sa.Column("shared_budget_id", sa.String(), nullable=True))
    op.create_index("ix_run_parent_id", "run", ["parent_id"])


def downgrade() -> None:
    """Back to the revision before."""
    op.drop_index("ix_run_parent_id", "run")
    for name in ("shared_budget_id", "actor", "parent_id", "purpose"):
        op.drop_column("run", name)
    op.drop_table("shared_budget")
