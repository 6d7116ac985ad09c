"""Whether the database is whole, and how old its tables are."""

from __future__ import annotations

from sqlalchemy.exc import SQLAlchemyError

from assay.store.engine import Store


def damage(store: Store) -> str:
    """What SQLite's own check finds wrong, its first line; empty: nothing, or a server looks after it."""
    if store.path is None:
        return ""
    try:
        with store.read() as connection:
            found = connection.exec_driver_sql("PRAGMA quick_check(5)").scalars().first()
    except SQLAlchemyError as error:
        return str(getattr(error, "orig", None) or error)
    return "" if found == "ok" else str(found)


def revision(store: Store) -> str:
    """The revision of the tables."""
    with store.read() as connection:
        return str(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() or "none")
