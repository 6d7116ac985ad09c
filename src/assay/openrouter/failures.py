"""The one table from a failure to its treatment (wire reference 6.2-6.6).

A failure is told apart by its typed fields: transport, HTTP status, `error_type`, `limit_source`, `reason`.
The text of a message decides only in the three cases where the gateway has no typed field.
What is shown never holds the prompt: `raw` and `flagged_input` of the metadata are not used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from assay.domain.completion import Completion
from assay.errors import GatewayError
from assay.openrouter.hints import retry_after_s
from assay.openrouter.routed import failed_before
from assay.openrouter.wire_values import clean, text_of

FailureKind = Literal[
    "authentication",
    "credits",
    "key_limit",
    "in_flight_budget",
    "budget",
    "guardrail",
    "moderation",
    "refusal",
    "management_key",
    "forbidden",
    "not_found",
    "bad_request",
    "context_length",
    "rate_limit_free_minute",
    "rate_limit_free_day",
    "rate_limit_provider",
    "timeout",
    "conflict",
    "server",
    "provider_unavailable",
    "overloaded",
    "edge",
    "connection",
    "reset",
    "first_token_timeout",
    "silence_timeout",
    "truncated",
    "empty",
    "malformed",
    "too_large",
    "cancelled",
]
Billed = Literal["no", "yes", "unknown"]
Stop = Literal["cell", "contestant", "run"]


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong with a call, and what to do about it."""

    kind: FailureKind
    message: str
    """What happened, in words; never empty."""
    cure: str
    """What the user can do."""
    retry: bool
    """Whether the same request may be sent again."""
    billed: Billed
    stop: Stop
    """What ends when retrying does not help: this cell, this contestant, or the whole run."""
    retry_after_s: float | None = None
    """Seconds that the gateway asks to wait; None: no hint."""
    http_status: int | None = None
    provider: str | None = None

    def __str__(self) -> str:
        return f"{self.message} {self.cure}".strip()


class GatewayFailed(GatewayError):
    """A call failed; `failure` says how, `partial` keeps what had arrived."""

    def __init__(
        self,
        failure: Failure,
        *,
        partial: Completion | None = None,
        generation_id: str | None = None,
        status: int | None = None,
        body: bytes = b"",
    ) -> None:
        super().__init__(failure.message, cure=failure.cure)
        self.status = status
        """HTTP status of the answer; None where none came."""
        self.body = body
        """The answer as it came, for those who pass it on; never shown, for it may quote the prompt."""
        self.failure = failure
        self.partial = partial
        self.generation_id = generation_id


# kind: (retry, billed, stop, what happened, cure)
TREATMENT: dict[FailureKind, tuple[bool, Billed, Stop, str, str]] = {
    "authentication": (
        False,
        "no",
        "run",
        "The gateway refused the API key.",
        "Check OPENROUTER_API_KEY: it is missing, mistyped or disabled.",
    ),
    "credits": (
        False,
        "no",
        "run",
        "The account's credits do not cover this request.",
        "Add credits, or lower max_tokens, then continue.",
    ),
    "key_limit": (
        False,
        "no",
        "run",
        "The spending limit of this API key is reached.",
        "Raise the key's limit or wait for its reset, then continue.",
    ),
    "in_flight_budget": (
        True,
        "no",
        "cell",
        "Too much estimated spend is in flight on this account.",
        "It settles by itself; lower the concurrency if it persists.",
    ),
    "budget": (
        False,
        "no",
        "run",
        "A workspace budget on the gateway is spent.",
        "Raise that budget or wait for its reset, then continue.",
    ),
    "guardrail": (
        False,
        "no",
        "cell",
        "A guardrail of the account blocked this prompt.",
        "Change the prompt or the guardrail.",
    ),
    "moderation": (
        False,
        "no",
        "cell",
        "The provider's moderation refused this prompt.",
        "Change the prompt or choose another model.",
    ),
    "refusal": (False, "no", "cell", "The provider refused to answer.", "Change the prompt or choose another model."),
    "management_key": (
        False,
        "no",
        "run",
        "This call needs a management key.",
        "Set OPENROUTER_MANAGEMENT_KEY; completions go on with the ordinary key.",
    ),
    "forbidden": (
        False,
        "no",
        "contestant",
        "The gateway does not allow this request.",
        "Check the account's permissions and region.",
    ),
    "not_found": (
        False,
        "no",
        "contestant",
        "No endpoint is left for this model.",
        "Check the model id, the routing and the data policy: they may exclude every provider.",
    ),
    "bad_request": (False, "no", "cell", "The gateway did not accept the request.", "Check the parameters."),
    "context_length": (
        False,
        "no",
        "cell",
        "The prompt does not fit into the model's context.",
        "Shorten the prompt, lower max_tokens or choose a model with a longer context.",
    ),
    "rate_limit_free_minute": (
        True,
        "no",
        "cell",
        "Free models take 20 requests a minute.",
        "It goes on by itself at the next minute.",
    ),
    "rate_limit_free_day": (
        False,
        "no",
        "contestant",
        "The day's allowance of requests to free models is used up.",
        "It returns at 00:00 UTC; a paid model goes on now.",
    ),
    "rate_limit_provider": (
        True,
        "no",
        "cell",
        "The provider is limiting requests.",
        "Ask more slowly, or allow other providers.",
    ),
    "timeout": (True, "unknown", "cell", "The provider did not answer in time.", "Send it again later."),
    "conflict": (False, "no", "cell", "The request conflicts with another.", "Send it again later."),
    "server": (True, "no", "cell", "The gateway had an internal error.", "Send it again later."),
    "provider_unavailable": (
        True,
        "no",
        "cell",
        "The provider is down or gave a bad answer.",
        "Allow other providers to get round it.",
    ),
    "overloaded": (True, "no", "cell", "The provider is overloaded.", "Send it again later."),
    "edge": (True, "unknown", "cell", "The gateway's edge answered instead of the gateway.", "Send it again later."),
    "connection": (
        True,
        "no",
        "cell",
        "The gateway cannot be reached.",
        "Check the network and the base URL in the settings.",
    ),
    "reset": (
        True,
        "unknown",
        "cell",
        "The connection broke after the request was sent.",
        "Send it again; it may be paid twice.",
    ),
    "first_token_timeout": (
        True,
        "unknown",
        "cell",
        "No token came in time.",
        "Raise ASSAY_FIRST_TOKEN_TIMEOUT_S for slow models.",
    ),
    "silence_timeout": (
        True,
        "unknown",
        "cell",
        "The stream fell silent.",
        "Raise ASSAY_SILENCE_TIMEOUT_S for slow models.",
    ),
    "truncated": (True, "unknown", "cell", "The stream ended before the answer was complete.", "Send it again."),
    "empty": (True, "unknown", "cell", "The answer was empty.", "Send it again."),
    "malformed": (True, "unknown", "cell", "The answer could not be read.", "Send it again."),
    "too_large": (False, "unknown", "cell", "The answer is larger than 8 MB.", "Set max_tokens."),
    "cancelled": (False, "unknown", "cell", "Stopped before the answer was complete.", ""),
}

