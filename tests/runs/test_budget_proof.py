"""The budget against a biller of its own: every price key, every variant, tools, fallbacks, pictures, own keys, callers
that leave, crashes, answers without a bill; runs, playground and service at once; price lists that change and cannot be
read, the turn of a month, a budget that is lowered, in the middle of it.

ASSAY_SCHEDULES=1000000 is the long form, ASSAY_SEED another million; the suite plays 10,000 schedules.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from greedy_gateway import Biller, catalogue, reprice
from pydantic import SecretStr
from sqlalchemy import Connection, bindparam, delete, update

from assay.config import Gateway, Settings
from assay.domain.completion import UNKNOWN_COST, Completion, Cost
from assay.domain.contestant import Contestant, Prompt
from assay.domain.messages import CompletionRequest, Message
from assay.domain.plan import RunPlan
from assay.money import from_pico, to_pico_ceiling
from assay.openrouter.bounds import Weight, weight_of
from assay.openrouter.catalogue import parse_models
from assay.openrouter.client import Client
from assay.openrouter.gateways import Gateways
from assay.openrouter.usage import cost_of, parse_usage
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
START_MS = 1_795_000_000_000
"""A moment of November 2026."""
MONTH_MS = 30 * 86_400_000
NO_COSTS: tuple[dict[str, Any], ...] = (
    {},
    {"cost": None},
    {"cost": "0.01"},
    {"cost": -1},
    {"cost": True},
    {"cost": math.nan},
    {"cost": {"usd": 1}},
)
PICTURE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}


class Market:
    """A gateway's price lists, which change, and the price book of a client that has asked for all of them."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        rows, self._endpoints = catalogue(rng, MODELS)
        self._rows = {row["id"]: row for row in rows}
        self._models = {model.id: model for model in parse_models(rows)}
        self.biller = Biller(rows, self._endpoints, rng)
        self._loop = asyncio.new_event_loop()
        self.prices = self._loop.run_until_complete(self._asked())

    async def _asked(self) -> PriceBook:
        gateway = Gateway("openrouter", "https://greedy.example/v1", SecretStr("k"))
        self._client = Client(gateway, Settings(), transport=httpx.MockTransport(self._answer))
        prices = PriceBook(Gateways(self._client), self._models.get)
        for name in self._models:
            await prices.learn(name)
        return prices

    def _answer(self, request: httpx.Request) -> httpx.Response:
        name = request.url.path.split("/models/")[1].removesuffix("/endpoints")
        return httpx.Response(200, json={"data": {"endpoints": self._endpoints[name]}})

    def change(self) -> None:
        """Another list for a model, or for one of its endpoints: the client hears of it, and bills follow it."""
        name = self._rng.choice(list(self._rows))
        row, endpoints = self._rows[name], [dict(endpoint) for endpoint in self._endpoints[name]]
        changed = self._rng.choice([row, *endpoints])
        if changed is row:
            row = self._rows[name] = row | {"pricing": reprice(self._rng, row["pricing"])}
        else:
            changed["pricing"] = reprice(self._rng, changed["pricing"])
        self._endpoints[name] = endpoints
        self._models.pop(name, None)
        self._models |= {model.id: model for model in parse_models([row])}
        self.prices.doubt(name)
        self._loop.run_until_complete(self.prices.learn(name))
        self.biller.read(row, endpoints)

    def close(self) -> None:
        """Ends the client."""
        self._loop.run_until_complete(self._client.aclose())
        self._loop.close()


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

    months: dict[str, Decimal] = field(default_factory=dict)
    runs: dict[str | None, Decimal] = field(default_factory=dict)

    def charge(self, run_id: str | None, month: str, amount: Decimal) -> None:
        """Books a bill at the moment the request reaches the gateway."""
        self.months[month] = self.months.get(month, Decimal(0)) + amount
        self.runs[run_id] = self.runs.get(run_id, Decimal(0)) + amount


