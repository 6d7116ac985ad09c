"""Keep whose account a batch was handed in with: another account neither finds it nor may take another for it."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this revision."""
    op.add_column("gateway_batch", sa.Column("account", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    """Back to the revision before."""
    op.drop_column("gateway_batch", "account")
