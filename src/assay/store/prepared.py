"""Statements of the hot path: their SQL is made once, and many rows go to the driver as they are.

SQLAlchemy's way to execute costs as much as the database's own work for the rows that a run writes. Only for values
that need no conversion on their way in: texts, numbers, booleans, None.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.sql import Insert, Update


class Prepared:
    """An insert or update whose parameters all have names. columns: those that an insert is given, in any order."""

    def __init__(self, statement: Insert | Update, columns: Iterable[str] = ()) -> None:
        self._statement = statement
        self._columns = list(columns) or None
        self._made: dict[str, tuple[str, Callable[[Mapping[str, Any]], Any]]] = {}

    def many(self, connection: Connection, rows: Iterable[Mapping[str, Any]]) -> None:
        """Executes it for every row, a mapping with at least the parameters' names; no row: does nothing."""
        sql, taken = self._of(connection)
        if values := [taken(row) for row in rows]:
            connection.exec_driver_sql(sql, values)

    def _of(self, connection: Connection) -> tuple[str, Callable[[Mapping[str, Any]], Any]]:
        """The text for the connection's dialect, and what takes a row's parameters as its driver wants them."""
        found = self._made.get(connection.dialect.name)
        if found is None:
            compiled = self._statement.compile(dialect=connection.dialect, column_keys=self._columns)
            taken = itemgetter(*compiled.positiontup) if compiled.positiontup else dict
            found = self._made[connection.dialect.name] = (str(compiled), taken)
        return found
