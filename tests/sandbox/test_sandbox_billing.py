"""What the sandbox charges is its price list: searches, images, requests, thinking, caches, one's own key."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest

from assay.sandbox import Fault, SandboxConfig, SandboxServer

HELLO = [{"role": "user", "content": "Explain how to plan a product launch."}]
SEEN = {"X-OpenRouter-Metadata": "enabled"}


def _client(server: SandboxServer) -> httpx.Client:
    return httpx.Client(base_url=server.base_url, headers={"Authorization": "Bearer sandbox"})


@pytest.fixture
def gateway() -> Iterator[httpx.Client]:
    """A fast sandbox."""
    with SandboxServer(SandboxConfig(speed=0)) as server, _client(server) as client:
        yield client


def _body(answer: httpx.Response) -> Any:
    return json.loads(answer.text, parse_float=Decimal)


def _ask(client: httpx.Client, model: str = "sandbox/prism", **more: Any) -> Any:
    answer = client.post("/chat/completions", json={"model": model, "messages": HELLO, **more}, headers=SEEN)
    assert answer.status_code == 200, answer.text
    return _body(answer)


def _listed(client: httpx.Client, model: str, provider: str) -> dict[str, Decimal]:
    rows = client.get(f"/models/{model}/endpoints").json()["data"]["endpoints"]
    found = next(row["pricing"] for row in rows if row["provider_name"] == provider)
    return {name: Decimal(price) for name, price in found.items() if isinstance(price, str)}


def _bill(usage: Any, price: dict[str, Decimal], images: int = 0) -> Decimal:
    """The cost by the formula of the wire reference (8)."""
    cached, written = (usage["prompt_tokens_details"][name] for name in ("cached_tokens", "cache_write_tokens"))
    thought = usage["completion_tokens_details"]["reasoning_tokens"]
    searches = usage.get("server_tool_use_details", {}).get("web_search_requests", 0)
    return Decimal(
        (usage["prompt_tokens"] - cached - written) * price["prompt"]
        + cached * price["input_cache_read"]
        + written * price["input_cache_write"]
        + (usage["completion_tokens"] - thought) * price["completion"]
        + thought * price["internal_reasoning"]
        + images * price["image"]
        + price["request"]
        + searches * price["web_search"]
    )


@pytest.mark.parametrize(
    ("more", "searches", "images"),
    [
        ({}, 0, 0),
        ({"model": "sandbox/prism:online"}, 1, 0),
        ({"model": "sandbox/prism:nitro:online"}, 1, 0),
        ({"plugins": [{"id": "web"}]}, 1, 0),
        ({"plugins": [{"id": "web", "enabled": False}]}, 0, 0),
        ({"web_search_options": {"search_context_size": "low"}}, 1, 0),
        ({"tools": [{"type": "openrouter:web_search"}]}, 1, 0),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "text", "text": "Explain both pictures."},
                            *[{"type": "image_url", "image_url": {"url": "x"}}] * 2,
                        ],
                    }
                ]
            },
            0,
            2,
        ),
    ],
)
def test_cost_is_the_price_list_s(gateway: httpx.Client, more: dict[str, Any], searches: int, images: int) -> None:
    """Every key of the price list is charged once it is used, and nothing else."""
    body = _ask(gateway, **more)

    price = _listed(gateway, "sandbox/prism", body["provider"])
    usage = body["usage"]
    assert usage.get("server_tool_use_details", {}).get("web_search_requests", 0) == searches
    assert usage["cost"] == _bill(usage, price, images)
    assert usage["cost_details"].get("server_tool_cost", 0) == searches * price["web_search"]


def test_cached_prompt_is_written_once_and_read_after(gateway: httpx.Client) -> None:
    """A prompt that is to be cached costs the price of writing first, then that of reading."""
    wanted = {"cache_control": {"type": "ephemeral"}}
    first, second = _ask(gateway, **wanted), _ask(gateway, **wanted)

    price = _listed(gateway, "sandbox/prism", first["provider"])
    assert first["usage"]["prompt_tokens_details"]["cache_write_tokens"] == first["usage"]["prompt_tokens"]
    assert second["usage"]["prompt_tokens_details"]["cached_tokens"] == second["usage"]["prompt_tokens"]
    assert [body["usage"]["cost"] for body in (first, second)] == [
        _bill(body["usage"], price) for body in (first, second)
    ]


def test_own_key_costs_upstream_and_searches_only() -> None:
    """With one's own key the gateway charges for its search alone; the upstream cost stands in the details."""
    with SandboxServer(SandboxConfig(speed=0, byok=frozenset({"eastbay"}))) as server, _client(server) as client:
        plain, online = _ask(client), _ask(client, "sandbox/prism:online")
        row = _body(client.get("/generation", params={"id": plain["id"]}))["data"]
        key = _body(client.get("/key"))["data"]

    details = plain["usage"]["cost_details"]
    assert [plain["usage"]["cost"], plain["usage"]["is_byok"]] == [0, True]
    assert details["upstream_inference_cost"] == row["upstream_inference_cost"] > 0
    assert online["usage"]["cost"] == Decimal("0.01")
    assert plain["openrouter_metadata"]["is_byok"]
    assert key["byok_usage"] == 2 * details["upstream_inference_cost"]


