"""Programs written after the seed's own examples, unchanged but for the URL and the token, against a served sandbox."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import HTTPException
from openai import OpenAI
from pydantic import BaseModel, Field
from service_driver import AUTH, TOKEN, calls, sandbox_seen, service

from assay.sandbox import Fault

MODEL = "sandbox/scribe"


class SeedMessage(BaseModel):
    """The seed's Message."""

    role: str = Field(..., pattern="^(system|user|assistant)$")
    content: str


class SeedRequest(BaseModel):
    """The seed's CompletionRequest: every field is sent, whether it was set or not."""

    model: str
    messages: list[SeedMessage]
    temperature: float | None = 0.7
    max_tokens: int | None = 1000
    stream: bool | None = False
    top_p: float | None = 1.0
    frequency_penalty: float | None = 0
    presence_penalty: float | None = 0


class SeedService:
    """The seed's OpenRouterService, with the service's base URL and paths in place of the gateway's."""

    def __init__(self, base_url: str, paths: tuple[str, str, str]) -> None:
        self.base_url = base_url
        self.models, self.complete, self.stream = paths
        self.client = httpx.AsyncClient(headers={**AUTH, "Content-Type": "application/json"})

    async def list_models(self) -> dict[str, Any]:
        """All models."""
        response = await self.client.get(f"{self.base_url}{self.models}")
        found: dict[str, Any] = response.json()
        return found

    async def create_completion(self, request: SeedRequest) -> dict[str, Any]:
        """One completion."""
        try:
            response = await self.client.post(f"{self.base_url}{self.complete}", json=request.model_dump())
            response.raise_for_status()
            found: dict[str, Any] = response.json()
            return found
        except httpx.HTTPStatusError as e:
            raise HTTPException(status_code=e.response.status_code, detail=str(e)) from e

    async def create_streaming_completion(self, request: SeedRequest) -> list[str]:
        """A stream, line by line."""
        request.stream = True
        lines = []
        async with self.client.stream("POST", f"{self.base_url}{self.stream}", json=request.model_dump()) as response:
            async for line in response.aiter_lines():
                if line.startswith("data: "):
                    lines.append(line[6:])
        return lines


OWN = ("/models", "/completions", "/completions/stream")
GATEWAYS = ("/v1/models", "/v1/chat/completions", "/v1/chat/completions")


@pytest.mark.parametrize("paths", [OWN, GATEWAYS])
def test_seed_service_works_unchanged(tmp_path: Path, paths: tuple[str, str, str]) -> None:
    """Models with prices, a chat.completion with usage, a stream that ends with [DONE]: on both sets of paths."""

    async def use(url: str) -> tuple[Any, Any, list[str]]:
        openrouter = SeedService(url, paths)
        async with openrouter.client:
            asked = SeedRequest(model=MODEL, messages=[SeedMessage(role="user", content="Name three rivers")])
            return (
                await openrouter.list_models(),
                await openrouter.create_completion(asked),
                await openrouter.create_streaming_completion(asked),
            )

    with service(tmp_path) as (url, session):
        models, whole, lines = asyncio.run(use(url))

        listed = {model["id"]: model for model in models["data"]}
        assert float(listed[MODEL]["pricing"]["prompt"]) > 0
        assert listed[MODEL]["context_length"]
        assert "is_moderated" in listed[MODEL]["top_provider"]
        assert whole["object"] == "chat.completion"
        usage = whole["usage"]
        assert usage["prompt_tokens"] + usage["completion_tokens"] == usage["total_tokens"]
        assert lines[-1] == "[DONE]"
        chunks = [json.loads(line) for line in lines[:-1]]
        text = "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"])
        assert text == whole["choices"][0]["message"]["content"] != ""
        assert [call.outcome for call in calls(session)] == ["ok", "ok"]


