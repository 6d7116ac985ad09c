"""The bound of a request: never below what an independent bill comes to, or unknown with the reason in words."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.domain.messages import CompletionRequest, Message
from assay.money import from_pico
from assay.openrouter.bounds import Offer, Terms, Weight, terms_of, weight_of
from assay.openrouter.pricing import parse_pricing

PRICES = {"prompt": "0.000001", "completion": "0.000002"}
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}


def offer(*pricings: dict[str, Any], **more: Any) -> Offer:
    """What a gateway says of a model: a context of 8,000 tokens."""
    return Offer(name="a/b", pricings=[parse_pricing(p) for p in pricings], **{"context": 8_000, **more})


def ask(*parts: Any, model: str = "a/b", **params: Any) -> CompletionRequest:
    """A request with a short question, or with parts."""
    content = tuple(parts) if parts else "What is it?"
    return CompletionRequest(model, (Message("user", content),), {"max_tokens": 100, **params})


def bound(request: CompletionRequest, found: Offer) -> Any:
    """The bound of a request under an offer."""
    return terms_of(found, request).bound(weight_of(request.messages))


@pytest.mark.parametrize(
    ("request_", "word"),
    [
        (ask(model="a/b:online"), ":online"),
        (ask(model="a/b:nitro:ONLINE:floor"), ":online"),
        (ask(model="@preset/mine"), "preset"),
        (ask(model="a/b@preset/mine"), "preset"),
        (ask(preset="mine"), "preset"),
        (ask(web_search_options={}), "web_search_options"),
        (ask(plugins=[{"id": "web"}]), "'web'"),
        (ask(plugins=[{"id": "web", "engine": "exa", "max_uses": 1}]), "'web'"),
        (ask(plugins=[{"id": "web", "engine": "native"}]), "'web'"),
        (ask(plugins=["web"]), "plugins"),
        (ask(plugins=[{"id": "file-parser"}]), "file-parser"),
        (ask(plugins=[{"id": {"a": 1}}]), "plugin"),
        (ask(tools=[{"type": "openrouter:web_search"}]), "web_search"),
        (ask(tools=[{"type": "web_search_preview"}]), "web_search"),
        (ask(tools="all"), "tools"),
        (ask(tool_choice={"type": "openrouter:bash"}), "bash"),
        (ask(service_tier="priority"), "priority"),
        (ask(service_tier="fast"), "fast"),
        (ask(service_tier="scale"), "scale"),
        (ask(service_tier="auto"), "auto"),
        (ask(service_tier="ultrafast"), "ultrafast"),
        (ask(service_tier="turbo"), "turbo"),
        (ask(reasoning={"mode": "pro"}), "pro"),
        (ask(n="3"), "n is no number"),
        (ask(surcharge=1), "surcharge"),
        (ask({"type": "file", "file": {}}), "file"),
        (ask({"type": "hologram"}), "hologram"),
        (ask({"type": ["text"]}), "part"),
    ],
)
def test_request_beyond_the_price_list_has_no_bound_and_says_why(request_: CompletionRequest, word: str) -> None:
    """What may bring a fee that no list holds makes the bound unknown, and is named."""
    found = bound(request_, offer(PRICES))

    assert found.pico is None
    assert word in found.unknown


@pytest.mark.parametrize(
    "key",
    [
        "video",
        "prompt_v2",
        "web_search",
        "request",
        "input_cache_read",
        "discount",
        "input_cache_write_1h",
        "internal_reasoning",
        "image_output",
        "audio_output",
    ],
)
@pytest.mark.parametrize("value", ["-1", "soon", {"a": 1}, "1e30", True, [], "nan"])
def test_price_that_cannot_be_told_leaves_no_bound(key: str, value: object) -> None:
    """An unknown key, or a known one with a value that is no price, is never taken for 0."""
    found = bound(ask(), offer(PRICES | {key: value}))

    assert found.pico is None
    assert key in found.unknown


@pytest.mark.parametrize("value", ["0", 0, None, "0.0"])
def test_unknown_key_that_costs_nothing_changes_no_bound(value: object) -> None:
    """A price of 0 is 0, whatever it is called."""
    assert bound(ask(), offer(PRICES | {"video": value})) == bound(ask(), offer(PRICES))


@pytest.mark.parametrize(
    "entry",
    [{"min_prompt_tokens": 10, "video": "0.1"}, {"prompt": "-1"}, {"utc_start": 1, "utc_end": 2, "audio_hd": 1}],
)
def test_override_that_cannot_be_told_leaves_no_bound(entry: dict[str, object]) -> None:
    """What is hidden in a tier or a time window counts as the base price does."""
    assert bound(ask(), offer(PRICES | {"overrides": [entry]})).pico is None


def test_every_condition_of_the_price_list_is_in_the_bound() -> None:
    """Long contexts, time windows, the dearest endpoint, search, request fee and fee for one's own key."""
    plain = offer(PRICES)
    dearer = [
        offer(PRICES | {"overrides": [{"min_prompt_tokens": 10**6, "prompt": "0.00001"}]}),
        offer(PRICES | {"overrides": [{"utc_start": 0, "utc_end": 1, "completion": "0.00001"}]}),
        offer(PRICES, PRICES | {"completion": "0.00001"}),
        offer(PRICES | {"input_cache_write_1h": "0.00001"}),
        offer(PRICES | {"input_cache_write": "0.00001"}),
        offer(PRICES | {"internal_reasoning": "0.00001"}),
        offer(PRICES | {"audio_output": "0.00001"}),
        offer(PRICES | {"request": "0.01"}),
        offer(PRICES | {"web_search": "0.01"}),
    ]

    base = bound(ask(), plain).pico
    assert all(bound(ask(), one).pico > base for one in dearer)
    assert bound(ask(), offer(PRICES | {"web_search": "0.01"})).pico - base >= 10**10


