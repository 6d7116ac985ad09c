"""The sandbox's wire shape: catalogue, answers, streams, routing, keys."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import httpx
import openai
import pytest

from assay.sandbox import SandboxConfig, SandboxServer

HELLO = [{"role": "user", "content": "Explain how to plan a product launch."}]


def _ask(client: httpx.Client, model: str = "sandbox/swift", **more: Any) -> httpx.Response:
    return client.post("/chat/completions", json={"model": model, "messages": HELLO, **more})


def _events(text: str) -> list[Any]:
    found = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [event if event == "[DONE]" else json.loads(event, parse_float=Decimal) for event in found]


def _catalogue(client: httpx.Client) -> dict[str, Any]:
    return {row["id"]: row for row in client.get("/models").json()["data"]}


def test_models_differ_and_say_that_they_are_simulated(sandbox: httpx.Client) -> None:
    """The catalogue holds the invented models and the recorded systems."""
    rows = _catalogue(sandbox)

    invented = [row for name, row in rows.items() if name.startswith("sandbox/")]
    assert len(invented) >= 8
    assert len([name for name in rows if name.startswith("recorded/")]) == 4
    assert all("Simulated" in row["description"] for row in invented)
    assert len({row["pricing"]["prompt"] for row in invented}) == len(invented)
    assert any("overrides" in row["pricing"] for row in invented)
    assert any(row["expiration_date"] for row in invented)


def test_models_in_pages_are_the_whole_list(sandbox: httpx.Client) -> None:
    """Following links.next gives every row once."""
    url: str | None = "/models?limit=5"
    found: list[str] = []
    while url:
        body = sandbox.get(url.removeprefix("/api/v1")).json()
        found += [row["id"] for row in body["data"]]
        url = body["links"]["next"]

    assert found == list(_catalogue(sandbox))
    assert sandbox.get("/models/count").json() == {"data": {"count": len(found)}}


def test_model_calls_give_the_row_and_its_endpoints(sandbox: httpx.Client) -> None:
    """One model, its providers, the zero-retention endpoints and the providers' names agree."""
    row = sandbox.get("/model/sandbox/swift").json()["data"]
    endpoints = sandbox.get("/models/sandbox/swift/endpoints").json()["data"]["endpoints"]
    providers = {p["name"] for p in sandbox.get("/providers").json()["data"]}

    assert row["id"] == "sandbox/swift"
    assert {e["provider_name"] for e in endpoints} <= providers
    assert len(endpoints) > 1
    assert sandbox.get("/endpoints/zdr").json()["data"]
    assert sandbox.get("/model/sandbox/none").status_code == 404


def test_plain_answer_has_the_wire_shape_and_an_exact_cost(sandbox: httpx.Client) -> None:
    """Ids, provider, finish reasons and usage; the cost is tokens times the endpoint's prices, exactly."""
    answer = _ask(sandbox)
    body = json.loads(answer.text, parse_float=Decimal)

    usage = body["usage"]
    endpoints = sandbox.get("/models/sandbox/swift/endpoints").json()["data"]["endpoints"]
    price = next(e["pricing"] for e in endpoints if e["provider_name"] == body["provider"])
    assert re.fullmatch(r"gen-\d+-[A-Za-z0-9]{20}", body["id"])
    assert answer.headers["X-Generation-Id"] == body["id"]
    assert body["provider"]
    assert body["choices"][0]["finish_reason"] == "stop"
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["cost"] == (
        usage["prompt_tokens"] * Decimal(price["prompt"]) + usage["completion_tokens"] * Decimal(price["completion"])
    )
    assert usage["cost"] == usage["cost_details"]["upstream_inference_cost"]
    assert "openrouter_metadata" not in body
    assert not [name for name in answer.headers if name.startswith("x-ratelimit")]


def test_stream_is_framed_like_the_reference(sandbox: httpx.Client) -> None:
    """Comment, role in every delta, terminal chunk, usage chunk with the finish reason again, [DONE]."""
    answer = _ask(sandbox, "sandbox/sage", stream=True)
    events = _events(answer.text)
    chunks = events[:-1]

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.startswith(": OPENROUTER PROCESSING\n\n")
    assert events[-1] == "[DONE]"
    assert all(chunk["choices"][0]["delta"]["role"] == "assistant" for chunk in chunks)
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[-3:]] == [None, "stop", "stop"]
    assert [("usage" in chunk) for chunk in chunks[-2:]] == [False, True]
    assert chunks[-1]["usage"]["completion_tokens_details"]["reasoning_tokens"] > 0
    assert chunks[0]["choices"][0]["delta"]["reasoning_details"][0]["type"] == "reasoning.text"


def test_stream_and_plain_answer_are_the_same(sandbox: httpx.Client) -> None:
    """Streaming changes neither text nor cost."""
    plain = _ask(sandbox, "sandbox/scribe", seed=4).json()
    chunks = _events(_ask(sandbox, "sandbox/scribe", seed=4, stream=True).text)[:-1]

    assert "".join(c["choices"][0]["delta"]["content"] for c in chunks) == plain["choices"][0]["message"]["content"]
    assert float(chunks[-1]["usage"]["cost"]) == plain["usage"]["cost"]


