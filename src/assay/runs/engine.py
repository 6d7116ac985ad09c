"""The engine: works runs on the runtime's event loop, outside any page script, and picks up interrupted ones."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import NamedTuple

from assay.errors import AssayError, StoreError
from assay.openrouter.gateways import Gateways
from assay.runs import home
from assay.runs.dispatch import Dispatcher
from assay.runs.live import LiveRun
from assay.runs.waits import Waits
from assay.runs.worker import CLOSED, RunWorker
from assay.store import runs
from assay.store.engine import Store
from assay.store.writer import as_store_error

log = logging.getLogger("assay.engine")
POLL_S = 1.0
UNEXPECTED = "The run met an unexpected error; the log has its details."
PICKED_UP = (
    "Picked up where a process that ended had left it: finished cells are kept, and calls that were in flight then may "
    "have been paid."
)


class _Found(NamedTuple):
    run_id: str
    was_running: bool
    """False for a run that nobody has begun or that was asked to go on."""


class RunEngine:
    """Belongs to one event loop; `start` may be called from it only, `live` from anywhere."""

    def __init__(
        self, *, store: Store, gateways: Gateways, dispatcher: Dispatcher, owner: str, concurrency: int, waits: Waits
    ) -> None:
        self._store = store
        self._gateways = gateways
        self._dispatcher = dispatcher
        self._owner = owner
        self._concurrency = concurrency
        self._waits = waits
        self._workers: dict[str, RunWorker] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._poller: asyncio.Task[None] | None = None
        self._retry: set[str] = set()

    def live(self, run_id: str) -> LiveRun | None:
        """What the worker of a run knows; None when this process does not work it."""
        worker = self._workers.get(run_id)
        return worker.live if worker else None

    def start(self, run_id: str, *, retry_failed: bool = False) -> asyncio.Task[None]:
        """Works a queued run; a run that this engine works already goes on as it is, and one that waits for another
        gateway goes on waiting."""
        task = self._tasks.get(run_id)
        if task is not None and not task.done():
            if retry_failed:
                self._retry.add(run_id)
            return task
        self._workers[run_id] = RunWorker(
            store=self._store,
            dispatcher=self._dispatcher,
            run_id=run_id,
            owner=self._owner,
            concurrency=self._concurrency,
            retry_failed=retry_failed or run_id in self._retry,
            waits=self._waits,
        )
        self._retry.discard(run_id)
        task = asyncio.get_running_loop().create_task(self._work(run_id), name=f"run {run_id}")
        self._tasks[run_id] = task
        return task

    async def _work(self, run_id: str) -> None:
        worker = self._workers[run_id]
        try:
            if await asyncio.to_thread(self._is_here, run_id):
                await worker.work()
        except Exception as error:
            told = as_store_error(error)
            if not isinstance(told, AssayError):
                log.exception("run %s ended unexpectedly", run_id)
                told = AssayError(UNEXPECTED)
            await worker.desk.give_back("paused", f"{told} Continue goes on with the missing cells.")
        finally:
            self._workers.pop(run_id, None)
            self._tasks.pop(run_id, None)
        if worker.desk.goes_on:
            self.start(run_id)

    def _is_here(self, run_id: str) -> bool:
        """Whether a run's gateways are those of this process; one that has none yet takes these."""
        with self._store.read() as connection:
            row = runs.get_run(connection, run_id)
            plan = runs.plan_of(row)
        if home.waits_for(row, plan, self._gateways):
            return False
        if not runs.gateways_of(row):
            addresses = home.addresses_of(plan, self._gateways)
            self._store.writer.call(lambda c: runs.place(c, run_id, addresses))
        return True

    def watch(self) -> None:
        """Begins to pick up queued and interrupted runs of this gateway, now and whenever one appears."""
        self._poller = asyncio.get_running_loop().create_task(self._poll())

    async def _poll(self) -> None:
        while True:
            try:
                for found in await asyncio.to_thread(self._waiting):
                    self.start(found.run_id)
                    if found.was_running:
                        self._workers[found.run_id].live.notices.append(PICKED_UP)
            except StoreError as error:
                log.warning("looking for runs: %s", error)
            except Exception:  # whatever one look met, the next may not meet
                log.exception("looking for runs")
            await asyncio.sleep(POLL_S)

    def _waiting(self) -> list[_Found]:
        with self._store.read() as connection:
            rows = [row for row in runs.unworked(connection) if row.id not in self._tasks]
        found = [row for row in rows if not home.waits_for(row, runs.plan_of(row), self._gateways)]
        for row in found:
            if home.is_unplaced(row, self._gateways):
                words = home.unplaced_words(self._gateways)
                self._store.writer.call(partial(runs.set_state, run_id=row.id, state="paused", reason=words))
        here = (row for row in found if not home.is_unplaced(row, self._gateways))
        return [_Found(row.id, row.state == "running") for row in here]

    async def aclose(self) -> None:
        """Stops working; runs stay queued and go on when an engine picks them up.

        Calls in flight may end for a moment: one that is cut off is paid without an answer, and its bound is held.
        """
        if self._poller is not None:
            self._poller.cancel()
        tasks = list(self._tasks.values())
        for worker in self._workers.values():
            worker.desk.stop("queued", CLOSED)
        if tasks:
            await asyncio.wait(tasks, timeout=self._waits.close_s)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
