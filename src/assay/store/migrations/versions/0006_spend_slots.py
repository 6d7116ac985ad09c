"""Sum the ledger's ended calls per quarter of an hour; index calls by time alone, for pages read the sums."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this revision."""
    op.create_table(
        "spend_slot",
        sa.Column("slot", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("gateway", sa.String(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("known_pico", sa.BigInteger(), nullable=False),
        sa.Column("unknown_calls", sa.BigInteger(), nullable=False),
        sa.Column("unknown_bound_pico", sa.BigInteger(), nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger(), nullable=False),
        sa.Column("completion_tokens", sa.BigInteger(), nullable=False),
        sa.Column("reasoning_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cached_tokens", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("slot", "gateway", "purpose", "model", "provider", "run_id"),
    )
    op.create_index("ix_spend_slot_run", "spend_slot", ["run_id", "slot"], unique=False)
    op.execute(
        """
        INSERT INTO spend_slot
        SELECT created_ms / 900000, gateway, purpose, model, coalesce(provider, ''), coalesce(run_id, ''),
            count(*), coalesce(sum(cost_pico), 0),
            sum(CASE WHEN cost_pico IS NULL THEN 1 ELSE 0 END),
            coalesce(sum(CASE WHEN cost_pico IS NULL THEN bound_pico ELSE 0 END), 0),
            coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0),
            coalesce(sum(reasoning_tokens), 0), coalesce(sum(cached_tokens), 0)
        FROM call WHERE state <> 'sent'
        GROUP BY created_ms / 900000, gateway, purpose, model, coalesce(provider, ''), coalesce(run_id, '')
        """
    )
    op.drop_index("ix_call_spend", table_name="call")
    op.create_index("ix_call_created", "call", ["created_ms"], unique=False)
    op.create_index("ix_call_run_created", "call", ["run_id", "created_ms"], unique=False)


def downgrade() -> None:
    """Back from this revision."""
    op.drop_index("ix_call_run_created", table_name="call")
    op.drop_index("ix_call_created", table_name="call")
    op.create_index(
        "ix_call_spend",
        "call",
        ["created_ms", "purpose", "model", "provider", "run_id", "cost_pico", "bound_pico", "state"],
        unique=False,
    )
    op.drop_index("ix_spend_slot_run", table_name="spend_slot")
    op.drop_table("spend_slot")
