"""Recorded traffic of the real OpenRouter goes through the client layer unchanged."""

from __future__ import annotations

import base64
import gzip
import json
import random
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from assay.openrouter.assembly import StreamAssembly, parse_json, read_body
from assay.openrouter.failures import classify_http
from assay.openrouter.sse import SSEReader

pytestmark = pytest.mark.shared

KINDS = {
    400: {"bad_request", "not_found", "context_length", "moderation", "refusal"},
    403: {"forbidden", "key_limit", "budget", "management_key", "moderation", "guardrail", "refusal"},
    404: {"not_found"},
    429: {"rate_limit_provider", "rate_limit_free_minute", "rate_limit_free_day"},
}


@pytest.fixture(scope="module")
def exchanges(shared_data: Path) -> list[dict[str, Any]]:
    """All recorded exchanges."""
    with gzip.open(shared_data / "openrouter-recorded.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def body_of(exchange: dict[str, Any]) -> bytes:
    """The bytes of the answer."""
    if exchange.get("chunks"):
        return b"".join(base64.b64decode(chunk) for chunk in exchange["chunks"])
    body = exchange["body"]
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


def is_chat(exchange: dict[str, Any]) -> bool:
    """Whether it asked for a chat completion."""
    return "/chat/completions" in exchange["url"]


def streams(exchanges: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], bytes]]:
    """The recorded streams."""
    for exchange in exchanges:
        if is_chat(exchange) and exchange["status"] == 200 and body_of(exchange).lstrip()[:1] in (b":", b"d"):
            yield exchange, body_of(exchange)


def assemble(chunks: list[bytes]) -> StreamAssembly:
    """Reads chunks as they came."""
    reader, assembly = SSEReader(), StreamAssembly()
    for chunk in chunks:
        assembly.add(reader.feed(chunk))
    assembly.add(reader.close())
    return assembly


def test_recorded_answers_parse_and_keep_their_values(exchanges: list[dict[str, Any]]) -> None:
    """Text, usage, cost and finish reason equal the body; an answer with an error inside is a failure."""
    seen = 0
    for exchange in exchanges:
        if not is_chat(exchange) or exchange["status"] != 200:
            continue
        body = body_of(exchange)
        if body.lstrip()[:1] != b"{":
            continue
        raw = parse_json(body)
        completion, failure = read_body(raw)
        if failure is not None:
            assert raw.get("error") or not raw.get("choices") or raw["choices"][0].get("error") or not raw.get("usage")
            continue
        seen += 1
        message = raw["choices"][0]["message"]
        if isinstance(message.get("content"), str):
            assert completion.text == message["content"].replace("\x00", "\ufffd")
        assert completion.finish_reason == raw["choices"][0].get("finish_reason")
        assert len(completion.tool_calls) == len(message.get("tool_calls") or ())
        if raw.get("usage"):
            assert completion.usage is not None
            assert completion.usage.prompt_tokens == raw["usage"]["prompt_tokens"]
            cost = raw["usage"].get("cost")
            assert completion.usage.cost_usd == (None if cost is None else Decimal(cost))
    assert seen > 200


def test_recorded_streams_are_equal_at_every_split(exchanges: list[dict[str, Any]]) -> None:
    """Recorded, whole, random and 1-byte splits give the same completion and verdict."""
    rng = random.Random(1)
    seen = 0
    for exchange, body in streams(exchanges):
        seen += 1
        recorded = [base64.b64decode(c) for c in exchange["chunks"]] if exchange.get("chunks") else [body]
        cuts = sorted(rng.sample(range(len(body)), min(20, len(body) - 1)))
        random_split = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
        splits = [[body], random_split]
        if len(body) < 20_000:
            splits.append([body[i : i + 1] for i in range(len(body))])
        expected = assemble(recorded)
        for split in splits:
            got = assemble(split)
            assert got.completion() == expected.completion()
            assert got.verdict() == expected.verdict()
    assert seen > 200


def test_recorded_complete_streams_raise_no_false_alarm(exchanges: list[dict[str, Any]]) -> None:
    """A stream with [DONE] and no error is a success."""
    for _, body in streams(exchanges):
        assembly = assemble([body])
        if b"[DONE]" in body and b'"error"' not in body:
            assert assembly.verdict() is None


def test_recorded_errors_land_in_their_class(exchanges: list[dict[str, Any]]) -> None:
    """Every recorded error has a class that fits its status, words and a cure."""
    seen = 0
    for exchange in exchanges:
        if exchange["status"] < 400:
            continue
        seen += 1
        failure = classify_http(exchange["status"], exchange.get("headers") or {}, body_of(exchange))
        assert failure.kind in KINDS[exchange["status"]], exchange["body"]
        assert failure.message
        assert failure.cure
        assert "user_" not in str(failure)
    assert seen > 100
