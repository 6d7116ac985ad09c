"""Give the prompt library notes, labels and a history, and say which runs used a prompt."""

import json

import sqlalchemy as sa
from alembic import op

from assay.domain.contestant import Prompt

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this revision."""
    with op.batch_alter_table("saved_prompt", schema=None) as batch_op:
        batch_op.add_column(sa.Column("note", sa.Text(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("archived", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch_op.create_index("ix_saved_prompt_version", ["name", "version"], unique=True)

    op.create_table(
        "prompt_label",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", "label"),
    )
    op.create_table(
        "prompt_event",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("detail", sa.String(), nullable=False),
        sa.Column("before", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("prompt_event", schema=None) as batch_op:
        batch_op.create_index("ix_prompt_event_name", ["name", "id"], unique=False)

    op.create_table(
        "run_prompt",
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("prompt_key", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"]),
        sa.PrimaryKeyConstraint("run_id", "position"),
    )
    with op.batch_alter_table("run_prompt", schema=None) as batch_op:
        batch_op.create_index("ix_run_prompt_key", ["prompt_key", "run_id", "position"], unique=False)
    _link_earlier_runs()


def _link_earlier_runs() -> None:
    connection = op.get_bind()
    target = sa.table("run_prompt", sa.column("run_id"), sa.column("position"), sa.column("prompt_key"))
    for run_id, plan in connection.execute(sa.text("SELECT id, plan_json FROM run")).all():
        prompts = [Prompt.from_json(prompt) for prompt in json.loads(plan)["prompts"]]
        op.bulk_insert(target, [{"run_id": run_id, "position": n, "prompt_key": p.key} for n, p in enumerate(prompts)])


def downgrade() -> None:
    """Back from this revision."""
    with op.batch_alter_table("run_prompt", schema=None) as batch_op:
        batch_op.drop_index("ix_run_prompt_key")

    op.drop_table("run_prompt")
    with op.batch_alter_table("prompt_event", schema=None) as batch_op:
        batch_op.drop_index("ix_prompt_event_name")

    op.drop_table("prompt_event")
    op.drop_table("prompt_label")
    with op.batch_alter_table("saved_prompt", schema=None) as batch_op:
        batch_op.drop_index("ix_saved_prompt_version")
        batch_op.drop_column("archived")
        batch_op.drop_column("note")
