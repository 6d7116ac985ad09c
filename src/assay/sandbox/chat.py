"""POST /chat/completions, plain and streamed (wire reference 3-5)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from assay.sandbox.billing import Books
from assay.sandbox.config import Fault, SandboxConfig
from assay.sandbox.faults import IN_BODY, error, fault_response
from assay.sandbox.replies import Reply, completion_body, composed, metadata

PIECE_S = 0.03
"""A stream sends what has accrued every 30 ms."""


class ConnectionCut(Exception):
    """Makes the server cut the connection without an ending."""


async def chat(request: Request, config: SandboxConfig, books: Books) -> Response:
    """Answers a completion request."""
    try:
        body = json.loads(await request.body())
    except ValueError:
        return error(400, "The body is not valid JSON")
    if not isinstance(body, dict) or not isinstance(body.get("messages"), list) or not body["messages"]:
        return error(400, "Input required: specify messages", {"error_type": "invalid_request"})
    books.requests.append(body)
    reply = composed(body, config, books)
    if isinstance(reply, Response):
        return reply
    persona, fault = reply.persona, reply.fault
    if fault is not None and fault.kind not in IN_BODY:
        return fault_response(fault, persona)
    if fault is not None and fault.kind == "reset":
        raise ConnectionCut
    if books.spend + reply.bill.cost > config.credits_usd:
        return fault_response(Fault("402_credits"), persona)
    if request.headers.get("x-openrouter-metadata", "").lower() == "enabled":
        reply.metadata = metadata(reply)
    headers = {"X-Generation-Id": reply.id}
    if body.get("stream") is True:
        stream = _stream(reply, config, books)
        return StreamingResponse(stream, media_type="text/event-stream", headers=headers)
    return await _plain(reply, config, books, headers)


async def _plain(reply: Reply, config: SandboxConfig, books: Books, headers: Mapping[str, str]) -> Response:
    kind = reply.fault.kind if reply.fault else ""
    await asyncio.sleep(total_s(reply, config))
    if kind == "stall":
        await asyncio.sleep(3600)
    if kind in ("error_in_200", "first_event_error", "mid_stream_error"):
        return JSONResponse({"id": reply.id, **_provider_error(reply), "user_id": "user_sandbox1"}, headers=headers)
    if kind in ("truncated", "malformed_chunk"):
        return Response('{"id": "gen-1", "choices": [{"mess', media_type="application/json", headers=headers)
    books.record(
        reply.id, reply.bill, fingerprint=reply.fingerprint, cancelled=False, streamed=False, failed=reply.failed
    )
    body = completion_body(reply)
    message = body["choices"][0]["message"]
    if kind == "giant":
        message["content"] = "x" * (9 * 1024 * 1024)
    if kind == "empty_choices":
        body["choices"] = []
    if kind == "fabricated":
        message["content"], message["reasoning"] = None, None
        body["choices"][0]["native_finish_reason"] = "network_error"
    if kind in ("no_usage", "fabricated"):
        del body["usage"]
    if reply.metadata:
        body["openrouter_metadata"] = reply.metadata
    return JSONResponse(body, headers=dict(headers))


def total_s(reply: Reply, config: SandboxConfig) -> float:
    """Seconds that a plain answer takes."""
    if config.fixed_latency_ms is not None:
        return config.fixed_latency_ms / 1000
    return _first_s(reply, config) + _per_token_s(reply, config) * reply.bill.completion_tokens


def _first_s(reply: Reply, config: SandboxConfig) -> float:
    spread = 0.8 + (int(reply.fingerprint[:4], 16) / 65536) * 0.6
    return reply.persona.first_token_s * spread * config.speed


def _per_token_s(reply: Reply, config: SandboxConfig) -> float:
    return config.speed / (reply.persona.tokens_per_s * reply.endpoint.throughput)


def _provider_error(reply: Reply) -> dict[str, Any]:
    return {
        "error": {
            "code": 502,
            "message": "Upstream idle timeout exceeded",
            "metadata": {"error_type": "provider_unavailable", "provider_name": reply.endpoint.provider},
        }
    }


def _chunk(reply: Reply, delta: Mapping[str, Any], finish: str | None = None, **more: Any) -> bytes:
    choice = {
        "index": 0,
        "delta": {"role": "assistant", "content": "", **delta},
        "finish_reason": finish,
        "native_finish_reason": "error" if finish == "error" else "completed" if finish else None,
    }
    chunk = {**reply.head("chat.completion.chunk"), "choices": [choice], **more}
    return f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n".encode()


async def _stream(reply: Reply, config: SandboxConfig, books: Books) -> AsyncIterator[bytes]:
    kind = reply.fault.kind if reply.fault else ""
    sent = 0
    finished = False
    total = len(reply.reasoning) + len(reply.text)
    try:
        yield b": OPENROUTER PROCESSING\n\n"
        await asyncio.sleep(total_s(reply, config) if config.fixed_latency_ms is not None else _first_s(reply, config))
        if kind == "stall":
            await asyncio.sleep(3600)
        if kind in ("error_in_200", "first_event_error"):
            yield _chunk(reply, {}, "error", **_provider_error(reply))
            finished = True
            return
        if kind == "giant":
            for _ in range(40):
                yield _chunk(reply, {"content": "x" * 256 * 1024})
        if kind == "empty_choices":
            finished = True
            _book_whole(reply, books)
            yield _chunk(reply, {}, choices=[], usage=reply.bill.usage())
            yield b"data: [DONE]\n\n"
            return
        broken = {
            "truncated": total // 2,
            "mid_stream_error": total // 2,
            "malformed_chunk": total // 2,
            "fabricated": 0,
        }.get(kind)
        async for name, text, sent in pieces(reply, config, broken):  # noqa: B007 - what was sent is billed in `finally`
            yield _chunk(reply, _delta(name, text))
        if kind == "truncated":
            return
        if kind == "malformed_chunk":
            yield b'data: {"id": "gen-1", "choices": [{"del\n\n'
        if kind == "mid_stream_error":
            yield _chunk(reply, {}, "error", **_provider_error(reply))
            finished = True
            return
        finished = True
        _book_whole(reply, books)
        yield _chunk(reply, {}, reply.finish)
        more: dict[str, Any] = {} if kind in ("no_usage", "fabricated") else {"usage": reply.bill.usage()}
        if reply.metadata:
            more["openrouter_metadata"] = reply.metadata
        yield _chunk(reply, {}, reply.finish, service_tier=reply.endpoint.service_tier, **more)
        yield b"data: [DONE]\n\n"
    finally:
        if not finished and sent:
            _book_partial(reply, books, sent)


def _book_whole(reply: Reply, books: Books) -> None:
    """A stream that came to its end is paid in full."""
    books.record(
        reply.id, reply.bill, fingerprint=reply.fingerprint, cancelled=False, streamed=True, failed=reply.failed
    )


def _book_partial(reply: Reply, books: Books, sent: int) -> None:
    """A client that hangs up pays what was produced, or everything where the provider cannot stop (reference 5.5)."""
    if reply.endpoint.cancels:
        reply.bill.completion_tokens = sent
        reply.bill.reasoning_tokens = min(sent, reply.bill.reasoning_tokens)
    books.record(
        reply.id, reply.bill, fingerprint=reply.fingerprint, cancelled=True, streamed=True, failed=reply.failed
    )


async def pieces(reply: Reply, config: SandboxConfig, broken: int | None) -> AsyncIterator[tuple[str, str, int]]:
    """(reasoning or content, text, tokens sent so far): whatever has accrued since the last piece."""
    per_token = 0.0 if config.fixed_latency_ms is not None else _per_token_s(reply, config)
    size = max(1, round(PIECE_S / per_token)) if per_token > 0 else 24
    sent = 0
    for name, parts in (("reasoning", reply.reasoning), ("content", reply.text)):
        for start in range(0, len(parts), size):
            piece = parts[start : start + size]
            if broken is not None and sent + len(piece) > broken:
                return
            if per_token > 0:
                await asyncio.sleep(per_token * len(piece))
            sent += len(piece)
            yield name, "".join(piece), sent


def _delta(name: str, text: str) -> dict[str, Any]:
    """The delta of a chunk."""
    if name == "content":
        return {name: text}
    return {
        name: text,
        "reasoning_details": [{"type": "reasoning.text", "text": text, "format": "unknown", "index": 0}],
    }
