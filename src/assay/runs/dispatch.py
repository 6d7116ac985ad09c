"""One paid request with all that belongs to it: intent, pacing, attempts, retries, settlement (DESIGN 4, 5)."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple, Protocol

from assay.domain.completion import UNBILLED, UNKNOWN_COST, Completion, Cost
from assay.domain.messages import CompletionRequest
from assay.errors import RunError
from assay.openrouter.attempt import OnBytes, OnDelta
from assay.openrouter.bounds import weight_of
from assay.openrouter.client import Client
from assay.openrouter.failures import Failure, GatewayFailed
from assay.openrouter.gateways import Gateways
from assay.openrouter.pacing import Pacer
from assay.openrouter.retry import RetryBudget, RetryPolicy, is_free
from assay.openrouter.usage import kept_details
from assay.runs.compliance import Compliance
from assay.runs.prices import PriceBook
from assay.runs.recovery import Recovery
from assay.runs.settling import STORE_WAIT_S as STORE_WAIT_S
from assay.runs.settling import Settling
from assay.runs.tracing import tracer
from assay.store import ledger
from assay.store.engine import Store
from assay.store.sent_marks import SentMarks

log = logging.getLogger("assay.calls")
NOTE_AFTER_S = 0.1
"""Seconds that a generation id waits for others to be stored with; a call that ends sooner brings its own along."""
HELD_LOOK_S = 0.5
"""Seconds between two looks whether a call that waits for a paused model is still wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallContext:
    """What a call is for."""

    purpose: str
    """playground, run, judge or api."""
    run_id: str | None = None
    cell: int | None = None
    comparison_id: str | None = None
    contestant_key: str = ""
    tags_json: str = "[]"
    lease: int | None = None
    """The fencing token under which its run is worked; None for what belongs to no run."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended after its last attempt. The settlement is not stored yet: the caller does that, together
    with what it makes of the answer, in one transaction."""

    settlement: ledger.Settlement
    completion: Completion | None
    """The answer; for a failure what had arrived of it, which is never scored."""
    failure: Failure | None
    earlier_pico: int | None = 0
    """Cost of the earlier attempts; None when any of them is unknown."""
    error: GatewayFailed | None = None
    """The failure with the answer as it came, for those who pass it on."""
    broken: str = ""
    """Of streams that broke and were asked for anew, in sentences; empty where none did."""

    @property
    def note(self) -> str:
        """What a reader of the answer must know beside it; empty for an ordinary one."""
        said = self.completion.note if self.completion is not None and self.failure is None else ""
        return f"{self.broken} {said}".strip()

    @property
    def cost(self) -> Cost:
        """Cost of the last attempt."""
        return self.settlement.cost

    @property
    def total_pico(self) -> int | None:
        """Cost of all attempts; None when any is unknown."""
        if self.cost.pico is None or self.earlier_pico is None:
            return None
        return self.cost.pico + self.earlier_pico


Ask = Callable[[Client, CompletionRequest], Awaitable[Completion]]
"""How something other than a chat completion is asked for."""


class Gate(Protocol):
    """What a call passes after its intent is durable and before it is sent: the limit of a run."""

    @property
    def closed(self) -> bool:
        """Whether a call that must wait long for its model is not wanted any more."""

    async def enter(self) -> bool:
        """Waits for a place; False: the call is not wanted any more."""

    def leave(self) -> None:
        """Gives the place back."""


class Withdrawn(RunError):
    """The call was not sent: it was not wanted any more."""


class _Hooks(NamedTuple):
    on_delta: OnDelta | None
    on_call: Callable[[str], None] | None
    on_bytes: OnBytes | None
    gate: Gate | None
    ask: Ask | None


