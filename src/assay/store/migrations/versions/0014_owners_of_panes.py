"""Keep which process answers a pane of the playground: what a dead one left streaming is told apart from the rest."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this revision."""
    op.add_column("comparison_answer", sa.Column("owner", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    """Back to the revision before."""
    op.drop_column("comparison_answer", "owner")
