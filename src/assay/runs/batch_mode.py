"""A run through the gateway's batch endpoint: half the price, answers within a day (wire reference 7.11).

Cells go out in batches per contestant. Every request has its intent and its reservation in the ledger before the batch
is handed in, under an id that is also the request's `custom_id`; the calls belong to the batch, not to this process, so
a restart fetches their answers instead of asking again. What the batch endpoint does not answer stays a missing cell,
which the run's lanes then ask for one by one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, TypeVar

from assay.domain.completion import UNBILLED, UNKNOWN_COST, Cost
from assay.domain.messages import CompletionRequest
from assay.domain.plan import Cell
from assay.errors import BudgetExceeded, PolicyError, TemplateError
from assay.openrouter.batches import Asked, BatchAnswer, BatchEndpoint, BatchState, account_of
from assay.openrouter.failures import Failure, GatewayFailed, failure_of
from assay.runs.desk import Desk
from assay.runs.dispatch import Dispatcher, Outcome, settlement_of
from assay.runs.modes import unbatchable
from assay.runs.rows import RowReader
from assay.store import batches, ledger
from assay.store.datasets import StoredRow
from assay.store.engine import Store

T = TypeVar("T")
SIZE = 1_000
"""Requests of one batch."""
TOGETHER = 50
"""Answers that are graded at once."""
LONGEST_POLL_S = 60.0
LOOK_S = 0.3
"""Seconds between two looks whether the run is to halt."""
SKEW_S = 120
"""How far the gateway's clock may be from ours."""
TRIES = 3
UNKNOWN_BATCH = (
    "The gateway does not know a batch that an earlier start handed in. If that was done with the key of another "
    "account, start with that key again and continue: its answers wait there, and are paid. Continue with this key "
    "asks for its cells anew, which then are paid twice."
)
ANOTHER_ACCOUNT = (
    "An earlier start, with the key of another account, was handing in a batch when it ended. If the gateway took it, "
    "its answers wait there, and are paid: start with that key again and continue. Continue with this key asks for its "
    "cells anew, which then may be paid twice."
)


@dataclass(slots=True)
class _Waiting:
    stored: batches.StoredBatch
    remote_id: str
    calls: dict[str, int]
    """Call id -> cell."""
    is_ours: bool = True
    """Whether this process handed it in, with the key that it has now."""
    is_found: bool = False
    """Whether it was found in the gateway's list, by its model, size and time: another's may look the same."""
    missed: int = 0
    """How often, one after another, the gateway did not know it."""


class Cells(Protocol):
    """The cells of a run, as its worker asks for them and takes what comes."""

    rows: RowReader
    ungraded: set[int]
    """Cells whose answer stands, and that a judge has still to be asked about."""

    def request(self, cell: Cell, row: StoredRow) -> CompletionRequest:
        """The request of a cell. Raises TemplateError, PolicyError."""

    async def take(self, cell: Cell, row: StoredRow, request: CompletionRequest, outcome: Outcome) -> None:
        """Grades and saves what came of a cell."""


