"""Works one run to its end: missing cells in order, a lane per contestant, every failure a record (DESIGN 6)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

from assay.domain.data_policy import strictest
from assay.domain.messages import CompletionRequest
from assay.domain.plan import Cell, RunPlan
from assay.errors import AssayError, BudgetExceeded, LeaseLost, PolicyError, RunError, StoreError, TemplateError
from assay.money import from_pico
from assay.runs.batch_mode import BatchMode
from assay.runs.compliance import candidates
from assay.runs.dispatch import STORE_WAIT_S, CallContext, Dispatcher, Outcome, Withdrawn
from assay.runs.grading import Grade, Grading, fields_of, without_text
from assay.runs.grid import request_of, sample_seed
from assay.runs.lanes import Lane, Lanes, ahead
from assay.runs.live import LiveRun, Places, RunGate
from assay.runs.modes import in_mode
from assay.runs.pilot import awaits_pilot, cells_in_order, pilot_cells
from assay.runs.prices import may_answer
from assay.runs.rows import RowReader
from assay.runs.waits import Waits
from assay.scoring.kinds import Facts
from assay.store import ledger, results, runs, saving
from assay.store.datasets import StoredRow, get_dataset, policy_of
from assay.store.engine import Store

T = TypeVar("T")
LEASE_MS = 15_000
HEARTBEAT_S = 0.4
BUDGET_WAIT_S = 0.1
"""Seconds between two looks whether settled calls have made room in the budget."""
READ_TRIES = 5
"""How often something is read before the run pauses because it cannot be."""
SILENCE_WAIT_S = 2.0
"""Seconds before a cell is tried again that did not reach the gateway."""

CLOSED = "The app was closed; the run goes on when it opens again."
PILOT_DONE = "The pilot is done: look at its answers and at what the whole run will cost. Continue sends the rest."


class _Answered(NamedTuple):
    row: StoredRow
    request: CompletionRequest
    outcome: Outcome
    cached: bool


@dataclass(slots=True)
class _Halt:
    state: str
    reason: str


class RunWorker:
    """Works one run. `work()` returns when it is done, paused or stopped; the run's row then says which and why."""

    def __init__(
        self, *, store: Store, dispatcher: Dispatcher, run_id: str, owner: str, concurrency: int, retry_failed: bool,
        waits: Waits,
    ) -> None:  # fmt: skip
        self._store = store
        self._dispatcher = dispatcher
        self._run_id = run_id
        self._owner = owner
        self._concurrency = concurrency
        self._retry_failed = retry_failed
        self._waits = waits
        self._silent_since: float | None = None
        self._heard = False
        self._halt: _Halt | None = None
        self._halting = asyncio.Event()
        self._gate: RunGate | None = None
        self._flying = 0
        self._unsettled: set[str] = set()
        """Calls that have ended and still hold their bounds, for they are graded before they are stored."""
        self._settled = 0
        """Calls that have been stored: a refusal from before the last of them says nothing of the budget now."""
        self._token: int | None = None
        self._held_until_ms = 0
        """The lease surely holds until then, by this machine's clock; a process that slept must ask before it sends."""
        self._idle: deque[asyncio.Future[None]] = deque()
        self._answers: dict[str, asyncio.Future[Outcome]] = {}
        self.goes_on = False
        """Whether it was asked to go on while it halted."""
        self.live = LiveRun()

    async def work(self) -> None:
        """Takes the lease and works the missing cells; returns at once when another process holds it.

        The lease is given back at every ending, but for errors: whoever hears of one calls `give_back`.
        """
        asked_ms = ledger.now_ms()
        token = await self.write(lambda c: runs.take_lease(c, self._run_id, self._owner, ttl_ms=LEASE_MS))
        if token is None:
            return
        self._token, self._held_until_ms = token, asked_ms + LEASE_MS
        await self.write(lambda c: ledger.mark_orphans(c, run_id=self._run_id, taker=self._owner))
        try:
            self._hear(await self.read(self._load))
            heart = asyncio.create_task(self._beat())
            try:
                await self._prepare()
                await self._refuse()
                await self._work_modes()
            finally:
                heart.cancel()
            await self._finish()
        except LeaseLost:
            return  # it is another's: nothing more is written
        except asyncio.CancelledError:
            await asyncio.shield(self.give_back("queued", CLOSED))
            raise

    async def give_back(self, state: str, reason: str) -> None:
        """Leaves the run in a state, as far as something can be written; nothing without a lease."""
        with suppress(StoreError, LeaseLost):
            await self._release(state, reason, patient=False)

    def _load(self) -> str:
        """Reads all that is kept of the run; the command that waits for whoever works it."""
        with self._store.read() as connection:
            row = runs.get_run(connection, self._run_id)
            # A policy that was tightened after the start holds for every call from now on.
            plan, policy = runs.plan_of(row), policy_of(connection, row.dataset_id)
            self.plan: RunPlan = replace(plan, data_policy=strictest(plan.data_policy, policy))
            self._tags: str = row.tags_json
            self._dataset_id: str = row.dataset_id
            self.rows = RowReader(self._store, get_dataset(connection, row.dataset_id))
            self.done = saving.finished_cells(connection, self._run_id, retry_failed=self._retry_failed)
            self.ungraded = saving.ungraded_cells(connection, self._run_id, self.plan)
        for number in self.ungraded:
            self.done[number] = 0
        self._keys = [contestant.key for contestant in self.plan.contestants]
        self._grading = Grading(self, self.plan, self._dispatcher)
        self._limit = self.plan.concurrency or self._concurrency
        return str(row.command)

    async def _prepare(self) -> None:
        requests = [CompletionRequest(c.model_id, (), c.params) for c in self.plan.contestants]
        models = {name for request in requests for name in may_answer(request)} | self._grading.judges
        await self._unless_halted(asyncio.gather(*(self._dispatcher.prices.learn(model) for model in models)))
        self._piloting = awaits_pilot(self.plan, self.done)
        for index, contestant in enumerate(self.plan.contestants):
            ordered = cells_in_order(self.plan, index, pilot_only=self._piloting)
            cells = (number for number in ordered if not self.done[number])
            asked = in_mode(CompletionRequest(contestant.model_id, ()), self.plan.mode, self._dispatcher.prices).model
            self.live.lanes[index] = Lane(index, asked, cells)
        gateways = {self._dispatcher.gateway_of(lane.model) for lane in self.live.lanes.values()}
        self._one_gateway = len(gateways) == 1
        self._lanes = Lanes(self.live.lanes, self._dispatcher.pacer, limit=self._limit, first=pilot_cells(self.plan))
        places = Places(self._limit)
        self._gate = RunGate(places, lambda: self._halt is not None, self._is_doubtful, on_leave=self._lanes.place_left)
        # An answer that is paid for is graded even after a halt: its cell would else be asked, and paid, again.
        self._grading.gate = self._judge_gate = RunGate(
            places, lambda: self._halt is not None, self._is_doubtful, finishes=True
        )

    async def _refuse(self) -> None:
        """Halts the run before anything is sent when someone in it has no endpoint under the data policy."""
        wanted = candidates(self.plan.contestants, self.plan.graders)
        found = await self._unless_halted(self._dispatcher.compliance.check(wanted, self.plan.data_policy))
        if found is not None and found.refused:
            said = " ".join(map(str, found.refused))
            self.stop("paused", f"{said} Start a run without them, or change the dataset's data policy.")

    # -- the life of the run -----------------------------------------------------------------------------------

    async def _work_modes(self) -> None:
        if self.plan.mode == "batch":
            await BatchMode(
                self, run_id=self._run_id, store=self._store, dispatcher=self._dispatcher,
                poll_s=self._waits.batch_poll_s,
            ).work()  # fmt: skip
        await self._work_lanes()

    async def _unless_halted(self, work: Awaitable[T]) -> T | None:
        """What work gives; None once the run halts, without waiting for it any longer."""
        working, halting = asyncio.ensure_future(work), asyncio.ensure_future(self._halting.wait())
        try:
            await asyncio.wait((working, halting), return_when=asyncio.FIRST_COMPLETED)
            return working.result() if working.done() else None
        finally:
            working.add_done_callback(_heard)
            working.cancel()
            halting.cancel()

    async def _work_lanes(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                # As many as may be asked for at once, with those ahead, and as many again that grade and write.
                for _ in range(min(4 * self._limit + ahead(self._limit), self.plan.cell_count)):
                    group.create_task(self._follow())
        except BaseExceptionGroup as group:
            raise min(_leaves(group), key=_weight) from group

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            self._call_next()  # a pause of a contestant may have passed
            try:
                self._hear(await self._told())
            except StoreError:
                continue
            except LeaseLost:
                self.stop("lost", "")
                return

    async def _told(self, *, patient: bool = False) -> str:
        """Extends the lease; the command that waits for this worker."""
        asked_ms = ledger.now_ms()
        command = await self.write(
            lambda c: runs.heartbeat(c, self._run_id, self.lease, ttl_ms=LEASE_MS), patient=patient
        )
        self._held_until_ms = asked_ms + LEASE_MS
        if command == runs.CONTINUE and self._halt is None:
            await self.write(lambda c: runs.obeyed(c, self._run_id, self.lease), patient=patient)
        return command

    async def renew(self) -> None:
        """Returns when it is sure that the run is still worked here. Raises LeaseLost."""
        self._hear(await self._told(patient=True))

    def _is_doubtful(self) -> bool:
        """Whether the lease may have passed to another, for it was not extended in time."""
        return ledger.now_ms() >= self._held_until_ms

    def _hear(self, command: str) -> None:
        if command == "pause":
            self.stop("paused", "Paused by you. Continue goes on with the missing cells.")
        elif command == "stop":
            self.stop("stopped", "Stopped by you.")

    @property
    def lease(self) -> int:
        """The fencing token of the lease under which the run is worked."""
        if self._token is None:
            raise RunError("The run has no lease.")
        return self._token

    @property
    def halted(self) -> str | None:
        """The state that a run which is halting will have; None while it works."""
        return self._halt.state if self._halt else None

    @property
    def halt_reason(self) -> str:
        """Why the run halts; empty while it works."""
        return self._halt.reason if self._halt else ""

    def stop(self, state: str, reason: str) -> None:
        """Halts the run: nothing further is sent."""
        if self._halt is None:
            self._halt = _Halt(state, reason)
            self._halting.set()
            if self._gate is not None:
                self._dispatcher.pacer.let_go(self._gate)
                self._dispatcher.pacer.let_go(self._judge_gate, held_only=True)
            self._call_next()

    async def _finish(self) -> None:
        halt = self._halt
        if halt is not None and halt.state == "lost":
            return
        if halt is None:
            said = [
                f"{self.plan.names[lane.index]} was stopped: {lane.stopped}"
                for lane in self.live.lanes.values()
                if lane.stopped
            ]
            said += self.live.notices
            halt = _Halt("done", " ".join(said))
            if self._piloting:
                halt = _Halt("paused", " ".join([PILOT_DONE, *said]))
        await self._release(halt.state, halt.reason)

    async def _release(self, state: str, reason: str, *, patient: bool = True) -> None:
        if (token := self._token) is not None:
            found = await self.write(
                lambda c: runs.release(c, self._run_id, token, state=state, reason=reason), patient=patient
            )
            self.goes_on = found == "queued" and state != "queued"

    # -- cells -------------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        """One of the workers: takes the next missing cell until there is none."""
        loop = asyncio.get_running_loop()
        while self._halt is None:
            lane = self._lanes.next_up(loop.time())
            if lane is not None:
                try:
                    await self._through(lane)
                except LeaseLost:
                    self.stop("lost", "")  # what is in flight ends, and its cost is kept
            elif self._lanes.open:
                idle: asyncio.Future[None] = loop.create_future()
                self._idle.append(idle)
                await idle
            else:
                break
        self._call_next()

    async def _through(self, lane: Lane) -> None:
        """Takes a lane's next cell through to its result."""
        cell = self.plan.cell(self._lanes.take(lane))
        self._call_next()
        try:
            answered = await self._cell(cell)
        finally:
            self._lanes.ended(lane)
        # While this one is graded and written, another takes the next cell.
        self._call_next()
        if answered is not None:
            await self.take(cell, *answered)

    def _call_next(self) -> None:
        """Wakes one idle worker if it has something to do; it wakes the next."""
        if not self._idle:
            return
        now = asyncio.get_running_loop().time()
        if self._halt is None and self._lanes.next_up(now) is None and self._lanes.open:
            return
        while self._idle:
            idle = self._idle.popleft()
            if not idle.done():
                idle.set_result(None)
                return

    def request(self, cell: Cell, row: StoredRow) -> CompletionRequest:
        """The request of a cell, as the run's mode sends it. Raises TemplateError, PolicyError."""
        contestant = self.plan.contestants[cell.contestant]
        prices = self._dispatcher.prices
        request = request_of(
            self.plan.prompts[cell.prompt], contestant, row.values, mapping=self.plan.mapping,
            data_policy=self.plan.data_policy, max_tokens=prices.added_max_tokens(contestant),
        )  # fmt: skip
        seed = sample_seed(self.plan, cell.sample)
        if seed and "seed" not in request.params:
            request = replace(request, params={**request.params, **seed})
        return in_mode(request, self.plan.mode, prices)

    def context(self, cell: Cell, *, purpose: str = "run") -> CallContext:
        """What a call for a cell is for."""
        return CallContext(
            purpose=purpose, run_id=self._run_id, cell=cell.number, contestant_key=self._keys[cell.contestant],
            tags_json=self._tags, lease=self._token,
        )  # fmt: skip

    async def _cell(self, cell: Cell) -> _Answered | None:
        """Asks for a cell; None: there is nothing to grade and write."""
        row = await self._readable(lambda: self.rows.row(cell.row))
        try:
            request = self.request(cell, row)
        except (TemplateError, PolicyError) as error:
            if cell.number in self.ungraded:
                return None  # its answer is paid and stays; only its judge cannot be asked
            kind = "template" if isinstance(error, TemplateError) else "policy"
            await self.save(self.record(cell, status="failed", error=str(error), error_kind=kind))
            return None
        if cell.number in self.ungraded:
            await self._judge_kept(cell, row, request)
            return None
        context = self.context(cell)
        while True:
            try:
                outcome, cached = await self.affordable(lambda: self._answer(request, context, cell.sample))
            except BudgetExceeded as error:
                self.stop("paused", str(error))
                return None
            except Withdrawn:
                return None
            except StoreError as error:
                # No intent could be written, so nothing was sent: the cell is tried again when there is room.
                self.live.note = str(error)
                await asyncio.sleep(STORE_WAIT_S)
                if self._halt is not None:
                    return None
            else:
                if not await self._unreached(outcome):
                    return _Answered(row, request, outcome, cached)
                if self._halt is not None:
                    return None

    async def _unreached(self, outcome: Outcome) -> bool:
        """Whether nobody answers at the one gateway that all contestants are asked at.

        The cell then stays open: it is tried again after a moment, and the run pauses once that has lasted.
        """
        failure = outcome.failure
        if failure is None or failure.kind != "connection" or not self._one_gateway:
            self._silent_since, self.live.silence = None, ""
            self._heard = True
            return False
        await self.settle(outcome.settlement)
        now = asyncio.get_running_loop().time()
        if self._silent_since is None:
            self._silent_since = now
        # A gateway that never answered is a wrong address or no network: waiting cures neither.
        if not self._heard or now - self._silent_since >= self._waits.unreachable_s:
            self.stop("paused", f"{failure} Continue goes on with the missing cells.")
        else:
            self.live.silence = f"{failure} The run waits for it."
            await asyncio.sleep(min(SILENCE_WAIT_S, self._waits.unreachable_s))
        return True

    async def take(
        self, cell: Cell, row: StoredRow, request: CompletionRequest, outcome: Outcome, cached: bool = False
    ) -> None:
        """Grades and saves what came of a cell; a failure is a record, or halts what it must halt."""
        lane = self.live.lanes[cell.contestant]
        if outcome.failure is not None:
            await self._failed(lane, cell, outcome)
        else:
            lane.answered(asyncio.get_running_loop().time())
            await self._answered(cell, row, request, outcome, cached)
        self.live.finished.append(asyncio.get_running_loop().time())

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
                if alone or self._halt is not None:
                    raise
            except Withdrawn:
                if self._halt is not None:
                    raise
                await self.renew()
                continue
            else:
                self._note_unsettled(found)
                return found
            finally:
                self._flying -= 1
            await asyncio.sleep(BUDGET_WAIT_S)
            if self._halt is not None:
                raise Withdrawn("The call was not sent.")

    def _note_unsettled(self, found: object) -> None:
        outcome = found[0] if isinstance(found, tuple) else found
        if isinstance(outcome, Outcome) and not (isinstance(found, tuple) and found[1]):
            self._unsettled.add(outcome.settlement.call_id)

    async def _answer(self, request: CompletionRequest, context: CallContext, sample: int) -> tuple[Outcome, bool]:
        """The outcome, and whether it was another cell's: where the plan allows, identical requests are sent once.

        Never across samples: a contestant's own seed makes their requests identical.
        """
        if not self.plan.cache:
            return await self._dispatcher.complete(request, context, gate=self._gate), False
        key = f"{sample} {request.fingerprint}"
        if key in self._answers:
            shared = await asyncio.shield(self._answers[key])
            if shared.failure is None:
                return shared, True
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._answers[key] = future
        try:
            outcome = await self._dispatcher.complete(request, context, gate=self._gate)
        except BaseException as error:
            del self._answers[key]  # the next try asks anew; who waits already hears of this one
            future.set_exception(error if isinstance(error, Exception) else RunError("Stopped."))
            future.exception()
            raise
        future.set_result(outcome)
        return outcome, False

    async def _failed(self, lane: Lane, cell: Cell, outcome: Outcome) -> None:
        failure = outcome.failure
        assert failure is not None  # noqa: S101 - the caller has looked
        if failure.stop == "run":
            # The cell stays open: it is work left for when the cause is cured.
            # The halt comes first: a cell that waits for the place that just became free must find the run closed.
            self.stop("paused", str(failure))
            await self.settle(outcome.settlement)
            return
        # The lane learns of it before anything is awaited: its next cell must not be sent meanwhile.
        if failure.stop == "contestant":
            lane.stopped = str(failure)
        elif failure.retry:
            lane.failed(str(failure), now=asyncio.get_running_loop().time(), waits_s=self._waits.probe_s)
        partial = outcome.completion
        record = self.record(
            cell, status="failed", error=str(failure), error_kind=failure.kind, call_id=outcome.settlement.call_id,
            output=partial.text if partial else "", total_ms=outcome.settlement.total_ms,
        )  # fmt: skip
        await self.save(record, outcome.settlement)

    async def _answered(
        self, cell: Cell, row: StoredRow, request: CompletionRequest, outcome: Outcome, cached: bool
    ) -> None:
        completion = outcome.completion
        assert completion is not None  # noqa: S101 - no failure, so an answer
        answer_pico = 0 if cached else outcome.total_pico
        facts = Facts(
            latency_ms=None if cached else completion.total_ms,
            cost_usd=None if answer_pico is None else from_pico(answer_pico),
            finish_reason=completion.finish_reason,
            no_text=without_text(completion),
        )
        answer = self.record(
            cell, status="ok", output=completion.output, reasoning=completion.reasoning, cached=cached,
            note=outcome.note, call_id=outcome.settlement.call_id, cut=completion.finish_reason == "length",
            first_token_ms=None if cached else completion.first_token_ms,
            total_ms=None if cached else completion.total_ms,
            prompt_tokens=outcome.settlement.prompt_tokens, completion_tokens=outcome.settlement.completion_tokens,
        )  # fmt: skip
        settlements = [] if cached else [outcome.settlement]

        async def keep(grades: list[Grade]) -> None:
            await self.save(replace(answer, **fields_of(grades)), settlements.pop() if settlements else None)

        grades = await self._grading.graded(row, completion.output, facts, keep=keep)
        # The answer is paid: it stands before a judge is asked, whose call may be refused or never come back.
        await keep(grades)
        if self._grading.judges:
            await self._grading.ask_judges(cell, row, request, replace(answer, **fields_of(grades)), grades)

    async def _judge_kept(self, cell: Cell, row: StoredRow, request: CompletionRequest) -> None:
        """Asks the judges that an earlier work could not ask; the answer stands and is not asked for again."""
        kept = await self.read(lambda: self._read_result(cell.number))
        await self._grading.ask_kept(cell, row, request, kept)
        self.live.finished.append(asyncio.get_running_loop().time())

    def _read_result(self, number: int) -> results.CellRecord:
        with self._store.read() as connection:
            return results.cell_record(connection, self._run_id, self._dataset_id, number)

    # -- writing -----------------------------------------------------------------------------------------------

    def record(self, cell: Cell, **values: object) -> saving.ResultRecord:
        """The result of a cell."""
        return saving.ResultRecord(
            run_id=self._run_id, cell=cell.number, row=cell.row, prompt=cell.prompt, contestant=cell.contestant,
            sample=cell.sample, **values,  # type: ignore[arg-type]
        )  # fmt: skip

    async def save(self, record: saving.ResultRecord, settlement: ledger.Settlement | None = None) -> None:
        """The settlement and the result in one transaction."""
        item = saving.Saving(record, settlement, self._token)
        try:
            await self._patiently(lambda: self._store.writer.ask_item(saving.save_all, item))
        except LeaseLost:
            if settlement is not None:
                self._note_settled(settlement)  # what was paid is kept all the same
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
        return await self._readable(lambda: asyncio.to_thread(reading))

    async def _readable(self, ask: Callable[[], Awaitable[T]]) -> T:
        for left in reversed(range(READ_TRIES)):
            try:
                return await ask()
            except StoreError as error:
                if not left or self._halt is not None:
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


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _weight(error: BaseException) -> int:
    """Which of several errors is told: a lost lease before all, then what has words."""
    return 0 if isinstance(error, LeaseLost) else 1 if isinstance(error, AssayError) else 2
