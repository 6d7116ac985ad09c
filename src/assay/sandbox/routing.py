"""From the model and provider fields of a request to a model and an endpoint (wire reference 3.2, 3.3)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from starlette.responses import Response

from assay.sandbox.catalogue import BY_ID, PER_TOKEN, Endpoint, Persona, price_list
from assay.sandbox.faults import error

VARIANTS = (":floor", ":nitro", ":exacto", ":online")


class Route(NamedTuple):
    """A model that may answer a request."""

    persona: Persona
    endpoints: tuple[Endpoint, ...]
    """The providers that may answer, best first; at least one."""
    variants: frozenset[str] = frozenset()


def resolve(body: Mapping[str, Any], *, output: str = "text") -> list[Route] | Response:
    """The models that may answer, in order, at least one; or the error that the gateway gives."""
    names = [body["model"]] if isinstance(body.get("model"), str) else []
    if isinstance(body.get("models"), list):
        names += [name for name in body["models"] if isinstance(name, str)]
    if not names:
        return error(400, "No models provided")
    last: Response | None = None
    routes: list[Route] = []
    for name in names:
        found = _route(name, body, output)
        if isinstance(found, Route):
            routes.append(found)
        else:
            last = found
    return routes or last or error(404, "No endpoints found.")


def _route(name: str, body: Mapping[str, Any], output: str) -> Route | Response:
    bare, variants = name, set()
    while (suffix := next((v for v in VARIANTS if bare.endswith(v)), "")) != "":
        bare = bare.removesuffix(suffix)
        variants.add(suffix)
    persona = BY_ID.get(bare)
    if persona is None:
        return error(400, f"{name} is not a valid model ID")
    if output not in persona.outputs:
        return error(404, f"No endpoints found for {name} that support this call.")
    found = _endpoints(persona, body, frozenset(variants))
    return Route(persona, tuple(found), frozenset(variants)) if isinstance(found, list) else found


def _against_policy(what: str) -> Response:
    return error(
        404, f"No endpoints found matching your data policy ({what}). Configure: https://openrouter.ai/settings/privacy"
    )


def _matches(slug: str, endpoint: Endpoint) -> bool:
    if endpoint.service_tier:
        return slug == endpoint.tag  # the base slug never means a tier's endpoint
    return slug == endpoint.tag or slug == endpoint.tag.split("/")[0] or slug.lower() == endpoint.provider.lower()


def _of_tier(
    endpoints: tuple[Endpoint, ...], body: Mapping[str, Any], variants: frozenset[str], only: object
) -> list[Endpoint]:
    """The endpoints that a request's service tier admits (wire reference 3.3, 3.8)."""
    wanted = body.get("service_tier")
    flex = [e for e in endpoints if e.service_tier == "flex"]
    if wanted == "flex" and flex:
        return flex
    named = only if isinstance(only, list) else []
    admits_flex = ":floor" in variants and wanted != "default"
    return [e for e in endpoints if not e.service_tier or admits_flex or e.tag in named]


def _endpoints(persona: Persona, body: Mapping[str, Any], variants: frozenset[str]) -> list[Endpoint] | Response:
    """The endpoints that may answer, best first."""
    routing = body.get("provider")
    wants: Mapping[str, Any] = routing if isinstance(routing, Mapping) else {}
    left = _of_tier(persona.endpoints, body, variants, wants.get("only"))
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
    alone = wants.get("allow_fallbacks") is False
    order = wants.get("order")
    if isinstance(order, list) and order:
        left.sort(key=lambda e: next((n for n, s in enumerate(order) if _matches(s, e)), len(order)))
        if alone and not any(_matches(s, left[0]) for s in order):
            return error(404, "No allowed providers are available for the selected model.")
    else:
        left = _sorted(left, wants.get("sort"), variants)
    return left[:1] if alone else left


def _sorted(left: list[Endpoint], sort: object, variants: frozenset[str]) -> list[Endpoint]:
    by = sort.get("by") if isinstance(sort, Mapping) else sort
    if by in ("throughput", "latency") or (not by and ":nitro" in variants):
        return sorted(left, key=lambda e: -e.throughput)
    if by == "price" or (not by and ":floor" in variants):
        return sorted(left, key=lambda e: Decimal(e.factor))
    return left


def _affordable(persona: Persona, endpoint: Endpoint, limits: Mapping[str, Any]) -> bool:
    """Whether no price of an endpoint is above its limit: per million tokens, or per request and image."""
    listed = price_list(persona, endpoint)
    for name in ("prompt", "completion", "request", "image"):
        unit = 1_000_000 if name in PER_TOKEN else 1
        if name in limits and Decimal(listed.get(name, 0)) * unit > Decimal(str(limits[name])):
            return False
    return True
