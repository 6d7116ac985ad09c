"""Statements of the hot path: their SQL is made once, and goes to the driver's own cursor with its values.

SQLAlchemy's way to execute costs ten times a small statement itself, and a run writes some fifteen in every
transaction. Only for values that need no conversion on their way in or out: texts, numbers, None, truths on their way
in. The connection's transaction holds for them, and a driver's error is raised as SQLAlchemy's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from operator import itemgetter
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql import Delete, Insert, Update

Values = Mapping[str, Any]


class Prepared:
    """A statement whose parameters all have names. columns: those that an insert is given, in any order."""

    def __init__(self, statement: Select[Any] | Insert | Update | Delete, columns: Iterable[str] = ()) -> None:
        self._statement = statement
        self._columns = list(columns) or None
        self._made: dict[str, tuple[str, Callable[[Values], Any]]] = {}

    def many(self, connection: Connection, rows: Iterable[Values]) -> None:
        """Executes it for every row, a mapping with at least the parameters' names; no row: does nothing."""
        sql, taken = self._of(connection)
        if values := [taken(row) for row in rows]:
            with _cursor(connection, sql) as cursor:
                cursor.executemany(sql, values)

    def one(self, connection: Connection, values: Values) -> None:
        """Executes it once."""
        sql, taken = self._of(connection)
        with _cursor(connection, sql) as cursor:
            cursor.execute(sql, taken(values))

    def rows(self, connection: Connection, values: Values) -> list[tuple[Any, ...]]:
        """The rows of a select, as the driver gives them."""
        sql, taken = self._of(connection)
        with _cursor(connection, sql) as cursor:
            cursor.execute(sql, taken(values))
            found: list[tuple[Any, ...]] = cursor.fetchall()
        return found

    def _of(self, connection: Connection) -> tuple[str, Callable[[Values], Any]]:
        """The text for the connection's dialect, and what takes a row's parameters as its driver wants them."""
        found = self._made.get(connection.dialect.name)
        if found is None:
            compiled = self._statement.compile(dialect=connection.dialect, column_keys=self._columns)
            names = compiled.positiontup
            taken = dict if names is None else _tuple_of(names)
            found = self._made[connection.dialect.name] = (str(compiled), taken)
        return found


class PreparedIn:
    """A select of the rows whose column is in a list: a handful of texts for lists of every length."""

    def __init__(self, statement: Select[Any], column: ColumnElement[Any]) -> None:
        self._statement = statement
        self._column = column
        self._sizes: dict[int, Prepared] = {}

    def rows(self, connection: Connection, keys: Sequence[Any], values: Values = {}) -> list[tuple[Any, ...]]:  # noqa: B006
        """The rows of all keys; values: the statement's other parameters."""
        if not keys:
            return []
        # The list is filled up to the next power of two with its last key: a driver keeps few texts prepared.
        size = 1 << (len(keys) - 1).bit_length()
        asked = {f"key{n}": keys[min(n, len(keys) - 1)] for n in range(size)}
        return self._of(size).rows(connection, {**asked, **values})

    def _of(self, size: int) -> Prepared:
        found = self._sizes.get(size)
        if found is None:
            chosen = self._column.in_([bindparam(f"key{n}") for n in range(size)])
            found = self._sizes[size] = Prepared(self._statement.where(chosen))
        return found


def _tuple_of(names: Sequence[str]) -> Callable[[Values], tuple[Any, ...]]:
    if len(names) > 1:
        return itemgetter(*names)
    return lambda row: tuple(row[name] for name in names)


@contextmanager
def _cursor(connection: Connection, sql: str) -> Iterator[Any]:
    """A cursor of the driver. Raises DBAPIError."""
    if not connection.in_transaction():
        connection.begin()
    error_class = connection.dialect.loaded_dbapi.Error
    try:
        with closing(connection.connection.cursor()) as cursor:
            yield cursor
    except error_class as error:
        raise DBAPIError.instance(sql, None, error, error_class, dialect=connection.dialect) from error