def test_pictures_are_bounded_by_the_context_and_their_own_price() -> None:
    """No number of bytes bounds a picture's tokens: the model's context does, and without it nothing."""
    listed = offer(PRICES | {"image": "0.01", "audio": "0.00001"})

    found = bound(ask(IMAGE, IMAGE), listed)
    assert found.pico >= 2 * 10**10 + 8_000 * 10**7
    assert bound(ask(IMAGE), offer(PRICES, context=None)).pico is None
    assert "'audio'" in bound(ask(IMAGE), offer(PRICES | {"audio": "?"})).unknown
    assert bound(ask(), offer(PRICES | {"audio": "?"})).pico is not None


def test_pictures_in_the_answer_have_no_bound_unless_text_is_asked_for() -> None:
    """How many pictures a model paints is not limited, unless the request says that it wants text only."""
    paints = offer(PRICES | {"image_output": "0.03"})

    assert "image_output" in bound(ask(), paints).unknown
    assert "image_output" in bound(ask(modalities=["text", "image"]), paints).unknown
    assert bound(ask(modalities=["text"]), paints).pico == bound(ask(modalities=["text"]), offer(PRICES)).pico


def test_search_of_the_model_itself_is_bounded_where_it_is_limited() -> None:
    """`max_uses` of the native search at its listed price: the context is read anew after each search."""
    plugin = {"id": "web", "engine": "native", "max_uses": 3}
    found = bound(ask(plugins=[plugin]), offer(PRICES | {"web_search": "0.01"}))

    assert found.pico >= 3 * 10**10 + 4 * (8_000 * 10**6 + 100 * 2 * 10**6)
    assert bound(ask(plugins=[plugin]), offer(PRICES)).pico is None
    assert bound(ask(plugins=[plugin | {"enabled": False}]), offer(PRICES)).pico is not None


def test_dearer_tier_is_bounded_where_its_endpoint_is_listed() -> None:
    """`priority` with a listed endpoint of that tier is bounded by the dearest price; `flex` and `default` always."""
    tiers = offer(PRICES, PRICES | {"completion": "0.00002"}, tiers=frozenset({"fast"}))

    assert bound(ask(service_tier="priority"), tiers).pico >= 100 * 2 * 10**7
    for tier in ("flex", "default", None):
        assert bound(ask(service_tier=tier), offer(PRICES)).pico is not None


def test_functions_several_answers_and_foretold_text_count() -> None:
    """Functions stand in the prompt; n answers cost n times; what was foretold may be billed beside the answer."""
    base = bound(ask(), offer(PRICES)).pico
    tool = {"type": "function", "function": {"name": "f" * 500}}

    assert bound(ask(tools=[tool]), offer(PRICES)).pico > base + 500 * 10**6
    assert bound(ask(n=3), offer(PRICES)).pico >= base + 200 * 2 * 10**6
    assert bound(ask(prediction={"content": "x" * 1000}), offer(PRICES)).pico > base + 1000 * 2 * 10**6
    assert bound(ask(reasoning={"max_tokens": 5_000}), offer(PRICES)).pico > base + 5_000 * 2 * 10**6
    assert bound(CompletionRequest("a/b", ask().messages), offer(PRICES)).pico is None
    assert bound(CompletionRequest("a/b", ask().messages), offer(PRICES, longest=9)).pico is not None