class BatchMode:
    """The batch half of a run. `work()` returns when nothing waits at the batch endpoint any more, or at a halt."""

    def __init__(self, desk: Desk, cells: Cells, *, store: Store, dispatcher: Dispatcher, poll_s: float) -> None:
        self._desk = desk
        self._cells = cells
        self._run_id = desk.run_id
        self._store = store
        self._dispatcher = dispatcher
        self._poll_s = poll_s
        self._endpoint = BatchEndpoint(dispatcher.main)
        self._waiting: dict[str, _Waiting] = {}
        self._taken = bytearray(desk.done)
        for number in cells.ungraded:
            self._taken[number] = 1  # its answer is there; a lane asks its judges
        """Cells that are answered, wait in a batch, or are left to the lanes."""
        self._left: dict[int, str] = {}
        """Contestants that are not batched any more, and why."""
        self._no_room: BudgetExceeded | None = None
        self._others: set[str] = set()
        """Batches of the gateway that turned out to be another's."""
        self._account: str | None = None

    async def work(self) -> None:
        """Fetches what an earlier process handed in, hands in the rest, and takes the answers as they come."""
        plan = self._desk.plan
        for index, contestant in enumerate(plan.contestants):
            if why := unbatchable(plan, contestant, is_main=self._dispatcher.is_main(contestant.model_id)):
                self._leave(index, why)
        await self._pick_up()
        while self._desk.halted is None:
            await self._hand_in()
            if not self._waiting:
                break
            await self._wait()
        if self._desk.halted == "stopped":
            await self._cancel()
        if self._no_room is not None and not self._waiting:
            self._desk.stop("paused", str(self._no_room))

    def _leave(self, contestant: int, why: str) -> None:
        self._left[contestant] = why
        name = self._desk.plan.names[contestant]
        self._desk.live.notices.append(f"{name} was asked call by call: {why}.")

    # -- handing in --------------------------------------------------------------------------------------------

    async def _hand_in(self) -> None:
        for index in range(len(self._desk.plan.contestants)):
            for cells in self._chunks(index):
                if self._desk.halted is not None or self._no_room is not None:
                    return
                if index in self._left:
                    break  # the others go on
                await self._submit(index, cells)

    def _chunks(self, contestant: int) -> Iterator[list[int]]:
        plan = self._desk.plan
        chunk: list[int] = []
        for number in range(contestant, plan.cell_count, len(plan.contestants)):
            if not self._taken[number]:
                chunk.append(number)
            if len(chunk) == SIZE:
                yield chunk
                chunk = []
        if chunk:
            yield chunk

    async def _submit(self, contestant: int, numbers: list[int]) -> None:
        """Opens the intents of cells, then hands their requests in."""
        account = await self._whose()
        batch_id = await self._desk.write(
            lambda c: batches.open_batch(c, self._run_id, contestant=contestant, calls=len(numbers), account=account)
        )
        requests = await self._requests(numbers)
        asked, calls = await self._open(batch_id, requests)
        if not asked:
            await self._desk.write(lambda c: batches.withdraw_batch(c, self._run_id, batch_id))
            return
        (stored,) = [b for b in await self._stored() if b.id == batch_id]
        model = asked[0].request.model
        await self._desk.renew()
        try:
            state = await self._endpoint.submit(model, asked)
        except GatewayFailed as error:
            await self._unsure(replace(stored, calls=len(asked)), calls, model, error)
        else:
            await self._accept(stored, calls, state)

    async def _requests(self, numbers: list[int]) -> list[tuple[Cell, CompletionRequest]]:
        found = []
        for number in numbers:
            cell = self._desk.plan.cell(number)
            row = await self._cells.rows.row(cell.row)
            self._taken[number] = 1
            try:
                found.append((cell, self._cells.request(cell, row)))
            except (TemplateError, PolicyError):
                continue  # the lanes make the record of it
        return found

    async def _open(
        self, batch_id: str, requests: list[tuple[Cell, CompletionRequest]]
    ) -> tuple[list[Asked], dict[str, int]]:
        """Makes the intents durable, each with its reservation; what the budget has no room for is tried later."""
        owner = batches.owner_of(batch_id)
        intents = [
            (cell, request, self._dispatcher.intent(request, self._desk.context(cell), batch=owner))
            for cell, request in requests
        ]
        opened = await asyncio.gather(
            *(self._dispatcher.open(intent, request, lease=self._desk.lease) for _, request, intent in intents),
            return_exceptions=True,
        )
        asked, calls = [], {}
        for (cell, request, intent), refused in zip(intents, opened, strict=True):
            if isinstance(refused, BudgetExceeded):
                self._no_room = refused
                self._taken[cell.number] = 0
            elif isinstance(refused, BaseException):
                raise refused
            else:
                asked.append(Asked(intent.id, request))
                calls[intent.id] = cell.number
        return asked, calls

    async def _whose(self) -> str:
        """The account of the key, as the gateway names it; empty where it does not."""
        if self._account is None:
            try:
                self._account = account_of(await self._dispatcher.main.key())
            except GatewayFailed:
                return ""
        return self._account

    async def _accept(
        self, stored: batches.StoredBatch, calls: dict[str, int], state: BatchState, *, is_found: bool = False
    ) -> None:
        expires = int(state.expires_s * 1000) if state.expires_s else None
        await self._desk.write(
            lambda c: batches.accepted(
                c,
                stored.id,
                remote_id=state.id,
                expires_ms=expires,
                calls=len(calls),
                state=batches.FOUND if is_found else "waiting",
            )
        )
        self._waiting[stored.id] = _Waiting(stored, state.id, calls, is_found=is_found)

    async def _unsure(
        self, stored: batches.StoredBatch, calls: dict[str, int], model: str, error: GatewayFailed
    ) -> None:
        """After a failed submission: a refusal is final; after anything else the gateway is asked whether it has it."""
        failure = error.failure
        if failure.billed == "no" and failure.http_status is not None and failure.http_status < 500:
            await self._take_back(stored, calls)
            if failure.stop == "run":
                self._desk.stop("paused", str(failure))
            elif failure.kind == "not_found":
                await self._without(stored.contestant)
            else:
                self._leave(stored.contestant, f"the gateway refused the batch. {failure}".rstrip("."))
            return
        await self._look_for(stored, calls, model)

    async def _without(self, contestant: int) -> None:
        """After a 404: of the model alone where the gateway has batches, of every contestant where it has none."""
        try:
            await self._endpoint.since(ledger.now_ms() / 1000)
        except GatewayFailed:
            left = [n for n in range(len(self._desk.plan.contestants)) if n not in self._left]
        else:
            left = [contestant]
        for index in left:
            self._leave(index, "the gateway offers no batches for it")

    async def _look_for(self, stored: batches.StoredBatch, calls: dict[str, int], model: str) -> None:
        """Whether the gateway has a batch of which it never told the id."""
        for attempt in range(TRIES):
            try:
                listed = await self._endpoint.since(stored.created_ms / 1000 - SKEW_S)
            except GatewayFailed:
                await self._sleep(self._poll_s * (1 + attempt))
                continue
            known = await self._read(batches.known_remotes, [batch.id for batch in listed]) | self._others
            like = [b for b in listed if b.id not in known and b.model == model and b.total == len(calls)]
            if like:
                nearest = min(like, key=lambda b: abs(b.created_s * 1000 - stored.created_ms))
                await self._accept(stored, calls, nearest, is_found=True)
                return
            await self._take_back(stored, calls)
            self._leave(stored.contestant, "the gateway did not take the batch")
            return
        self._desk.stop(
            "paused", "The gateway does not say whether it took a batch. Continue asks it again; nothing is sent twice."
        )

    async def _take_back(self, stored: batches.StoredBatch, calls: dict[str, int]) -> None:
        await self._desk.write(lambda c: batches.withdraw_batch(c, self._run_id, stored.id))
        for number in calls.values():
            self._taken[number] = 0

    async def _pick_up(self) -> None:
        """Goes on with the batches of an earlier process."""
        for stored in await self._stored():
            opened = await self._read(batches.open_calls, self._run_id, stored.id)
            calls = {call.id: call.cell for call in opened}
            for number in calls.values():
                self._taken[number] = 1
            if not calls:
                await self._desk.write(lambda c, b=stored.id: batches.end_batch(c, b))  # type: ignore[misc]
            elif stored.remote_id is not None:
                self._waiting[stored.id] = _Waiting(
                    stored, stored.remote_id, calls, is_ours=False, is_found=stored.state == batches.FOUND
                )
            elif stored.account and (mine := await self._whose()) and mine != stored.account:
                await self._of_another_account(stored, calls)
            else:
                await self._look_for(stored, calls, await self._model_of(calls))

    async def _model_of(self, calls: dict[str, int]) -> str:
        """The model that a batch asks."""
        cell = self._desk.plan.cell(next(iter(calls.values())))
        return self._cells.request(cell, await self._cells.rows.row(cell.row)).model

    async def _of_another_account(self, stored: batches.StoredBatch, calls: dict[str, int]) -> None:
        """A batch that this key cannot see: a person is told, who may continue without it."""
        if stored.state == batches.MISSED:
            await self._lost(_Waiting(stored, "", calls), "another account may have the batch")
        else:
            await self._desk.write(lambda c: batches.missed(c, stored.id))
            self._desk.stop("paused", ANOTHER_ACCOUNT)

    async def _stored(self) -> list[batches.StoredBatch]:
        return await self._read(partial(batches.batches_of, live_only=True), self._run_id)

    async def _read(self, query: Callable[..., T], *given: object) -> T:
        """What a query finds, asked for beside the loop."""

        def find() -> T:
            with self._store.read() as connection:
                return query(connection, *given)

        return await self._desk.read(find)

    # -- waiting -----------------------------------------------------------------------------------------------

    async def _wait(self) -> None:
        """Looks after the batches, ever more rarely, until one has ended or the run is to halt."""
        pause = self._poll_s
        while self._desk.halted is None:
            for waiting in list(self._waiting.values()):
                if await self._look(waiting):
                    self._no_room = None
                    return
            await self._sleep(pause)
            pause = min(pause * 1.5, max(LONGEST_POLL_S, self._poll_s))

    async def _sleep(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while self._desk.halted is None and (left := until - loop.time()) > 0:  # noqa: ASYNC110 - it waits for a time
            await asyncio.sleep(min(left, LOOK_S))

    async def _look(self, waiting: _Waiting) -> bool:
        """Takes the answers of a batch if it has ended; whether it has."""
        try:
            state = await self._endpoint.state(waiting.remote_id)
        except GatewayFailed as error:
            if error.failure.stop == "run":
                self._desk.stop("paused", str(error.failure))
                return True
            return error.status in (404, 410) and await self._missed(waiting)
        await self._found(waiting)
        if not state.ended:
            answered = state.completed + state.failed
            await self._desk.write(lambda c: batches.told(c, waiting.stored.id, answered=answered))
            return False
        await self._collect(waiting, state)
        return True

    async def _found(self, waiting: _Waiting) -> None:
        waiting.missed = 0
        if waiting.stored.state == batches.MISSED:
            waiting.stored = replace(waiting.stored, state="waiting")
            await self._desk.write(lambda c: batches.found_again(c, waiting.stored.id))

    async def _missed(self, waiting: _Waiting) -> bool:
        """After a 404 for a batch; whether nothing more is to be waited for.

        An earlier process's may be another account's, where its answers wait and are paid: a person is told, and to
        continue without them is to ask for its cells anew.
        """
        waiting.missed += 1
        if waiting.missed < TRIES:
            return False
        if waiting.is_ours or waiting.stored.state == batches.MISSED:
            await self._lost(waiting)
        else:
            await self._desk.write(lambda c: batches.missed(c, waiting.stored.id))
            self._desk.stop("paused", UNKNOWN_BATCH)
        return True

    async def _lost(self, waiting: _Waiting, why: str = "the gateway does not know the batch any more") -> None:
        """Nobody fetches the answers of a batch: what it cost is unknown, and counts with its bound."""
        failure = failure_of("server", detail=why, billed="unknown")
        for call_id in waiting.calls:
            await self._desk.settle(_unanswered(call_id, failure, UNKNOWN_COST))
        await self._end(waiting)
        self._desk.live.notices.append("The gateway lost a batch; its cells were asked again, call by call.")

    async def _cancel(self) -> None:
        """Stops the batches of a stopped run; answers that were ready by then are paid and kept."""
        for waiting in list(self._waiting.values()):
            try:
                await self._endpoint.cancel(waiting.remote_id)
                state = await self._endpoint.state(waiting.remote_id)
            except GatewayFailed:
                state = None
            if state is not None and state.ended:
                await self._collect(waiting, state)
                continue
            failure = failure_of("cancelled", detail="the run was stopped", billed="unknown")
            for call_id in waiting.calls:
                await self._desk.settle(_unanswered(call_id, failure, UNKNOWN_COST))
            await self._end(waiting)

    async def _end(self, waiting: _Waiting) -> None:
        await self._desk.write(lambda c: batches.end_batch(c, waiting.stored.id))
        self._waiting.pop(waiting.stored.id, None)

    # -- answers -----------------------------------------------------------------------------------------------

    async def _collect(self, waiting: _Waiting, state: BatchState) -> None:
        answers = {answer.custom_id: answer for answer in state.answers}
        if waiting.is_found and answers and not answers.keys() & waiting.calls.keys():
            await self._look_again(waiting, state)
            return
        items = list(waiting.calls.items())
        for start in range(0, len(items), TOGETHER):
            await asyncio.gather(
                *(
                    self._take(state, call_id, number, answers.get(call_id))
                    for call_id, number in items[start : start + TOGETHER]
                )
            )
        await self._end(waiting)
        missing = sum(1 for number in waiting.calls.values() if not self._desk.done[number])
        if missing and self._desk.halted != "stopped":
            why = f" ({state.error})" if state.error else ""
            ended = "answered all but" if state.status == "completed" else f"{state.status}{why} without"
            self._desk.live.notices.append(
                f"A batch {ended} {missing:,} of {len(items):,} requests, which were asked call by call."
            )

    async def _look_again(self, waiting: _Waiting, state: BatchState) -> None:
        """After a batch that looked like ours and answers none of our requests."""
        self._others.add(state.id)
        self._waiting.pop(waiting.stored.id)
        await self._desk.write(lambda c: batches.not_ours(c, waiting.stored.id))
        await self._look_for(waiting.stored, waiting.calls, state.model)

    async def _take(self, state: BatchState, call_id: str, number: int, answer: BatchAnswer | None) -> None:
        cell = self._desk.plan.cell(number)
        if answer is None:
            charged = state.status == "completed"
            failure = failure_of("empty", detail="the batch has no answer to this request")
            cost = UNKNOWN_COST if charged else UNBILLED
            await self._desk.settle(_unanswered(call_id, failure, cost))
            return
        row = await self._cells.rows.row(cell.row)
        request = self._cells.request(cell, row)
        outcome = self._outcome(request, call_id, answer)
        if outcome.failure is not None and outcome.failure.retry:
            await self._desk.settle(outcome.settlement)  # the cell stays missing: a lane asks again
            return
        await self._cells.take(cell, row, request, outcome)

    def _outcome(self, request: CompletionRequest, call_id: str, answer: BatchAnswer) -> Outcome:
        """What an answer of a batch means; its times are none, for nobody waited for it."""
        completion, failure = answer.completion, answer.failure
        if failure is None and completion is not None:
            cost = self._dispatcher.prices.cost(request, completion)
            if completion.cost.pico is None and cost.pico is not None:
                cost = self._dispatcher.prices.batch_cost(request, completion, usual=cost)
            self._dispatcher.prices.heed(request, cost, batch=True)
            return Outcome(settlement_of(call_id, completion, cost, outcome="ok"), completion, None)
        failure = failure or failure_of("empty", detail="the batch has no answer to this request")
        cost = completion.cost if completion is not None else UNKNOWN_COST
        if cost.pico is None and failure.billed == "no":
            cost = UNBILLED
        self._dispatcher.prices.heed(request, cost, batch=True)
        return Outcome(_unanswered(call_id, failure, cost), completion, failure)


def _unanswered(call_id: str, failure: Failure, cost: Cost) -> ledger.Settlement:
    """The settlement of a call without an answer."""
    return replace(
        settlement_of(call_id, None, cost, outcome="failed"),
        error_kind=failure.kind,
        error=str(failure),
        http_status=failure.http_status,
        provider=failure.provider,
    )
