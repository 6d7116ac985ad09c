"""Statements that go to the driver as they are: the transaction is SQLAlchemy's, and so are the errors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import bindparam, delete, insert, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError

from assay.store.engine import Store, open_store
from assay.store.prepared import Prepared, PreparedIn
from assay.store.tables import MONTH_SPEND

ADD = Prepared(insert(MONTH_SPEND), ("month", "settled_pico", "reserved_pico"))
ALL = Prepared(select(MONTH_SPEND.c.month, MONTH_SPEND.c.settled_pico))
THESE = PreparedIn(
    select(MONTH_SPEND.c.month).where(MONTH_SPEND.c.settled_pico >= bindparam("least")), MONTH_SPEND.c.month
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    opened = open_store(f"sqlite:///{tmp_path}/assay.db")
    yield opened
    opened.close()


def months(count: int) -> list[dict[str, object]]:
    """Rows of as many months, the nth with n settled."""
    return [{"month": f"m{n:03}", "settled_pico": n, "reserved_pico": 0} for n in range(count)]


def test_a_list_of_any_length_finds_each_of_its_rows_once(store: Store) -> None:
    """Lengths around powers of two, keys that are not there, and the statement's own condition."""
    store.writer.call(lambda c: ADD.many(c, months(70)))
    with store.read() as connection:
        for count in (1, 2, 3, 4, 5, 31, 32, 33, 64, 65, 70):
            found = THESE.rows(connection, [f"m{n:03}" for n in range(count)] + ["none"], {"least": 1})
            assert sorted(found) == [(f"m{n:03}",) for n in range(1, count)]
        assert THESE.rows(connection, [], {"least": 0}) == []
    assert len(THESE._sizes) <= 8


def test_what_the_driver_refuses_undoes_the_transaction_and_is_sqlalchemys_error(store: Store) -> None:
    """The writer tells a locked database or a full disk from others by SQLAlchemy's error."""

    def twice(connection: object) -> None:
        ADD.one(connection, months(1)[0])  # type: ignore[arg-type]
        ADD.many(connection, months(2))  # type: ignore[arg-type]

    engine = store._writer_engine
    with pytest.raises(IntegrityError, match="UNIQUE"), engine.begin() as connection:
        twice(connection)
    with store.read() as connection:
        assert ALL.rows(connection, {}) == []


def test_statements_are_made_for_the_dialect_in_use() -> None:
    """A driver with named parameters gets them by name."""

    class Connected:
        dialect = postgresql.dialect()  # type: ignore[no-untyped-call]

    sql, taken = Prepared(delete(MONTH_SPEND).where(MONTH_SPEND.c.month == bindparam("of")))._of(Connected())  # type: ignore[arg-type]
    assert "%(of)s" in sql
    assert taken({"of": "2026-11"}) == {"of": "2026-11"}