@dataclass(slots=True)
class Figures:
    """What was played."""

    schedules: int = 0
    sent: int = 0
    refused: int = 0
    unbounded: int = 0
    untold: int = 0
    """Answers without a bill, of which the catalogue's arithmetic gave less than was billed."""
    tight: float = 0.0
    """The share of a bound that was billed, at most."""


class Flight(NamedTuple):
    """A call in flight with its bill."""

    request: CompletionRequest
    bill: int


class Play:
    """Random schedules on one ledger."""

    def __init__(self, market: Market, rng: random.Random) -> None:
        self.market, self.rng = market, rng
        self.prices = market.prices
        self.bank = Bank()
        self.figures = Figures()
        self.run_id = ""
        self.now = START_MS
        self.shapes = [shape(rng) for _ in range(SHAPES)]

    def schedule(self, connection: Connection) -> None:
        """A run, a comparison and a caller of the service, together, with a budget of the run and one of the month;
        prices change, a month ends and a budget is lowered between what they send."""
        rng = self.rng
        self.figures.schedules += 1
        self.now = START_MS
        run_id = self._run(connection)
        budget = committed(connection, run_id) + rng.choice([10**9, 10**10, 10**11, 10**12]) * rng.randrange(1, 9)
        _SET_BUDGET.one(connection, {"run": run_id, "budget": budget})
        left, flying = rng.choice([10**10, 10**12, 10**13]), dict[str, Flight]()
        monthly = month_committed(connection, month_of(self.now)) + left
        for face in rng.choices(("run", "run", "playground", "api"), k=rng.randrange(1, 3)):
            if rng.random() < 0.05:
                self.market.change()
            if rng.random() < 0.1:
                self.now = START_MS + MONTH_MS
                monthly = month_committed(connection, month_of(self.now)) + left
            if rng.random() < 0.1:
                budget = committed(connection, run_id) + rng.choice([-1, 0, 10**8, 10**10])
                _SET_BUDGET.one(connection, {"run": run_id, "budget": budget})
            sent = self._send(connection, run_id if face == "run" else None, face, monthly)
            held = self._held(connection, run_id)
            # What lets a call through is the budget of that moment, with all that may still be billed.
            assert not sent or held[1] <= monthly
            assert not sent or face != "run" or held[0] <= budget
            flying |= sent
            self._end(connection, run_id, flying)
            assert all(after <= before for after, before in zip(self._held(connection, run_id), held, strict=True))
        self._billed(connection, run_id)

    def _held(self, connection: Connection, run_id: str) -> tuple[int, int]:
        """What counts against the budgets of the run and of the month."""
        return committed(connection, run_id), month_committed(connection, month_of(self.now))

    def _billed(self, connection: Connection, run_id: str) -> None:
        """Nothing that the gateway charged, known or not, is beyond what counts against a budget."""
        assert self.bank.runs.get(run_id, Decimal(0)) <= from_pico(committed(connection, run_id))
        for month, billed in self.bank.months.items():
            assert billed <= from_pico(month_committed(connection, month))

    def _run(self, connection: Connection) -> str:
        """The run of the schedule: one goes on, with another budget, for as many schedules as a transaction plays."""
        if self.figures.schedules % TOGETHER == 1:
            for table in (CALL, SPEND_SLOT):  # the sums of runs and months stay; a million schedules keep the pace
                connection.execute(delete(table))
            plan = RunPlan("d", 1, (Prompt("p"),), (Contestant("g/m0"),), budget_pico=0)
            self.run_id = runs.create_run(connection, plan, name="proof")
        return self.run_id

    def _send(self, connection: Connection, run_id: str | None, face: str, monthly: int) -> dict[str, Flight]:
        """Calls of one shape: those that the budgets let through reach the gateway, and are billed there."""
        like, count = self.rng.choice(self.shapes), self.rng.randrange(1, 5)
        requests = [asked(self.rng, like) for _ in range(count)]
        bounds = [self.prices.bound(request) for request in requests]
        openings = [
            ledger.Opening(_intent(request.model, bound.pico, run_id, face, self.now), monthly, bound.unknown)
            for request, bound in zip(requests, bounds, strict=True)
        ]
        refused = ledger.open_intents(connection, openings)
        bills = [self.market.biller.bill(request.body()) for request in requests]
        self._never_above(like, requests, bills)
        found = {}
        for request, opening, bound, bill, why in zip(requests, openings, bounds, bills, refused, strict=True):
            self.figures.unbounded += bound.pico is None
            if why is not None:
                self.figures.refused += 1
                continue
            assert bound.pico is not None  # a budget never lets through what has no bound
            self.figures.sent += 1
            self.bank.charge(run_id, month_of(self.now), bill)
            found[opening.intent.id] = Flight(request, to_pico_ceiling(bill))
        return found

    def _never_above(self, like: CompletionRequest, requests: list[CompletionRequest], bills: list[Decimal]) -> None:
        """What is printed before a start, from the same terms over the summed weights, is not below the bill."""
        bound = self.prices.terms(like).bound(sum((weight_of(r.messages) for r in requests), Weight()))
        if bound.pico is not None:
            assert from_pico(bound.pico) >= sum(bills)
            self.figures.tight = max(self.figures.tight, float(sum(bills) / (from_pico(bound.pico) or 1)))

    def _end(self, connection: Connection, run_id: str, flying: dict[str, Flight]) -> None:
        """Answers with and without a bill, callers that leave, crashes and costs that are told later, for some of what
        is in flight."""
        for call_id in self.rng.sample(sorted(flying), self.rng.randint(0, len(flying))):
            request, bill = flying.pop(call_id)
            how = self.rng.choices(("billed", "untold", "left"), (10, 4, 4))[0]
            told = Cost(bill, "billed") if how == "billed" else self._untold(request, bill, answered=how == "untold")
            ledger.settle_many(
                connection,
                [
                    ledger.Settlement(
                        call_id=call_id,
                        settled_ms=self.now,
                        outcome="cancelled" if how == "left" else "ok",
                        cost=told,
                    )
                ],
            )
            if how != "billed" and self.rng.random() < 0.2:
                assert ledger.recover(connection, call_id, Cost(bill, "recovered"))
        if self.rng.random() < 0.02:
            ledger.mark_orphans(connection, run_id=run_id)
            flying.clear()

    def _untold(self, request: CompletionRequest, bill: int, *, answered: bool) -> Cost:
        """What the client makes of an answer whose cost is null, missing, or none that anybody charges."""
        if not answered:
            return UNKNOWN_COST
        usage = {"prompt_tokens": self.rng.randint(0, 3), "completion_tokens": self.rng.randint(0, 3)}
        found = parse_usage(usage | self.rng.choice(NO_COSTS))
        cost = self.prices.cost(request, Completion("", "stop", found, cost_of(found)))
        assert cost.provenance in ("estimated", "unknown")
        self.figures.untold += cost.pico is not None and cost.pico < bill
        return cost


def _intent(model: str, bound: int | None, run_id: str | None, face: str, now: int) -> ledger.Intent:
    return ledger.Intent(
        id=ledger.new_id(),
        created_ms=now,
        gateway="openrouter",
        model=model,
        purpose=face,
        owner="gone",
        bound_pico=bound,
        run_id=run_id,
    )


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
    market = Market(rng)
    play = Play(market, rng)
    store = open_store(f"sqlite:///{tmp_path}/a.db")
    for count in chunks(SCHEDULES):
        store.writer.call(lambda c, count=count: [play.schedule(c) for _ in range(count)] and None)
    store.close()
    market.close()

    found = play.figures
    assert found.schedules == SCHEDULES
    assert min(found.sent, found.refused, found.unbounded) > SCHEDULES // 4
    assert found.untold > SCHEDULES // 20
    assert 0.3 < found.tight <= 1