BY_STATUS: dict[int, FailureKind] = {
    400: "bad_request",
    401: "authentication",
    402: "credits",
    403: "forbidden",
    404: "not_found",
    405: "bad_request",
    408: "timeout",
    409: "conflict",
    412: "bad_request",
    413: "bad_request",
    415: "bad_request",
    422: "bad_request",
    429: "rate_limit_provider",
    499: "cancelled",
    500: "server",
    501: "bad_request",
    502: "provider_unavailable",
    503: "overloaded",
    504: "timeout",
    520: "edge",
    521: "edge",
    522: "edge",
    523: "edge",
    524: "timeout",
    529: "overloaded",
}

BY_TYPE: dict[str, FailureKind] = {
    "authentication": "authentication",
    "payment_required": "credits",
    "not_found": "not_found",
    "context_length_exceeded": "context_length",
    "string_too_long": "context_length",
    "token_limit_exceeded": "context_length",
    "max_tokens_exceeded": "bad_request",
    "invalid_request": "bad_request",
    "invalid_prompt": "bad_request",
    "content_policy_violation": "moderation",
    "refusal": "refusal",
    "rate_limit_exceeded": "rate_limit_provider",
    "server": "server",
    "unmapped": "server",
    "server_error": "server",
    "provider_unavailable": "provider_unavailable",
    "provider_overloaded": "overloaded",
    "timeout": "timeout",
    "payload_too_large": "bad_request",
    "unprocessable": "bad_request",
    "precondition_failed": "bad_request",
}

BY_LIMIT: dict[str, FailureKind] = {
    "openrouter_credits": "credits",
    "openrouter_in_flight_budget": "in_flight_budget",
    "openrouter_key_limit": "key_limit",
    "openrouter_workspace_budget": "budget",
    "openrouter_guardrail_budget": "budget",
    "openrouter_free_tier_per_minute": "rate_limit_free_minute",
    "openrouter_free_tier_daily": "rate_limit_free_day",
    "upstream_provider_shared_pool": "rate_limit_provider",
}

# The gateway has no typed field for these (wire reference 6.3): (status, beginning or part of the message, kind).
BY_MESSAGE: tuple[tuple[int, str, FailureKind], ...] = (
    (403, "key limit exceeded", "key_limit"),
    (403, "budget", "budget"),
    (403, "only management keys", "management_key"),
    (429, "free-models-per-min", "rate_limit_free_minute"),
    (429, "free-models-per-day", "rate_limit_free_day"),
    (400, "is not a valid model id", "not_found"),
    (400, "context length", "context_length"),
)

_SHOWN = 300
_NAMED = 100
"""Characters of a provider's name at most."""
_QUIET = frozenset({"moderation", "guardrail"})
"""Kinds whose message may quote the prompt: our own words are shown instead."""