class Dispatcher:
    """Sends requests. Belongs to one event loop."""

    def __init__(
        self,
        *,
        gateways: Gateways,
        store: Store,
        prices: PriceBook,
        pacer: Pacer,
        policy: RetryPolicy,
        owner: str,
        monthly_budget_pico: int | None = None,
        marks: SentMarks | None = None,
    ) -> None:
        self.prices = prices
        self.pacer = pacer
        self.compliance = Compliance(gateways, prices)
        self._gateways = gateways
        self._store = store
        self._policy = policy
        self._owner = owner
        self._monthly = monthly_budget_pico
        self._budgets: dict[str, RetryBudget] = {}
        self._main = gateways.main
        self._tracer = tracer()
        self.settling = Settling(store)
        self._recovery = Recovery(store, self._main)
        self._marks = marks
        self._noted: dict[str, str] = {}
        """Generation ids of calls in flight that are not stored yet, by call id."""
        self._noting: asyncio.TimerHandle | None = None

    @property
    def monthly_budget_pico(self) -> int | None:
        """What all calls of a month may cost together; None: there is no such budget."""
        return self._monthly

    @property
    def main(self) -> Client:
        """The client of the gateway itself."""
        return self._main

    def is_main(self, model: str) -> bool:
        """Whether the gateway itself answers for a model, and speaks OpenRouter."""
        return self._gateways.of(model).client is self._main and self._main.gateway.speaks_openrouter

    def gateway_of(self, model: str) -> str:
        """The name of the gateway that answers for a model."""
        return self._gateways.of(model).client.gateway.name

    def intent(
        self, request: CompletionRequest, context: CallContext, *, attempt: int = 1, batch: str | None = None
    ) -> ledger.Intent:
        """The intent of a call; batch: the owner of its batch, which holds it instead of this process."""
        terms = self.prices.batch_terms(request) if batch else self.prices.terms(request)
        return ledger.Intent(
            id=ledger.new_id(),
            created_ms=ledger.now_ms(),
            model=request.model,
            gateway=self.gateway_of(request.model),
            purpose=context.purpose,
            owner=batch or self._owner,
            bound_pico=terms.bound(weight_of(request.messages)).pico,
            prompt_chars=request.chars,
            attempt=attempt,
            run_id=context.run_id,
            cell=context.cell,
            comparison_id=context.comparison_id,
            contestant_key=context.contestant_key,
            tags_json=context.tags_json,
        )

    def open(
        self, intent: ledger.Intent, request: CompletionRequest, *, lease: int | None = None
    ) -> asyncio.Future[None]:
        """Makes an intent durable, as long as the lease holds; the future fails with BudgetExceeded, LeaseLost or
        StoreError."""
        unbounded = ""
        if intent.bound_pico is None:
            unbounded = self.prices.batch_terms(request).bound(weight_of(request.messages)).unknown
        return self._store.writer.ask_item(ledger.open_intents, ledger.Opening(intent, self._monthly, unbounded, lease))

    async def complete(
        self,
        request: CompletionRequest,
        context: CallContext,
        *,
        on_delta: OnDelta | None = None,
        on_restart: Callable[[str], None] | None = None,
        on_call: Callable[[str], None] | None = None,
        on_bytes: OnBytes | None = None,
        gate: Gate | None = None,
        stream: bool = True,
        ask: Ask | None = None,
    ) -> Outcome:
        """Sends a request until it succeeds or gives up.

        on_restart: told why before a further attempt, whose text begins anew. on_call: told each attempt's call id.
        on_bytes: given a stream as it comes; once it says that this was passed on, nothing is tried again.
        ask: asks for something other than a chat completion.
        gate: passed by every attempt between its intent and its sending, so that writing costs no place; a call that
        it turns away raises Withdrawn and leaves no trace. Raises BudgetExceeded when no
        budget is left for the next attempt, LeaseLost when its run is another's now, StoreError when nothing can be
        written.
        """
        loop = asyncio.get_running_loop()
        started, attempt, earlier, waits = loop.time(), 0, 0, 0
        known, broken = True, ""
        retries = self._budgets.setdefault(request.model, RetryBudget())
        retries.earn()
        passed_on = False
        await self.prices.learn_all(request)

        def pass_on(chunk: bytes) -> bool:
            nonlocal passed_on
            passed_on = on_bytes is not None and (on_bytes(chunk) or passed_on)
            return passed_on

        hooks = _Hooks(on_delta, on_call, pass_on if on_bytes is not None else None, gate, ask)
        while True:
            attempt += 1
            outcome = await self._attempt(request, context, attempt, hooks, stream)
            if attempt > 1:
                outcome = replace(outcome, earlier_pico=earlier if known else None, broken=broken)
            failure = outcome.failure
            if failure is None or passed_on:
                return outcome
            free = is_free(failure) and waits < self._policy.max_waits
            waits += free
            # A failure that cost nothing and said when to come back is no try: the gateway asked to wait.
            delay = self._policy.delay_s(failure, attempt=attempt - waits, elapsed_s=loop.time() - started)
            if delay is None or not (free or retries.take()):
                return outcome
            broken = f"{broken} {_broken(outcome)}".strip()
            await self.settle(outcome.settlement)
            known = known and outcome.cost.pico is not None
            earlier += outcome.cost.pico or 0
            await asyncio.sleep(delay)
            if on_restart is not None:
                on_restart(_broken(outcome) or f"{failure.message} It is asked again.")

    async def _attempt(
        self,
        request: CompletionRequest,
        context: CallContext,
        attempt: int,
        hooks: _Hooks,
        stream: bool,
    ) -> Outcome:
        client, model = self._gateways.of(request.model)
        asked = request if model == request.model else replace(request, model=model)
        gate, sent = hooks.gate, False
        await self._wait_while_held(request.model, gate)
        call_id = await self._open(request, context, attempt)
        try:
            if not await self.pacer.enter(request.model, owner=gate):
                raise Withdrawn("The call was not sent.")
            try:
                if gate is not None and not await gate.enter():
                    raise Withdrawn("The call was not sent.")
                sent = True
                if self._marks is not None:
                    self._marks.mark(call_id)
                try:
                    outcome = await self._send(client, asked, request, call_id, hooks, stream)
                except Exception:  # whatever broke: the call was sent, and may be paid
                    self._lost(call_id, "failed", "An unexpected error broke the call off.", client is self._main)
                    raise
                finally:
                    if gate is not None:
                        gate.leave()
            finally:
                self.pacer.leave(request.model)
        finally:
            if not sent:
                self._withdraw(call_id)
        self.settling.owe(outcome.settlement)
        log_attempt(request, context, outcome.settlement, attempt)
        return outcome

    async def _wait_while_held(self, model: str, gate: Gate | None) -> None:
        """Returns when the model is not paused, so that nothing is announced that cannot be sent soon."""
        while (hold := self.pacer.held_s(model)) > 0:
            if gate is not None and gate.closed:
                raise Withdrawn("The call was not sent.")
            await asyncio.sleep(min(hold + 0.001, HELD_LOOK_S))

    async def _send(
        self,
        client: Client,
        asked: CompletionRequest,
        request: CompletionRequest,
        call_id: str,
        hooks: _Hooks,
        stream: bool,
    ) -> Outcome:
        """What came of one attempt that has its intent and its place. asked: the request as this client takes it."""
        if hooks.on_call is not None:
            hooks.on_call(call_id)
        with self._tracer.call(asked, client.gateway) as span:
            try:
                completion = await (
                    hooks.ask(client, asked)
                    if hooks.ask is not None
                    else client.attempt(
                        asked,
                        stream=stream,
                        on_delta=hooks.on_delta,
                        on_headers=partial(self._note, call_id),
                        on_bytes=hooks.on_bytes,
                    )
                )
            except GatewayFailed as error:
                self.pacer.report(request.model, error.failure)
                outcome = self._failed(request, call_id, error)
            except asyncio.CancelledError:
                self._lost(call_id, "cancelled", "Stopped before the answer was complete.", client is self._main)
                span.cancelled()
                raise
            else:
                self.pacer.report(request.model, None)
                cost = self.prices.cost(request, completion)
                outcome = Outcome(settlement_of(call_id, completion, cost, outcome="ok"), completion, None)
                if completion.cost.pico is None and completion.generation_id and self.is_main(request.model):
                    self._recovery.later(call_id, completion.generation_id)
            self.prices.heed(request, outcome.cost)
            span.ended(outcome.settlement)
        self._noted.pop(call_id, None)  # the settlement holds it
        return outcome

    def _note(self, call_id: str, generation_id: str | None) -> None:
        """Keeps the generation id of a call whose headers came: what recovers its cost after a crash."""
        if not generation_id:
            return
        self._noted[call_id] = generation_id
        if self._noting is None:
            self._noting = asyncio.get_running_loop().call_later(NOTE_AFTER_S, self._store_notes)

    def _store_notes(self) -> None:
        self._noting = None
        notes, self._noted = list(self._noted.items()), {}
        if notes:
            self._store.writer.submit(lambda c: ledger.note_generations(c, notes))

    def _withdraw(self, call_id: str) -> None:
        self.settling.surely(lambda c: ledger.withdraw(c, call_id))

    async def _open(self, request: CompletionRequest, context: CallContext, attempt: int) -> str:
        intent = self.intent(request, context, attempt=attempt)
        opened = self.open(intent, request, lease=context.lease)
        try:
            await asyncio.shield(opened)
        except asyncio.CancelledError:
            # Nothing was sent: the intent is taken back once it is stored.
            opened.add_done_callback(lambda done: None if done.exception() else self._withdraw(intent.id))
            raise
        return intent.id

    def _failed(self, request: CompletionRequest, call_id: str, error: GatewayFailed) -> Outcome:
        failure, partial = error.failure, error.partial
        cost = self.prices.cost(request, partial) if partial is not None and partial.usage else UNKNOWN_COST
        if cost.pico is None and failure.billed == "no":
            cost = UNBILLED
        settlement = settlement_of(call_id, partial, cost, outcome="failed")
        settlement = replace(
            settlement,
            error_kind=failure.kind,
            error=str(failure),
            http_status=failure.http_status,
            provider=settlement.provider or failure.provider,
            generation_id=settlement.generation_id or error.generation_id,
        )
        if cost.pico is None and settlement.generation_id and self._gateways.of(request.model).client is self._main:
            self._recovery.later(call_id, settlement.generation_id)
        return Outcome(settlement, partial, failure, error=error)

    def _lost(self, call_id: str, outcome: str, error: str, recoverable: bool) -> None:
        """A call without an answer may be billed in full or in part: its cost is unknown until the gateway tells."""
        settlement = ledger.Settlement(
            call_id=call_id,
            settled_ms=ledger.now_ms(),
            outcome=outcome,
            error=error,
            error_kind="cancelled" if outcome == "cancelled" else None,
            generation_id=self._noted.pop(call_id, None),
        )
        self.settling.surely(lambda c: ledger.settle(c, settlement))
        if recoverable:
            self._recovery.later(call_id)

    async def settle(self, settlement: ledger.Settlement) -> None:
        """Stores a settlement by itself; what was paid is not forgotten because a disk is full for a while, or because
        nobody waits any more."""
        await self.settling.settle(settlement)

    async def recover_all(self, *, since_ms: int) -> int:
        """Asks for the cost of every call that has a generation id and no cost; returns how many are now known."""
        return await self._recovery.all(since_ms=since_ms)

    async def aclose(self) -> None:
        """Ends what still asks for costs, and stores what is settled and not stored."""
        if self._noting is not None:
            self._noting.cancel()
            self._store_notes()
        await self._recovery.aclose()
        await self.settling.aclose()
        if self._marks is not None:
            self._marks.close()


