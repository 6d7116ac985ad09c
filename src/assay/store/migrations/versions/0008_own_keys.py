"""Keep what a provider charges to one's own key: on the calls and in the sums of spend."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this revision."""
    op.add_column("call", sa.Column("is_byok", sa.Boolean(), nullable=True))
    op.add_column("call", sa.Column("upstream_pico", sa.BigInteger(), nullable=True))
    op.add_column("call", sa.Column("cost_details_json", sa.Text(), nullable=True))
    op.add_column("spend_slot", sa.Column("upstream_pico", sa.BigInteger(), nullable=False, server_default="0"))


def downgrade() -> None:
    """Back to the revision before."""
    op.drop_column("spend_slot", "upstream_pico")
    for name in ("cost_details_json", "upstream_pico", "is_byok"):
        op.drop_column("call", name)
