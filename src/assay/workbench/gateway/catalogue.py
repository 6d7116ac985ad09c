"""What the gateway lists: models, their providers, prices and how they changed."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from assay.openrouter.catalogue import Model
from assay.openrouter.pricing import Pricing, parse_pricing
from assay.runs.catalogue import CatalogueState
from assay.store import catalogue as stored

if TYPE_CHECKING:
    from assay.workbench.session import Session

NEAR = 3
"""Ids that are suggested for a mistyped one at most."""


def list_models(session: Session, *, text_only: bool = True) -> tuple[Model, ...]:
    """The models that can be called and answer with text, at once; a stale catalogue is refreshed in the background.

    Rows that only say what a model costs in batches are left out: no ordinary call can be made to them.
    """
    if session.catalogue.is_stale and not session.catalogue.is_refreshing:
        session.spawn(session.catalogue.refresh())
    models = tuple(m for m in session.catalogue.models() if not m.id.endswith(":batch"))
    return tuple(m for m in models if "text" in m.output_modalities) if text_only else models


def get_model(session: Session, model_id: str) -> Model | None:
    """A model by id; None when the catalogue does not list it."""
    return session.catalogue.find(model_id)


def catalogue_state(session: Session) -> CatalogueState:
    """How fresh the catalogue is, and why the last refresh failed."""
    return session.catalogue.state


def refresh_models(session: Session) -> CatalogueState:
    """Fetches the catalogue now and waits for it."""
    return session.wait(session.catalogue.refresh())


def model_endpoints(session: Session, model_id: str) -> list[Mapping[str, Any]]:
    """The providers of a model with price, quantization, uptime and speed. Raises GatewayError in words."""
    client, name = session.gateways.of(model_id)
    if not client.gateway.speaks_openrouter:
        return []
    rows = session.wait(client.endpoints(name)).get("endpoints")
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []


def price_history(session: Session, model_id: str) -> list[tuple[int, Pricing]]:
    """(first seen in ms, prices) of a model, oldest first; at least one entry for a model of the catalogue."""
    gateway = session.gateways.of(model_id).client.gateway.name
    with session.store.read() as connection:
        found = stored.price_history(connection, gateway, model_id)
    return [(seen, parse_pricing(pricing or {})) for seen, pricing in found]


def zdr_endpoints(session: Session) -> set[tuple[str, str]]:
    """(model id, endpoint tag) of every endpoint that retains nothing. Raises GatewayError in words."""
    return {
        (str(row.get("model_id")), str(row.get("tag"))) for row in session.wait(session.gateways.main.zdr_endpoints())
    }


def nearest_models(session: Session, model_id: str) -> list[str]:
    """The ids of the catalogue that a mistyped one may mean, the likeliest first; nothing is near: empty."""
    ids = [model.id for model in session.catalogue.models()]
    # A name without its maker is compared with names alone.
    tails = {one.split("/")[-1]: one for one in ids}
    near = difflib.get_close_matches(model_id.lower(), ids, n=NEAR)
    near += [tails[tail] for tail in difflib.get_close_matches(model_id.split("/")[-1].lower(), tails, n=NEAR)]
    begun = [one for one in ids if model_id.split("/")[-1][:4] in one] if model_id else []
    return list(dict.fromkeys([*near, *begun]))[:NEAR]