def test_provider_that_is_down_is_named_and_the_next_answers() -> None:
    """The metadata and the generation's record name who failed before the answer; without fallbacks it is a 503."""
    config = SandboxConfig(speed=0, faults=(Fault("provider_down"),))
    with SandboxServer(config) as server, _client(server) as client:
        body = _ask(client)
        row = client.get("/generation", params={"id": body["id"]}).json()["data"]
        alone = {"model": "sandbox/prism", "messages": HELLO, "provider": {"allow_fallbacks": False}}
        refused = client.post("/chat/completions", json=alone)

    said = body["openrouter_metadata"]
    assert [(a["provider"], a["status"]) for a in said["attempts"]] == [("Eastbay", 503), ("Southgate", 200)]
    assert (said["attempt"], body["provider"]) == (2, "Southgate")
    assert [r["status"] for r in row["provider_responses"]] == [503, 200]
    assert refused.status_code == 503


def test_fallback_model_answers_for_one_that_fails() -> None:
    """The next of `models` answers and is billed; the metadata names both."""
    config = SandboxConfig(speed=0, faults=(Fault("429", model="sandbox/sage"),))
    with SandboxServer(config) as server, _client(server) as client:
        body = _ask(client, "sandbox/sage", models=["sandbox/scribe"])

    assert body["model"].startswith("sandbox/scribe")
    assert [(a["model"], a["status"]) for a in body["openrouter_metadata"]["attempts"]] == [
        ("sandbox/sage", 429),
        ("sandbox/scribe", 200),
    ]
    assert body["openrouter_metadata"]["strategy"] == "fallback"


def test_embeddings_are_billed_and_alike_for_alike_texts(gateway: httpx.Client) -> None:
    """Closer texts have closer vectors; the cost is tokens times the price; a chat model is refused."""
    texts = ["the quick brown fox", "the quick brown dog", "an invoice of March"]
    body = _body(gateway.post("/embeddings", json={"model": "sandbox/vector", "input": texts}))
    refused = gateway.post("/embeddings", json={"model": "sandbox/swift", "input": "x"})
    chat = gateway.post("/chat/completions", json={"model": "sandbox/vector", "messages": HELLO})

    a, b, c = (row["embedding"] for row in body["data"])
    price = _listed(gateway, "sandbox/vector", body["provider"])["prompt"]
    assert sum(x * y for x, y in zip(a, b, strict=True)) > sum(x * y for x, y in zip(a, c, strict=True))
    assert body["usage"]["cost"] == body["usage"]["prompt_tokens"] * price > 0
    assert [refused.status_code, chat.status_code] == [404, 404]


def test_responses_and_chat_completions_cost_the_same(gateway: httpx.Client) -> None:
    """One prompt has one text and one cost through both APIs; a stored conversation is refused."""
    chat = _ask(gateway, "sandbox/sage")
    body = _body(gateway.post("/responses", json={"model": "sandbox/sage", "input": HELLO}))
    stored = gateway.post("/responses", json={"model": "sandbox/sage", "input": "x", "store": True})

    assert body["output_text"] == chat["choices"][0]["message"]["content"]
    assert body["usage"]["cost"] == chat["usage"]["cost"]
    assert stored.status_code == 400


@pytest.mark.parametrize("kind", ["429", "mid_stream_error", "truncated", "first_event_error"])
def test_responses_meet_faults_too(kind: Any) -> None:
    """A fault ends a streamed response as it would end it at the gateway."""
    with SandboxServer(SandboxConfig(speed=0, faults=(Fault(kind),))) as server, _client(server) as client:
        answer = client.post("/responses", json={"model": "sandbox/scribe", "input": "x", "stream": True})

    assert answer.status_code == (429 if kind == "429" else 200)
    assert "response.completed" not in answer.text
    assert ("response.failed" in answer.text) == kind.endswith("error")
