"""POST /embeddings (wire reference 7.8): vectors that are the same for the same text, and closer for closer texts."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import struct
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from assay.sandbox.answers import text_of, tokens
from assay.sandbox.billing import Bill, Books
from assay.sandbox.catalogue import slug
from assay.sandbox.config import Fault, SandboxConfig
from assay.sandbox.faults import chosen_fault, error, fault_response
from assay.sandbox.routing import resolve

DIMENSIONS = 64
MOST_DIMENSIONS = 4_096


async def embeddings(request: Request, config: SandboxConfig, books: Books) -> Response:
    """Answers an embeddings request."""
    try:
        body = json.loads(await request.body())
    except ValueError:
        return error(400, "The body is not valid JSON")
    texts = _texts(body.get("input")) if isinstance(body, dict) else []
    if not texts:
        return error(400, "Input required: specify input", {"error_type": "invalid_request"})
    books.requests.append(body)
    routes = resolve(body, output="embeddings")
    if isinstance(routes, Response):
        return routes
    persona, endpoint = routes[0].persona, routes[0].endpoints[0]
    key = hashlib.sha256(json.dumps(body, sort_keys=True, default=str).encode("utf-8", "replace")).hexdigest()[:16]
    books.calls[persona.id] += 1
    books.calls[key] += 1
    number = books.calls[persona.id] - 1
    fault = chosen_fault(config, persona, call_number=number, attempt=books.calls[key], key=key)
    if fault is not None:
        return fault_response(fault, persona)
    bill = Bill(persona, endpoint, sum(len(tokens(text)) for text in texts))
    bill.is_byok = endpoint.tag.split("/")[0] in config.byok
    if books.spend + bill.cost > config.credits_usd:
        return fault_response(Fault("402_credits"), persona)
    generation_id = books.new_id()
    books.record(generation_id, bill, fingerprint=key, cancelled=False, streamed=False, api_type="embeddings")
    usage = {name: value for name, value in bill.usage().items() if not name.startswith("completion_tokens")}
    return JSONResponse(
        {
            "id": generation_id,
            "object": "list",
            "model": slug(persona),
            "provider": endpoint.provider,
            "data": _rows(texts, body),
            "usage": usage | {"prompt_tokens_details": {"text_tokens": bill.prompt_tokens}},
        },
        headers={"X-Generation-Id": generation_id},
    )


def _texts(given: object) -> list[str]:
    """The texts of an input: one, several, token ids, or parts; empty where it is none of them."""
    if isinstance(given, str):
        return [given]
    if not isinstance(given, list) or not given:
        return []
    if all(isinstance(item, int | float) for item in given):
        return [" ".join(map(str, given))]
    return [
        item if isinstance(item, str) else text_of(item.get("content")) if isinstance(item, Mapping) else str(item)
        for item in given
    ]


def _rows(texts: list[str], body: Mapping[str, Any]) -> list[dict[str, Any]]:
    wanted = body.get("dimensions")
    size = min(max(1, wanted), MOST_DIMENSIONS) if isinstance(wanted, int) else DIMENSIONS
    packed = body.get("encoding_format") == "base64"
    return [
        {"object": "embedding", "index": n, "embedding": _base64(found) if packed else found}
        for n, found in enumerate(vector(text, size) for text in texts)
    ]


def vector(text: str, size: int) -> list[float]:
    """A unit vector: every word adds to places that its letters choose."""
    found = [0.0] * size
    for word in text.lower().split() or [""]:
        digest = hashlib.sha256(word.encode("utf-8", "replace")).digest()
        for place in range(0, 16, 2):
            found[int.from_bytes(digest[place : place + 2], "big") % size] += 1 if digest[place + 16] & 1 else -1
    length = math.sqrt(sum(x * x for x in found)) or 1.0
    return [round(x / length, 6) for x in found]


def _base64(found: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(found)}f", *found)).decode()
