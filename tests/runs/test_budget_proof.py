"""The budget against a biller of its own: every price key, every variant, tools, fallbacks, pictures, own keys, callers
that leave, crashes; runs, playground and service at once.

ASSAY_SCHEDULES=1000000 is the long form, ASSAY_SEED another million; the suite plays 10,000 schedules.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
from greedy_gateway import Biller, catalogue
from pydantic import SecretStr
from sqlalchemy import Connection, bindparam, delete, update

from assay.config import Gateway, Settings
from assay.domain.completion import Cost
from assay.domain.contestant import Contestant, Prompt
from assay.domain.messages import CompletionRequest, Message
from assay.domain.plan import RunPlan
from assay.money import from_pico, to_pico_ceiling
from assay.openrouter.bounds import Weight, weight_of
from assay.openrouter.catalogue import parse_models
from assay.openrouter.client import Client
from assay.openrouter.gateways import Gateways
from assay.runs.prices import PriceBook
from assay.store import ledger, runs
from assay.store.books import month_committed, month_of, run_money
from assay.store.engine import open_store
from assay.store.prepared import Prepared
from assay.store.tables import CALL, RUN, SPEND_SLOT

SCHEDULES = int(os.environ.get("ASSAY_SCHEDULES", "10000"))
SEED = int(os.environ.get("ASSAY_SEED", "20261128"))
MODELS = 120
SHAPES = 450
"""Different requests but for their messages; as many as are kept read."""
TOGETHER = 250
"""Schedules of one transaction."""
VARIANTS = ("", "", ":nitro", ":floor:exacto", ":online", ":nitro:online:floor")
PICTURE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}


def learnt(rows: list[dict[str, Any]], endpoints: dict[str, list[dict[str, Any]]]) -> PriceBook:
    """The price book that has asked for everything, over the client."""
    models = {model.id: model for model in parse_models(rows)}

    def answer(request: httpx.Request) -> httpx.Response:
        name = request.url.path.split("/models/")[1].removesuffix("/endpoints")
        return httpx.Response(200, json={"data": {"endpoints": endpoints[name]}})

    async def ask() -> PriceBook:
        gateway = Gateway("openrouter", "https://greedy.example/v1", SecretStr("k"))
        client = Client(gateway, Settings(), transport=httpx.MockTransport(answer))
        prices = PriceBook(Gateways(client), models.get)
        for name in models:
            await prices.learn(name)
        await client.aclose()
        return prices

    return asyncio.run(ask())


def shape(rng: random.Random) -> CompletionRequest:
    """A request without its messages: a model with whatever a caller may put beside it."""
    params: dict[str, Any] = {"max_tokens": rng.randrange(1, 200)}
    if rng.random() < 0.2:
        params["models"] = [f"g/m{rng.randrange(MODELS)}" for _ in range(rng.randrange(1, 3))]
    if rng.random() < 0.2:
        kinds = ("function", "function", "openrouter:web_search")
        params["tools"] = [{"type": rng.choice(kinds), "function": {"name": "f"}}]
    if rng.random() < 0.1:
        params |= rng.choice([{"plugins": [{"id": "web"}]}, {"web_search_options": {}}, {"n": 3}])
    return CompletionRequest(f"g/m{rng.randrange(MODELS)}{rng.choice(VARIANTS)}", (), params)


def asked(rng: random.Random, like: CompletionRequest) -> CompletionRequest:
    """A call of that shape."""
    words = "wörd " * rng.randrange(1, 30)
    pictures = rng.choice([0, 0, 0, 1, 2])
    content: Any = ({"type": "text", "text": words}, *[PICTURE] * pictures) if pictures else words
    return CompletionRequest(like.model, (Message("user", content),), like.params)


@dataclass(slots=True)
class Bank:
    """What the gateway has really billed, whoever knows of it."""

    month: Decimal = Decimal(0)
    runs: dict[str | None, Decimal] = field(default_factory=dict)

    def charge(self, run_id: str | None, amount: Decimal) -> None:
        """Books a bill at the moment the request reaches the gateway."""
        self.month += amount
        self.runs[run_id] = self.runs.get(run_id, Decimal(0)) + amount


@dataclass(slots=True)
class Figures:
    """What was played."""

    schedules: int = 0
    sent: int = 0
    refused: int = 0
    unbounded: int = 0
    tight: float = 0.0
    """The share of a bound that was billed, at most."""


class Play:
    """Random schedules on one ledger."""

    def __init__(self, prices: PriceBook, biller: Biller, rng: random.Random) -> None:
        self.prices, self.biller, self.rng = prices, biller, rng
        self.bank = Bank()
        self.figures = Figures()
        self.run_id = ""
        self.shapes = [shape(rng) for _ in range(SHAPES)]

    def schedule(self, connection: Connection) -> None:
        """A run, a comparison and a caller of the service, together, with a budget of the run and one of the month."""
        rng = self.rng
        self.figures.schedules += 1
        room = rng.choice([10**9, 10**10, 10**11, 10**12]) * rng.randrange(1, 9)
        left = rng.choice([10**10, 10**12, 10**13])
        monthly = month_committed(connection, month_of(ledger.now_ms())) + left
        run_id = self._run(connection)
        budget = committed(connection, run_id) + room
        _SET_BUDGET.one(connection, {"run": run_id, "budget": budget})
        before, flying = self.bank.month, {}
        for face in rng.choices(("run", "run", "playground", "api"), k=rng.randrange(1, 3)):
            flying |= self._send(connection, run_id if face == "run" else None, face, monthly)
            self._end(connection, run_id, flying)
            # Nothing that the gateway charged, known or not, is beyond a budget: at any moment.
            assert self.bank.runs.get(run_id, Decimal(0)) <= from_pico(budget)
            assert self.bank.month - before <= from_pico(left)
        assert committed(connection, run_id) <= budget

    def _run(self, connection: Connection) -> str:
        """The run of the schedule: one goes on, with another budget, for as many schedules as a transaction plays."""
        if self.figures.schedules % TOGETHER == 1:
            for table in (CALL, SPEND_SLOT):  # the sums of runs and months stay; a million schedules keep the pace
                connection.execute(delete(table))
            plan = RunPlan("d", 1, (Prompt("p"),), (Contestant("g/m0"),), budget_pico=0)
            self.run_id = runs.create_run(connection, plan, name="proof")
        return self.run_id

    def _send(self, connection: Connection, run_id: str | None, face: str, monthly: int) -> dict[str, int]:
        """Calls of one shape: those that the budgets let through reach the gateway, and are billed there."""
        like, count = self.rng.choice(self.shapes), self.rng.randrange(1, 5)
        requests = [asked(self.rng, like) for _ in range(count)]
        bounds = [self.prices.bound(request) for request in requests]
        openings = [
            ledger.Opening(_intent(request.model, bound.pico, run_id, face), monthly, bound.unknown)
            for request, bound in zip(requests, bounds, strict=True)
        ]
        refused = ledger.open_intents(connection, openings)
        bills = [self.biller.bill(request.body()) for request in requests]
        self._never_above(like, requests, bills)
        found = {}
        for opening, bound, bill, why in zip(openings, bounds, bills, refused, strict=True):
            self.figures.unbounded += bound.pico is None
            if why is not None:
                self.figures.refused += 1
                continue
            assert bound.pico is not None  # a budget never lets through what has no bound
            self.figures.sent += 1
            self.bank.charge(run_id, bill)
            found[opening.intent.id] = to_pico_ceiling(bill)
        return found

    def _never_above(self, like: CompletionRequest, requests: list[CompletionRequest], bills: list[Decimal]) -> None:
        """What is printed before a start, from the same terms over the summed weights, is not below the bill."""
        bound = self.prices.terms(like).bound(sum((weight_of(r.messages) for r in requests), Weight()))
        if bound.pico is not None:
            assert from_pico(bound.pico) >= sum(bills)
            self.figures.tight = max(self.figures.tight, float(sum(bills) / (from_pico(bound.pico) or 1)))

    def _end(self, connection: Connection, run_id: str, flying: dict[str, int]) -> None:
        """Answers, callers that leave, crashes and costs that are told later, for some of what is in flight."""
        for call_id in self.rng.sample(sorted(flying), self.rng.randint(0, len(flying))):
            cost = flying.pop(call_id)
            how = self.rng.choices(("billed", "left", "recovered"), (10, 4, 1))[0]
            told = Cost(cost, "billed") if how == "billed" else Cost(None, "unknown")
            outcome = "ok" if how == "billed" else "cancelled"
            ledger.settle_many(connection, [ledger.Settlement(
                call_id=call_id, settled_ms=ledger.now_ms(), outcome=outcome, cost=told,
            )])  # fmt: skip
            if how == "recovered":
                ledger.recover(connection, call_id, Cost(cost, "recovered"))
        if self.rng.random() < 0.02:
            ledger.mark_orphans(connection, run_id=run_id)
            flying.clear()


def _intent(model: str, bound: int | None, run_id: str | None, face: str) -> ledger.Intent:
    return ledger.Intent(
        id=ledger.new_id(), created_ms=ledger.now_ms(), gateway="openrouter", model=model, purpose=face, owner="gone",
        bound_pico=bound, run_id=run_id,
    )  # fmt: skip


# As `runs.set_budget` has it: a million schedules set one each, and SQLAlchemy's way takes a third of their time.
_SET_BUDGET = Prepared(update(RUN).where(RUN.c.id == bindparam("run")).values(budget_pico=bindparam("budget")))


def committed(connection: Connection, run_id: str) -> int:
    """What is settled and reserved in a run."""
    money = run_money(connection, run_id)
    assert money is not None
    return money.settled_pico + money.reserved_pico


def chunks(count: int) -> Iterator[int]:
    """How many schedules each transaction plays."""
    yield from [TOGETHER] * (count // TOGETHER)
    if rest := count % TOGETHER:
        yield rest


def test_nothing_that_is_billed_passes_a_budget_or_what_was_printed_before(tmp_path: Path) -> None:
    """The gateway's own books, not ours, stay within the budgets of run and month; "never above" is never below."""
    rng = random.Random(SEED)
    rows, endpoints = catalogue(rng, MODELS)
    play = Play(learnt(rows, endpoints), Biller(rows, endpoints, rng), rng)
    store = open_store(f"sqlite:///{tmp_path}/a.db")
    for count in chunks(SCHEDULES):
        store.writer.call(lambda c, count=count: [play.schedule(c) for _ in range(count)] and None)
    store.close()

    found = play.figures
    assert found.schedules == SCHEDULES
    assert min(found.sent, found.refused, found.unbounded) > SCHEDULES // 4
    assert 0.3 < found.tight <= 1
