"""The model catalogue: fetched once for all who want it at one time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
from pydantic import SecretStr

from assay.config import Gateway, Settings
from assay.openrouter.client import Client
from assay.openrouter.gateways import Gateways
from assay.runs.catalogue import Catalogue
from assay.store.engine import open_store


def test_catalogue_that_cannot_be_fetched_is_asked_for_once_by_all_who_wait(tmp_path: Path) -> None:
    """Pages and programs that come while a gateway hangs wait for one answer, not for one after another."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(503)

    async def refresh() -> list[str]:
        client = Client(
            Gateway("openrouter", "https://a.example/v1", SecretStr("k")),
            Settings(),
            transport=httpx.MockTransport(answer),
        )
        catalogue = Catalogue(Gateways(client), store, ttl_s=60)
        states = await asyncio.gather(*(catalogue.refresh() for _ in range(9)))
        again = await catalogue.refresh()
        await client.aclose()
        return [state.error for state in (*states, again)]

    store = open_store(f"sqlite:///{tmp_path}/a.db")
    try:
        said = asyncio.run(refresh())
    finally:
        store.close()

    assert len(asked) == 2
    assert all(said)
