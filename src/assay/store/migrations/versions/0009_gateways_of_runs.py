"""Keep at which gateways a run is asked: name and address of each."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this revision."""
    op.add_column("run", sa.Column("gateways_json", sa.Text(), nullable=False, server_default="{}"))


def downgrade() -> None:
    """Back to the revision before."""
    op.drop_column("run", "gateways_json")
