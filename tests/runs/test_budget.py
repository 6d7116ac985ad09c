"""No schedule of calls, answers, crashes and recoveries takes a run past its budget.

ASSAY_SCHEDULES=1000000 is the long form of the proof; the suite plays 1,000 of these and 10,000 of those in
test_budget_proof.py.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr
from run_driver import started
from sqlalchemy import Connection, text

from assay.config import Gateway, Settings
from assay.domain.completion import Cost, Provenance
from assay.domain.contestant import Contestant, Prompt
from assay.domain.messages import CompletionRequest, Message
from assay.domain.plan import RunPlan
from assay.errors import BudgetExceeded
from assay.money import from_pico
from assay.openrouter.bounds import bound_pico
from assay.openrouter.catalogue import Model
from assay.openrouter.client import Client
from assay.openrouter.gateways import Gateways
from assay.openrouter.pacing import Pacer
from assay.openrouter.pricing import parse_pricing
from assay.openrouter.retry import RetryPolicy
from assay.runs.dispatch import CallContext, Dispatcher, Outcome
from assay.runs.prices import PriceBook
from assay.sandbox import SandboxConfig, SandboxServer
from assay.store import ledger, runs
from assay.store.engine import Store, open_store
from assay.workbench.running import runs as runs_of_users
from assay.workbench.running.progress import progress
from assay.workbench.session import open_session

SCHEDULES = int(os.environ.get("ASSAY_SCHEDULES", "1000"))
WORKERS = 200
PRICING = {"prompt": "0.000002", "completion": "0.000009"}
MODEL = Model("greedy/model", "Greedy", parse_pricing(PRICING), context_length=100_000)


def new_run(connection: Connection, budget: int) -> str:
    """A run with a budget."""
    plan = RunPlan("d", 1, (Prompt("p"),), (Contestant("m/x"),), budget_pico=budget)
    return runs.create_run(connection, plan, name="proof")


def play(connection: Connection, rng: random.Random) -> None:
    """One random schedule on a run of its own; its money is checked after every step."""
    budget = rng.randrange(1, 2_000)
    run_id = new_run(connection, budget)
    month_before = month_money(connection)
    sent: dict[str, int] = {}
    ended: list[str] = []
    for _ in range(rng.randrange(2, 7)):
        step = rng.choice(("open", "open", "settle", "settle", "withdraw", "orphan", "recover"))
        if step == "open":
            intents = [
                ledger.Intent(
                    id=ledger.new_id(),
                    created_ms=ledger.now_ms(),
                    gateway="g",
                    model="m/x",
                    purpose="run",
                    owner="gone",
                    bound_pico=rng.randrange(0, 400),
                    run_id=run_id,
                )
                for _ in range(rng.randrange(1, 9))
            ]
            refused = ledger.open_intents(connection, [ledger.Opening(intent) for intent in intents])
            sent |= {i.id: i.bound_pico or 0 for i, r in zip(intents, refused, strict=True) if r is None}
        elif step == "orphan":
            ledger.mark_orphans(connection, run_id=run_id)
            ended += sent
            sent = {}
        elif step == "recover" and ended:
            ledger.recover(connection, rng.choice(ended), Cost(0, "recovered"))
        else:
            for call_id in rng.sample(sorted(sent), rng.randint(0, len(sent))):
                bound = sent.pop(call_id)
                if step == "withdraw":
                    ledger.withdraw(connection, call_id)
                    continue
                cost = rng.choice((Cost(None, "unknown"), Cost(rng.randint(0, bound), rng.choice(KNOWN))))
                ledger.settle_many(connection, [settlement(call_id, cost), settlement(call_id, cost)])
                ended.append(call_id)
        check(connection, run_id, budget, month_before)


KNOWN: tuple[Provenance, ...] = ("billed", "billed", "estimated")


def settlement(call_id: str, cost: Cost) -> ledger.Settlement:
    """A settlement at a cost."""
    return ledger.Settlement(call_id=call_id, settled_ms=ledger.now_ms(), outcome="ok", cost=cost)


def month_money(connection: Connection) -> int:
    """Settled and reserved over all months."""
    found = connection.execute(text("SELECT coalesce(sum(settled_pico + reserved_pico), 0) FROM month_spend"))
    return int(found.scalar_one())


_COUNTED = text(
    "SELECT coalesce(sum(CASE WHEN provenance = 'estimated' THEN bound_pico ELSE coalesce(cost_pico, bound_pico, 0) "
    "END) FILTER (WHERE state != 'sent'), 0), "
    "coalesce(sum(bound_pico) FILTER (WHERE state = 'sent'), 0) FROM call WHERE run_id = :run"
)


def check(connection: Connection, run_id: str, budget: int, month_before: int) -> None:
    """The run's money is that of its rows and within its budget; the month's grew by as much."""
    run = runs.get_run(connection, run_id)
    settled, reserved = connection.execute(_COUNTED, {"run": run_id}).one()
    assert (run.settled_pico, run.reserved_pico) == (settled, reserved)
    assert run.settled_pico + run.reserved_pico <= budget
    assert month_money(connection) - month_before == settled + reserved


def test_no_random_schedule_passes_a_budget(tmp_path: Path) -> None:
    """Opening, settling, withdrawing, crashing and recovering in any order: settled + reserved <= budget."""
    store = open_store(f"sqlite:///{tmp_path}/a.db")
    rng = random.Random(20261124)
    done = 0
    while done < SCHEDULES:
        count = min(250, SCHEDULES - done)
        store.writer.call(lambda c, count=count: [play(c, rng) for _ in range(count)] and None)
        done += count
    with store.read() as connection:
        made = connection.execute(text("SELECT count(*) FROM run")).scalar_one()
    store.close()

    assert made == SCHEDULES


class Greedy(httpx.AsyncBaseTransport):
    """A gateway that bills every call up to what its bound allows, and counts what it billed."""

    def __init__(self) -> None:
        self.billed = Decimal(0)
        self.calls = 0
        self._rng = random.Random(7)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """An answer at the highest price, or a failure that is billed all the same."""
        if request.method == "GET":
            return httpx.Response(200, json={"data": {"endpoints": []}})
        body = json.loads(request.content)
        await asyncio.sleep(self._rng.uniform(0, 0.02))
        self.calls += 1
        asked = CompletionRequest(body["model"], tuple(Message.from_json(m) for m in body["messages"]))
        worst = bound_pico(MODEL.pricing, asked, max_completion_tokens=body["max_tokens"])
        assert worst is not None
        cost = from_pico(worst)
        self.billed += cost
        usage = {"prompt_tokens": 1, "completion_tokens": body["max_tokens"], "cost": float(cost)}
        choice = {"index": 0, "delta": {"content": "x" * 50}, "finish_reason": "stop"}
        ending = b"" if self._rng.random() < 0.3 else b"data: [DONE]\n\n"  # a cut stream is billed too
        chunk = b"data: " + json.dumps({"id": "gen-1", "choices": [choice], "usage": usage}).encode() + b"\n\n"
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=chunk + ending)


async def spend_all(store: Store, run_id: str, greedy: Greedy) -> list[Any]:
    """What came of the calls of all workers: outcomes and refusals."""
    client = Client(Gateway("openrouter", "https://greedy.example/v1", SecretStr("k")), Settings(), transport=greedy)
    gateways = Gateways(client)
    dispatcher = Dispatcher(
        gateways=gateways,
        store=store,
        prices=PriceBook(gateways, lambda _: MODEL),
        owner="test",
        pacer=Pacer(),
        policy=RetryPolicy(base_s=0.001, cap_s=0.01),
    )

    async def work(worker: int) -> AsyncIterator[Any]:
        for turn in range(3):
            question = Message("user", f"{worker} {turn} " + "wörd " * (worker % 40))
            request = CompletionRequest("greedy/model", (question,), {"max_tokens": 20 + worker % 100})
            try:
                outcome = await dispatcher.complete(request, CallContext(purpose="run", run_id=run_id))
                await dispatcher.settle(outcome.settlement)
                yield outcome
            except BudgetExceeded as error:
                yield error

    async def collect(worker: int) -> list[Any]:
        return [item async for item in work(worker)]

    found = await asyncio.gather(*(collect(worker) for worker in range(WORKERS)))
    await dispatcher.aclose()
    await gateways.aclose()
    return [item for items in found for item in items]


def test_two_hundred_workers_and_a_greedy_gateway_stay_in_the_budget(tmp_path: Path) -> None:
    """Every call billed at its bound, a third of the streams cut: the gateway's own count stays within the budget."""
    store = open_store(f"sqlite:///{tmp_path}/a.db")
    budget = 900_000_000_000  # 0.90 USD, for about a third of the calls
    run_id = store.writer.call(lambda c: new_run(c, budget))
    greedy = Greedy()
    found = asyncio.run(spend_all(store, run_id, greedy))
    with store.read() as connection:
        run = runs.get_run(connection, run_id)
        sent = connection.execute(text("SELECT count(*) FROM call")).scalar_one()
    store.close()

    assert 0 < greedy.billed <= from_pico(budget)
    assert run.settled_pico + run.reserved_pico <= budget
    assert from_pico(run.settled_pico) >= greedy.billed
    assert run.reserved_pico == 0
    assert sent == greedy.calls > WORKERS // 2
    assert any(isinstance(item, BudgetExceeded) for item in found)
    assert any(isinstance(item, Outcome) and item.failure is None for item in found)


def test_budget_with_room_for_one_call_at_a_time_is_enough_for_all(tmp_path: Path) -> None:
    """A call that has ended holds its bound until it is stored: the next waits for that, and the run does not pause."""
    settings = Settings(database_url=f"sqlite:///{tmp_path}/a.db")
    with SandboxServer(SandboxConfig(speed=0)) as server:
        gateway = Gateway("sandbox", server.base_url, SecretStr("k"))
        with open_session(settings, gateway=gateway) as session:
            session.ready()
            run_id = started(session, [Contestant("sandbox/budget-mini", {"max_tokens": 2_000})], rows=60)
            whole = progress(session, run_id).budget_pico
            assert whole is not None
            spent = runs_of_users.wait_for_run(session, run_id, timeout_s=60).spent_pico
            tight = Decimal(spent + whole // 60 + whole // 600).scaleb(-12)
            with session.store.read() as connection:
                draft = runs.plan_of(runs.get_run(connection, run_id))
            again = runs_of_users.start_run(
                session, runs_of_users.RunDraft(draft.dataset_id, draft.prompts, draft.contestants, budget_usd=tight)
            )
            found = runs_of_users.wait_for_run(session, again, timeout_s=60)

    assert (found.state, found.done) == ("done", 60), found.reason
