"""The cheaper ways to ask, and what each cannot do (wire reference 3.3, 3.8, 7.11)."""

from __future__ import annotations

from dataclasses import replace

from assay.domain.contestant import Contestant
from assay.domain.messages import CompletionRequest
from assay.domain.plan import RunMode, RunPlan
from assay.runs.prices import PriceBook, dynamic_variants


def in_mode(request: CompletionRequest, mode: RunMode, prices: PriceBook) -> CompletionRequest:
    """The request as a run's mode sends it; where a mode is not on offer, unchanged (wire reference 3.3, 3.8)."""
    if mode == "floor" and prices.takes_variants(request.model):
        return replace(request, model=f"{request.model}:floor")
    if mode == "flex" and "service_tier" not in request.params and prices.flex_endpoints(request.model):
        return replace(request, params={**request.params, "service_tier": "flex"})
    return request


def unbatchable(plan: RunPlan, contestant: Contestant, *, is_main: bool) -> str:
    """Why a contestant cannot be asked through the batch endpoint, in words; empty: it can.

    is_main: whether the gateway itself answers for its model, not a further endpoint.
    """
    if not is_main:
        return "its endpoint has no batches"
    if "free" in contestant.model_id.split(":")[1:]:
        return "free variants have no batches"
    if variants := dynamic_variants(contestant.model_id):
        return f"a batch is not routed, and {':'.join(['', *variants])} is routing"
    if "@preset/" in contestant.model_id:
        return "presets have no batches"
    if contestant.params.get("models"):
        return "a batch asks one model, without fallbacks"
    if set(plan.data_policy) - {"only"} or set(contestant.provider) - {"only", "allow_fallbacks"}:
        return "a batch carries no routing but the allowed providers"
    if any(isinstance(message.content, tuple) for prompt in plan.prompts for message in prompt.messages):
        return "a batch takes text only"
    return ""


def mode_notes(plan: RunPlan, prices: PriceBook) -> list[str]:
    """Who is asked otherwise than the run's mode says, and why, in words."""
    notes = []
    for contestant, name in zip(plan.contestants, plan.names, strict=True):
        model_id = contestant.model_id
        if plan.mode == "batch":
            why = unbatchable(plan, contestant, is_main=prices.speaks_openrouter(model_id))
        elif plan.mode == "flex":
            why = "" if prices.flex_endpoints(model_id) else "it has no flex tier"
        else:
            why = "" if plan.mode == "normal" or prices.takes_variants(model_id) else "it has one price only"
        if why:
            notes.append(f"{name} is asked as usual: {why}.")
    return notes
