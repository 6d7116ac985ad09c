"""The tables of datasets: a database of the first revision is brought up with its rows in their buckets."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from sqlalchemy import create_engine, text

from assay.datasets.identity import bucket_of
from assay.store.migrations.upgrade import config, upgrade


def test_migration_puts_old_rows_into_their_buckets(tmp_path: Path) -> None:
    """Made splits treat rows from before the revision like any other."""
    engine = create_engine(f"sqlite:///{tmp_path}/old.db")
    with engine.begin() as connection:
        command.upgrade(config(connection), "0001")
        connection.execute(
            text(
                "INSERT INTO dataset (id, name, version, content_hash, columns_json, roles_json, row_count, source, "
                "findings_json, created_ms) VALUES ('d', 'n', 1, 'h', '[\"a\"]', '{}', 3, '', '[]', 0)"
            )
        )
        for position, key in enumerate(("one", "two", "three")):
            connection.execute(
                text("INSERT INTO dataset_row (dataset_id, position, row_key, values_json) VALUES ('d', :p, :k, '[]')"),
                {"p": position, "k": key},
            )
    with engine.begin() as connection:
        upgrade(connection)
        found = {r.row_key: r.bucket for r in connection.execute(text("SELECT row_key, bucket FROM dataset_row"))}
    engine.dispose()

    assert found == {key: bucket_of(key) for key in ("one", "two", "three")}
    assert len(set(found.values())) == 3
