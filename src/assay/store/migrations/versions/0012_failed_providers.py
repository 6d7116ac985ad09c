"""Who failed before an answer, as the gateway's own account of its routing tells it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this revision."""
    op.add_column("call", sa.Column("failed_providers_json", sa.Text(), nullable=True))


def downgrade() -> None:
    """Back to the revision before."""
    op.drop_column("call", "failed_providers_json")
