"""What came back from the gateway: text, usage, cost and times."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

Provenance = Literal["billed", "upstream", "recovered", "estimated", "unbilled", "stated", "unknown", "cached"]
"""Where a cost is known from: billed: the gateway said what it charged. upstream: it said what a provider charges to
one's own key, with the gateway's fee, if any, in it. recovered: asked for later. estimated: tokens at the catalogue's
prices. unbilled: the gateway refused, and charges nothing for that. stated: by a person. cached: another call's answer.
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a call in pico-dollars with where it is known from; unknown has no amount, never 0."""

    pico: int | None
    provenance: Provenance
    upstream_pico: int | None = None
    """The part of it that a provider charges to one's own key (BYOK); None: none, or not known."""


UNKNOWN_COST = Cost(None, "unknown")
UNBILLED = Cost(0, "unbilled")


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens by the model's own count; None where the gateway did not say.

    Prompt tokens include cached ones, completion tokens include reasoning.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    cost_usd: Decimal | None = None
    """What the gateway charged; with one's own provider key its fee alone."""
    is_byok: bool | None = None
    upstream_usd: Decimal | None = None
    """What the provider charged: on top of `cost_usd` with one's own key, within it without."""
    cost_details: Mapping[str, Any] = field(default_factory=dict)
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Completion:
    """A finished answer of a model."""

    text: str
    finish_reason: str | None
    usage: Usage | None
    cost: Cost
    model: str | None = None
    """The model that answered: may be a dated slug or a fallback."""
    provider: str | None = None
    generation_id: str | None = None
    reasoning: str = ""
    refusal: str | None = None
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    media: tuple[Mapping[str, Any], ...] = ()
    """Parts that are no text, as they came: images, audio."""
    failed_providers: tuple[str, ...] = ()
    """Providers that were asked and failed before this answer, in order, with the status where it is known."""
    native_finish_reason: str | None = None
    first_token_ms: float | None = None
    """Milliseconds from sending to the first text or reasoning; None where not streamed."""
    total_ms: float | None = None
    raw: Mapping[str, Any] = field(default_factory=dict)
    """The answer's JSON as received (for a stream: its last chunk), unknown fields included."""
    body: bytes = field(default=b"", repr=False)
    """The answer's bytes as received; empty for a stream."""

    @property
    def output(self) -> str:
        """The answer as text, for those who show or grade it: the text or, without one, the refusal or the tool calls
        as JSON; empty where there is nothing of these."""
        if self.text or self.refusal:
            return self.text or self.refusal or ""
        return json.dumps(list(self.tool_calls), ensure_ascii=False) if self.tool_calls else ""

    @property
    def note(self) -> str:
        """What a reader of the output must know beside it, in sentences; empty for an ordinary answer."""
        return " ".join(filter(None, (self._kind_note(), self._end_note())))

    def _kind_note(self) -> str:
        said = []
        if self.refusal:
            said.append(f"The model refused: {_short(self.refusal)}" if self.text else "The model refused.")
        if self.tool_calls:
            names = ", ".join(str(_named(call)) for call in self.tool_calls[:_SHOWN_CALLS])
            said.append(
                f"It called {'a tool' if len(self.tool_calls) == 1 else f'{len(self.tool_calls)} tools'}: {names}."
            )
        if self.media:
            kinds = ", ".join(sorted({str(part.get("type", "part")).removesuffix("_url") for part in self.media}))
            said.append(f"It holds parts that are no text: {_short(kinds)}.")
        return " ".join(said)

    def _end_note(self) -> str:
        cut = self.finish_reason == "length"
        if not self.output and not self.media:
            if cut:
                why = " came: all it did was think" if self.reasoning else ""
                return f"It was cut at its limit of tokens before any text{why}."
            return "The model thought and gave no answer." if self.reasoning else "The answer is empty."
        filtered = self.finish_reason == "content_filter" and not self.refusal
        return "It was cut at its limit of tokens." if cut else "A filter of the provider ended it." if filtered else ""


_SHOWN_CALLS = 5
_SHOWN = 300


def _named(call: Mapping[str, Any]) -> str:
    function = call.get("function")
    name, arguments = (function.get("name"), function.get("arguments")) if isinstance(function, Mapping) else ("?", "")
    return f"{_short(str(name))}({_short(str(arguments))})"


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def names_of(kept: str | None) -> tuple[str, ...]:
    """Names kept as a JSON list; none for what is no such list, which an archive may hold."""
    try:
        found = json.loads(kept or "[]")
    except ValueError:
        return ()
    return tuple(name for name in found if isinstance(name, str)) if isinstance(found, list) else ()
