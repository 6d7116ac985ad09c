"""What will be answered to a request, and at what cost: model, provider, text, fault (wire reference 3, 4)."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from assay.sandbox.answers import answer, text_of, tokens
from assay.sandbox.billing import Bill, Books, FailedTry
from assay.sandbox.catalogue import Endpoint, Persona, slug
from assay.sandbox.config import Fault, SandboxConfig
from assay.sandbox.faults import IN_BODY, chosen_fault, error, status_of
from assay.sandbox.routing import Route, resolve

DEFAULT_MAX = 4_000


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
    failed: tuple[FailedTry, ...] = ()
    """Who was tried before and did not answer."""
    requested: str = ""
    strategy: str = "direct"
    metadata: dict[str, Any] | None = None

    def head(self, kind: str) -> dict[str, Any]:
        """The fields that body and chunks share."""
        return {
            "id": self.id,
            "object": kind,
            "created": int(time.time()),
            "model": slug(self.persona),
            "provider": self.endpoint.provider,
        }


def composed(body: Mapping[str, Any], config: SandboxConfig, books: Books) -> Reply | Response:
    """The answer to a request with the fault that it is to meet, or the refusal of its model or routing.

    A model that meets a fault before it answers hands over to the next of `models`, where there is one.
    """
    routes = resolve(body)
    if isinstance(routes, Response):
        return routes
    failed: tuple[FailedTry, ...] = ()
    for place, route in enumerate(routes):
        reply = _attempted(body, route, config, books)
        if isinstance(reply, Reply):
            reply.failed = (*failed, *reply.failed)
            reply.requested = str(body.get("model") or routes[0].persona.id)
            reply.strategy = "fallback" if len(routes) > 1 else "direct"
            if reply.fault is None or reply.fault.kind in IN_BODY:
                return reply
            failed = (*reply.failed, FailedTry(route.persona.id, reply.endpoint.provider, status_of(reply.fault)))
        if place == len(routes) - 1:
            return reply
    raise AssertionError("there is at least one route")


def _attempted(body: Mapping[str, Any], route: Route, config: SandboxConfig, books: Books) -> Reply | Response:
    persona = route.persona
    if persona.is_free and (wait := books.free_wait_s()) > 0:
        return _free_limit(config, wait)
    fingerprint = _fingerprint(body)
    books.calls[persona.id] += 1
    books.calls[fingerprint] += 1
    fault = chosen_fault(
        config, persona, call_number=books.calls[persona.id] - 1, attempt=books.calls[fingerprint], key=fingerprint
    )
    endpoints = route.endpoints
    failed: tuple[FailedTry, ...] = ()
    if fault is not None and fault.kind == "provider_down" and len(endpoints) > 1:
        failed = (FailedTry(persona.id, endpoints[0].provider, 503),)
        endpoints, fault = endpoints[1:], None
    reply = _compose(body, route, endpoints[0], books, fingerprint, fault)
    reply.failed = failed
    reply.bill.is_byok = reply.endpoint.tag.split("/")[0] in config.byok
    return reply


def completion_body(reply: Reply) -> dict[str, Any]:
    """The body of a plain answer."""
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(reply.text),
        "refusal": None,
        "reasoning": "".join(reply.reasoning) or None,
    }
    return {
        **reply.head("chat.completion"),
        "system_fingerprint": None,
        "service_tier": reply.endpoint.service_tier,
        "choices": [
            {
                "index": 0,
                "logprobs": None,
                "finish_reason": reply.finish,
                "native_finish_reason": "completed",
                "message": message,
            }
        ],
        "usage": reply.bill.usage(),
    }


def _fingerprint(body: Mapping[str, Any]) -> str:
    text = json.dumps({k: v for k, v in body.items() if k != "stream"}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def _free_limit(config: SandboxConfig, wait: float) -> Response:
    reset = str(int((config.clock() + wait) * 1000))
    headers = {
        "X-RateLimit-Limit": str(config.free_per_minute),
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": reset,
    }
    metadata = {
        "headers": headers,
        "limit_source": "openrouter_free_tier_per_minute",
        "provider_name": None,
        "error_type": "rate_limit_exceeded",
    }
    return error(429, "Rate limit exceeded: free-models-per-min. ", metadata, **headers)


def _compose(
    body: Mapping[str, Any], route: Route, endpoint: Endpoint, books: Books, fingerprint: str, fault: Fault | None
) -> Reply:
    persona = route.persona
    said = answer(persona, body)
    wanted = body.get("max_tokens") or body.get("max_completion_tokens") or DEFAULT_MAX
    limit = min(int(wanted) if isinstance(wanted, int | float) else DEFAULT_MAX, persona.max_completion)
    thought, text, finish = tokens(said.reasoning), tokens(said.text), "stop"
    if fault is not None and fault.kind == "reasoning_ate_budget":
        thought, text, finish = (tokens("Let me think. ") * limit)[:limit], [], "length"
    if len(thought) + len(text) > limit:
        thought, text, finish = thought[:limit], text[: max(0, limit - len(thought))], "length"
    text = _stopped(text, body.get("stop"))
    messages = [m for m in body["messages"] if isinstance(m, dict)]
    prompt = sum(len(tokens(text_of(m.get("content")))) + 4 for m in messages)
    bill = Bill(persona, endpoint, prompt, len(thought) + len(text), len(thought))
    bill.images = sum(part.get("type") == "image_url" for part in _parts(messages))
    bill.searches = int("web_search" in persona.extra_pricing and _searches(body, route.variants))
    _cache(body, messages, bill, books)
    return Reply(books.new_id(), persona, endpoint, text, thought, finish, bill, fingerprint, fault)


def _parts(messages: list[dict[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for message in messages:
        content = message.get("content")
        yield from (part for part in content if isinstance(part, Mapping)) if isinstance(content, list) else ()


def _searches(body: Mapping[str, Any], variants: frozenset[str]) -> bool:
    """Whether a request searches the web: by variant, plugin, option or tool (wire reference 3.3, 3.6)."""
    plugins, tools = body.get("plugins"), body.get("tools")
    wanted = [p for p in plugins if isinstance(p, Mapping)] if isinstance(plugins, list) else []
    kinds = [str(t.get("type")) for t in tools if isinstance(t, Mapping)] if isinstance(tools, list) else []
    return (
        ":online" in variants
        or body.get("web_search_options") is not None
        or any(p.get("id") == "web" and p.get("enabled") is not False for p in wanted)
        or any(kind.removeprefix("openrouter:").startswith("web_search") for kind in kinds)
    )


def _cache(body: Mapping[str, Any], messages: list[dict[str, Any]], bill: Bill, books: Books) -> None:
    """Writes the prompt to the cache where the request asks for it; the same prompt is read from it next time."""
    asked = [mark for mark in (body.get("cache_control"), *(p.get("cache_control") for p in _parts(messages))) if mark]
    if not asked or "input_cache_read" not in bill.persona.extra_pricing:
        return
    text = json.dumps([bill.persona.id, bill.endpoint.tag, messages], sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
    if digest in books.cached_prompts:
        bill.cached_tokens = bill.prompt_tokens
        return
    books.cached_prompts.add(digest)
    bill.written_tokens = bill.prompt_tokens
    bill.written_for_an_hour = any(isinstance(mark, Mapping) and mark.get("ttl") == "1h" for mark in asked)


def _stopped(text: list[str], stop: object) -> list[str]:
    ends = [stop] if isinstance(stop, str) else stop if isinstance(stop, list) else []
    whole = "".join(text)
    cut = min((whole.find(end) for end in ends if isinstance(end, str) and end and end in whole), default=None)
    return text if cut is None else tokens(whole[:cut])


def metadata(reply: Reply) -> dict[str, Any]:
    """What the gateway tells of its routing: who was tried, who answered (wire reference 4)."""
    name, model = reply.endpoint.provider, reply.persona.id
    attempts = [tried._asdict() for tried in reply.failed]
    return {
        "requested": reply.requested or model,
        "strategy": reply.strategy,
        "region": "sandbox",
        "attempt": len(attempts) + 1,
        "is_byok": reply.bill.is_byok,
        "summary": f"available={len(reply.persona.endpoints)}, selected={name}",
        "endpoints": {
            "total": len(reply.persona.endpoints),
            "available": [
                {"provider": e.provider, "model": model, "selected": e.provider == name}
                for e in reply.persona.endpoints
            ],
        },
        "attempts": [*attempts, {"provider": name, "model": model, "status": 200}],
    }
