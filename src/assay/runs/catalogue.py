"""The model catalogue: served from memory and store, refreshed in the background."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from assay.errors import AssayError
from assay.openrouter.catalogue import Model, parse_models, plain_row
from assay.openrouter.client import Client
from assay.openrouter.gateways import Gateways
from assay.store import catalogue as stored
from assay.store.engine import Store
from assay.store.ledger import now_ms


@dataclass(frozen=True, slots=True)
class CatalogueState:
    """How fresh the catalogue is."""

    fetched_ms: int | None
    """None: never fetched."""
    error: str = ""
    """Why the last refresh failed; empty when it did not."""


class Catalogue:
    """The models of the gateway, then those of further endpoints.

    `find` and `models` never wait; `refresh` belongs to the runtime's loop.
    """

    def __init__(self, gateways: Gateways, store: Store, *, ttl_s: float) -> None:
        self._clients = (gateways.main, *gateways.others.values())
        self._store = store
        self._ttl_ms = ttl_s * 1000
        self._models: dict[str, Model] = {}
        self._rows: dict[str, list[Mapping[str, Any]]] = {}
        self.state = CatalogueState(None)
        self._refreshing: asyncio.Future[CatalogueState] | None = None

    def load(self) -> None:
        """Takes the stored catalogue, so that the app opens offline."""
        with self._store.read() as connection:
            for client in self._clients:
                snapshot = stored.load_snapshot(connection, client.gateway.name)
                if snapshot is not None:
                    self._rows[client.gateway.name] = snapshot.rows
                    if client is self._clients[0]:
                        self.state = CatalogueState(snapshot.fetched_ms)
        self._index()

    def _index(self) -> None:
        self._models = {
            model.id: model
            for client in self._clients
            for model in parse_models(self._rows.get(client.gateway.name, ()))
        }

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

    @property
    def is_refreshing(self) -> bool:
        """Whether the catalogues are being fetched."""
        return self._refreshing is not None

    async def refresh(self) -> CatalogueState:
        """Fetches the catalogues; one that fails keeps its old rows, and the state says why.

        All who want them at one time share one fetch: a gateway that hangs is not waited for by one after another.
        """
        if self._refreshing is None:
            self._refreshing = asyncio.ensure_future(self._refresh())
            self._refreshing.add_done_callback(self._refreshed)
        return await asyncio.shield(self._refreshing)

    def _refreshed(self, _: asyncio.Future[CatalogueState]) -> None:
        self._refreshing = None

    async def _refresh(self) -> CatalogueState:
        said = await asyncio.gather(*(self._fetch(client) for client in self._clients))
        main = self._clients[0].gateway.name
        fetched = self.state.fetched_ms if said[0] else now_ms()
        texts = [
            error if client.gateway.name == main else f"{client.gateway.name}: {error}"
            for client, error in zip(self._clients, said, strict=True)
            if error
        ]
        self.state = CatalogueState(fetched, " ".join(texts))
        self._index()
        return self.state

    async def _fetch(self, client: Client) -> str:
        """Why the catalogue of one gateway could not be fetched; empty when it was."""
        gateway = client.gateway
        try:
            rows = await client.models()
            if not gateway.speaks_openrouter:
                rows = [plain_row(row, gateway) for row in rows if row.get("id")]
            await self._store.writer.ask(lambda c: stored.save_snapshot(c, gateway.name, rows, now_ms=now_ms()))
        except AssayError as error:
            return str(error)
        self._rows[gateway.name] = rows
        return ""