_AMOUNT = st.decimals(0, Decimal("0.001"), places=9).map(str)
_LISTS = st.lists(
    st.fixed_dictionaries(
        {"prompt": _AMOUNT, "completion": _AMOUNT},
        optional={
            key: _AMOUNT
            for key in (
                "request",
                "internal_reasoning",
                "input_cache_read",
                "input_cache_write",
                "input_cache_write_1h",
                "web_search",
                "image",
                "audio",
                "audio_output",
            )
        },
    ),
    min_size=1,
    max_size=3,
)


@given(_LISTS, st.lists(st.text(max_size=60), min_size=1, max_size=6), st.integers(16, 300), st.randoms())
def test_sum_of_bounds_is_the_bound_of_the_sum_and_above_every_bill(
    lists: list[dict[str, str]], texts: list[str], limit: int, rng: Any
) -> None:
    """Whoever answers each call, with whatever of the price list it bills: one arithmetic for a cell and for a run."""
    found = offer(*lists)
    terms = terms_of(found, ask(max_tokens=limit))
    weights = [weight_of((Message("user", text),)) for text in texts]
    bills = [_bill(rng.choice(lists), len(text.encode("utf-8", "replace")), limit, rng) for text in texts]

    each = [terms.bound(weight).pico or 0 for weight in weights]
    assert terms.bound(sum(weights, Weight())).pico == sum(each)
    assert all(from_pico(most) >= bill for most, bill in zip(each, bills, strict=True))


def _bill(listed: dict[str, str], size: int, limit: int, rng: Any) -> Decimal:
    """A bill that a provider could make out of its price list: written here anew, nothing of it is the product's."""
    price = {key: Decimal(value) for key, value in listed.items()}
    tokens, answer = rng.randint(0, size), rng.randint(0, limit)
    cached = rng.choice(["prompt", *(k for k in listed if k.startswith("input_cache"))])
    spoken = rng.choice(["completion", *(k for k in listed if k in ("internal_reasoning", "audio_output"))])
    fees = price.get("request", Decimal(0)) + rng.randint(0, 1) * price.get("web_search", Decimal(0))
    own_key = rng.choice([Decimal(1), Decimal("1.05")])
    return own_key * (tokens * price[cached] + answer * price[spoken] + fees)


def test_terms_of_fallbacks_are_the_dearer_in_everything() -> None:
    """Either of two may answer: the dearest of each is taken, and what is unknown of one is unknown of both."""
    one, other = Terms(prompt=1, completion=5, context=10), Terms(prompt=3, call=2, context=7)

    both = one.at_least(other)
    assert (both.prompt, both.completion, both.call, both.context) == (3, 5, 2, 10)
    assert one.at_least(Terms(unknown="x")).unknown == "x"
    assert one.at_least(Terms(context=None)).context is None


def test_recorded_prompts_are_within_their_bound(shared_data: Path) -> None:
    """No recorded answer of real providers took more prompt tokens than the bound allows, hidden prompts included."""
    seen = 0
    with gzip.open(shared_data / "openrouter-recorded.jsonl.gz", "rt") as lines:
        exchanges = [json.loads(line) for line in lines]
    for exchange in exchanges:
        told = _recorded_prompt(exchange)
        if told is None:
            continue
        asked, tokens = told
        terms = terms_of(offer({"prompt": "0.000001", "completion": "0"}, longest=1, context=10**6), asked)
        found = terms.bound(weight_of(asked.messages))
        assert found.pico is None or found.pico >= tokens * 10**6, asked.model

        seen += found.pico is not None
    assert seen > 500


def _recorded_prompt(exchange: dict[str, Any]) -> tuple[CompletionRequest, int] | None:
    """A recorded request with the prompt tokens that its answer told."""
    asked = exchange["req"]
    if exchange["status"] != 200 or "chat/completions" not in exchange["url"] or not isinstance(asked, dict):
        return None
    params = {
        k: v
        for k, v in asked.items()
        if k
        not in ("model", "messages", "provider", "stream", "stream_options", "usage", "store", "transforms", "route")
    }
    texts = [exchange["body"] or "", *(line[6:] for line in (exchange["body"] or "").splitlines() if '"usage"' in line)]
    for text in reversed(texts):
        try:
            usage = json.loads(text).get("usage")
        except (ValueError, AttributeError):
            continue
        if usage and usage.get("prompt_tokens") and asked.get("messages"):
            messages = tuple(Message.from_json({"role": "user", **m}) for m in asked["messages"])
            return CompletionRequest(str(asked.get("model")), messages, params), usage["prompt_tokens"]
    return None
