"""The OpenAI-compatible side by the official SDKs: one model, responses, embeddings; in the ledger and the budget."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI
from openrouter import OpenRouter
from pydantic import SecretStr
from service_driver import ASK, AUTH, TOKEN, calls, gateway_service, sandbox_seen, service

from assay.config import Gateway

MODEL = "sandbox/scribe"


def test_one_model_by_its_id(tmp_path: Path) -> None:
    """Ids with slashes, escaped or not, and with variants; an unknown one is 404 in words."""
    with service(tmp_path) as (url, _), OpenAI(base_url=f"{url}/v1", api_key=TOKEN) as sdk:
        assert sdk.models.retrieve(MODEL).id == MODEL
        with pytest.raises(openai.NotFoundError, match="no model"):
            sdk.models.retrieve("sandbox/nobody")
        for path in (f"/v1/models/{MODEL}", "/v1/models/sandbox%2Fscribe", f"/v1/models/{MODEL}:floor"):
            assert httpx.get(f"{url}{path}", headers=AUTH).json()["id"] == MODEL
        assert httpx.get(f"{url}/v1/models/count", headers=AUTH).json()["data"]["count"] > 5
        listed = httpx.get(f"{url}/v1/models/{MODEL}/endpoints", headers=AUTH).json()
        assert listed["data"]["endpoints"][0]["provider_name"]


def test_one_model_by_the_openrouter_sdk(tmp_path: Path) -> None:
    """The official OpenRouter SDK reads it, and counts the models."""
    with service(tmp_path) as (url, _), OpenRouter(api_key=TOKEN, server_url=f"{url}/v1") as sdk:
        assert sdk.models.get(author="sandbox", slug="scribe").data.id == MODEL
        assert sdk.models.count().data.count > 5


def test_responses_by_the_openai_sdk(tmp_path: Path) -> None:
    """Plain and streamed give the same text and usage; both calls are in the ledger, billed."""
    with service(tmp_path) as (url, session), OpenAI(base_url=f"{url}/v1", api_key=TOKEN) as sdk:
        plain = sdk.responses.create(model=MODEL, input="Name three rivers", instructions="Be brief.")
        events = list(
            sdk.responses.create(model=MODEL, input="Name three rivers", instructions="Be brief.", stream=True)
        )
        ended = events[-1]

        assert plain.status == "completed"
        assert plain.output_text
        assert [events[0].type, ended.type] == ["response.created", "response.completed"]
        assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == plain.output_text
        assert ended.type == "response.completed"
        assert ended.response.output_text == plain.output_text
        assert plain.usage is not None
        assert ended.response.usage is not None
        assert ended.response.usage.total_tokens == plain.usage.total_tokens > 0
        assert [event.sequence_number for event in events] == list(range(len(events)))
        assert [(call.outcome, call.purpose, call.provenance) for call in calls(session)] == [
            ("ok", "api", "billed")
        ] * 2


def test_responses_by_the_openrouter_sdk(tmp_path: Path) -> None:
    """The official OpenRouter SDK reads a response and its stream."""
    with service(tmp_path) as (url, _), OpenRouter(api_key=TOKEN, server_url=f"{url}/v1") as sdk:
        plain = sdk.responses.send(model=MODEL, input="Name three rivers")
        stream = sdk.responses.send(model=MODEL, input="Name three rivers", stream=True)
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")

        assert text == plain.output[0].content[0].text != ""


def test_items_of_responses_become_messages(tmp_path: Path) -> None:
    """Conversations, images, functions and their results, shapes and limits arrive as the gateway knows them."""
    asked = {
        "model": MODEL,
        "instructions": "S",
        "max_output_tokens": 50,
        "temperature": 0.5,
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "a"},
                    {"type": "input_image", "image_url": "data:image/png;base64,AA=="},
                ],
            },
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "b"}]},
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "42"},
            {"type": "reasoning", "summary": []},
            {"role": "user", "content": "d"},
        ],
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}],
        "tool_choice": {"type": "function", "name": "f"},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}},
        "reasoning": {"effort": "low", "summary": "auto"},
    }
    with sandbox_seen(tmp_path) as (url, seen):
        assert httpx.post(f"{url}/v1/responses", headers=AUTH, json=asked).status_code == 200
        (body,) = seen()

    function = {"name": "f", "arguments": "{}"}
    assert [message["role"] for message in body["messages"]] == ["system", "user", "assistant", "tool", "user"]
    assert body["messages"][1]["content"][1] == {
        "type": "image_url",
        "image_url": {"url": "data:image/png;base64,AA=="},
    }
    assert body["messages"][2]["tool_calls"] == [{"id": "c1", "type": "function", "function": function}]
    assert body["messages"][3] == {"role": "tool", "content": "42", "tool_call_id": "c1"}
    assert body["tools"] == [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    assert body["tool_choice"] == {"type": "function", "function": {"name": "f"}}
    assert body["response_format"]["json_schema"]["name"] == "n"
    assert (body["max_tokens"], body["reasoning"]) == (50, {"effort": "low"})


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"previous_response_id": "r"}, "previous_response_id"),
        ({"store": True}, "store"),
        ({"input": []}, "input"),
        ({"tools": [{"type": "web_search"}]}, "web_search"),
        ({"input": [{"type": "computer_call"}]}, "computer_call"),
        ({"input": [{"role": "king", "content": "x"}]}, "king"),
        ({"temprature": 1}, "temperature"),
        ({"input": [{"role": "user", "content": [{"type": "input_video"}]}]}, "input_video"),
    ],
)
def test_response_that_cannot_be_kept_to_is_refused(tmp_path: Path, wrong: dict[str, Any], word: str) -> None:
    """What is not kept, or has no place in a conversation, is 4xx with its name; nothing is sent."""
    with service(tmp_path) as (url, session):
        answer = httpx.post(f"{url}/v1/responses", headers=AUTH, json={"model": MODEL, "input": "x", **wrong})

        assert answer.status_code in (400, 422)
        assert word in answer.json()["error"]["message"]
        assert calls(session) == []


def test_cut_response_is_incomplete(tmp_path: Path) -> None:
    """An answer that met its limit says so in both forms."""
    asked = {"model": MODEL, "input": "Write a long story", "max_output_tokens": 3}
    with service(tmp_path) as (url, _):
        plain = httpx.post(f"{url}/v1/responses", headers=AUTH, json=asked).json()
        streamed = httpx.post(f"{url}/v1/responses", headers=AUTH, json={**asked, "stream": True}).text

    assert (plain["status"], plain["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert "event: response.incomplete" in streamed


@contextmanager
def embedding_gateway() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The base URL of a gateway that embeds, and the bodies that it got."""
    seen: list[dict[str, Any]] = []
    row = {
        "id": "t/embed",
        "name": "Embed",
        "context_length": 8192,
        "pricing": {"prompt": "0.0000001", "completion": "0"},
        "architecture": {"input_modalities": ["text"], "output_modalities": ["embeddings"]},
    }

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Says nothing."""

        def reply(self, value: Any) -> None:
            body = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            self.reply({"data": [row] if self.path.split("?")[0].endswith("/models") else {"endpoints": []}})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append(body)
            texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
            rows = [{"object": "embedding", "index": n, "embedding": [0.5, -0.25]} for n, _ in enumerate(texts)]
            usage = {"prompt_tokens": 7, "total_tokens": 7, "cost": 0.0000007}
            self.reply({"id": "gen-emb-1", "object": "list", "model": "t/embed", "data": rows, "usage": usage})

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/api/v1", seen
    finally:
        server.shutdown()
        server.server_close()


def test_embeddings_by_both_sdks(tmp_path: Path) -> None:
    """Vectors arrive, the cost is in the ledger, routing and parameters reach the gateway."""
    with embedding_gateway() as (base, seen):
        gateway = Gateway("openrouter", base, SecretStr("sk-or-v1-x"))
        with gateway_service(tmp_path, gateway) as (url, session):
            with OpenAI(base_url=f"{url}/v1", api_key=TOKEN) as sdk:
                found = sdk.embeddings.create(model="t/embed", input=["a", "b"], encoding_format="float", dimensions=2)
            with OpenRouter(api_key=TOKEN, server_url=f"{url}/v1") as other:
                again = other.embeddings.generate(model="t/embed", input="a")
            httpx.post(
                f"{url}/v1/embeddings",
                json={"model": "t/embed", "input": [1, 2]},
                headers={**AUTH, "X-Zero-Data-Retention": "1", "X-Assay-Tag": "nightly"},
            )

            assert [row.embedding for row in found.data] == [[0.5, -0.25]] * 2
            assert again.data[0].embedding == [0.5, -0.25]
            assert seen[0] == {"model": "t/embed", "input": ["a", "b"], "encoding_format": "float", "dimensions": 2}
            assert seen[2]["provider"] == {"zdr": True}
            assert [(c.outcome, c.cost_pico, c.provenance) for c in calls(session)] == [("ok", 700_000, "billed")] * 3
            assert json.loads(calls(session)[2].tags_json) == ["nightly"]


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/completions", ASK),
        ("/v1/chat/completions", {**ASK, "stream": True}),
        ("/v1/responses", {"model": MODEL, "input": "x"}),
        ("/v1/embeddings", {"model": MODEL, "input": "x"}),
        ("/v1/chat/completions", {**ASK, "tools": [{"type": "web_search"}]}),
        ("/v1/chat/completions", {**ASK, "plugins": [{"id": "web"}]}),
        ("/v1/chat/completions", {**ASK, "model": "nobody/knows"}),
    ],
)
def test_budget_refuses_before_anything_is_sent(tmp_path: Path, path: str, asked: dict[str, Any]) -> None:
    """A bound that passes the month's budget, or is not known: 402 at once, and the gateway hears nothing."""
    with sandbox_seen(tmp_path, monthly_budget_usd="0.0000001") as (url, seen):
        answer = httpx.post(f"{url}{path}", headers=AUTH, json=asked)

        assert answer.status_code == 402
        assert answer.json()["error"]["metadata"]["limit_source"] == "assay_budget"
        assert seen() == []