def _broken(outcome: Outcome) -> str:
    """How far a stream came that broke; empty where nothing had come of it."""
    partial = outcome.completion
    if partial is None or not (partial.text or partial.reasoning):
        return ""
    tokens = partial.usage.completion_tokens if partial.usage else None
    length = f"{tokens} tokens" if tokens else f"{len(partial.text) + len(partial.reasoning)} characters"
    return f"The stream broke after {length}; it was asked again."


def settlement_of(call_id: str, completion: Completion | None, cost: Cost, *, outcome: str) -> ledger.Settlement:
    """The settlement of an attempt with what came of it."""
    usage = completion.usage if completion else None
    return ledger.Settlement(
        call_id=call_id,
        settled_ms=ledger.now_ms(),
        outcome=outcome,
        cost=cost,
        answered_by=completion.model if completion else None,
        provider=completion.provider if completion else None,
        generation_id=completion.generation_id if completion else None,
        prompt_tokens=usage.prompt_tokens if usage else None,
        completion_tokens=usage.completion_tokens if usage else None,
        reasoning_tokens=usage.reasoning_tokens if usage else None,
        cached_tokens=usage.cached_tokens if usage else None,
        is_byok=usage.is_byok if usage else None,
        cost_details_json=kept_details(usage),
        first_token_ms=completion.first_token_ms if completion else None,
        total_ms=completion.total_ms if completion else None,
        finish_reason=completion.finish_reason if completion else None,
        failed_providers_json=_as_list(completion.failed_providers) if completion else None,
    )


