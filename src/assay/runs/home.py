"""Whose a run is: the gateways that it was started at, and whether they are the ones that are here now.

A run is only ever asked at the gateways of its start, told by name and address. Where one of them is missing the run
waits, in words. The sandbox is told by its name alone: each process has one of its own, at any port.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from assay.config import OPENROUTER_URL, Gateway, address_of
from assay.domain.plan import RunPlan
from assay.openrouter.gateways import Gateways
from assay.store import runs


def models_of(plan: RunPlan) -> set[str]:
    """Ids of every model that a plan asks, judges included."""
    judges = {str(g.params["model"]) for g in plan.graders if g.kind == "judge" and g.params.get("model")}
    return judges | {contestant.model_id for contestant in plan.contestants}


def addresses_of(plan: RunPlan, gateways: Gateways) -> dict[str, str]:
    """Name -> address of every gateway that a plan's models are asked at; of the sandbox the address is empty."""
    asked = [gateways.main.gateway, *(gateways.of(model).client.gateway for model in sorted(models_of(plan)))]
    return {gateway.name: _address(gateway) for gateway in asked}


def _address(gateway: Gateway) -> str:
    return "" if gateway.is_sandbox else address_of(gateway.base_url)


def waits_for(run: Any, plan: RunPlan, gateways: Gateways) -> str:
    """Which gateway a run waits for and what brings it back, in words; empty: all of its gateways are here.

    run: its row.
    """
    main, kept = gateways.main.gateway, runs.gateways_of(run)
    if run.gateway != main.name:
        return _elsewhere(run.gateway, kept.get(run.gateway, ""))
    if kept and kept.get(main.name) != _address(main):
        return f"{_elsewhere(main.name, kept.get(main.name, ''))} Calls go to {_address(main)} now."
    return next(_endpoints(plan, gateways, kept), "")


def _endpoints(plan: RunPlan, gateways: Gateways, kept: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with the further endpoints of a run, in words."""
    for model in sorted(models_of(plan)) if kept else ():
        prefix = model.partition("/")[0]
        now = gateways.of(model).client.gateway
        if prefix in kept and prefix != gateways.main.gateway.name:
            if now.name != prefix or _address(now) != kept[prefix]:
                yield _elsewhere(prefix, kept[prefix])
        elif now.name != gateways.main.gateway.name:
            yield (
                f"The run waits: {model} was asked at {_title(gateways.main.gateway.name)}, and the endpoint "
                f"{now.name} in ASSAY_ENDPOINTS would take it now. Give the endpoint another name."
            )


def _title(name: str) -> str:
    return {"openrouter": "OpenRouter", "sandbox": "the sandbox"}.get(name, name)


def _elsewhere(name: str, address: str) -> str:
    if name == "sandbox":
        return "The run waits for the sandbox: open Assay without OPENROUTER_API_KEY."
    if name != "openrouter":
        at = f" at {address}" if address else ""
        return f"The run waits for the endpoint {name}{at}: set it in ASSAY_ENDPOINTS."
    if address in ("", address_of(OPENROUTER_URL)):
        return "The run waits for OpenRouter: set OPENROUTER_API_KEY."
    return f"The run waits for OpenRouter at {address}: set OPENROUTER_API_KEY and OPENROUTER_BASE_URL."


def is_unplaced(run: Any, gateways: Gateways) -> bool:
    """Whether calls of a run were sent at an address that nobody kept: it is an earlier release's, or came in as an
    archive. It goes on only when somebody asks for that."""
    return not runs.gateways_of(run) and run.started_ms is not None and not gateways.main.gateway.is_sandbox


def unknown_of(names: Iterable[str], gateways: Gateways) -> str:
    """Which of some gateways, known by name only, a run waits for, in words; empty: all of them are here."""
    here = {gateways.main.gateway.name, *gateways.others}
    return next((_elsewhere(name, "") for name in sorted(names) if name not in here), "")


def unplaced_words(gateways: Gateways) -> str:
    """Why such a run rests, and what continuing does."""
    main = gateways.main.gateway
    return (
        f"The run does not say at which address its calls were sent. Continue sends the missing ones to "
        f"{_title(main.name)} at {_address(main)}."
    )
