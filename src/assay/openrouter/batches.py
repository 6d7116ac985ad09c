"""The gateway's batch endpoint: many requests handed in at once, answered within a day at about half the price.

Source: wire reference 7.11. The endpoint is beta and has moved: /api/v1/batches is tried first, then /api/beta/batches.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

from assay.domain.completion import Completion
from assay.domain.messages import CompletionRequest
from assay.openrouter.assembly import read_body
from assay.openrouter.client import Client
from assay.openrouter.failures import Failure, GatewayFailed, classify_error, classify_http, failure_of
from assay.openrouter.wire_values import count_of

SUBMIT_S = 600.0
"""Seconds that handing in a batch, or fetching its answers, may take."""
PAGE = 100
MOST_PAGES = 1000
MOST_SECONDS = 10**11
"""The latest moment that is believed, in seconds since 1970."""
BatchStatus = Literal[
    "validating", "in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled"
]
ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
_ROUTING = ("only", "allow_fallbacks")
"""What a batch takes of provider routing."""


class Asked(NamedTuple):
    """One request of a batch."""

    custom_id: str
    request: CompletionRequest


@dataclass(frozen=True, slots=True)
class BatchAnswer:
    """How one request of a batch ended: with an answer or a failure."""

    custom_id: str
    completion: Completion | None
    failure: Failure | None


@dataclass(frozen=True, slots=True)
class BatchState:
    """A batch as the gateway tells of it."""

    id: str
    model: str
    status: BatchStatus
    total: int
    completed: int
    failed: int
    created_s: float
    """Seconds since 1970, UTC."""
    expires_s: float | None
    error: str
    """Why it failed as a whole; empty otherwise."""
    answers: tuple[BatchAnswer, ...] = ()
    """Only of a batch that was asked for by its id and has ended."""

    @property
    def ended(self) -> bool:
        """Whether nothing of it will change any more."""
        return self.status in ENDED


class BatchEndpoint:
    """The batch endpoint of a gateway. Every method raises GatewayFailed."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._beta = False

    async def submit(self, model: str, asked: Sequence[Asked]) -> BatchState:
        """Hands in requests to one model. A failure that may have come after the acceptance is not told apart here."""
        return _state(await self._call("POST", content=batch_body(model, asked)))

    async def state(self, batch_id: str) -> BatchState:
        """A batch, with its answers once it has ended. 402: the answers wait until their charge is covered."""
        return _state(await self._call("GET", f"/{batch_id}"))

    async def since(self, created_s: float) -> list[BatchState]:
        """The batches that were handed in since a moment, without answers."""
        params = {"limit": str(PAGE), "created_after": str(int(created_s))}
        found: list[BatchState] = []
        for _ in range(MOST_PAGES):
            body = await self._call("GET", params=params)
            listed = body.get("data")
            rows = [row for row in listed if isinstance(row, Mapping)] if isinstance(listed, list) else []
            found += [_state(row) for row in rows]
            if not rows or not body.get("has_more") or found[-1].created_s < created_s:
                return [batch for batch in found if batch.created_s >= int(created_s)]
            params["after"] = found[-1].id
        return found

    async def cancel(self, batch_id: str) -> None:
        """Asks the gateway to stop a batch; what it has answered by then is paid."""
        await self._call("DELETE", f"/{batch_id}")

    async def _call(
        self, method: str, rest: str = "", *, content: bytes | None = None, params: Mapping[str, str] | None = None
    ) -> Mapping[str, Any]:
        path = f"/batches{rest}"
        try:
            return await self._client.call(
                method, path, content=content, params=params, timeout_s=SUBMIT_S, beta=self._beta
            )
        except GatewayFailed as error:
            if error.status not in (404, 405) or self._beta:
                raise
        # A batch too: it may be an earlier process's, and nothing has told this one where the endpoint is.
        found = await self._client.call(method, path, content=content, params=params, timeout_s=SUBMIT_S, beta=True)
        self._beta = True
        return found


def account_of(key: Mapping[str, Any]) -> str:
    """The account of a key by what the gateway tells of the key: its organization, else its user; empty: untold."""
    return next(
        (name for field in ("organization_id", "creator_user_id") if isinstance(name := key.get(field), str)), ""
    )


def batch_body(model: str, asked: Sequence[Asked]) -> bytes:
    """The body of a submission; `requests` stands last, for the gateway reads it as a stream."""
    routing = asked[0].request.provider if asked else {}
    head: dict[str, Any] = {"endpoint": "/v1/chat/completions", "model": model, "completion_window": "24h"}
    if taken := {name: routing[name] for name in _ROUTING if name in routing}:
        head["provider"] = taken
    head["requests"] = [{"custom_id": one.custom_id, "body": one.request.body()} for one in asked]
    return json.dumps(head, ensure_ascii=False).encode("utf-8", "replace")


def _state(row: Mapping[str, Any]) -> BatchState:
    if not isinstance(row.get("id"), str) or row.get("status") not in get_args(BatchStatus):
        raise GatewayFailed(failure_of("malformed", detail="the answer is no batch"))
    counts = row.get("request_counts")
    counts = counts if isinstance(counts, Mapping) else {}
    error = row.get("error")
    results = row.get("results")
    return BatchState(
        id=row["id"],
        model=str(row.get("model") or ""),
        status=row["status"],
        total=_count(counts.get("total")),
        completed=_count(counts.get("completed")),
        failed=_count(counts.get("failed")),
        created_s=float(count_of(row.get("created_at"), most=MOST_SECONDS) or 0),
        expires_s=count_of(row.get("expires_at"), most=MOST_SECONDS),
        error=str(error.get("message") or "") if isinstance(error, Mapping) else "",
        answers=tuple(_answer(one) for one in results if isinstance(one, Mapping)) if isinstance(results, list) else (),
    )


def _count(value: object) -> int:
    return count_of(value) or 0


def _answer(row: Mapping[str, Any]) -> BatchAnswer:
    custom_id = str(row.get("custom_id") or "")
    response = row.get("response")
    if not isinstance(response, Mapping):
        return BatchAnswer(custom_id, None, classify_error(row.get("error") or {"message": "no answer"}))
    status, body = response.get("status_code"), response.get("body")
    if status != 200 or not isinstance(body, Mapping):
        code = status if isinstance(status, int) and status != 200 else 502
        return BatchAnswer(custom_id, None, classify_http(code, {}, json.dumps(body, default=str).encode()))
    completion, failure = read_body(body)
    return BatchAnswer(custom_id, completion, failure)
