"""The prices that estimates and bounds use, per model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from assay.domain.completion import Completion, Cost
from assay.domain.messages import CompletionRequest
from assay.openrouter.catalogue import Model
from assay.openrouter.failures import GatewayFailed
from assay.openrouter.gateways import Gateways
from assay.openrouter.pricing import Pricing, bound_pico, parse_pricing
from assay.openrouter.usage import estimated_cost

DEFAULT_MAX_TOKENS = 1024
REASONING_MAX_TOKENS = 4096
VARIANTS = ("floor", "nitro", "exacto", "online")
PRICED = 500
"""Models with their routing whose endpoints' prices are kept read."""


def base_model(model_id: str) -> str:
    """The catalogue's id of a model id with a dynamic variant."""
    bare, _, variant = model_id.rpartition(":")
    return bare if bare and variant in VARIANTS else model_id


class _Priced(NamedTuple):
    """Prices, and what they were read from: another catalogue or list of endpoints is read anew."""

    model: Model
    endpoints: Sequence[Mapping[str, Any]]
    prices: tuple[Pricing, ...]


class PriceBook:
    """Prices of models and of their endpoints; endpoints are asked for once per model."""

    def __init__(self, gateways: Gateways, find: Callable[[str], Model | None]) -> None:
        self._gateways = gateways
        self._find = find
        self._endpoints: dict[str, Sequence[Mapping[str, Any]]] = {}
        self._priced: dict[tuple[str, str, str], _Priced] = {}

    def model(self, model_id: str) -> Model | None:
        """The catalogue's model; None when it does not list it."""
        return self._find(model_id) or self._find(base_model(model_id))

    async def learn(self, model_id: str) -> None:
        """Fetches the endpoints of a model, so that its bound covers the dearest one; failing that, does nothing."""
        name = base_model(model_id)
        client = self._gateways.of(name).client
        if name in self._endpoints or not client.gateway.speaks_openrouter:
            return
        try:
            rows = (await client.endpoints(name)).get("endpoints")
        except GatewayFailed:
            return
        self._endpoints[name] = [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []

    def endpoints(self, model_id: str) -> Sequence[Mapping[str, Any]] | None:
        """The endpoints of a model as the gateway lists them; None: not learnt."""
        return self._endpoints.get(base_model(model_id))

    def speaks_openrouter(self, model_id: str) -> bool:
        """Whether the gateway of a model has OpenRouter's routing and endpoints."""
        return self._gateways.of(model_id).client.gateway.speaks_openrouter

    def takes_variants(self, model_id: str) -> bool:
        """Whether a dynamic variant, like `:floor`, can be put behind a model id."""
        return self.speaks_openrouter(model_id) and base_model(model_id) == model_id and not model_id.endswith(":free")

    def flex_endpoints(self, model_id: str) -> list[Mapping[str, Any]]:
        """The endpoints of a model at the cheaper, slower service tier; none: it has no such tier."""
        return [row for row in self.endpoints(model_id) or () if row.get("service_tier") == "flex"]

    def prices(self, model_id: str, provider: Mapping[str, Any]) -> Sequence[Pricing]:
        """The catalogue's price and that of every endpoint that `only` and `ignore` leave; unknown model: none."""
        model = self.model(model_id)
        if model is None:
            return ()
        endpoints = self._endpoints.get(base_model(model_id), ())
        asked = (model_id, repr(provider.get("only")), repr(provider.get("ignore")))
        kept = self._priced.get(asked)
        # Every call asks for them, and a model may have twenty endpoints.
        if kept is None or kept.model is not model or kept.endpoints is not endpoints:
            listed = [parse_pricing(row.get("pricing") or {}) for row in endpoints if allowed(row, provider)]
            while len(self._priced) >= PRICED:
                self._priced.pop(next(iter(self._priced), asked), None)  # pages and the engine share the book
            kept = self._priced[asked] = _Priced(model, endpoints, (model.pricing, *listed))
        return kept.prices

    def bound(self, request: CompletionRequest) -> int | None:
        """The most a request can cost in pico-dollars; None where a price is unknown."""
        if request.params.get("models") or request.params.get("plugins") or request.params.get("tools"):
            return None  # another model, or a tool with its own fee, may answer
        prices = self.prices(request.model, request.provider)
        return bound_pico(prices, request, max_completion_tokens=self.max_tokens(request)) if prices else None

    def max_tokens(self, request: CompletionRequest) -> int:
        """The longest answer of a request: as sent, or else what the model can emit."""
        sent = [request.params.get(name) for name in ("max_tokens", "max_completion_tokens")]
        told = [limit for limit in sent if isinstance(limit, int) and not isinstance(limit, bool) and limit > 0]
        if told:
            return max(told)  # which of two a provider heeds is not known
        model = self.model(request.model)
        longest = (model.max_completion_tokens or model.context_length) if model else None
        return longest or 128_000

    def default_max_tokens(self, model_id: str) -> int:
        """The `max_tokens` of a run whose user set none."""
        model = self.model(model_id)
        wanted = REASONING_MAX_TOKENS if model is not None and model.reasons else DEFAULT_MAX_TOKENS
        return min(wanted, model.max_completion_tokens) if model and model.max_completion_tokens else wanted

    def cost(self, request: CompletionRequest, completion: Completion) -> Cost:
        """What the response said; else the catalogue's arithmetic; else unknown."""
        if completion.cost.pico is not None:
            return completion.cost
        model = self.model(completion.model or "") or self.model(request.model)
        cost = estimated_cost(completion, model.pricing) if model else completion.cost
        return Cost(0, "estimated") if cost.pico is None and self.bound(request) == 0 else cost


def allowed(row: Mapping[str, Any], provider: Mapping[str, Any]) -> bool:
    """Whether `only` and `ignore` of a routing leave an endpoint."""
    tag = str(row.get("tag", ""))
    names = {tag, tag.split("/")[0], str(row.get("provider_name", "")).lower()}
    only, ignore = provider.get("only"), provider.get("ignore")
    if isinstance(only, list | tuple) and only and not names & {str(name).lower() for name in only}:
        return False
    return not (isinstance(ignore, list | tuple) and names & {str(name).lower() for name in ignore})
