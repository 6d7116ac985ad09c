"""Writes of money that must not be lost: tried until they are written, whoever stopped waiting for them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from assay.errors import StoreError
from assay.store import ledger
from assay.store.engine import Store

log = logging.getLogger("assay.calls")
STORE_WAIT_S = 2.0
"""Seconds between two tries to write into a store that refuses."""
CLOSE_PATIENCE_S = 5.0
"""Seconds that closing waits for what is not written yet."""
MOST_OWED = 20_000


class Settling:
    """Settles calls. Belongs to one event loop."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._writes: set[asyncio.Task[None]] = set()
        self._owed: dict[str, ledger.Settlement] = {}

    def surely(self, operation: Callable[[Any], object]) -> asyncio.Task[None]:
        """Writes, now or as soon as the store takes it; the task may be waited for or left alone."""
        task = asyncio.get_running_loop().create_task(self._write(operation))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return task

    async def _write(self, operation: Callable[[Any], object]) -> None:
        while True:
            try:
                await self._store.writer.ask(operation)
            except StoreError as error:
                log.warning("a call is not settled yet: %s", error)
                await asyncio.sleep(STORE_WAIT_S)
            else:
                return

    async def settle(self, settlement: ledger.Settlement) -> None:
        """Stores a settlement by itself; who is cancelled while waiting leaves it to be stored."""
        writing = self.surely(lambda c: ledger.settle(c, settlement))
        writing.add_done_callback(lambda done: None if done.cancelled() else self.stored(settlement))
        await asyncio.shield(writing)

    @property
    def owes(self) -> int:
        """How many calls have ended whose settlement is not stored."""
        return len(self._owed)

    def owe(self, settlement: ledger.Settlement) -> None:
        """Keeps the settlement of a call that has ended until whoever asked for it has stored it."""
        self._owed[settlement.call_id] = settlement
        while len(self._owed) > MOST_OWED:
            self._owed.pop(next(iter(self._owed)))

    def stored(self, settlement: ledger.Settlement) -> None:
        """Forgets a settlement that is stored."""
        self._owed.pop(settlement.call_id, None)

    async def aclose(self) -> None:
        """Stores what nobody came to store; what the store refuses for long is found as an orphan by the next start."""
        owed, self._owed = list(self._owed.values()), {}
        if owed:
            self.surely(lambda c: ledger.settle_many(c, owed))
        if self._writes:
            await asyncio.wait(list(self._writes), timeout=CLOSE_PATIENCE_S)
        for task in list(self._writes):
            task.cancel()
        await asyncio.gather(*self._writes, return_exceptions=True)
