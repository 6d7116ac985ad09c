"""The HTTP service over real HTTP, by hand and by the official SDKs, with the sandbox behind it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import OpenAI
from openrouter import OpenRouter
from service_driver import ASK, TOKEN, calls, service, until

from assay.api.payloads import chat_completion, dumped
from assay.domain.completion import UNKNOWN_COST, Completion, Usage
from assay.domain.messages import CompletionRequest, Message
from assay.sandbox import Fault
from assay.workbench.session import Session


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[httpx.Client, Session]]:
    """A client with the token, and the runtime."""
    with (
        service(tmp_path) as (url, session),
        httpx.Client(base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30) as client,
    ):
        yield client, session


def test_token_missing_or_wrong_is_401(served: tuple[httpx.Client, Session]) -> None:
    """Nothing but health answers without the token."""
    client, _ = served
    for given in ("", "Bearer wrong", f"Basic {TOKEN}x"):
        answer = client.get("/models", headers={"Authorization": given})

        assert answer.status_code == 401
        assert "ASSAY_API_TOKEN" in answer.json()["error"]["message"]
    assert client.get("/health", headers={"Authorization": ""}).json()["status"] == "ok"


def test_service_without_a_token_is_off(tmp_path: Path) -> None:
    """No token in the settings: no way in, not even with an empty one."""
    with service(tmp_path, token=None) as (url, _):
        assert httpx.get(f"{url}/models", headers={"Authorization": "Bearer x"}).status_code == 403


def test_completion_tells_text_and_exact_cost(served: tuple[httpx.Client, Session]) -> None:
    """Text, tokens and cost as the ledger holds them; the tags are kept."""
    client, session = served
    asked = {"model": "sandbox/scribe", "prompt": "Name three rivers", "params": {"temperature": 0}}
    body = client.post("/completions", json=asked, headers={"X-Assay-Tag": "shop, night"}).json()

    (call,) = calls(session)
    assert body["text"]
    assert body["cost_provenance"] == "billed"
    assert Decimal(body["cost_usd"]) * 10**12 == call.cost_pico
    assert (call.id, call.purpose, json.loads(call.tags_json)) == (body["call_id"], "api", ["shop", "night"])


def test_stream_is_passed_on_as_it_came(served: tuple[httpx.Client, Session]) -> None:
    """Comments, chunks, usage and [DONE] arrive; the same text as without streaming; the call is in the ledger."""
    client, session = served
    plain = client.post("/v1/chat/completions", json=ASK).json()
    raw = client.post("/v1/chat/completions", json=ASK | {"stream": True})
    asked = {"model": ASK["model"], "prompt": "Name three rivers"}
    own = client.post("/completions/stream", json=asked)

    chunks = [json.loads(line[6:]) for line in raw.text.splitlines() if line.startswith("data: {")]
    text = "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"])
    assert raw.headers["content-type"].startswith("text/event-stream")
    assert text == plain["choices"][0]["message"]["content"]
    assert [c["usage"]["cost"] for c in chunks if c.get("usage")]
    for answer in (raw, own):
        assert ": OPENROUTER PROCESSING" in answer.text
        assert answer.text.rstrip().endswith("data: [DONE]")
    assert [call.outcome for call in calls(session)] == ["ok"] * 3


@pytest.mark.parametrize(
    ("path", "asked", "field"),
    [
        ("/completions", {"prompt": "x"}, "model"),
        ("/completions", {"model": "sandbox/swift", "prompt": "x", "temprature": 1}, "temprature"),
        ("/completions", {"model": "sandbox/swift", "prompt": "x", "params": {"temperature": 9}}, "params"),
        ("/v1/chat/completions", {"model": "sandbox/swift", "messages": []}, "messages"),
        ("/v1/chat/completions", {"model": "sandbox/swift", "messages": [{"role": "king"}]}, "messages.0.role"),
    ],
)
def test_bad_request_is_422_with_the_field(
    served: tuple[httpx.Client, Session], path: str, asked: dict[str, Any], field: str
) -> None:
    """The field is named, and nothing was sent or charged."""
    client, session = served
    answer = client.post(path, json=asked)

    assert answer.status_code == 422
    assert field in [f["field"] for f in answer.json()["error"]["metadata"]["fields"]]
    assert calls(session) == []


@pytest.mark.parametrize("stream", [False, True])
def test_upstream_error_keeps_status_and_body(tmp_path: Path, stream: bool) -> None:
    """The gateway's 402 reaches the caller as it was, and the ledger has it."""
    with service(tmp_path, Fault("402_credits")) as (url, session):
        answer = httpx.post(
            f"{url}/v1/chat/completions", json=ASK | {"stream": stream}, headers={"Authorization": f"Bearer {TOKEN}"}
        )

        assert answer.status_code == 402
        assert answer.json()["error"]["code"] == 402
        assert [call.error_kind for call in calls(session)] == ["credits"]


