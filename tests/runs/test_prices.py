"""The price book: batch rows of the catalogue, variants, endpoints that cannot be told, bills above their bound."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from assay.config import Gateway, Settings
from assay.domain.completion import UNKNOWN_COST, Completion, Cost, Usage
from assay.domain.messages import CompletionRequest, Message
from assay.openrouter.bounds import bound_pico, weight_of
from assay.openrouter.catalogue import Model, parse_models
from assay.openrouter.client import Client
from assay.openrouter.gateways import Gateways
from assay.openrouter.pricing import parse_pricing
from assay.runs.prices import MODELS, PriceBook, base_model, keep, may_answer

PRICES = {"prompt": "0.000001", "completion": "0.000002"}
ROWS: dict[str, dict[str, Any]] = {
    "a/plain": PRICES,
    "a/plain:batch": {"prompt": "0.0000003", "completion": "0.0000007"},
    "a/dear": {"prompt": "0.00001", "completion": "0.00002"},
    "a/free:free": {"prompt": "0", "completion": "0"},
    "a/late": PRICES,
    "a/late:batch": {"prompt": "0.00001", "completion": "0.00002"},
    "a/odd": PRICES | {"video": "0.1"},
    "a/auto": {"prompt": "-1", "completion": "-1"},
}
Answer = Callable[[httpx.Request], httpx.Response]


def catalogue() -> dict[str, Model]:
    """The models of a small gateway."""
    rows = [{"id": name, "pricing": prices, "context_length": 8_000} for name, prices in ROWS.items()]
    return {model.id: model for model in parse_models(rows)}


def endpoints(*rows: dict[str, Any]) -> Answer:
    """A gateway that lists these endpoints for every model."""
    return lambda _: httpx.Response(200, json={"data": {"endpoints": list(rows)}})


def book(answer: Answer = endpoints(), models: tuple[str, ...] = tuple(ROWS)) -> PriceBook:  # noqa: B008 - it is frozen
    """A price book that has asked a gateway for the endpoints of models."""
    found = catalogue()

    async def learn() -> PriceBook:
        client = Client(
            Gateway("openrouter", "https://a.example/v1", SecretStr("k")),
            Settings(),
            transport=httpx.MockTransport(answer),
        )
        prices = PriceBook(Gateways(client), found.get)
        for model in models:
            await prices.learn(model)
        await client.aclose()
        return prices

    return asyncio.run(learn())


def ask(model: str, **params: Any) -> CompletionRequest:
    """A short question."""
    return CompletionRequest(model, (Message("user", "What is it?"),), {"max_tokens": 100, **params})


@pytest.mark.parametrize(
    ("model", "base"),
    [
        ("x/y", "x/y"),
        ("x/y:nitro", "x/y"),
        ("x/y:nitro:exacto:online", "x/y"),
        ("x/y:free:online", "x/y:free"),
        ("x/y:online:free:nitro", "x/y:free"),
        ("x/y:NITRO", "x/y"),
        ("ollama/qwen:8b", "ollama/qwen:8b"),
    ],
)
def test_variants_of_a_model_are_taken_off_in_any_order_and_number(model: str, base: str) -> None:
    """Dynamic variants are routing; what else stands behind a colon is the model's own name."""
    assert base_model(model) == base


def test_fallbacks_are_bounded_by_the_dearest() -> None:
    """Whoever answers is covered; one fallback of unknown price leaves the chain without a bound, and is named."""
    prices = book()

    chain = prices.bound(ask("a/plain", models=["a/plain", "a/dear"]))
    assert chain.pico is not None
    assert chain.pico >= (prices.bound(ask("a/dear")).pico or 0)
    for name in ("a/odd", "a/auto", "a/none", "a/plain:online"):
        assert name in prices.bound(ask("a/plain", models=[name])).unknown
    for odd in ("a/dear", [1], {"a": 1}):
        assert prices.bound(ask("a/plain", models=odd)).pico is None
    assert may_answer(ask("a/plain", models=["a/dear", "a/plain"])) == ("a/plain", "a/dear")


def test_dearest_endpoint_counts_and_one_of_a_tier_is_not_ignored_by_its_name() -> None:
    """`ignore` with a provider's bare name never takes away its service-tier endpoints."""
    fast = {
        "tag": "north/fast",
        "provider_name": "North",
        "service_tier": "priority",
        "context_length": 8_000,
        "pricing": {"prompt": "0.000001", "completion": "0.0002"},
    }
    prices = book(endpoints(fast, {**fast, "tag": "north", "service_tier": None, "pricing": PRICES}))

    most = prices.bound(ask("a/plain")).pico or 0
    assert most >= 100 * 2 * 10**8
    ignoring = CompletionRequest("a/plain", ask("a/plain").messages, {"max_tokens": 100}, {"ignore": ["north"]})
    assert prices.bound(ignoring).pico == most


