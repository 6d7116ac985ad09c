"""The desk of a run at work: its lease, why it halts, what is written of it and what it may spend.

Worker, grading and batch mode share one. Everything that reaches the store of a run passes here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from assay.domain.plan import Cell, RunPlan
from assay.errors import BudgetExceeded, LeaseLost, RunError, StoreError
from assay.runs.dispatch import STORE_WAIT_S, CallContext, Dispatcher, Outcome, Withdrawn
from assay.runs.live import LiveRun
from assay.store import ledger, runs, saving
from assay.store.engine import Store

T = TypeVar("T")
LEASE_MS = 15_000
BUDGET_WAIT_S = 0.1
"""Seconds between two looks whether settled calls have made room in the budget."""
READ_TRIES = 5
"""How often something is read before the run pauses because it cannot be."""


@dataclass(slots=True)
class Halt:
    """What a run comes to, and why."""

    state: str
    reason: str


class Desk:
    """The desk of one run. Belongs to one event loop; `plan` and `done` stand on it once the run is read."""

    plan: RunPlan
    done: bytearray
    """One byte per cell: whether it needs nothing more."""

    def __init__(self, *, store: Store, dispatcher: Dispatcher, run_id: str, owner: str) -> None:
        self.run_id = run_id
        self.live = LiveRun()
        self.halt: Halt | None = None
        self.halting = asyncio.Event()
        self.on_halt: Callable[[], None] = lambda: None
        """Told once, when the run is to halt."""
        self.goes_on = False
        """Whether it was asked to go on while it halted."""
        self._store = store
        self._dispatcher = dispatcher
        self._owner = owner
        self._flying = 0
        self._unsettled: set[str] = set()
        """Calls that have ended and still hold their bounds, for they are graded before they are stored."""
        self._settled = 0
        """Calls that have been stored: a refusal from before the last of them says nothing of the budget now."""
        self._token: int | None = None
        self._held_until_ms = 0
        """The lease surely holds until then, by this machine's clock; a process that slept must ask before it sends."""

    def lay_out(self, plan: RunPlan, *, done: bytearray, tags: str) -> None:
        """Puts on the desk what is kept of the run. tags: as JSON."""
        self.plan, self.done, self._tags = plan, done, tags
        self._keys = [contestant.key for contestant in plan.contestants]

    # -- the lease ---------------------------------------------------------------------------------------------

    async def take_lease(self) -> bool:
        """Takes the lease, and what the one before had in flight; False when another process holds it."""
        asked_ms = ledger.now_ms()
        token = await self.write(lambda c: runs.take_lease(c, self.run_id, self._owner, ttl_ms=LEASE_MS))
        if token is None:
            return False
        self._token, self._held_until_ms = token, asked_ms + LEASE_MS
        await self.write(lambda c: ledger.mark_orphans(c, run_id=self.run_id, taker=self._owner))
        return True

    @property
    def lease(self) -> int:
        """The fencing token of the lease under which the run is worked."""
        if self._token is None:
            raise RunError("The run has no lease.")
        return self._token

    def is_doubtful(self) -> bool:
        """Whether the lease may have passed to another, for it was not extended in time."""
        return ledger.now_ms() >= self._held_until_ms

    async def renew(self, *, patient: bool = True) -> None:
        """Extends the lease and obeys the command that waits: it is then sure that the run is still worked here.

        Raises LeaseLost; impatient StoreError.
        """
        asked_ms = ledger.now_ms()
        command = await self.write(
            lambda c: runs.heartbeat(c, self.run_id, self.lease, ttl_ms=LEASE_MS), patient=patient
        )
        self._held_until_ms = asked_ms + LEASE_MS
        if command == runs.CONTINUE and self.halt is None:
            await self.write(lambda c: runs.obeyed(c, self.run_id, self.lease), patient=patient)
        self.obey(command)

    async def give_back(self, state: str, reason: str) -> None:
        """Leaves the run in a state, as far as something can be written; nothing without a lease."""
        with suppress(StoreError, LeaseLost):
            await self.release(state, reason, patient=False)

    async def release(self, state: str, reason: str, *, patient: bool = True) -> None:
        """Ends the lease and leaves the run in a state; nothing without a lease. Raises LeaseLost."""
        if (token := self._token) is not None:
            found = await self.write(
                lambda c: runs.release(c, self.run_id, token, state=state, reason=reason), patient=patient
            )
            self.goes_on = found == "queued" and state != "queued"

    # -- halting -----------------------------------------------------------------------------------------------

    def obey(self, command: str) -> None:
        """Halts the run where that is what somebody asks for."""
        if command == "pause":
            self.stop("paused", "Paused by you. Continue goes on with the missing cells.")
        elif command == "stop":
            self.stop("stopped", "Stopped by you.")

    def stop(self, state: str, reason: str) -> None:
        """Halts the run: nothing further is sent."""
        if self.halt is None:
            self.halt = Halt(state, reason)
            self.halting.set()
            self.on_halt()

    def is_halting(self) -> bool:
        """Whether nothing further is to be sent."""
        return self.halt is not None

    @property
    def halted(self) -> str | None:
        """The state that a run which is halting will have; None while it works."""
        return self.halt.state if self.halt else None

    @property
    def halt_reason(self) -> str:
        """Why the run halts; empty while it works."""
        return self.halt.reason if self.halt else ""

    async def unless_halted(self, work: Awaitable[T]) -> T | None:
        """What work gives; None once the run halts, without waiting for it any longer."""
        working, halting = asyncio.ensure_future(work), asyncio.ensure_future(self.halting.wait())
        try:
            await asyncio.wait((working, halting), return_when=asyncio.FIRST_COMPLETED)
            return working.result() if working.done() else None
        finally:
            working.add_done_callback(_heard)
            working.cancel()
            halting.cancel()

    # -- money -------------------------------------------------------------------------------------------------

    def context(self, cell: Cell, *, purpose: str = "run") -> CallContext:
        """What a call for a cell is for."""
        return CallContext(
            purpose=purpose,
            run_id=self.run_id,
            cell=cell.number,
            contestant_key=self._keys[cell.contestant],
            tags_json=self._tags,
            lease=self._token,
        )

    async def affordable(self, send: Callable[[], Awaitable[T]]) -> T:
        """What a call gives, once the budget has room: calls in flight hold their bounds and settle for less.

        Raises BudgetExceeded when no call of the run is in flight that could make room, Withdrawn once the run halts.
        """
        while True:
            self._flying += 1
            settled = self._settled
            try:
                found = await send()
            except BudgetExceeded:
                alone = self._flying <= 1 and not self._unsettled and settled == self._settled
                if alone or self.halt is not None:
                    raise
            except Withdrawn:
                if self.halt is not None:
                    raise
                await self.renew()
                continue
            else:
                self._note_unsettled(found)
                return found
            finally:
                self._flying -= 1
            await asyncio.sleep(BUDGET_WAIT_S)
            if self.halt is not None:
                raise Withdrawn("The call was not sent.")

    def _note_unsettled(self, found: object) -> None:
        outcome = found[0] if isinstance(found, tuple) else found
        if isinstance(outcome, Outcome) and not (isinstance(found, tuple) and found[1]):
            self._unsettled.add(outcome.settlement.call_id)

    # -- writing and reading -----------------------------------------------------------------------------------

    def record(self, cell: Cell, **values: object) -> saving.ResultRecord:
        """The result of a cell."""
        return saving.ResultRecord(
            run_id=self.run_id,
            cell=cell.number,
            row=cell.row,
            prompt=cell.prompt,
            contestant=cell.contestant,
            sample=cell.sample,
            **values,  # type: ignore[arg-type]
        )

    async def save(self, record: saving.ResultRecord, settlement: ledger.Settlement | None = None) -> None:
        """The settlement and the result in one transaction. Raises LeaseLost; what was paid is kept all the same."""
        item = saving.Saving(record, settlement, self._token)
        try:
            await self._patiently(lambda: self._store.writer.ask_item(saving.save_all, item))
        except LeaseLost:
            if settlement is not None:
                self._note_settled(settlement)
            raise
        if settlement is not None:
            self._note_settled(settlement)
        self.done[record.cell] = 1

    async def settle(self, settlement: ledger.Settlement) -> None:
        """Stores how a call ended whose cell gets no result of it."""
        await self.write(lambda c: ledger.settle(c, settlement))
        self._note_settled(settlement)

    def _note_settled(self, settlement: ledger.Settlement) -> None:
        self._dispatcher.settling.stored(settlement)
        self._unsettled.discard(settlement.call_id)
        self._settled += 1

    async def write(self, operation: Callable[[Any], T], *, patient: bool = True) -> T:
        """Writes, as soon as something can be written."""
        return await self._patiently(lambda: self._store.writer.ask(operation), patient=patient)

    async def read(self, reading: Callable[[], T]) -> T:
        """Reads beside the loop. Raises StoreError once it could not be for a while."""
        return await self.readable(lambda: asyncio.to_thread(reading))

    async def readable(self, ask: Callable[[], Awaitable[T]]) -> T:
        """What a reading gives, tried again while the store cannot be read. Raises StoreError after a while."""
        for left in reversed(range(READ_TRIES)):
            try:
                return await ask()
            except StoreError as error:
                if not left or self.halt is not None:
                    raise
                self.live.note = str(error)
            await asyncio.sleep(STORE_WAIT_S)
            self.live.note = ""
        raise AssertionError("unreachable")

    async def _patiently(self, ask: Callable[[], asyncio.Future[T]], *, patient: bool = True) -> T:
        """Writes, and while nothing can be written (disk full, database locked) says so and tries again."""
        while True:
            try:
                value = await ask()
            except StoreError as error:
                if not patient:
                    raise
                self.live.note = str(error)
                await asyncio.sleep(STORE_WAIT_S)
            else:
                self.live.note = ""
                return value


def _heard(work: asyncio.Future[Any]) -> None:
    """Takes note of how work ended that nobody waits for, lest it be told as forgotten."""
    if not work.cancelled():
        work.exception()