def test_seed_cost_tracker_agrees_with_the_ledger(tmp_path: Path) -> None:
    """What the seed's CostTracker computes from usage and pricing is what the service says it cost."""
    with service(tmp_path) as (url, _), httpx.Client(base_url=url, headers=AUTH) as client:
        prices = {
            m["id"]: {k: float(m["pricing"][k]) for k in ("prompt", "completion")}
            for m in client.get("/models").json()["data"]
        }
        response = client.post("/completions", json={"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]})
        usage = response.json().get("usage", {})
        prompt_cost = usage.get("prompt_tokens", 0) * prices[MODEL].get("prompt", 0)
        completion_cost = usage.get("completion_tokens", 0) * prices[MODEL].get("completion", 0)

        assert prompt_cost + completion_cost == pytest.approx(float(response.json()["cost_usd"]))


def test_seed_error_handler_reads_status_and_words(tmp_path: Path) -> None:
    """The seed's handle_openrouter_error finds the status, the message and Retry-After."""
    with service(tmp_path, Fault("429", retry_after_s=300)) as (url, _):
        response = httpx.post(
            f"{url}/completions", headers=AUTH, json={"model": MODEL, "messages": [{"role": "user", "content": "x"}]}
        )

        assert response.status_code == 429
        assert response.json().get("error", {}).get("message", "Unknown error") != "Unknown error"
        assert response.headers.get("retry-after", "60") == "300"


def test_seed_openai_example_works_unchanged(tmp_path: Path) -> None:
    """The seed's SDK example, but for its base URL, key and model."""
    with service(tmp_path) as (url, _):
        client = OpenAI(base_url=f"{url}/v1", api_key=TOKEN)
        completion = client.chat.completions.create(
            model=MODEL,
            messages=[
                {"role": "system", "content": "You are a helpful assistant."},
                {"role": "user", "content": "Write a haiku about programming"},
            ],
            temperature=0.7,
            max_tokens=100,
        )

        assert completion.choices[0].message.content
        client.close()


@pytest.mark.parametrize(
    ("old", "noted"),
    [
        ({"route": "fallback"}, "route"),
        ({"candidate_count": 1}, "candidate_count"),
        ({"provider": {"moderation": False}}, "moderation"),
    ],
)
def test_old_words_get_a_note(tmp_path: Path, old: dict[str, Any], noted: str) -> None:
    """They are answered with a note in the body and in a header, streams included, and never reach the gateway."""
    asked = {"model": MODEL, "messages": [{"role": "user", "content": "x"}], **old}
    with service(tmp_path) as (url, _):
        own = httpx.post(f"{url}/completions", headers=AUTH, json=asked)
        others = [
            httpx.post(f"{url}/v1/chat/completions", headers=AUTH, json=asked),
            httpx.post(f"{url}/completions/stream", headers=AUTH, json=asked),
        ]

    assert noted in own.json()["x_assay_notes"][0]
    assert all(answer.status_code == 200 and noted in answer.headers["x-assay-notes"] for answer in [own, *others])


@pytest.mark.parametrize("said", ["true", "TRUE", "1", "yes", "True", "maybe"])
def test_zero_data_retention_header_reaches_the_gateway(tmp_path: Path, said: str) -> None:
    """Whatever is not an express no asks for zero data retention, beside and against the body."""
    asked = {"model": MODEL, "messages": [{"role": "user", "content": "x"}], "provider": {"zdr": False}}
    for path in ("/completions", "/v1/chat/completions", "/completions/stream"):
        with sandbox_seen(tmp_path / path.replace("/", "_")) as (url, seen):
            httpx.post(f"{url}{path}", headers={**AUTH, "X-Zero-Data-Retention": said}, json=asked)

            assert [body["provider"] for body in seen()] == [{"zdr": True}]


@pytest.mark.parametrize("said", ["false", "0", "no", "", "off"])
def test_zero_data_retention_header_that_says_no_changes_nothing(tmp_path: Path, said: str) -> None:
    """An express no is no wish, and does not undo the body's."""
    for routing in ({}, {"zdr": True}):
        asked = {"model": MODEL, "messages": [{"role": "user", "content": "x"}], "provider": routing}
        with sandbox_seen(tmp_path / str(len(routing))) as (url, seen):
            httpx.post(f"{url}/completions", headers={**AUTH, "X-Zero-Data-Retention": said}, json=asked)

            assert [body.get("provider", {}) for body in seen()] == [routing]


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [({"temprature": 1}, "temperature"), ({"provider": {"zdrr": True}}, "zdr"), ({"zdr": True}, "provider.zdr")],
)
def test_unknown_name_is_refused_with_the_nearest(tmp_path: Path, wrong: dict[str, Any], nearest: str) -> None:
    """A mistyped field protects nothing: 422 with the name that was meant, and nothing is sent; unless allowed."""
    asked = {"model": MODEL, "messages": [{"role": "user", "content": "x"}], **wrong}
    with service(tmp_path) as (url, session):
        for path in ("/completions", "/completions/stream", "/v1/chat/completions"):
            answer = httpx.post(f"{url}{path}", headers=AUTH, json=asked)
            assert answer.status_code == 422
            assert nearest in answer.json()["error"]["message"]
        assert calls(session) == []
        by_body = httpx.post(f"{url}/completions", headers=AUTH, json={**asked, "allow_unknown": True})
        by_header = httpx.post(f"{url}/completions", headers={**AUTH, "X-Assay-Allow-Unknown": "1"}, json=asked)

    assert [by_body.status_code, by_header.status_code] == [200, 200]
