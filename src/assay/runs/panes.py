"""The playground's comparisons at work: answers stream into memory, and are kept in the store as they grow."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from assay.domain.completion import UNKNOWN_COST, Cost
from assay.domain.messages import CompletionRequest
from assay.errors import AssayError
from assay.runs.dispatch import CallContext, Dispatcher, Outcome
from assay.store import comparisons, ledger
from assay.store.engine import Store

log = logging.getLogger("assay.playground")
KEEP_EVERY_S = 1.0


@dataclass(slots=True)
class LivePane:
    """One contestant's answer as it comes in."""

    request: CompletionRequest
    contestant_key: str
    status: str = "streaming"
    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    error: str = ""
    note: str = ""
    started: float = field(default_factory=time.monotonic)
    first_token_ms: float | None = None
    cost: Cost = UNKNOWN_COST
    call_id: str | None = None
    outcome: Outcome | None = None
    kept_at: float = 0.0
    ended: bool = False
    """Whether nothing more comes; its end is shown once it is stored."""
    task: asyncio.Task[None] | None = None

    def take(self, text: str, reasoning: str) -> None:
        """Adds what came."""
        if self.first_token_ms is None:
            self.first_token_ms = (time.monotonic() - self.started) * 1000
        if text:
            self.text.append(text)
        if reasoning:
            self.reasoning.append(reasoning)

    def restart(self, why: str) -> None:
        """Begins anew for a further attempt."""
        self.note = why
        self.text.clear()
        self.reasoning.clear()
        self.first_token_ms = None
        self.started = time.monotonic()


class Playground:
    """Comparisons that this process works. Started from the loop; read from anywhere."""

    def __init__(self, store: Store, dispatcher: Dispatcher, *, gateway: str) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._gateway = gateway
        self._live: dict[str, dict[int, LivePane]] = {}

    def open_ids(self) -> list[str]:
        """Ids of comparisons that are being answered here."""
        return [name for name, panes in self._live.items() if any(p.status == "streaming" for p in panes.values())]

    def panes(self, comparison_id: str) -> dict[int, LivePane]:
        """The panes of a comparison that this process works or has worked lately; empty: read the store."""
        return self._live.get(comparison_id, {})

    async def start(self, comparison_id: str, requests: Sequence[tuple[int, str, CompletionRequest]]) -> None:
        """Begins to answer: (position, contestant key, request) of each pane."""
        panes = self._live.setdefault(comparison_id, {})
        for position, key, request in requests:
            if position in panes and panes[position].status == "streaming":
                continue
            pane = panes[position] = LivePane(request, key)
            pane.task = asyncio.get_running_loop().create_task(self._answer(comparison_id, position, pane))
            pane.task.add_done_callback(partial(self._never_begun, comparison_id, position, pane))
        for old in list(self._live)[:-50]:
            if old not in self.open_ids():
                del self._live[old]

    async def stop(self, comparison_id: str, position: int | None = None) -> None:
        """Stops one pane or all of them; what has arrived stays."""
        for place, pane in self._live.get(comparison_id, {}).items():
            if position in (None, place) and pane.task is not None and pane.status == "streaming":
                pane.task.cancel()

    async def _answer(self, comparison_id: str, position: int, pane: LivePane) -> None:
        keeper = asyncio.create_task(self._keep(comparison_id, position, pane))
        context = CallContext(purpose="playground", comparison_id=comparison_id, contestant_key=pane.contestant_key)
        settlement: ledger.Settlement | None = None
        try:
            await self._dispatcher.prices.learn(pane.request.model)
            outcome = await self._dispatcher.complete(
                pane.request,
                context,
                on_delta=pane.take,
                on_restart=pane.restart,
                on_call=lambda call_id: setattr(pane, "call_id", call_id),
            )
            settlement, pane.outcome, pane.cost = outcome.settlement, outcome, outcome.cost
            if outcome.completion is not None:
                pane.text[:] = [outcome.completion.output]
                pane.reasoning[:] = [outcome.completion.reasoning]
            pane.error = str(outcome.failure) if outcome.failure else ""
            pane.note = outcome.note
            status = "failed" if outcome.failure else "ok"
        except asyncio.CancelledError:
            status = "stopped"
        except AssayError as error:
            status, pane.error = "failed", str(error)
        finally:
            keeper.cancel()
        self._finish(comparison_id, position, pane, status, settlement)

    def _never_begun(self, comparison_id: str, position: int, pane: LivePane, _: asyncio.Task[None]) -> None:
        """Ends a pane that was stopped before its task had its first turn."""
        if not pane.ended:
            self._finish(comparison_id, position, pane, "stopped", None)

    def _finish(
        self, comparison_id: str, position: int, pane: LivePane, status: str, settlement: ledger.Settlement | None
    ) -> None:
        pane.ended = True
        values = {
            "status": status,
            "text": "".join(pane.text),
            "reasoning": "".join(pane.reasoning),
            "error": pane.error,
            "call_id": pane.call_id,
            "note": pane.note,
        }

        def write(connection: object) -> None:
            if settlement is not None:
                ledger.settle(connection, settlement)  # type: ignore[arg-type]
            comparisons.save_answer(connection, comparison_id, position, **values)  # type: ignore[arg-type]

        def shown(_: asyncio.Task[None]) -> None:
            if settlement is not None:
                self._dispatcher.settling.stored(settlement)
            pane.status = status

        # Only then is the pane shown as finished: whoever sees it finds its cost in the ledger.
        self._dispatcher.settling.surely(write).add_done_callback(shown)

    async def _keep(self, comparison_id: str, position: int, pane: LivePane) -> None:
        """Keeps what has arrived once a second, so that a crash loses little."""
        kept = 0
        while True:
            await asyncio.sleep(KEEP_EVERY_S)
            text, reasoning = "".join(pane.text), "".join(pane.reasoning)
            if len(text) + len(reasoning) == kept:
                continue
            kept = len(text) + len(reasoning)
            values = {"text": text, "reasoning": reasoning, "call_id": pane.call_id}
            self._store.writer.submit(
                partial(comparisons.save_answer, comparison_id=comparison_id, position=position, **values)  # type: ignore[arg-type]
            )

    async def aclose(self) -> None:
        """Stops everything that streams."""
        tasks = [p.task for panes in self._live.values() for p in panes.values() if p.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
