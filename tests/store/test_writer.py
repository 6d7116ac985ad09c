"""The one thread that writes: what its callers are told, and that none of them can hold it up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from assay.errors import AssayError, DataError
from assay.store.engine import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A database with one more table."""
    opened = open_store(f"sqlite:///{tmp_path}/a.db")
    opened.writer.call(lambda c: c.execute(text("CREATE TABLE noted (n INTEGER)")))
    return opened


def note_all(connection: Connection, numbers: Sequence[int]) -> list[AssayError | None]:
    """Writes the even numbers and refuses the odd ones."""
    for number in numbers:
        if number % 2 == 0:
            connection.execute(text("INSERT INTO noted VALUES (:n)"), {"n": number})
    return [DataError(f"{number} is odd.") if number % 2 else None for number in numbers]


def noted(store: Store) -> list[int]:
    """What stands in the table."""
    with store.read() as connection:
        return list(connection.execute(text("SELECT n FROM noted ORDER BY n")).scalars())


def test_loop_is_told_each_items_own_outcome(store: Store) -> None:
    """Items of one transaction succeed or fail one by one, and an operation's value comes back."""

    async def go() -> tuple[list[object], int]:
        asked = [store.writer.ask_item(note_all, number) for number in range(6)]
        told = await asyncio.gather(*asked, return_exceptions=True)
        return told, await store.writer.ask(lambda c: c.execute(text("SELECT count(*) FROM noted")).scalar_one())

    told, count = asyncio.run(go())

    assert [str(one) if one else None for one in told] == [None, "1 is odd.", None, "3 is odd.", None, "5 is odd."]
    assert count == 3
    assert noted(store) == [0, 2, 4]


def test_write_of_a_cancelled_caller_still_happens(store: Store) -> None:
    """What was asked is written, and those who ask later are answered."""

    async def go() -> None:
        task = asyncio.ensure_future(store.writer.ask_item(note_all, 2))
        await asyncio.sleep(0)
        task.cancel()
        await store.writer.ask_item(note_all, 4)

    asyncio.run(go())

    assert noted(store) == [2, 4]


def test_loop_that_is_gone_holds_nobody_up(store: Store) -> None:
    """An answer for a closed loop is dropped; the writer goes on."""
    loop = asyncio.new_event_loop()

    async def ask() -> None:
        store.writer.ask_item(note_all, 2)

    loop.run_until_complete(ask())
    loop.close()
    store.writer.call(lambda c: note_all(c, [4]))

    assert noted(store) == [2, 4]
