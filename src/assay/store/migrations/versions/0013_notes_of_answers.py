"""Keep what a reader must know beside an answer: that it is a refusal, was cut, or was asked for again."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this revision."""
    for table in ("result_text", "comparison_answer"):
        op.add_column(table, sa.Column("note", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    """Back to the revision before."""
    for table in ("comparison_answer", "result_text"):
        op.drop_column(table, "note")
