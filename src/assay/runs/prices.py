"""The prices that estimates and bounds use, per model.

PriceBook.bound   the most that a request can cost, or what of it has no bound
PriceBook.terms   the same for any messages: the estimate of a run multiplies them, so both are one arithmetic
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, NamedTuple, TypeVar

from assay.domain.completion import Completion, Cost
from assay.domain.contestant import Contestant
from assay.domain.messages import CompletionRequest
from assay.openrouter.bounds import Bound, Offer, Terms, terms_of, weight_of
from assay.openrouter.catalogue import Model
from assay.openrouter.failures import GatewayFailed
from assay.openrouter.gateways import Gateways
from assay.openrouter.pricing import Pricing, parse_pricing
from assay.openrouter.usage import estimated_cost
from assay.openrouter.wire_values import count_of

K = TypeVar("K")
V = TypeVar("V")
BATCH_DISCOUNT = Decimal("0.5")
"""What a batch costs of the usual price, about, where the catalogue lists no batch price."""
DEFAULT_MAX_TOKENS = 1024
REASONING_MAX_TOKENS = 4096
VARIANTS = ("floor", "nitro", "exacto", "online")
PRICED = 500
"""Models with their routing whose endpoints' prices are kept read."""
MODELS = 4_000
"""Models of which something is remembered; who calls may name any, also some that no gateway has."""
LEARNT_FOR_S = 3_600.0
"""Seconds for which a list of endpoints is believed."""
GONE = (400, 404, 405, 410, 501)
"""Statuses that say that there is no list of endpoints; any other failure may pass."""


def base_model(model_id: str) -> str:
    """The catalogue's id of a model id with dynamic variants, in any order and number (`x:nitro:free:online`)."""
    name, *variants = model_id.split(":")
    return ":".join([name, *(variant for variant in variants if variant.lower() not in VARIANTS)])


def dynamic_variants(model_id: str) -> tuple[str, ...]:
    """The dynamic variants behind a model id, as written; none: empty."""
    return tuple(variant for variant in model_id.split(":")[1:] if variant.lower() in VARIANTS)


def may_answer(request: CompletionRequest) -> tuple[str, ...]:
    """The models that may answer: the one asked, then its fallbacks; what is no model id is left out."""
    fallbacks = request.params.get("models")
    listed = fallbacks if isinstance(fallbacks, list | tuple) else ()
    return tuple(dict.fromkeys((request.model, *(name for name in listed if isinstance(name, str)))))


class _Priced(NamedTuple):
    """Prices, and what they were read from: another catalogue or list of endpoints is read anew."""

    model: Model
    endpoints: Sequence[Mapping[str, Any]]
    prices: tuple[Pricing, ...]


class _Learnt(NamedTuple):
    rows: Sequence[Mapping[str, Any]]
    asked_s: float


class _Kept(NamedTuple):
    """Terms, and what they were made from."""

    sources: tuple[object, ...]
    terms: Terms


