"""Costs that the gateway tells later: of calls that were stopped, broke off, or whose process died."""

from __future__ import annotations

import asyncio
from typing import Any

from assay.domain.completion import UNKNOWN_COST
from assay.errors import StoreError
from assay.openrouter.client import Client
from assay.openrouter.failures import GatewayFailed
from assay.openrouter.usage import recovered_cost
from assay.store import ledger
from assay.store.engine import Store

WAITS_S = (1.0, 2.0, 4.0, 8.0, 16.0)
AT_ONCE = 8
"""Questions in flight when many costs are asked for."""


class Recovery:
    """Asks the gateway itself for costs by generation id. Belongs to one event loop."""

    def __init__(self, store: Store, client: Client) -> None:
        self._store = store
        self._client = client
        self._tasks: set[asyncio.Task[None]] = set()

    def later(self, call_id: str, generation_id: str | None = None) -> None:
        """Asks until the gateway has written the cost, for about 30 s. No id: the one that the ledger holds by then."""
        task = asyncio.get_running_loop().create_task(self._ask(call_id, generation_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask(self, call_id: str, generation_id: str | None) -> None:
        for wait in WAITS_S:
            await asyncio.sleep(wait)
            if generation_id is None:
                rows = await asyncio.to_thread(self._calls, call_id)
                generation_id = rows[call_id].generation_id if call_id in rows else None
            if generation_id is not None and await self.once(call_id, generation_id):
                return

    def _calls(self, call_id: str) -> dict[str, Any]:
        with self._store.read() as connection:
            return ledger.calls_of(connection, [call_id])

    async def once(self, call_id: str, generation_id: str) -> bool:
        """Asks once; whether the ledger has learnt the cost. Not of a call that has not ended there yet."""
        try:
            found = await self._client.generation(generation_id)
        except GatewayFailed:
            return False
        cost = UNKNOWN_COST if found is None else recovered_cost(found)
        if found is None or cost.pico is None:
            return False
        named = found.get("provider_name")
        provider = named if isinstance(named, str) else None
        try:
            return await self._store.writer.ask(lambda c: ledger.recover(c, call_id, cost, provider=provider))
        except StoreError:
            return False  # it stays unknown, and is asked for again

    async def all(self, *, since_ms: int) -> int:
        """Asks for the cost of every call that has a generation id and no bill; returns how many are now known."""
        if not self._client.gateway.speaks_openrouter:
            return 0  # it keeps no records of generations
        waiting = await asyncio.to_thread(self._waiting, since_ms)
        places = asyncio.Semaphore(AT_ONCE)

        async def ask(call: ledger.Recoverable) -> bool:
            async with places:
                return await self.once(call.id, call.generation_id)

        return sum(await asyncio.gather(*(ask(call) for call in waiting)))

    def _waiting(self, since_ms: int) -> list[ledger.Recoverable]:
        with self._store.read() as connection:
            return ledger.recoverable(connection, gateway=self._client.gateway.name, since_ms=since_ms)

    async def aclose(self) -> None:
        """Ends what still asks."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