def test_stream_that_breaks_ends_with_an_error(tmp_path: Path) -> None:
    """A truncated stream is told in an event, is not tried again behind the caller's back, and is no success."""
    with service(tmp_path, Fault("truncated")) as (url, session):
        headers = {"Authorization": f"Bearer {TOKEN}"}
        answer = httpx.post(f"{url}/v1/chat/completions", json=ASK | {"stream": True}, headers=headers)

        assert '"error_type": "truncated"' in answer.text
        assert "[DONE]" not in answer.text
        assert [call.outcome for call in calls(session)] == ["failed"]


def test_budget_of_the_month_is_held(tmp_path: Path) -> None:
    """A call that could pass the budget is refused with 402 and is not sent."""
    with service(tmp_path, monthly_budget_usd="0.0000001") as (url, session):
        headers = {"Authorization": f"Bearer {TOKEN}"}
        answer = httpx.post(f"{url}/v1/chat/completions", json=ASK, headers=headers)

        assert answer.status_code == 402
        assert answer.json()["error"]["metadata"]["limit_source"] == "assay_budget"
        assert calls(session) == []


def test_caller_that_hangs_up_stops_the_call(tmp_path: Path) -> None:
    """The call upstream is cancelled and stands in the ledger as such."""
    with service(tmp_path, Fault("stall")) as (url, session):
        headers = {"Authorization": f"Bearer {TOKEN}"}
        with httpx.stream("POST", f"{url}/v1/chat/completions", json=ASK | {"stream": True}, headers=headers) as answer:
            next(answer.iter_bytes())

        assert until(lambda: [call.outcome for call in calls(session)] == ["cancelled"])


def test_openai_sdk_works(tmp_path: Path) -> None:
    """The official OpenAI SDK: models, a completion, a stream with usage."""
    with service(tmp_path) as (url, _), OpenAI(base_url=f"{url}/v1", api_key=TOKEN) as sdk:
        assert "sandbox/scribe" in [model.id for model in sdk.models.list()]
        plain = sdk.chat.completions.create(**ASK)
        chunks = list(sdk.chat.completions.create(**ASK, stream=True))

        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        assert text == plain.choices[0].message.content != ""
        assert plain.usage is not None
        assert [c.usage.completion_tokens for c in chunks if c.usage] == [plain.usage.completion_tokens]


def test_openrouter_sdk_works(tmp_path: Path) -> None:
    """The official OpenRouter SDK: models, a completion, a stream."""
    with service(tmp_path) as (url, _), OpenRouter(api_key=TOKEN, server_url=f"{url}/v1") as sdk:
        plain = sdk.chat.send(**ASK)
        with sdk.chat.send(**ASK, stream=True) as stream:
            text = "".join(c.choices[0].delta.content or "" for c in stream if c.choices)

        assert text == plain.choices[0].message.content != ""
        assert "sandbox/scribe" in [model.id for model in sdk.models.list().result.data]


def test_body_without_a_declared_length_is_limited_too(served: tuple[httpx.Client, Session]) -> None:
    """A request that comes in chunks is refused once it is too large."""
    client, _ = served
    answer = client.post("/completions", content=(b" " * 1024 * 1024 for _ in range(40)))

    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == 413


def test_stranger_is_refused_before_the_body_is_read(served: tuple[httpx.Client, Session]) -> None:
    """Without the token not even a broken body is looked at."""
    client, _ = served
    answer = client.post("/v1/chat/completions", content=b"[", headers={"Authorization": "Bearer wrong"})

    assert answer.status_code == 401


@pytest.mark.parametrize("body", [b"[" * 100_000, json.dumps({**ASK, "provider": 7}).encode()])
def test_absurd_body_is_refused_in_the_gateways_shape(served: tuple[httpx.Client, Session], body: bytes) -> None:
    """A nesting bomb, and routing that is no object, are the caller's error."""
    client, _ = served
    answer = client.post("/v1/chat/completions", content=body)

    assert answer.status_code in (400, 422)
    assert answer.json()["error"]["message"]


def test_stream_that_was_not_asked_for_is_answered_whole() -> None:
    """An answer that came as a stream all the same is put together, not lost."""
    completion = Completion("four", "stop", Usage(raw={"cost": 1}), UNKNOWN_COST, model="a/b", generation_id="gen-1")

    found = json.loads(dumped(chat_completion(completion)))
    assert found["choices"][0]["message"]["content"] == "four"
    assert (found["id"], found["usage"]) == ("gen-1", {"cost": 1})


def test_larger_of_two_limits_bounds_the_call(served: tuple[httpx.Client, Session]) -> None:
    """A small max_tokens beside a large max_completion_tokens does not lower what a budget reserves."""
    _, session = served
    asked = CompletionRequest(
        "sandbox/scribe", (Message("user", "x"),), {"max_tokens": 1, "max_completion_tokens": 900}
    )

    assert session.dispatcher.prices.max_tokens(asked) == 900