class PriceBook:
    """Prices of models and of their endpoints; endpoints are asked for once an hour per model."""

    def __init__(self, gateways: Gateways, find: Callable[[str], Model | None]) -> None:
        self._gateways = gateways
        self._find = find
        self._endpoints: dict[str, _Learnt] = {}
        self._asking: dict[str, asyncio.Future[None]] = {}
        self._not_before: dict[str, float] = {}
        """Model -> when, by the monotonic clock, endpoints that could not be fetched are asked for again."""
        self._priced: dict[tuple[str, str, str], _Priced] = {}
        self._terms: dict[tuple[object, ...], _Kept] = {}
        self._surprised: dict[str, int] = {}
        """Model -> how many times its bound a bill was, at most; 0: it was billed though its prices say 0."""

    def model(self, model_id: str) -> Model | None:
        """The catalogue's model; None when it does not list it."""
        return self._find(model_id) or self._find(base_model(model_id))

    async def learn_all(self, request: CompletionRequest) -> None:
        """Fetches the endpoints of every model that may answer."""
        for model_id in may_answer(request):
            await self.learn(model_id)

    async def learn(self, model_id: str) -> None:
        """Fetches the endpoints of a model, so that its bound covers the dearest one; failing that, does nothing.

        All who want them at one time share one question, whose failure is not waited for again at once.
        """
        name = base_model(model_id)
        known, now = self._endpoints.get(name), time.monotonic()
        if (known is not None and now - known.asked_s < LEARNT_FOR_S) or now < self._not_before.get(name, 0.0):
            return
        if not self._gateways.of(name).client.gateway.speaks_openrouter:
            return
        asking = self._asking.get(name)
        if asking is None:
            asking = self._asking[name] = asyncio.ensure_future(self._learn(name))
            asking.add_done_callback(lambda _: self._asking.pop(name, None))
        await asyncio.shield(asking)

    def doubt(self, model_id: str) -> None:
        """Has the endpoints of a model asked for anew before its next call; what is known of them holds until then."""
        name = base_model(model_id)
        if (known := self._endpoints.get(name)) is not None:
            keep(self._endpoints, name, known._replace(asked_s=-math.inf))

    async def _learn(self, name: str) -> None:
        started = time.monotonic()
        try:
            rows = (await self._gateways.of(name).client.endpoints(name)).get("endpoints")
        except GatewayFailed as error:
            if name in self._endpoints or error.status not in GONE:
                # For as long as it took: a gateway that hangs must not hold up every call anew.
                keep(self._not_before, name, 2 * time.monotonic() - started)
                return
            rows = []
        listed = [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []
        keep(self._endpoints, name, _Learnt(listed, time.monotonic()))
        self._not_before.pop(name, None)

    def endpoints(self, model_id: str) -> Sequence[Mapping[str, Any]] | None:
        """The endpoints of a model as the gateway lists them; None: not learnt."""
        known = self._endpoints.get(base_model(model_id))
        return None if known is None else known.rows

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
        endpoints = self.endpoints(model_id) or ()
        asked = (model_id, repr(provider.get("only")), repr(provider.get("ignore")))
        kept = self._priced.get(asked)
        # Every call asks for them, and a model may have twenty endpoints.
        if kept is None or kept.model is not model or kept.endpoints is not endpoints:
            listed = [parse_pricing(row.get("pricing")) for row in endpoints if may_serve(row, provider)]
            kept = _Priced(model, endpoints, (model.pricing, *listed))
            keep(self._priced, asked, kept, most=PRICED)
        return kept.prices

    def bound(self, request: CompletionRequest) -> Bound:
        """The most a request can cost, or what of it has no bound."""
        return self.terms(request).bound(weight_of(request.messages))

    def terms(self, request: CompletionRequest) -> Terms:
        """The dearest that the model and its fallbacks can charge; the messages of the request do not count."""
        names = may_answer(request)
        sources = tuple(
            source for name in names for source in (self.model(name), self._endpoints.get(base_model(name)))
        )
        asked = (request.model, repr(request.params), repr(request.provider))
        kept = self._terms.get(asked)
        if kept is not None and len(kept.sources) == len(sources) and all(map(_is, kept.sources, sources)):
            return kept.terms
        keep(self._terms, asked, _Kept(sources, found := self._terms_of(request, names)), most=PRICED)
        return found

    def _terms_of(self, request: CompletionRequest, names: Iterable[str]) -> Terms:
        found: Terms | None = None
        for name in names:
            one = terms_of(self._offer(name, request), CompletionRequest(name, (), request.params, request.provider))
            factor = self._surprised.get(base_model(name), 1)
            one = (
                one.times(factor) if factor else replace(one, unknown=f"{name}: it was billed, though it lists as free")
            )
            found = one if found is None else found.at_least(one)
        assert found is not None  # noqa: S101 - the model asked is among the names
        if (given := request.params.get("models")) and not _are_names(given):
            return Terms(unknown=f"{request.model}: models that are no list of model ids")
        return found

    def _offer(self, name: str, request: CompletionRequest) -> Offer:
        """What is known of a model that may answer a request."""
        asked = self._gateways.of(request.model).client
        speaks = asked.gateway.speaks_openrouter
        # A fallback is the asked gateway's, and a list of endpoints that could not be fetched may hold dearer ones.
        elsewhere = self._gateways.of(name).client is not asked
        told = not speaks or self.endpoints(name) is not None
        model = self.model(name)
        rows = [row for row in self.endpoints(name) or () if may_serve(row, request.provider)]
        contexts = [model.context_length if model else None, *(count_of(row.get("context_length")) for row in rows)]
        return Offer(
            name=name,
            pricings=() if elsewhere or not told else self.prices(name, request.provider),
            unpriced="" if told else "the prices of its providers could not be asked for",
            speaks_openrouter=speaks,
            context=_most(contexts),
            longest=self._longest(name, rows),
            tiers=frozenset(str(row["service_tier"]) for row in rows if row.get("service_tier")),
        )

    def _longest(self, model_id: str, rows: Iterable[Mapping[str, Any]]) -> int | None:
        """Tokens of the longest answer that any endpoint can give; None: not told."""
        model = self.model(model_id)
        limits = [(model.max_completion_tokens or model.context_length) if model else None]
        for row in rows:
            limits.append(count_of(row.get("max_completion_tokens")) or count_of(row.get("context_length")))
        return _most(limits)

    def heed(self, request: CompletionRequest, cost: Cost, *, batch: bool = False) -> None:
        """Takes a bill above its bound to heart: a provider that did not keep its list once need not do so again.

        From then on the model's bounds are as many times higher; a bill from a model whose prices are all 0 leaves it
        without any.
        """
        bound = self.bound(request).pico
        reserved = self.batch_terms(request).bound(weight_of(request.messages)).pico if batch else bound
        if bound is None or reserved is None or cost.pico is None or cost.pico <= reserved:
            return
        for name in map(base_model, may_answer(request)):
            factor = self._surprised.get(name, 1) * -(-cost.pico // bound) if bound else 0
            keep(self._surprised, name, factor)
            self.doubt(name)  # its list may have changed
        self._terms.clear()

    def max_tokens(self, request: CompletionRequest) -> int:
        """The longest answer of a request: as sent, or else what the model can emit."""
        sent = [request.params.get(name) for name in ("max_tokens", "max_completion_tokens")]
        told = [limit for limit in sent if isinstance(limit, int) and not isinstance(limit, bool) and limit > 0]
        if told:
            return max(told)  # which of two a provider heeds is not known
        return self._longest(request.model, self.endpoints(request.model) or ()) or 128_000

    def default_max_tokens(self, model_id: str) -> int:
        """The `max_tokens` of a run whose user set none."""
        model = self.model(model_id)
        wanted = REASONING_MAX_TOKENS if model is not None and model.reasons else DEFAULT_MAX_TOKENS
        return min(wanted, model.max_completion_tokens) if model and model.max_completion_tokens else wanted

    def added_max_tokens(self, contestant: Contestant) -> int | None:
        """The `max_tokens` that a run adds to the calls of a contestant; None: it sets a longest answer itself."""
        if {"max_tokens", "max_completion_tokens"} & contestant.params.keys():
            return None
        return self.default_max_tokens(contestant.model_id)

    def cost(self, request: CompletionRequest, completion: Completion) -> Cost:
        """What the response said; else the catalogue's arithmetic; else unknown. What can only be free is 0."""
        if completion.cost.pico is not None:
            return completion.cost
        if (bound := self.bound(request)).pico is None:
            return completion.cost  # a fee that no list holds may be in it
        model = self.model(completion.model or "") or self.model(request.model)
        images = weight_of(request.messages).images
        cost = estimated_cost(completion, model.pricing, images=images) if model else completion.cost
        return Cost(0, "estimated") if cost.pico is None and bound.pico == 0 else cost

    def batch_model(self, model_id: str) -> Model | None:
        """The catalogue's row with the price of a model in batches; None: it lists none."""
        return self._find(f"{base_model(model_id).removesuffix(':batch')}:batch")

    def batch_share(self, model_id: str) -> Decimal:
        """What a batch costs of the usual price: the catalogue's own, the dearer of prompt and answer."""
        row, model = self.batch_model(model_id), self.model(model_id)
        if row is None or model is None:
            return BATCH_DISCOUNT
        pairs = [(row.pricing.prompt, model.pricing.prompt), (row.pricing.completion, model.pricing.completion)]
        shares = [batch / usual for batch, usual in pairs if batch is not None and usual]
        return max(shares, default=BATCH_DISCOUNT)

    def batch_cost(self, request: CompletionRequest, completion: Completion, *, usual: Cost) -> Cost:
        """The cost of an answer of a batch that does not say it; usual: what the answer would cost alone."""
        row = self.batch_model(request.model)
        if row is not None:
            return estimated_cost(completion, row.pricing)
        return usual if usual.pico is None else replace(usual, pico=int(usual.pico * BATCH_DISCOUNT))

    def batch_terms(self, request: CompletionRequest) -> Terms:
        """The dearest of a request in a batch: as usual, or what the catalogue's batch row says where that is more."""
        usual, row = self.terms(request), self.batch_model(request.model)
        if row is None:
            return usual
        offer = Offer(
            name=row.id,
            pricings=[row.pricing],
            context=row.context_length,
            longest=row.max_completion_tokens or row.context_length,
        )
        return usual.at_least(terms_of(offer, replace(request, model=row.id)))


def keep(kept: dict[K, V], key: K, value: V, *, most: int = MODELS) -> None:
    """Keeps a value as the newest; the oldest gives way where there would be too many."""
    kept.pop(key, None)
    while len(kept) >= most:
        kept.pop(next(iter(kept), key), None)  # pages and the engine share the book
    kept[key] = value


def _is(one: object, other: object) -> bool:
    return one is other


def _most(limits: Iterable[int | None]) -> int | None:
    """The largest; None as soon as one is not told."""
    found = list(limits)
    known = [limit for limit in found if limit is not None]
    return max(known) if known and len(known) == len(found) else None


def _are_names(given: Any) -> bool:
    return isinstance(given, list | tuple) and all(isinstance(name, str) for name in given)


def may_serve(row: Mapping[str, Any], provider: Mapping[str, Any]) -> bool:
    """Whether an endpoint may answer under a routing, as far as is sure: a bound must not leave out a dear one.

    `ignore` with a provider's name alone never takes away its endpoints of a service tier (wire reference 3.2).
    """
    if not allowed(row, {"only": provider.get("only")}):
        return False
    ignore = provider.get("ignore")
    tag = str(row.get("tag", "")).lower()
    names = {tag} if row.get("service_tier") else {tag, tag.split("/")[0]}
    return not (isinstance(ignore, list | tuple) and names & {str(name).lower() for name in ignore})


def allowed(row: Mapping[str, Any], provider: Mapping[str, Any]) -> bool:
    """Whether `only` and `ignore` of a routing leave an endpoint."""
    tag = str(row.get("tag", "")).lower()
    names = {tag, tag.split("/")[0], str(row.get("provider_name", "")).lower()}
    only, ignore = provider.get("only"), provider.get("ignore")
    if isinstance(only, list | tuple) and only and not names & {str(name).lower() for name in only}:
        return False
    return not (isinstance(ignore, list | tuple) and names & {str(name).lower() for name in ignore})
