"""The batch endpoint (wire reference 7.11): many requests at once, answered later, at half the price."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from assay.sandbox.billing import Books, number
from assay.sandbox.catalogue import BY_ID
from assay.sandbox.config import SandboxConfig
from assay.sandbox.faults import IN_BODY, error, fault_response
from assay.sandbox.replies import Reply, completion_body, composed

FACTOR = Decimal("0.5")
LIMIT = 10_000
"""Requests of one batch at most."""


@dataclass(slots=True)
class Batch:
    """A batch that was accepted."""

    id: str
    model: str
    endpoint: str
    requests: list[Mapping[str, Any]]
    provider: Mapping[str, Any]
    created_at: float
    key: str
    """The key that handed it in, which stands for an account: no other sees it."""
    cancelled_at: float | None = None
    results: list[dict[str, Any]] | None = None
    """What it ended with; none while it works."""
    failed: int = 0
    cost: Decimal = Decimal(0)
    tokens: list[int] = field(default_factory=lambda: [0, 0])


class Batches:
    """The batches of a sandbox. They are worked whenever somebody looks."""

    def __init__(self, config: SandboxConfig, books: Books) -> None:
        self.config = config
        self._books = books
        self._batches: dict[str, Batch] = {}

    async def create(self, request: Request) -> Response:
        """POST /batches."""
        if not self.config.batches:
            return error(404, "Not Found")
        content = await request.body()
        try:
            fields = json.loads(content, object_pairs_hook=lambda pairs: pairs)
            body = json.loads(content)
        except ValueError:
            return error(400, "The body is not valid JSON")
        names = [name for name, _ in fields] if isinstance(body, dict) else []
        # The list is read as it comes in: what says whose it is stands before it (wire reference, trap 30).
        if "requests" not in names or {"endpoint", "model"} & set(names[names.index("requests") :]):
            return error(400, "`requests` must come after endpoint and model")
        requests, model = body["requests"], body.get("model")
        if not isinstance(requests, list) or not 0 < len(requests) <= LIMIT:
            return error(400, f"`requests` must hold 1 to {LIMIT} requests")
        if body.get("endpoint") != "/v1/chat/completions" or model not in BY_ID:
            return error(400, f"{str(model)[:80]} cannot be asked through this batch endpoint")
        marks = [r.get("custom_id") for r in requests if isinstance(r, dict) and isinstance(r.get("body"), dict)]
        if len(marks) < len(requests) or len(set(marks)) < len(marks):
            return error(400, "Every request needs its own custom_id and a body")
        routing = body.get("provider")
        batch = Batch(
            f"batch_{self._books.new_id()[4:]}",
            str(model),
            body["endpoint"],
            requests,
            routing if isinstance(routing, Mapping) else {},
            time.time(),
            _key(request),
        )
        self._batches[batch.id] = batch
        if self.config.batch_lost:
            return error(502, "Bad Gateway")  # accepted all the same
        return JSONResponse(self._row(batch), 202)

    async def listed(self, request: Request) -> Response:
        """GET /batches, newest first."""
        if not self.config.batches:
            return error(404, "Not Found")
        rows = [self._row(batch) for batch in reversed(self._batches.values()) if batch.key == _key(request)]
        limit = int(request.query_params.get("limit", "20"))
        after = request.query_params.get("after")
        start = next((n + 1 for n, row in enumerate(rows) if row["id"] == after), 0)
        page = rows[start : start + limit]
        more = start + limit < len(rows)
        first, last = (page[0]["id"], page[-1]["id"]) if page else (None, None)
        return JSONResponse({"object": "list", "data": page, "has_more": more, "first_id": first, "last_id": last})

    async def one(self, request: Request) -> Response:
        """GET and DELETE /batches/{id}; POST /batches/{id}/cancel."""
        batch = self._batches.get(request.path_params["id"])
        if batch is None or batch.key != _key(request):
            return error(404, "Batch not found")
        if request.method != "GET":
            batch.cancelled_at = batch.cancelled_at or time.time()
            return JSONResponse(self._row(batch) | {"deletion": {"openrouter": "deleted"}})
        row = self._row(batch)
        if batch.results is not None and self._books.spend > self.config.credits_usd:
            return JSONResponse(row | {"results": None}, 402)
        return JSONResponse(row | {"results": batch.results})

    def _row(self, batch: Batch) -> dict[str, Any]:
        status = self._status(batch)
        if status in ("completed", "cancelled") and batch.results is None:
            self._answer(batch)
        total, failed = len(batch.requests), batch.failed
        counted = total - failed if batch.results is not None and status == "completed" else 0
        row: dict[str, Any] = {
            "id": batch.id,
            "object": "batch",
            "endpoint": batch.endpoint,
            "model": batch.model,
            "status": status,
            "created_at": int(batch.created_at),
            "expires_at": int(batch.created_at) + 86_400,
            "finalized_at": int(time.time()) if batch.results is not None else None,
            "completion_window": "24h",
            "provider": None,
            "error": None,
            "results": None,
            "usage": None,
            "request_counts": {"total": total, "completed": counted, "failed": failed},
        }
        if batch.results is not None:
            row["usage"] = {
                "prompt_tokens": batch.tokens[0],
                "completion_tokens": batch.tokens[1],
                "total_tokens": sum(batch.tokens),
                "cost": number(batch.cost),
            }
        return row

    def _status(self, batch: Batch) -> str:
        passed, whole = time.time() - batch.created_at, self.config.batch_s * self.config.speed
        if batch.cancelled_at is not None and batch.results is None:
            return "cancelled"
        if passed < whole:
            return "validating" if passed < 0.1 * whole else "in_progress" if passed < 0.9 * whole else "finalizing"
        return self.config.batch_ends

    def _answer(self, batch: Batch) -> None:
        """Answers what a batch asks for and books it; a cancelled batch answers nothing."""
        batch.results = []
        if batch.cancelled_at is not None:
            return
        for place, asked in enumerate(batch.requests):
            row = {"id": f"{batch.id}_{place}", "custom_id": asked["custom_id"], "response": None, "error": None}
            body = {**asked["body"], "model": batch.model, "provider": {**asked["body"].get("provider", {})}}
            body["provider"] |= batch.provider
            found = composed(body, self.config, self._books)
            if isinstance(found, Response):
                row["response"] = _response(found)
            elif found.fault is not None and found.fault.kind not in IN_BODY:
                row["response"] = _response(fault_response(found.fault, found.persona))
            elif found.fault is not None:
                row["error"] = {
                    "code": 500,
                    "message": "The provider did not answer this request",
                    "type": "server_error",
                    "param": None,
                }
            else:
                row["response"] = self._paid(batch, found)
            batch.failed += row["response"] is None or row["response"]["status_code"] != 200
            batch.results.append(row)

    def _paid(self, batch: Batch, reply: Reply) -> dict[str, Any]:
        reply.bill.tier = FACTOR
        self._books.record(reply.id, reply.bill, fingerprint=reply.fingerprint, cancelled=False, streamed=False)
        batch.cost += reply.bill.cost
        batch.tokens[0] += reply.bill.prompt_tokens
        batch.tokens[1] += reply.bill.completion_tokens
        return {"status_code": 200, "request_id": reply.id, "body": completion_body(reply)}


def _key(request: Request) -> str:
    return request.headers.get("authorization", "")


def _response(answer: Response) -> dict[str, Any]:
    try:
        body = json.loads(bytes(answer.body))
    except ValueError:
        body = {"error": {"code": answer.status_code, "message": "The provider did not answer"}}
    return {"status_code": answer.status_code, "request_id": None, "body": body}