def failure_of(
    kind: FailureKind,
    *,
    detail: str = "",
    retry_after: float | None = None,
    http_status: int | None = None,
    provider: str | None = None,
    billed: Billed | None = None,
) -> Failure:
    """The failure of a kind as the table treats it; detail is what the gateway said, cut at 300 characters."""
    retry, table_billed, stop, message, cure = TREATMENT[kind]
    said = clean(" ".join(detail.split())[:_SHOWN])
    if said and kind not in _QUIET:
        said = said.rstrip(".")
        message = f"{message[:-1]}: {said}."
    if provider:
        message = f"{message} ({provider})"
    return Failure(kind, message, cure, retry, billed or table_billed, stop, retry_after, http_status, provider)


def classify_http(status: int, headers: Mapping[str, str], body: bytes, *, now: float | None = None) -> Failure:
    """The failure of an answer whose status is not 200."""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, Mapping):
        # No JSON: the edge answered, not the gateway. 4xx keeps its meaning, the rest may have been generated.
        kind = BY_STATUS.get(status, "edge") if status < 500 or status in (524, 504) else "edge"
        if status == 502 or status == 503:
            kind = BY_STATUS[status]
        return failure_of(
            kind, detail=f"HTTP {status}", http_status=status, retry_after=retry_after_s(headers, {}, now=now)
        )
    return classify_error(parsed.get("error", parsed), headers=headers, status=status, now=now)


def classify_error(
    error: Any, *, headers: Mapping[str, str] | None = None, status: int | None = None, now: float | None = None
) -> Failure:
    """The failure of an `error` object, wherever it stood: body, chunk or choice."""
    fields: Mapping[str, Any] = error if isinstance(error, Mapping) else {"message": str(error)}
    metadata = fields.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    code = _status_of(fields) or (status if status and status != 200 else None)
    detail = fields.get("message")
    detail = detail if isinstance(detail, str) else ""
    kind = _kind_of(fields, metadata, code, detail)
    failure = failure_of(
        kind,
        detail=detail,
        retry_after=retry_after_s(headers or {}, metadata, now=now),
        http_status=code,
        provider=(text_of(metadata.get("provider_name")) or "")[:_NAMED] or None,
    )
    if before := failed_before(fields):
        failure = replace(failure, message=f"{failure.message} Failed before it: {', '.join(before)}.")
    if resets := metadata.get("resets_at"):
        failure = replace(failure, cure=f"{failure.cure} It resets at {clean(str(resets)[:40])}.")
    return failure


def _status_of(fields: Mapping[str, Any]) -> int | None:
    for name in ("code", "http_status", "status"):
        value = fields.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 400 <= value < 600:
            return value
        if isinstance(value, str) and len(value) == 3 and value.isdecimal() and 400 <= int(value) < 600:
            return int(value)
    return None


def _kind_of(fields: Mapping[str, Any], metadata: Mapping[str, Any], code: int | None, detail: str) -> FailureKind:
    limit = metadata.get("limit_source")
    if metadata.get("reason") == "in_flight_budget_exhausted":
        return "in_flight_budget"
    if isinstance(limit, str) and limit in BY_LIMIT:
        return BY_LIMIT[limit]
    lowered = detail.lower()
    for status, part, kind in BY_MESSAGE:
        if code == status and part in lowered:
            return kind
    if "flagged_input" in metadata or "reasons" in metadata:
        return "moderation"
    if "patterns" in metadata:
        return "guardrail"
    typed = metadata.get("error_type") or fields.get("error_type") or fields.get("type")
    if isinstance(typed, str) and typed in BY_TYPE:
        return BY_TYPE[typed]
    if isinstance(fields.get("code"), str) and fields["code"] in BY_TYPE:
        return BY_TYPE[fields["code"]]
    if code in BY_STATUS:
        return BY_STATUS[code]
    return "server" if code is None or code >= 500 else "bad_request"


def wants_other_limit(body: bytes) -> bool:
    """Whether an error's body says that the model takes `max_completion_tokens` alone, as reasoning models do.

    OpenAI and Azure name the parameter in a field; servers after them say it in words only.
    """
    try:
        error = json.loads(body).get("error")
    except (ValueError, AttributeError, RecursionError):
        return False
    if not isinstance(error, Mapping):
        return False
    if error.get("param") is not None:
        return error["param"] == "max_tokens" and error.get("code") in ("unsupported_parameter", "unsupported_value")
    message = error.get("message")
    return isinstance(message, str) and "max_completion_tokens" in message and "max_tokens" in message


def classify_body(body: Mapping[str, Any], *, said: bool) -> Failure | None:
    """The failure inside an HTTP 200, in the order of wire reference 6.4; None: a valid answer.

    said: whether the message holds anything, under whatever name.
    """
    if body.get("error"):
        return classify_error(body["error"])
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], Mapping):
        return failure_of("empty", detail="the answer has no choices")
    choice = choices[0]
    if choice.get("error"):
        return classify_error(choice["error"])
    if "error" in (choice.get("finish_reason"), choice.get("native_finish_reason")):
        return failure_of("provider_unavailable", detail="the provider broke off", billed="unknown")
    if not body.get("usage") and not said:
        return failure_of("empty", detail="no text and no usage")
    return None


assert set(TREATMENT) == set(get_args(FailureKind))  # noqa: S101 - the table and its type are one thing
