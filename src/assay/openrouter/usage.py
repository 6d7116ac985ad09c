"""What a gateway says of a call's tokens and cost, and what of it can be believed (wire reference 4, 13).

With one's own provider key (BYOK) `cost` is the gateway's fee alone, often 0, and `cost_details` holds what the
provider charges: both were paid. Without it the upstream figure is within `cost` and is never added.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from assay.domain.completion import UNKNOWN_COST, Completion, Cost, Provenance, Usage
from assay.money import to_pico
from assay.openrouter.pricing import Pricing, estimate_cost
from assay.openrouter.wire_values import amount_of, count_of, pico_of

UPSTREAM = "upstream_inference_cost"
_PARTS = ("upstream_inference_prompt_cost", "upstream_inference_completions_cost")
LONGEST_DETAILS = 2_000
"""Characters of `cost_details` that are kept at most."""


def parse_usage(raw: object) -> Usage | None:
    """The usage block; fields that are missing or of another type are None. No block: None."""
    if not isinstance(raw, dict) or not raw:
        return None
    prompt = _object(raw.get("prompt_tokens_details"))
    completion = _object(raw.get("completion_tokens_details"))
    details = _object(raw.get("cost_details"))
    cost, upstream = _charged(raw.get("cost")), _upstream(details)
    return Usage(
        prompt_tokens=count_of(raw.get("prompt_tokens")),
        completion_tokens=count_of(raw.get("completion_tokens")),
        reasoning_tokens=count_of(completion.get("reasoning_tokens")),
        cached_tokens=count_of(prompt.get("cached_tokens")),
        cache_write_tokens=count_of(prompt.get("cache_write_tokens")),
        cost_usd=cost,
        is_byok=_byok(raw.get("is_byok"), cost, upstream),
        upstream_usd=upstream,
        cost_details=details,
        raw=raw,
    )


def _charged(value: object) -> Decimal | None:
    """An amount as a number of the wire; a text, a negative or an absurd one is none that anybody charged."""
    return None if isinstance(value, str) else amount_of(value)


def _upstream(details: Mapping[str, Any]) -> Decimal | None:
    """What the provider charged; gateways that leave the sum out, or at 0, may tell its parts."""
    whole = _charged(details.get(UPSTREAM))
    parts = [part for name in _PARTS if (part := _charged(details.get(name))) is not None]
    return max(whole or Decimal(0), sum(parts, Decimal(0))) if parts or whole is not None else None


def _byok(said: object, cost: Decimal | None, upstream: Decimal | None) -> bool | None:
    """Whether one's own key paid the provider. A cost below its upstream part cannot hold it: unless denied, yes."""
    if isinstance(said, bool):
        return said
    return True if upstream and cost is not None and cost < upstream else None


def cost_of(usage: Usage | None) -> Cost:
    """The cost as the response said it; unknown where it did not."""
    return UNKNOWN_COST if usage is None else _cost(usage.cost_usd, usage.is_byok, usage.upstream_usd, "billed")


def _cost(charged: Decimal | None, byok: bool | None, upstream: Decimal | None, said: Provenance) -> Cost:
    if not byok:
        return UNKNOWN_COST if charged is None else Cost(to_pico(charged), said)
    if upstream is None:
        return UNKNOWN_COST  # the fee alone is not what the call cost
    paid, total = to_pico(upstream), pico_of(upstream + (charged or 0))
    kind: Provenance = "upstream" if said == "billed" and paid else said
    return UNKNOWN_COST if total is None else Cost(total, kind, paid)


def recovered_cost(record: Mapping[str, Any]) -> Cost:
    """The cost that the gateway's record of a generation tells; unknown where it does not (wire reference 7)."""
    charged, upstream = _charged(record.get("total_cost")), _upstream(record)
    return _cost(charged, _byok(record.get("is_byok"), charged, upstream), upstream, "recovered")


def estimated_cost(completion: Completion, pricing: Pricing, *, images: int = 0) -> Cost:
    """The catalogue's arithmetic for an answer that did not say its cost; a fee that was told comes on top.

    images: pictures that were sent."""
    usage = completion.usage
    cost = estimate_cost(pricing, usage, images=images)
    if usage is None or not usage.is_byok or cost.pico is None:
        return cost
    return replace(cost, pico=cost.pico + to_pico(usage.cost_usd or Decimal(0)), upstream_pico=cost.pico)


def kept_details(usage: Usage | None) -> str | None:
    """`cost_details` as JSON where they tell more than the cost: one's own key, or parts such as tools."""
    if usage is None or not usage.cost_details:
        return None
    if not usage.is_byok and usage.cost_details.keys() <= {UPSTREAM, *_PARTS}:
        return None
    said = json.dumps(usage.cost_details, ensure_ascii=True, default=str)
    return said if len(said) <= LONGEST_DETAILS else None


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
