"""Keep the standing of runs that nobody works."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this revision."""
    op.create_table(
        "run_board",
        sa.Column("run_id", sa.String(), sa.ForeignKey("run.id"), primary_key=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("standing_json", sa.Text(), nullable=False),
    )


def downgrade() -> None:
    """Back to the revision before."""
    op.drop_table("run_board")