def test_long_prompt_is_billed_at_the_override_price(sandbox: httpx.Client) -> None:
    """Past the threshold the long-context price holds."""
    long = [{"role": "user", "content": "word " * 210_000}]
    body = sandbox.post("/chat/completions", json={"model": "sandbox/atlas-large", "messages": long, "max_tokens": 1})
    usage = json.loads(body.text, parse_float=Decimal)["usage"]

    override = _catalogue(sandbox)["sandbox/atlas-large"]["pricing"]["overrides"][0]
    assert usage["prompt_tokens"] > override["min_prompt_tokens"]
    assert usage["cost"] == (
        usage["prompt_tokens"] * Decimal(override["prompt"])
        + usage["completion_tokens"] * Decimal(override["completion"])
    )


def test_max_tokens_cuts_the_answer(sandbox: httpx.Client) -> None:
    """The limit is obeyed and said."""
    body = _ask(sandbox, "sandbox/scribe", max_tokens=5).json()

    assert body["usage"]["completion_tokens"] == 5
    assert body["choices"][0]["finish_reason"] == "length"


def test_stop_sequence_ends_the_answer(sandbox: httpx.Client) -> None:
    """The text ends before the stop sequence."""
    whole = _ask(sandbox).json()["choices"][0]["message"]["content"]
    body = _ask(sandbox, stop=["depends"]).json()

    assert body["choices"][0]["message"]["content"] == whole.partition("depends")[0]


def test_metadata_comes_on_request(sandbox: httpx.Client) -> None:
    """The opt-in header adds the attempts."""
    headers = {"X-OpenRouter-Metadata": "Enabled"}
    body = sandbox.post("/chat/completions", json={"model": "sandbox/swift", "messages": HELLO}, headers=headers).json()

    assert body["openrouter_metadata"]["attempts"][0]["provider"] == body["provider"]


@pytest.mark.parametrize(
    ("routing", "provider"),
    [
        ({"only": ["southgate"]}, "Southgate"),
        ({"ignore": ["eastbay"]}, "Southgate"),
        ({"order": ["southgate"]}, "Southgate"),
        ({"zdr": True}, "Eastbay"),
        ({"data_collection": "deny"}, "Eastbay"),
        ({"quantizations": ["int8"]}, "Southgate"),
        ({"sort": "price"}, "Southgate"),
        ({"sort": "throughput"}, "Eastbay"),
    ],
)
def test_routing_decides_the_provider(sandbox: httpx.Client, routing: dict[str, Any], provider: str) -> None:
    """Each provider preference leads to the provider that meets it."""
    assert _ask(sandbox, provider=routing).json()["provider"] == provider


@pytest.mark.parametrize(
    "routing",
    [
        {"only": ["nobody"]},
        {"ignore": ["eastbay", "southgate"]},
        {"quantizations": ["fp4"]},
        {"max_price": {"prompt": "0.0001"}},
        {"order": ["nobody"], "allow_fallbacks": False},
    ],
)
def test_routing_that_leaves_nobody_is_404(sandbox: httpx.Client, routing: dict[str, Any]) -> None:
    """Filters are hard: nothing left is an error."""
    assert _ask(sandbox, provider=routing).status_code == 404


@pytest.mark.parametrize(("variant", "provider"), [(":floor", "Southgate"), (":nitro", "Eastbay")])
def test_variant_sorts_the_providers(sandbox: httpx.Client, variant: str, provider: str) -> None:
    """:floor takes the cheapest, :nitro the fastest."""
    assert _ask(sandbox, f"sandbox/swift{variant}").json()["provider"] == provider


def test_unknown_model_is_refused_and_models_fall_back(sandbox: httpx.Client) -> None:
    """An unknown id is a 400; the next of `models` takes over."""
    refused = _ask(sandbox, "acme/none-1")
    body = _ask(sandbox, "acme/none-1", models=["sandbox/swift"]).json()

    assert refused.status_code == 400
    assert refused.json()["error"]["message"] == "acme/none-1 is not a valid model ID"
    assert body["model"].startswith("sandbox/swift")


@pytest.mark.parametrize("content", [b"{", b"[]", b"{}", b'{"model": "sandbox/swift", "messages": []}'])
def test_body_that_is_no_request_is_400(sandbox: httpx.Client, content: bytes) -> None:
    """Nonsense is refused in the usual envelope."""
    answer = sandbox.post("/chat/completions", content=content)

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == 400


def test_key_missing_or_wrong_is_401() -> None:
    """Only the configured keys pass, and management calls want a management key."""
    config = SandboxConfig(speed=0, keys=frozenset({"sk-good", "sk-mgmt-1"}))
    with SandboxServer(config) as server, httpx.Client(base_url=server.base_url) as client:

        def status(path: str, key: str = "") -> int:
            return client.get(path, headers={"Authorization": f"Bearer {key}"} if key else {}).status_code

        assert [status("/key"), status("/key", "sk-bad"), status("/key", "sk-good")] == [401, 401, 200]
        assert [status("/credits", "sk-good"), status("/credits", "sk-mgmt-1")] == [403, 200]
        assert [status("/activity", "sk-good"), status("/activity", "sk-mgmt-1")] == [403, 200]
        assert status("/models") == 200


def test_openai_sdk_reads_answers_and_streams(sandbox: httpx.Client) -> None:
    """The official SDK works against the sandbox, plain and streamed."""
    with openai.OpenAI(base_url=str(sandbox.base_url), api_key="sandbox", max_retries=0) as client:
        message: Any = {"role": "user", "content": HELLO[0]["content"]}
        plain = client.chat.completions.create(model="sandbox/swift", messages=[message])
        with client.chat.completions.create(model="sandbox/swift", messages=[message], stream=True) as stream:
            pieces = [chunk.choices[0].delta.content or "" for chunk in stream]

    assert "".join(pieces) == plain.choices[0].message.content
    assert plain.usage is not None
