"""A provider's endpoint in words: its state, its prices, how it did lately."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from assay.money import usd


@dataclass(frozen=True, slots=True)
class EndpointFacts:
    """What is known of an endpoint; None where the gateway does not say."""

    provider: str
    tag: str
    status: str
    prompt_usd_per_million: Decimal | None
    completion_usd_per_million: Decimal | None
    quantization: str | None
    uptime: float | None
    """Percent of the last half hour."""
    first_token_ms: float | None
    """Median."""
    tokens_per_s: float | None
    """Median."""
    context: int | None
    prices: Mapping[str, str]
    """Every price by its key, as the wire has it."""


def status_words(status: object) -> str:
    """An endpoint's status: 0 is normal, -5 down and below that off; what lies between is degraded."""
    if isinstance(status, bool) or not isinstance(status, int):
        return "unknown"
    if status >= 0:
        return "ok"
    return "off" if status < -5 else "down" if status == -5 else f"degraded ({status})"


def endpoint_facts(row: Mapping[str, Any]) -> EndpointFacts:
    """The facts of an endpoint's row (wire reference 2.3); an odd field is unknown."""
    given = row.get("pricing")
    prices = given if isinstance(given, Mapping) else {}
    return EndpointFacts(
        provider=str(row.get("provider_name") or "?"),
        tag=str(row.get("tag") or "?"),
        status=status_words(row.get("status")),
        prompt_usd_per_million=_per_million(prices.get("prompt")),
        completion_usd_per_million=_per_million(prices.get("completion")),
        quantization=str(row["quantization"]) if row.get("quantization") else None,
        uptime=_number(row.get("uptime_last_30m")),
        first_token_ms=_median(row.get("latency_last_30m")),
        tokens_per_s=_median(row.get("throughput_last_30m")),
        context=row["context_length"] if isinstance(row.get("context_length"), int) else None,
        prices={str(name): str(price) for name, price in prices.items() if isinstance(price, str)},
    )


def _per_million(price: object) -> Decimal | None:
    try:
        found = usd(str(price)) * 1_000_000
    except ValueError:
        return None
    return found if found >= 0 else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float | Decimal) and not isinstance(value, bool) else None


def _median(value: object) -> float | None:
    return _number(value.get("p50")) if isinstance(value, Mapping) else None
