"""Tags, splits and data policies of datasets; a bucket for every row."""

import sqlalchemy as sa
from alembic import op

from assay.datasets.identity import bucket_of

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_BATCH = 5_000


def upgrade() -> None:
    """To this revision."""
    op.create_table(
        "dataset_name",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("tags_json", sa.Text(), nullable=False),
        sa.Column("splits_json", sa.Text(), nullable=False),
        sa.Column("policy_json", sa.Text(), nullable=False),
        sa.Column("policy_log_json", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.add_column("dataset_row", sa.Column("bucket", sa.Integer(), nullable=False, server_default="0"))
    op.create_index("ix_dataset_row_key", "dataset_row", ["dataset_id", "row_key"])
    _fill_buckets(op.get_bind())


def _fill_buckets(connection: sa.Connection) -> None:
    rows = sa.table(
        "dataset_row",
        sa.column("dataset_id", sa.String()),
        sa.column("position", sa.Integer()),
        sa.column("row_key", sa.String()),
        sa.column("bucket", sa.Integer()),
    )
    this = (rows.c.dataset_id == sa.bindparam("d")) & (rows.c.position == sa.bindparam("p"))
    change = sa.update(rows).where(this).values(bucket=sa.bindparam("b"))
    for (dataset_id,) in connection.execute(sa.select(rows.c.dataset_id).distinct()).all():
        last = -1
        while found := connection.execute(
            sa.select(rows.c.position, rows.c.row_key)
            .where(rows.c.dataset_id == dataset_id, rows.c.position > last)
            .order_by(rows.c.position)
            .limit(_BATCH)
        ).all():
            connection.execute(change, [{"d": dataset_id, "p": p, "b": bucket_of(key)} for p, key in found])
            last = found[-1].position


def downgrade() -> None:
    """From this revision."""
    op.drop_index("ix_dataset_row_key", "dataset_row")
    op.drop_column("dataset_row", "bucket")
    op.drop_table("dataset_name")
