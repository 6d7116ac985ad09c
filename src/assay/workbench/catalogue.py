"""The model catalogue: served from memory and store, refreshed in the background."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assay.errors import AssayError
from assay.openrouter.catalogue import Model, parse_models
from assay.openrouter.client import Client
from assay.store import catalogue as stored
from assay.store.engine import Store
from assay.store.ledger import now_ms

if TYPE_CHECKING:
    from assay.workbench.runtime import Runtime


@dataclass(frozen=True, slots=True)
class CatalogueState:
    """How fresh the catalogue is."""

    fetched_ms: int | None
    """None: never fetched."""
    error: str = ""
    """Why the last refresh failed; empty when it did not."""


class Catalogue:
    """The models of the gateway. `find` and `models` never wait; `refresh` belongs to the runtime's loop."""

    def __init__(self, client: Client, store: Store, *, gateway: str, ttl_s: float) -> None:
        self._client = client
        self._store = store
        self._gateway = gateway
        self._ttl_ms = ttl_s * 1000
        self._models: dict[str, Model] = {}
        self.state = CatalogueState(None)
        self._refreshing = asyncio.Lock()

    def load(self) -> None:
        """Takes the stored catalogue, so that the app opens offline."""
        with self._store.read() as connection:
            snapshot = stored.load_snapshot(connection, self._gateway)
        if snapshot is not None:
            self._models = {model.id: model for model in parse_models(snapshot.rows)}
            self.state = CatalogueState(snapshot.fetched_ms)

    @property
    def is_stale(self) -> bool:
        """Whether it is older than its time to live, or was never fetched."""
        return self.state.fetched_ms is None or now_ms() - self.state.fetched_ms > self._ttl_ms

    def find(self, model_id: str) -> Model | None:
        """A model by id; None when the catalogue does not list it."""
        return self._models.get(model_id)

    def models(self) -> tuple[Model, ...]:
        """All models in the catalogue's order; empty when it was never fetched."""
        return tuple(self._models.values())

    async def refresh(self) -> CatalogueState:
        """Fetches the catalogue; a failure keeps the old one and says why."""
        async with self._refreshing:
            try:
                rows = await self._client.models()
                fetched = now_ms()
                await asyncio.wrap_future(
                    self._store.writer.submit(lambda c: stored.save_snapshot(c, self._gateway, rows, now_ms=fetched))
                )
            except AssayError as error:
                self.state = CatalogueState(self.state.fetched_ms, str(error))
            else:
                self._models = {model.id: model for model in parse_models(rows)}
                self.state = CatalogueState(fetched)
            return self.state


def list_models(rt: Runtime, *, text_only: bool = True) -> tuple[Model, ...]:
    """The models that can answer with text, at once; a stale catalogue is refreshed in the background."""
    if rt.catalogue.is_stale:
        rt.spawn(rt.catalogue.refresh())
    models = rt.catalogue.models()
    return tuple(m for m in models if "text" in m.output_modalities) if text_only else models


def get_model(rt: Runtime, model_id: str) -> Model | None:
    """A model by id; None when the catalogue does not list it."""
    return rt.catalogue.find(model_id)


def catalogue_state(rt: Runtime) -> CatalogueState:
    """How fresh the catalogue is, and why the last refresh failed."""
    return rt.catalogue.state


def refresh_models(rt: Runtime) -> CatalogueState:
    """Fetches the catalogue now and waits for it."""
    return rt.wait(rt.catalogue.refresh())


def model_endpoints(rt: Runtime, model_id: str) -> list[Mapping[str, Any]]:
    """The providers of a model with price, quantization, uptime and speed. Raises GatewayError in words."""
    rows = rt.wait(rt.client.endpoints(model_id)).get("endpoints")
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []
