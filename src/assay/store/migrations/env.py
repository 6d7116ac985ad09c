"""Alembic's environment: migrates over the connection that it is given."""

from alembic import context
from sqlmodel import SQLModel

import assay.store.tables

assert assay.store.tables  # noqa: S101 - imported for its tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
