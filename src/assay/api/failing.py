"""Failures as answers: whose they are decides the status, and what they say is true of this call.

The gateway's status is passed on where it is about the caller's request. Where it is about us (our key, our permission)
or about what stands between (the edge, a redirect), the answer is one of a gateway: 502, 503, 504.
"""

from __future__ import annotations

from typing import Any

import orjson
from starlette.responses import Response

from assay.api.payloads import dumped
from assay.openrouter.failures import Failure, FailureKind, GatewayFailed
from assay.runs.dispatch import Outcome

STATUS: dict[FailureKind, int] = {
    "authentication": 502,
    "management_key": 502,
    "forbidden": 502,
    "key_limit": 402,
    "budget": 402,
    "credits": 402,
    "in_flight_budget": 402,
    "moderation": 403,
    "guardrail": 403,
    "refusal": 403,
    "not_found": 404,
    "bad_request": 400,
    "context_length": 400,
    "conflict": 409,
    "rate_limit_free_minute": 429,
    "rate_limit_free_day": 429,
    "rate_limit_provider": 429,
    "timeout": 504,
    "first_token_timeout": 504,
    "silence_timeout": 504,
    "server": 500,
    "provider_unavailable": 502,
    "overloaded": 503,
    "edge": 502,
    "connection": 502,
    "reset": 502,
    "truncated": 502,
    "empty": 502,
    "malformed": 502,
    "too_large": 502,
    "cancelled": 502,
}
"""Our status for each kind of failure."""
_OWN: frozenset[FailureKind] = frozenset({"authentication", "management_key", "forbidden", "key_limit", "budget"})
"""Kinds about our own account: the gateway's status would blame the caller."""
_KEPT = frozenset({400, 402, 403, 404, 409, 413, 422, 429, 500, 502, 503, 504})
"""Statuses of the gateway that mean the same to our caller."""


def status_of(failure: Failure) -> int:
    """The status with which a failure is answered."""
    told = failure.http_status
    if told in _KEPT and failure.kind not in _OWN and not (told == 403 and STATUS[failure.kind] != 403):
        return told
    return STATUS[failure.kind]


def failure_out(failure: Failure, status: int) -> dict[str, Any]:
    """A failure in the gateway's error shape; `detail` beside it is where the seed's clients look."""
    metadata: dict[str, Any] = {"error_type": failure.kind, "billed": failure.billed}
    if failure.provider:
        metadata["provider_name"] = failure.provider
    if failure.http_status is not None and failure.http_status != status:
        metadata["upstream_status"] = failure.http_status
    return {"error": {"code": status, "message": str(failure), "metadata": metadata}, "detail": str(failure)}


def failed(outcome: Outcome, headers: dict[str, str]) -> Response:
    """A failure as an answer: the gateway's own body where that says what our status says, else our words."""
    failure, error = outcome.failure, outcome.error
    assert failure is not None  # noqa: S101 - the caller has looked
    status = status_of(failure)
    headers = {**headers, **retry_headers(failure)}
    body = _gateways_body(error, status) if failure.kind not in _OWN else None
    if body is None:
        body = failure_out(failure, status)
    return Response(dumped(body), status_code=status, headers=headers, media_type="application/json")


def retry_headers(failure: Failure) -> dict[str, str]:
    """When to come back; and that SDKs shall not send again by themselves what helps nothing, or may be paid."""
    headers = {}
    if failure.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, round(failure.retry_after_s)))
    if not failure.retry or failure.billed != "no":
        headers["X-Should-Retry"] = "false"
    return headers


def _gateways_body(error: GatewayFailed | None, status: int) -> dict[str, Any] | None:
    """The gateway's error with its metadata; None where it sent none, or one that speaks of another status."""
    if error is None or not error.body:
        return None
    try:
        found = orjson.loads(error.body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(found, dict) or not isinstance(found.get("error"), dict):
        return None
    told = found["error"]
    if told.get("code") not in (None, status, str(status)) or not isinstance(told.get("message"), str):
        return None
    # Which account of the gateway is ours is nobody's business.
    return {"error": {**told, "code": status}, "detail": told["message"]}


def error_chunk(failure: Failure) -> dict[str, Any]:
    """An error as the last chunk of a stream, in the gateway's shape (wire reference 5.4)."""
    return {
        "id": "",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": "",
        "provider": "",
        "error": {"code": status_of(failure), "message": str(failure), "metadata": {"error_type": failure.kind}},
        "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
    }
