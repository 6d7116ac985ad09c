"""The faults that calls can meet: which call meets which, and the answers that carry them (wire reference 6, 11)."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from email.utils import formatdate
from typing import Any

from starlette.responses import HTMLResponse, JSONResponse, Response

from assay.sandbox.catalogue import Persona
from assay.sandbox.config import Fault, SandboxConfig

FLAKY = ("429", "502_html", "503", "error_in_200", "truncated")
IN_BODY = frozenset(
    {
        "reset",
        "stall",
        "truncated",
        "malformed_chunk",
        "error_in_200",
        "first_event_error",
        "mid_stream_error",
        "empty_choices",
        "no_usage",
        "fabricated",
        "giant",
        "reasoning_ate_budget",
    }
)
"""Faults that happen while answering: chat.py carries them out."""


def chosen_fault(config: SandboxConfig, persona: Persona, *, call_number: int, attempt: int, key: str) -> Fault | None:
    """The fault that this call meets; None: none.

    call_number: calls to the model so far. attempt: how often this very request was sent before, so that sending it
    again can succeed.
    """
    for place, fault in enumerate(config.faults):
        if fault.model and fault.model != persona.id:
            continue
        if call_number >= fault.after and _share(config.seed, place, key, attempt) < fault.rate:
            return fault
    if persona.fails and _share(config.seed, 97, key, attempt) < persona.fails:
        kind = FLAKY[int(_share(config.seed, 98, key, attempt) * len(FLAKY))]
        return Fault(kind, retry_after_s=1.0)  # type: ignore[arg-type]
    return None


def status_of(fault: Fault) -> int:
    """The HTTP status that a fault's name begins with; 503 where it has none."""
    digits = fault.kind[:3]
    return int(digits) if digits.isdigit() else 503


def _share(*parts: object) -> float:
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def error(status: int, message: str, metadata: Mapping[str, Any] | None = None, **headers: str) -> JSONResponse:
    """An error in OpenRouter's envelope."""
    body: dict[str, Any] = {"code": status, "message": message}
    if metadata:
        body["metadata"] = dict(metadata)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return JSONResponse({"error": body, "user_id": "user_sandbox1"}, status, headers=named)


def fault_response(fault: Fault, persona: Persona) -> Response:
    """The answer of a fault that happens before the stream begins."""
    wait = str(fault.retry_after_s).removesuffix(".0")
    pool = {
        "raw": f"{persona.id} is temporarily rate-limited upstream. Please retry shortly.",
        "is_byok": False,
        "provider_name": persona.endpoints[0].provider,
        "limit_source": "upstream_provider_shared_pool",
        "error_type": "rate_limit_exceeded",
    }
    credits = {"provider_name": None, "limit_source": "openrouter_credits"}
    match fault.kind:
        case "429":
            return error(429, "Provider returned error", pool, Retry_After=wait)
        case "429_plain":
            return error(429, "Provider returned error", pool)
        case "429_dated":
            date = formatdate(time.time() + max(1.0, fault.retry_after_s), usegmt=True)
            return error(429, "Provider returned error", pool, Retry_After=date)
        case "free_day":
            return error(
                429,
                "Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 a day",
                {"limit_source": "openrouter_free_tier_daily"},
            )
        case "500":
            return error(500, "Internal Server Error", {"error_type": "server"})
        case "502_html":
            return HTMLResponse("<html><body><h1>502 Bad Gateway</h1></body></html>", 502)
        case "503":
            return error(503, "No provider available", {"error_type": "provider_overloaded"}, Retry_After=wait)
        case "provider_down":
            name = persona.endpoints[0].provider
            return error(
                503,
                "Provider returned error",
                {
                    "error_type": "provider_overloaded",
                    "provider_name": name,
                    "previous_errors": [{"provider": name, "code": "provider_overloaded", "status": 503}],
                },
                Retry_After=wait,
            )
        case "524_html":
            return HTMLResponse("<html><body>error code: 524</body></html>", 524)
        case "401":
            return error(401, "No auth credentials found")
        case "402_credits":
            return error(
                402,
                "This request requires more credits, or fewer max_tokens. You requested up to 64000 "
                "tokens, but can only afford 812.",
                credits,
            )
        case "402_too_big":
            return error(
                402,
                "Estimated cost of this request exceeds the in-flight budget.",
                {**credits, "reason": "weight_exceeds_budget"},
            )
        case "402_in_flight":
            return error(
                402,
                "Too much estimated spend is in flight; retry when requests settle.",
                {"reason": "in_flight_budget_exhausted", "limit_source": "openrouter_in_flight_budget"},
                Retry_After=wait,
            )
        case "403_moderation":
            return error(
                403,
                f'{persona.id} requires moderation. Your input was flagged for "violence". No credits were charged.',
                {
                    "reasons": ["violence"],
                    "flagged_input": "first part...last part",
                    "error_type": "content_policy_violation",
                },
            )
        case "403_guardrail":
            return error(403, "Request blocked: prompt injection patterns detected", {"patterns": ["ignore all"]})
        case "403_key_limit":
            return error(
                403,
                "Key limit exceeded (daily limit).",
                {"limit_source": "openrouter_key_limit", "scope": "key_limit", "resets_at": "2026-12-01T00:00:00Z"},
            )
        case "403_workspace_budget":
            spent = {"limit_source": "openrouter_workspace_budget", "resets_at": "2026-12-01T00:00:00Z"}
            return error(403, "Workspace monthly budget of $10.00 exceeded.", spent)
        case "403_guardrail_budget":
            return error(403, "The limit is reached.", {"limit_source": "openrouter_guardrail_budget"})
        case "404":
            return error(404, f"No endpoints found for {persona.id}.")
        case _:
            return error(400, "Invalid request", {"error_type": "invalid_request"})
