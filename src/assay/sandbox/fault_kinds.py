"""The faults by name: what each is like, and how it is asked for on a command line."""

from __future__ import annotations

from collections.abc import Mapping

from assay.sandbox.config import Fault

FAULTS: Mapping[str, str] = {
    "429": "rate limit of the provider's pool, with Retry-After",
    "429_plain": "the same without a hint",
    "429_dated": "the same with Retry-After as a date",
    "free_day": "the free requests of the day are used up",
    "400": "the request is refused",
    "401": "the key is refused",
    "402_credits": "not enough credits",
    "402_in_flight": "too much is in flight, with Retry-After",
    "402_too_big": "one request is too dear for the balance",
    "403_moderation": "the prompt is flagged",
    "403_guardrail": "a guardrail blocks the prompt",
    "403_key_limit": "the limit of the key is reached",
    "403_workspace_budget": "a budget of the workspace is spent",
    "403_guardrail_budget": "a budget that a guardrail sets is spent",
    "404": "no provider is left for the model",
    "500": "the gateway fails",
    "502_html": "a page of HTML instead of JSON",
    "503": "overloaded, with Retry-After",
    "524_html": "the edge gives up, with HTML",
    "provider_down": "the first provider fails, the next answers",
    "reset": "the connection is cut before the answer",
    "stall": "nothing comes any more",
    "truncated": "the answer is cut off",
    "malformed_chunk": "a chunk that is no JSON",
    "error_in_200": "an error inside a success",
    "first_event_error": "a stream that begins with an error",
    "mid_stream_error": "an error after half of the stream",
    "empty_choices": "a success without an answer",
    "no_usage": "an answer that does not say what it cost",
    "fabricated": "a success without content and usage",
    "giant": "an answer of 10 MB",
    "reasoning_ate_budget": "all tokens go into thinking",
}
"""What can be asked for, and what it is like."""


def parse_fault(text: str) -> Fault:
    """The fault that KIND[:RATE][@MODEL] means, such as 429:0.2 or 503:0.1@sandbox/swift.

    A bare status is the first kind of that status; no rate is every call. Raises ValueError in words.
    """
    rest, _, model = text.strip().partition("@")
    kind, mark, share = rest.partition(":")
    kind = kind.strip().lower()
    named = kind if kind in FAULTS else next((k for k in FAULTS if k.startswith(f"{kind}_")), None)
    if named is None or not kind:
        raise ValueError(f"{kind!r} is no fault. There are {', '.join(FAULTS)}.")
    try:
        rate = float(share) if mark else 1.0
    except ValueError:
        rate = -1.0
    if not 0 <= rate <= 1:
        raise ValueError(f"The rate of {text!r} is no number from 0 to 1.")
    return Fault(named, model=model.strip(), rate=rate)  # type: ignore[arg-type]