def _as_list(names: Sequence[str]) -> str | None:
    """Names as the ledger keeps them; no names: none."""
    return json.dumps(list(names), ensure_ascii=False) if names else None


def log_attempt(request: CompletionRequest, context: CallContext, settlement: ledger.Settlement, attempt: int) -> None:
    """One line per attempt: ids, model, status, times, tokens, cost; never prompt, answer or key."""
    facts = {
        "call": settlement.call_id,
        "purpose": context.purpose,
        "model": request.model,
        "attempt": attempt,
        "outcome": settlement.outcome,
        "error": settlement.error_kind,
        "status": settlement.http_status,
        "generation": settlement.generation_id,
        "provider": settlement.provider,
        "failed_providers": settlement.failed_providers_json,
        "first_token_ms": settlement.first_token_ms,
        "total_ms": settlement.total_ms,
        "prompt_tokens": settlement.prompt_tokens,
        "completion_tokens": settlement.completion_tokens,
        "cost_pico": settlement.cost.pico,
        "provenance": settlement.cost.provenance,
    }
    log.info(
        "call %s %s %s attempt=%d %s%s status=%s generation=%s provider=%s first_token_ms=%s ms=%.0f tokens=%s+%s "
        "cost_pico=%s %s",
        settlement.call_id,
        context.purpose,
        request.model,
        attempt,
        settlement.outcome,
        f":{settlement.error_kind}" if settlement.error_kind else "",
        settlement.http_status,
        settlement.generation_id,
        settlement.provider,
        None if settlement.first_token_ms is None else round(settlement.first_token_ms),
        settlement.total_ms or 0,
        settlement.prompt_tokens,
        settlement.completion_tokens,
        settlement.cost.pico,
        settlement.cost.provenance,
        extra={"facts": facts},
    )
