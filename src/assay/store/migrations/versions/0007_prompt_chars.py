"""Keep the characters of each call's prompt: with its tokens they teach how a model counts."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this revision."""
    op.add_column("call", sa.Column("prompt_chars", sa.Integer(), nullable=True))


def downgrade() -> None:
    """Back to the revision before."""
    op.drop_column("call", "prompt_chars")
