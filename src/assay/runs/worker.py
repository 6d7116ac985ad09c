"""Works one run to its end: missing cells in order, a lane per contestant, every failure a record (DESIGN 6)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from assay.domain.data_policy import strictest
from assay.domain.messages import CompletionRequest
from assay.domain.plan import Cell, RunPlan
from assay.errors import AssayError, BudgetExceeded, LeaseLost, PolicyError, RunError, StoreError, TemplateError
from assay.money import from_pico
from assay.runs.batch_mode import BatchMode
from assay.runs.compliance import candidates
from assay.runs.desk import Desk, Halt
from assay.runs.dispatch import STORE_WAIT_S, CallContext, Dispatcher, Outcome, Withdrawn
from assay.runs.grading import Grade, Grading, fields_of, without_text
from assay.runs.grid import request_of, sample_seed
from assay.runs.lanes import Lane, Lanes, ahead
from assay.runs.live import Places, RunGate
from assay.runs.modes import in_mode
from assay.runs.pilot import awaits_pilot, cells_in_order, pilot_cells
from assay.runs.prices import may_answer
from assay.runs.rows import RowReader
from assay.runs.waits import Waits
from assay.scoring.kinds import Facts
from assay.store import results, runs, saving
from assay.store.datasets import StoredRow, get_dataset, policy_of
from assay.store.engine import Store

HEARTBEAT_S = 0.4
SILENCE_WAIT_S = 2.0
"""Seconds before a cell is tried again that did not reach the gateway."""

CLOSED = "The app was closed; the run goes on when it opens again."
PILOT_DONE = "The pilot is done: look at its answers and at what the whole run will cost. Continue sends the rest."


class _Answered(NamedTuple):
    row: StoredRow
    request: CompletionRequest
    outcome: Outcome
    cached: bool


class RunWorker:
    """Works one run. `work()` returns when it is done, paused or stopped; the run's row then says which and why."""

    def __init__(
        self,
        *,
        store: Store,
        dispatcher: Dispatcher,
        run_id: str,
        owner: str,
        concurrency: int,
        retry_failed: bool,
        waits: Waits,
    ) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._run_id = run_id
        self._concurrency = concurrency
        self._retry_failed = retry_failed
        self._waits = waits
        self._silent_since: float | None = None
        self._heard = False
        self._gate: RunGate | None = None
        self._idle: deque[asyncio.Future[None]] = deque()
        self._answers: dict[str, asyncio.Future[Outcome]] = {}
        self.desk = Desk(store=store, dispatcher=dispatcher, run_id=run_id, owner=owner)
        self.desk.on_halt = self._let_go
        self.live = self.desk.live

    async def work(self) -> None:
        """Takes the lease and works the missing cells; returns at once when another process holds it.

        The lease is given back at every ending, but for errors: whoever hears of one calls the desk's `give_back`.
        """
        if not await self.desk.take_lease():
            return
        try:
            self.desk.obey(await self.desk.read(self._load))
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
            await asyncio.shield(self.desk.give_back("queued", CLOSED))
            raise

    def _load(self) -> str:
        """Reads all that is kept of the run; the command that waits for whoever works it."""
        with self._store.read() as connection:
            row = runs.get_run(connection, self._run_id)
            # A policy that was tightened after the start holds for every call from now on.
            plan, policy = runs.plan_of(row), policy_of(connection, row.dataset_id)
            self.plan: RunPlan = replace(plan, data_policy=strictest(plan.data_policy, policy))
            self._dataset_id: str = row.dataset_id
            self.rows = RowReader(self._store, get_dataset(connection, row.dataset_id))
            self.done = saving.finished_cells(connection, self._run_id, retry_failed=self._retry_failed)
            self.ungraded = saving.ungraded_cells(connection, self._run_id, self.plan)
        for number in self.ungraded:
            self.done[number] = 0
        self.desk.lay_out(self.plan, done=self.done, tags=row.tags_json)
        self._grading = Grading(self.desk, self._dispatcher)
        self._limit = self.plan.concurrency or self._concurrency
        return str(row.command)

    async def _prepare(self) -> None:
        requests = [CompletionRequest(c.model_id, (), c.params) for c in self.plan.contestants]
        models = {name for request in requests for name in may_answer(request)} | self._grading.judges
        await self.desk.unless_halted(asyncio.gather(*(self._dispatcher.prices.learn(model) for model in models)))
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
        self._gate = RunGate(places, self.desk.is_halting, self.desk.is_doubtful, on_leave=self._lanes.place_left)
        # An answer that is paid for is graded even after a halt: its cell would else be asked, and paid, again.
        self._grading.gate = self._judge_gate = RunGate(
            places, self.desk.is_halting, self.desk.is_doubtful, finishes=True
        )

    async def _refuse(self) -> None:
        """Halts the run before anything is sent when someone in it has no endpoint under the data policy."""
        wanted = candidates(self.plan.contestants, self.plan.graders)
        found = await self.desk.unless_halted(self._dispatcher.compliance.check(wanted, self.plan.data_policy))
        if found is not None and found.refused:
            said = " ".join(map(str, found.refused))
            self.desk.stop("paused", f"{said} Start a run without them, or change the dataset's data policy.")

    # -- the life of the run -----------------------------------------------------------------------------------

    async def _work_modes(self) -> None:
        if self.plan.mode == "batch":
            await BatchMode(
                self.desk, self, store=self._store, dispatcher=self._dispatcher, poll_s=self._waits.batch_poll_s
            ).work()
        await self._work_lanes()

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
                await self.desk.renew(patient=False)
            except StoreError:
                continue
            except LeaseLost:
                self.desk.stop("lost", "")
                return

    def _let_go(self) -> None:
        """Ends what waits, once the run is to halt."""
        if self._gate is not None:
            self._dispatcher.pacer.let_go(self._gate)
            self._dispatcher.pacer.let_go(self._judge_gate, held_only=True)
        self._call_next()

    async def _finish(self) -> None:
        halt = self.desk.halt
        if halt is not None and halt.state == "lost":
            return
        if halt is None:
            said = [
                f"{self.plan.names[lane.index]} was stopped: {lane.stopped}"
                for lane in self.live.lanes.values()
                if lane.stopped
            ]
            said += self.live.notices
            halt = Halt("done", " ".join(said))
            if self._piloting:
                halt = Halt("paused", " ".join([PILOT_DONE, *said]))
        await self.desk.release(halt.state, halt.reason)

    # -- cells -------------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        """One of the workers: takes the next missing cell until there is none."""
        loop = asyncio.get_running_loop()
        while self.desk.halt is None:
            lane = self._lanes.next_up(loop.time())
            if lane is not None:
                try:
                    await self._through(lane)
                except LeaseLost:
                    self.desk.stop("lost", "")  # what is in flight ends, and its cost is kept
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
        if self.desk.halt is None and self._lanes.next_up(now) is None and self._lanes.open:
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
            self.plan.prompts[cell.prompt],
            contestant,
            row.values,
            mapping=self.plan.mapping,
            data_policy=self.plan.data_policy,
            max_tokens=prices.added_max_tokens(contestant),
        )
        seed = sample_seed(self.plan, cell.sample)
        if seed and "seed" not in request.params:
            request = replace(request, params={**request.params, **seed})
        return in_mode(request, self.plan.mode, prices)

    async def _cell(self, cell: Cell) -> _Answered | None:
        """Asks for a cell; None: there is nothing to grade and write."""
        row = await self.desk.readable(lambda: self.rows.row(cell.row))
        try:
            request = self.request(cell, row)
        except (TemplateError, PolicyError) as error:
            if cell.number in self.ungraded:
                return None  # its answer is paid and stays; only its judge cannot be asked
            kind = "template" if isinstance(error, TemplateError) else "policy"
            await self.desk.save(self.desk.record(cell, status="failed", error=str(error), error_kind=kind))
            return None
        if cell.number in self.ungraded:
            await self._judge_kept(cell, row, request)
            return None
        context = self.desk.context(cell)
        while True:
            try:
                outcome, cached = await self.desk.affordable(lambda: self._answer(request, context, cell.sample))
            except BudgetExceeded as error:
                self.desk.stop("paused", str(error))
                return None
            except Withdrawn:
                return None
            except StoreError as error:
                # No intent could be written, so nothing was sent: the cell is tried again when there is room.
                self.live.note = str(error)
                await asyncio.sleep(STORE_WAIT_S)
                if self.desk.halt is not None:
                    return None
            else:
                if not await self._unreached(outcome):
                    return _Answered(row, request, outcome, cached)
                if self.desk.halt is not None:
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
        await self.desk.settle(outcome.settlement)
        now = asyncio.get_running_loop().time()
        if self._silent_since is None:
            self._silent_since = now
        # A gateway that never answered is a wrong address or no network: waiting cures neither.
        if not self._heard or now - self._silent_since >= self._waits.unreachable_s:
            self.desk.stop("paused", f"{failure} Continue goes on with the missing cells.")
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
            self.desk.stop("paused", str(failure))
            await self.desk.settle(outcome.settlement)
            return
        # The lane learns of it before anything is awaited: its next cell must not be sent meanwhile.
        if failure.stop == "contestant":
            lane.stopped = str(failure)
        elif failure.retry:
            lane.failed(str(failure), now=asyncio.get_running_loop().time(), waits_s=self._waits.probe_s)
        partial = outcome.completion
        record = self.desk.record(
            cell,
            status="failed",
            error=str(failure),
            error_kind=failure.kind,
            call_id=outcome.settlement.call_id,
            output=partial.text if partial else "",
            total_ms=outcome.settlement.total_ms,
        )
        await self.desk.save(record, outcome.settlement)

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
        answer = self.desk.record(
            cell,
            status="ok",
            output=completion.output,
            reasoning=completion.reasoning,
            cached=cached,
            note=outcome.note,
            call_id=outcome.settlement.call_id,
            cut=completion.finish_reason == "length",
            first_token_ms=None if cached else completion.first_token_ms,
            total_ms=None if cached else completion.total_ms,
            prompt_tokens=outcome.settlement.prompt_tokens,
            completion_tokens=outcome.settlement.completion_tokens,
        )
        settlements = [] if cached else [outcome.settlement]

        async def keep(grades: list[Grade]) -> None:
            await self.desk.save(replace(answer, **fields_of(grades)), settlements.pop() if settlements else None)

        grades = await self._grading.graded(row, completion.output, facts, keep=keep)
        # The answer is paid: it stands before a judge is asked, whose call may be refused or never come back.
        await keep(grades)
        if self._grading.judges:
            await self._grading.ask_judges(cell, row, request, replace(answer, **fields_of(grades)), grades)

    async def _judge_kept(self, cell: Cell, row: StoredRow, request: CompletionRequest) -> None:
        """Asks the judges that an earlier work could not ask; the answer stands and is not asked for again."""
        kept = await self.desk.read(lambda: self._read_result(cell.number))
        await self._grading.ask_kept(cell, row, request, kept)
        self.live.finished.append(asyncio.get_running_loop().time())

    def _read_result(self, number: int) -> results.CellRecord:
        with self._store.read() as connection:
            return results.cell_record(connection, self._run_id, self._dataset_id, number)


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _weight(error: BaseException) -> int:
    """Which of several errors is told: a lost lease before all, then what has words."""
    return 0 if isinstance(error, LeaseLost) else 1 if isinstance(error, AssayError) else 2
