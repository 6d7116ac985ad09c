"""A database gets its tables: one process makes or changes them, whoever comes meanwhile waits and finds them there."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from assay.errors import StoreError

VERSIONS = Path(__file__).parent / "migrations" / "versions"
KNOWN = frozenset(file.name[:4] for file in VERSIONS.glob("[0-9][0-9][0-9][0-9]_*.py"))
"""All revisions of the tables that this release knows."""
HEAD = max(KNOWN)
"""The newest of them."""
_LOCK = 0x4153534159
"""The advisory lock, "ASSAY", under which a server's tables are made and changed."""


def prepare(reader: Engine, writer: Engine, shown: str) -> None:
    """Brings the tables to HEAD. A new database gets them at once; Alembic, slow to import, only changes old ones.

    writer: its transactions exclude each other on SQLite. shown: the database, for words. Raises StoreError, having
    changed nothing, for tables that are not Assay's, or of a later release.
    """
    with reader.connect() as connection:
        if _found(connection, shown) == HEAD:
            return
    with writer.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        found = _found(connection, shown)  # another process may have been here meanwhile
        if found is None:
            _create(connection)
        elif found != HEAD:
            from assay.store.migrations.upgrade import upgrade

            upgrade(connection)


def _found(connection: Connection, shown: str) -> str | None:
    """The revision of the tables; None: there are none."""
    found = revision(connection)
    if found is None and inspect(connection).get_table_names():
        raise StoreError(
            f"The database {shown} holds tables of another program.", cure="Set ASSAY_DATABASE_URL to another one."
        )
    if found is not None and found not in KNOWN:
        raise StoreError(
            f"The database {shown} was made by a newer Assay: its tables are of revision {found!r}, and this release "
            f"knows them up to {HEAD}.",
            cure="Update Assay, or set ASSAY_DATABASE_URL to another file.",
        )
    return found


def revision(connection: Connection) -> str | None:
    """The revision of the tables; None: there are none of Assay's."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


def _create(connection: Connection) -> None:
    from assay.store.tables import create_tables

    create_tables(connection)
    connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
    connection.execute(text("INSERT INTO alembic_version VALUES (:head)"), {"head": HEAD})