@pytest.mark.parametrize(("status", "known"), [(404, True), (500, False), (429, False), (401, False)])
def test_endpoints_that_could_not_be_asked_for_leave_no_bound(status: int, known: bool) -> None:
    """A list that may hold dearer providers and did not come is unknown; a gateway without such lists has none."""
    prices = book(lambda _: httpx.Response(status, json={"error": {"code": status, "message": "no"}}), ("a/plain",))

    found = prices.bound(ask("a/plain"))
    assert (found.pico is not None) == known
    assert known or "could not be asked for" in found.unknown


def test_bill_above_its_bound_raises_the_bounds_that_follow() -> None:
    """A provider that did not keep its list is bounded by what it did; a free one that billed has no bound more."""
    prices = book()
    first = prices.bound(ask("a/plain")).pico or 0

    for _ in range(3):  # calls that were in flight together all learn the same
        prices.heed(ask("a/plain"), Cost(first * 17 + 1, "billed"))
    prices.heed(ask("a/dear"), Cost(1, "billed"))
    prices.heed(ask("a/free:free"), Cost(5, "billed"))

    assert prices.bound(ask("a/plain")).pico == first * 18
    assert prices.bound(ask("a/dear")).pico == book().bound(ask("a/dear")).pico
    assert "lists as free" in prices.bound(ask("a/free:free")).unknown


def test_bill_of_a_batch_is_heeded_above_what_was_reserved_for_it() -> None:
    """A batch row dearer than the model's own price is no surprise; what goes beyond it raises the bounds."""
    prices = book()
    usual = prices.bound(ask("a/late")).pico or 0
    reserved = prices.batch_terms(ask("a/late")).bound(weight_of(ask("a/late").messages)).pico or 0

    prices.heed(ask("a/late"), Cost(reserved, "billed"), batch=True)
    kept = prices.bound(ask("a/late")).pico
    prices.heed(ask("a/late"), Cost(reserved + 1, "billed"), batch=True)
    raised = prices.bound(ask("a/late")).pico or 0

    assert usual < reserved
    assert kept == usual
    assert raised > reserved


def test_names_that_no_gateway_has_do_not_pile_up() -> None:
    """Whoever may call may name any model; the ones last asked for are remembered."""
    kept: dict[str, int] = {}
    for number in range(10_000):
        keep(kept, f"none/{number}", number)
    keep(kept, "none/6001", 0)
    keep(kept, "new", 0)

    assert (len(kept), "none/6001" in kept, "none/6002" in kept, "none/6000" in kept) == (MODELS, True, True, False)


def test_batch_price_is_the_one_of_the_catalogue() -> None:
    """The `:batch` row prices an answer that does not say its cost; without such a row it is about half."""
    prices = book()
    answer = Completion("x", "stop", Usage(1_000, 100), UNKNOWN_COST, model="a/plain")

    assert prices.batch_share("a/plain") == Decimal("0.35")
    assert prices.batch_share("a/dear") == Decimal("0.5")
    assert prices.batch_cost(ask("a/plain"), answer, usual=Cost(1, "estimated")).pico == 370_000_000
    assert prices.batch_cost(ask("a/dear"), answer, usual=Cost(10, "estimated")).pico == 5


def test_cost_of_what_may_hold_an_unlisted_fee_is_unknown() -> None:
    """Tokens alone are not the cost of a call with a search; a free call costs a known 0."""
    prices = book()
    answer = Completion("x", "stop", Usage(10, 10), UNKNOWN_COST)

    assert prices.cost(ask("a/plain"), answer).pico == 30_000_000
    assert prices.cost(ask("a/plain:online"), answer).pico is None
    assert prices.cost(ask("a/free:free"), Completion("x", "stop", None, UNKNOWN_COST)).pico == 0
    assert json.dumps(prices.bound(ask("a/free:free")).pico) == "0"


def test_endpoints_that_cannot_be_fetched_are_asked_for_once_by_all_who_wait() -> None:
    """A gateway that takes a minute over its list of endpoints holds up the calls of a run once, not one by one."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(503)

    async def learn() -> None:
        client = Client(
            Gateway("openrouter", "https://a.example/v1", SecretStr("k")),
            Settings(),
            transport=httpx.MockTransport(answer),
        )
        prices = PriceBook(Gateways(client), catalogue().get)
        await asyncio.gather(*(prices.learn(name) for name in ["a/plain", "a/plain:nitro", "a/dear"] * 9))
        await client.aclose()

    asyncio.run(learn())

    assert len(asked) == 2


@pytest.mark.parametrize("listed", ["free", ["1"], 3, True, None, {}, [], "", {"prompt": "0"}])
def test_list_of_prices_that_is_none_leaves_a_model_without_a_bound(listed: Any) -> None:
    """Whatever stands in its place, nothing breaks and nothing is taken for free."""
    found = parse_pricing(listed)

    assert not found.is_free
    assert bound_pico(found, ask("a/b"), max_completion_tokens=5) is None
