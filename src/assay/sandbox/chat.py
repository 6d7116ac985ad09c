"""POST /chat/completions, plain and streamed (wire reference 3-5)."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from assay.sandbox.answers import answer, text_of, tokens
from assay.sandbox.billing import Bill, Books
from assay.sandbox.catalogue import BY_ID, Endpoint, Persona, slug
from assay.sandbox.config import Fault, SandboxConfig
from assay.sandbox.faults import IN_BODY, chosen_fault, error, fault_response
from assay.sandbox.routing import resolve

DEFAULT_MAX = 4_000
PIECE_S = 0.03
"""A stream sends what has accrued every 30 ms."""


class ConnectionCut(Exception):
    """Makes the server cut the connection without an ending."""


@dataclass(slots=True)
class Reply:
    """An answer ready to be sent."""

    id: str
    persona: Persona
    endpoint: Endpoint
    text: list[str]
    reasoning: list[str]
    finish: str
    bill: Bill
    fingerprint: str
    fault: Fault | None
    metadata: dict[str, Any] | None

    def head(self, kind: str) -> dict[str, Any]:
        """The fields that body and chunks share."""
        return {
            "id": self.id, "object": kind, "created": int(time.time()), "model": slug(self.persona),
            "provider": self.endpoint.provider,
        }  # fmt: skip


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
        reply.metadata = _metadata(reply)
    headers = {"X-Generation-Id": reply.id}
    if body.get("stream") is True:
        stream = _stream(reply, config, books)
        return StreamingResponse(stream, media_type="text/event-stream", headers=headers)
    return await _plain(reply, config, books, headers)


def composed(body: Mapping[str, Any], config: SandboxConfig, books: Books) -> Reply | Response:
    """The answer to a request with the fault that it is to meet, or the refusal of its model or routing."""
    found = resolve(body)
    if isinstance(found, Response):
        return found
    persona, endpoint = found
    if persona.is_free and (wait := books.free_wait_s()) > 0:
        return _free_limit(config, wait)
    fingerprint = _fingerprint(body)
    books.calls[persona.id] += 1
    books.calls[fingerprint] += 1
    fault = chosen_fault(
        config, persona, call_number=books.calls[persona.id] - 1, attempt=books.calls[fingerprint], key=fingerprint
    )
    return _compose(body, persona, endpoint, books.new_id(), fingerprint, fault)


def completion_body(reply: Reply) -> dict[str, Any]:
    """The body of a plain answer."""
    message: dict[str, Any] = {"role": "assistant", "content": "".join(reply.text), "refusal": None,
                               "reasoning": "".join(reply.reasoning) or None}  # fmt: skip
    return {
        **reply.head("chat.completion"), "system_fingerprint": None, "service_tier": reply.endpoint.service_tier,
        "choices": [{"index": 0, "logprobs": None, "finish_reason": reply.finish, "native_finish_reason": "completed",
                     "message": message}],
        "usage": reply.bill.usage(),
    }  # fmt: skip


def _fingerprint(body: Mapping[str, Any]) -> str:
    text = json.dumps({k: v for k, v in body.items() if k != "stream"}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def _free_limit(config: SandboxConfig, wait: float) -> Response:
    reset = str(int((config.clock() + wait) * 1000))
    headers = {"X-RateLimit-Limit": str(config.free_per_minute), "X-RateLimit-Remaining": "0",
               "X-RateLimit-Reset": reset}  # fmt: skip
    metadata = {"headers": headers, "limit_source": "openrouter_free_tier_per_minute", "provider_name": None,
                "error_type": "rate_limit_exceeded"}  # fmt: skip
    return error(429, "Rate limit exceeded: free-models-per-min. ", metadata, **headers)


def _compose(
    body: Mapping[str, Any], persona: Persona, endpoint: Endpoint, generation_id: str, fingerprint: str,
    fault: Fault | None,
) -> Reply:  # fmt: skip
    said = answer(persona, body)
    wanted = body.get("max_tokens") or body.get("max_completion_tokens") or DEFAULT_MAX
    limit = min(int(wanted) if isinstance(wanted, int | float) else DEFAULT_MAX, persona.max_completion)
    thought, text, finish = tokens(said.reasoning), tokens(said.text), "stop"
    if fault is not None and fault.kind == "reasoning_ate_budget":
        thought, text, finish = (tokens("Let me think. ") * limit)[:limit], [], "length"
    if len(thought) + len(text) > limit:
        thought, text, finish = thought[:limit], text[: max(0, limit - len(thought))], "length"
    text = _stopped(text, body.get("stop"))
    prompt = sum(len(tokens(text_of(m.get("content")))) + 4 for m in body["messages"] if isinstance(m, dict))
    bill = Bill(persona, endpoint, prompt, len(thought) + len(text), len(thought))
    return Reply(generation_id, persona, endpoint, text, thought, finish, bill, fingerprint, fault, None)


def _stopped(text: list[str], stop: object) -> list[str]:
    ends = [stop] if isinstance(stop, str) else stop if isinstance(stop, list) else []
    whole = "".join(text)
    cut = min((whole.find(end) for end in ends if isinstance(end, str) and end and end in whole), default=None)
    return text if cut is None else tokens(whole[:cut])


def _metadata(reply: Reply) -> dict[str, Any]:
    name = reply.endpoint.provider
    return {
        "requested": reply.persona.id, "strategy": "direct", "region": "sandbox", "attempt": 1, "is_byok": False,
        "summary": f"available={len(reply.persona.endpoints)}, selected={name}",
        "endpoints": {"total": len(reply.persona.endpoints),
                      "available": [{"provider": e.provider, "model": reply.persona.id,
                                     "selected": e.provider == name} for e in reply.persona.endpoints]},
        "attempts": [{"provider": name, "model": reply.persona.id, "status": 200}],
    }  # fmt: skip


async def _plain(reply: Reply, config: SandboxConfig, books: Books, headers: Mapping[str, str]) -> Response:
    kind = reply.fault.kind if reply.fault else ""
    await asyncio.sleep(_total_s(reply, config))
    if kind == "stall":
        await asyncio.sleep(3600)
    if kind in ("error_in_200", "first_event_error", "mid_stream_error"):
        return JSONResponse({"id": reply.id, **_provider_error(reply), "user_id": "user_sandbox1"}, headers=headers)
    if kind in ("truncated", "malformed_chunk"):
        return Response('{"id": "gen-1", "choices": [{"mess', media_type="application/json", headers=headers)
    books.record(reply.id, reply.bill, fingerprint=reply.fingerprint, cancelled=False, streamed=False)
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


def _total_s(reply: Reply, config: SandboxConfig) -> float:
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
        "error": {"code": 502, "message": "Upstream idle timeout exceeded",
                  "metadata": {"error_type": "provider_unavailable", "provider_name": reply.endpoint.provider}}
    }  # fmt: skip


def _chunk(reply: Reply, delta: Mapping[str, Any], finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": {"role": "assistant", "content": "", **delta}, "finish_reason": finish,
              "native_finish_reason": "error" if finish == "error" else "completed" if finish else None}  # fmt: skip
    chunk = {**reply.head("chat.completion.chunk"), "choices": [choice], **more}
    return f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n".encode()


async def _stream(reply: Reply, config: SandboxConfig, books: Books) -> AsyncIterator[bytes]:
    kind = reply.fault.kind if reply.fault else ""
    sent = 0
    finished = False
    total = len(reply.reasoning) + len(reply.text)
    try:
        yield b": OPENROUTER PROCESSING\n\n"
        await asyncio.sleep(_total_s(reply, config) if config.fixed_latency_ms is not None else _first_s(reply, config))
        if kind == "stall":
            await asyncio.sleep(3600)
        if kind in ("error_in_200", "first_event_error"):
            yield _chunk(reply, {}, "error", **_provider_error(reply))
            finished = True
            return
        if kind == "giant":
            for _ in range(40):
                yield _chunk(reply, {"content": "x" * 256 * 1024})
        broken = total // 2 if kind in ("truncated", "mid_stream_error", "malformed_chunk") else None
        async for piece, sent in _pieces(reply, config, broken):  # noqa: B007 - what was sent is billed in `finally`
            yield piece
        if kind == "truncated":
            return
        if kind == "malformed_chunk":
            yield b'data: {"id": "gen-1", "choices": [{"del\n\n'
        if kind == "mid_stream_error":
            yield _chunk(reply, {}, "error", **_provider_error(reply))
            finished = True
            return
        finished = True
        books.record(reply.id, reply.bill, fingerprint=reply.fingerprint, cancelled=False, streamed=True)
        yield _chunk(reply, {}, reply.finish)
        more: dict[str, Any] = {} if kind in ("no_usage", "fabricated") else {"usage": reply.bill.usage()}
        if reply.metadata:
            more["openrouter_metadata"] = reply.metadata
        yield _chunk(reply, {}, reply.finish, service_tier=reply.endpoint.service_tier, **more)
        yield b"data: [DONE]\n\n"
    finally:
        if not finished and sent:
            _book_partial(reply, books, sent)


def _book_partial(reply: Reply, books: Books, sent: int) -> None:
    """A client that hangs up pays what was produced, or everything where the provider cannot stop (reference 5.5)."""
    if reply.endpoint.cancels:
        reply.bill.completion_tokens = sent
        reply.bill.reasoning_tokens = min(sent, reply.bill.reasoning_tokens)
    books.record(reply.id, reply.bill, fingerprint=reply.fingerprint, cancelled=True, streamed=True)


async def _pieces(reply: Reply, config: SandboxConfig, broken: int | None) -> AsyncIterator[tuple[bytes, int]]:
    """(chunk, tokens sent so far): whatever has accrued since the last piece."""
    per_token = 0.0 if config.fixed_latency_ms is not None else _per_token_s(reply, config)
    size = max(1, round(PIECE_S / per_token)) if per_token > 0 else 24
    sent = 0
    for field, parts in (("reasoning", reply.reasoning), ("content", reply.text)):
        for start in range(0, len(parts), size):
            piece = parts[start : start + size]
            if broken is not None and sent + len(piece) > broken:
                return
            if per_token > 0:
                await asyncio.sleep(per_token * len(piece))
            sent += len(piece)
            delta: dict[str, Any] = {field: "".join(piece)}
            if field == "reasoning":
                delta["reasoning_details"] = [
                    {"type": "reasoning.text", "text": delta["reasoning"], "format": "unknown", "index": 0}
                ]
            yield _chunk(reply, delta), sent


def known_model(model_id: str) -> Persona | None:
    """The model of an id, its dated slug or a variant of it."""
    return BY_ID.get(model_id) or next((p for p in BY_ID.values() if slug(p) == model_id), None)
