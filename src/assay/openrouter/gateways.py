"""The gateway and the further endpoints: which client answers for which model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from assay.openrouter.client import Client


class Address(NamedTuple):
    """Where a model is asked for."""

    client: Client
    model: str
    """Its id there."""


class Gateways:
    """All clients of the process. A model of a further endpoint is called NAME/MODEL; every other is the gateway's."""

    def __init__(self, main: Client, others: Sequence[Client] = ()) -> None:
        self.main = main
        self.others = {client.gateway.name: client for client in others}

    def of(self, model: str) -> Address:
        """The client that answers for a model, and the model's id there."""
        name, _, rest = model.partition("/")
        other = self.others.get(name)
        return Address(other, rest) if other is not None and rest else Address(self.main, model)

    async def aclose(self) -> None:
        """Closes all connections."""
        for client in (self.main, *self.others.values()):
            await client.aclose()
