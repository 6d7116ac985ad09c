"""From the model and provider fields of a request to a model and an endpoint (wire reference 3.2, 3.3)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from starlette.responses import Response

from assay.sandbox.catalogue import BY_ID, Endpoint, Persona
from assay.sandbox.faults import error

VARIANTS = (":floor", ":nitro", ":exacto", ":online")


def resolve(body: Mapping[str, Any]) -> tuple[Persona, Endpoint] | Response:
    """The model and endpoint that answer, or the error that the gateway gives."""
    names = [body["model"]] if isinstance(body.get("model"), str) else []
    if isinstance(body.get("models"), list):
        names += [name for name in body["models"] if isinstance(name, str)]
    if not names:
        return error(400, "No models provided")
    last: Response | None = None
    for name in names:
        bare, variant = name, ""
        for suffix in VARIANTS:
            if bare.endswith(suffix):
                bare, variant = bare.removesuffix(suffix), suffix
        persona = BY_ID.get(bare)
        if persona is None:
            last = error(400, f"{name} is not a valid model ID")
            continue
        endpoint = _endpoint(persona, body, variant)
        if isinstance(endpoint, Endpoint):
            return persona, endpoint
        last = endpoint
    return last or error(404, "No endpoints found.")


def _against_policy(what: str) -> Response:
    return error(
        404, f"No endpoints found matching your data policy ({what}). Configure: https://openrouter.ai/settings/privacy"
    )


def _matches(slug: str, endpoint: Endpoint) -> bool:
    if endpoint.service_tier:
        return slug == endpoint.tag  # the base slug never means a tier's endpoint
    return slug == endpoint.tag or slug == endpoint.tag.split("/")[0] or slug.lower() == endpoint.provider.lower()


def _of_tier(endpoints: tuple[Endpoint, ...], body: Mapping[str, Any], variant: str, only: object) -> list[Endpoint]:
    """The endpoints that a request's service tier admits (wire reference 3.3, 3.8)."""
    wanted = body.get("service_tier")
    flex = [e for e in endpoints if e.service_tier == "flex"]
    if wanted == "flex" and flex:
        return flex
    named = only if isinstance(only, list) else []
    admits_flex = variant == ":floor" and wanted != "default"
    return [e for e in endpoints if not e.service_tier or admits_flex or e.tag in named]


def _endpoint(persona: Persona, body: Mapping[str, Any], variant: str) -> Endpoint | Response:
    routing = body.get("provider")
    wants: Mapping[str, Any] = routing if isinstance(routing, Mapping) else {}
    left = _of_tier(persona.endpoints, body, variant, wants.get("only"))
    if wants.get("only"):
        left = [e for e in left if any(_matches(s, e) for s in wants["only"])]
        if not left:
            return error(404, "No allowed providers are available for the selected model.")
    if wants.get("ignore"):
        left = [e for e in left if not any(_matches(s, e) for s in wants["ignore"])]
    if wants.get("zdr"):
        left = [e for e in left if e.zdr]
        if not left:
            return _against_policy("Zero data retention")
    if wants.get("data_collection") == "deny":
        left = [e for e in left if not e.trains]
        if not left:
            return _against_policy("Free model training" if persona.is_free else "Paid model training")
    if wants.get("quantizations"):
        left = [e for e in left if e.quantization in wants["quantizations"]]
    if wants.get("require_parameters"):
        sent = set(body) - {"model", "models", "messages", "provider", "stream"}
        left = left if sent <= set(persona.parameters) else []
    if isinstance(wants.get("max_price"), Mapping):
        left = [e for e in left if _affordable(persona, e, wants["max_price"])]
    if not left:
        return error(404, f"No endpoints found for {persona.id}.")
    order = wants.get("order")
    if isinstance(order, list) and order:
        ranked = sorted(left, key=lambda e: next((n for n, s in enumerate(order) if _matches(s, e)), len(order)))
        if wants.get("allow_fallbacks") is False and not any(_matches(s, ranked[0]) for s in order):
            return error(404, "No allowed providers are available for the selected model.")
        return ranked[0]
    sort = wants.get("sort") or {":floor": "price", ":nitro": "throughput"}.get(variant)
    if sort == "throughput":
        return max(left, key=lambda e: e.throughput)
    if sort == "price":
        return min(left, key=lambda e: Decimal(e.factor))
    return left[0]


def _affordable(persona: Persona, endpoint: Endpoint, limits: Mapping[str, Any]) -> bool:
    factor = Decimal(endpoint.factor) * 1_000_000
    for name, price in (("prompt", persona.prompt), ("completion", persona.completion)):
        if name in limits and Decimal(price) * factor > Decimal(str(limits[name])):
            return False
    return True
