"""What a request can cost at most, or what of it has no bound (wire reference 2.2, 3, 8 and 13).

Weight   what of prompts is paid for, at most: of one call, or summed over many
Terms    what each of that costs at most for a model with its parameters and routing, in whole pico-dollars
Bound    the product: the same arithmetic bounds a call and, over summed weights, a whole run

What is not known never makes a bound smaller: it makes it unknown, and says what it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, NamedTuple

from assay.domain.messages import CompletionRequest, Message
from assay.money import to_pico_ceiling
from assay.openrouter.fees import BYOK_FEE
from assay.openrouter.parameters import KNOWN_PARAMETERS
from assay.openrouter.pricing import Pricing
from assay.openrouter.wire_values import MOST_USD

MESSAGE_OVERHEAD = 16
"""Tokens of role marks and separators that a chat template may add per message, at most."""
HIDDEN_PROMPT = 1_024
"""Tokens of a provider's own instructions before the prompt, at most: up to 762 were seen in recorded exchanges."""
HIDDEN_TOOL_PROMPT = 2_048
"""The same where functions are offered."""
LEAST_ANSWER = 16
"""Some providers raise a smaller `max_tokens` to this."""
MOST_PICO = to_pico_ceiling(MOST_USD)
_SPENT_INSIDE = frozenset({"context-compression"})
"""Plugins that cost nothing of their own."""
_MEDIA = frozenset({"image_url", "input_image", "image", "input_audio", "video_url", "input_video"})
"""Parts whose tokens the model's context alone bounds."""
_PICTURES = frozenset({"image_url", "input_image", "image"})
_MEDIA_KEYS = frozenset({"image", "image_token", "audio", "input_audio_cache"})
_SPOKEN_KEYS = frozenset({"image_output", "audio_output"})
_ANSWERS = ("n", "candidate_count", "best_of")
"""Parameters that ask for several answers, each of which is billed."""
_TIERS = {
    "default": (),
    "standard": (),
    "flex": (),
    "priority": ("priority", "fast"),
    "fast": ("priority", "fast"),
    "scale": ("scale",),
    "ultrafast": ("ultrafast",),
    "auto": ("priority", "fast", "scale", "ultrafast"),
}
"""Service tier -> the tiers one of which must be listed with its price; none: it is no dearer than the default."""


class Bound(NamedTuple):
    """The most that something can cost."""

    pico: int | None
    """Pico-dollars, rounded up; None: no bound is known."""
    unknown: str = ""
    """What has no bound, in words; empty where there is one."""


# -- prompts -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Weight:
    """What of prompts is paid for, at most."""

    calls: int = 0
    tokens: int = 0
    """Of the calls that hold text only: a token is never shorter than one UTF-8 byte."""
    whole: int = 0
    """Calls with pictures, sound or films, whose tokens only the model's context bounds."""
    images: int = 0
    unclear: str = ""
    """The first part of which nothing is known."""

    def __add__(self, other: Weight) -> Weight:
        return Weight(
            self.calls + other.calls,
            self.tokens + other.tokens,
            self.whole + other.whole,
            self.images + other.images,
            self.unclear or other.unclear,
        )

    def times(self, count: int) -> Weight:
        """As often as it is sent; 0: nothing."""
        if not count:
            return Weight()
        return Weight(self.calls * count, self.tokens * count, self.whole * count, self.images * count, self.unclear)


def weight_of(messages: Iterable[Message]) -> Weight:
    """The weight of one call with these messages."""
    tokens = images = media = 0
    unclear = ""
    for message in messages:
        tokens += MESSAGE_OVERHEAD + size_of(message.text)
        if message.extra:
            tokens += 2 * _json_size(message.extra)
            media += bool({"images", "audio", "files"} & message.extra.keys())
        if not isinstance(message.content, tuple):
            continue
        for part in message.content:
            kind = str(part.get("type"))
            if kind in _MEDIA:
                media += 1
                images += kind in _PICTURES
            elif kind != "text":
                unclear = unclear or f"a part of the type {kind[:40]!r} in a message"
    return Weight(1, 0 if media else tokens, 1 if media else 0, images, unclear)


def size_of(text: str) -> int:
    """Bytes of a text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def _json_size(value: Any) -> int:
    return size_of(json.dumps(value, ensure_ascii=False, default=str))


# -- what it costs -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The dearest that a model can charge under parameters and routing; pico-dollars, each rounded up."""

    prompt: int = 0
    """Per token of a prompt that is text."""
    media: int = 0
    """Per token of a prompt with pictures or sound."""
    completion: int = 0
    image: int = 0
    call: int = 0
    most_completion: int = 0
    """Tokens of one answer at most, of all answers of a call together."""
    beside: int = 0
    """Tokens of one call beside its messages: functions, schemas, what a provider puts before the prompt."""
    turns: int = 0
    """Times that a search makes the model read its context anew; 0: it reads the messages once."""
    context: int | None = None
    """Tokens of the longest context among the endpoints; None: not told."""
    unknown: str = ""
    """What has no bound whatever the messages are."""
    media_unknown: str = ""
    """What has no bound where a message holds more than text."""

    def bound(self, weight: Weight) -> Bound:
        """The most that calls of a weight cost together."""
        whole = weight.calls if self.turns else weight.whole
        unknown = self.unknown or weight.unclear or (self.media_unknown if whole else "")
        if unknown:
            return Bound(None, unknown)
        if whole and self.media and self.context is None:
            return Bound(None, "the tokens of pictures and sound, for the context of the model is not told")
        turns = max(1, self.turns)
        text = 0 if self.turns else weight.tokens + (weight.calls - whole) * self.beside
        pico = (
            text * self.prompt
            + whole * turns * (self.context or 0) * self.media
            + weight.calls * (turns * self.most_completion * self.completion + self.call)
            + weight.images * self.image
        )
        if pico > max(1, weight.calls) * MOST_PICO:
            return Bound(None, "a price beyond all bounds")
        return Bound(pico)

    def at_least(self, other: Terms) -> Terms:
        """The dearer of two in everything: for models of which either may answer."""
        contexts = (self.context, other.context)
        names = ("prompt", "media", "completion", "image", "call", "most_completion", "beside", "turns")
        return Terms(
            **{name: max(getattr(self, name), getattr(other, name)) for name in names},
            context=None if None in contexts else max(c for c in contexts if c is not None),
            unknown=self.unknown or other.unknown,
            media_unknown=self.media_unknown or other.media_unknown,
        )

    def times(self, factor: int) -> Terms:
        """Every price as often."""
        dearer = {name: getattr(self, name) * factor for name in ("prompt", "media", "completion", "image", "call")}
        return replace(self, **dearer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a gateway says of a model and of the endpoints that may answer for it."""

    name: str
    """Model id, as words name it."""
    pricings: Sequence[Pricing]
    context: int | None = None
    longest: int | None = None
    """Tokens of an answer without a limit; None: not told."""
    tiers: frozenset[str] = frozenset()
    """Service tiers of which endpoints are listed."""
    speaks_openrouter: bool = True
    unpriced: str = ""
    """Why there are no prices, where that is known."""


def terms_of(offer: Offer, request: CompletionRequest) -> Terms:
    """The terms of a request to one model; its messages are left out of account."""
    searches = _searches(request.params) if offer.speaks_openrouter else 0
    unknown = (_beyond_prices(request, offer) if offer.speaks_openrouter else "") or _unpriced(offer, request, searches)
    rates = _rates(offer, searches)
    if _spends_text_only(request.params):
        rates = replace(rates, completion=_dearest(offer, "completion", "reasoning"))
    longest = most_completion(request.params, offer.longest)
    if longest is None and rates.completion and not unknown:
        unknown = "the longest answer, for neither max_tokens nor the catalogue says it"
    if searches and offer.context is None and not unknown:
        unknown = "what a search adds to the prompt, for the context of the model is not told"
    return replace(
        rates,
        most_completion=longest or 0,
        beside=_beside(request),
        turns=searches + 1 if searches else 0,
        context=offer.context,
        unknown=f"{offer.name}: {unknown}" if unknown else "",
        media_unknown=_named(offer, _MEDIA_KEYS),
    )


def _rates(offer: Offer, searches: int) -> Terms:
    return Terms(
        prompt=_dearest(offer, "prompt", "cache_read", "cache_write", "cache_write_1h"),
        media=_dearest(
            offer, "prompt", "cache_read", "cache_write", "cache_write_1h", "audio", "audio_cache", "image_token"
        ),
        completion=_dearest(offer, "completion", "reasoning", "audio_output"),
        image=_dearest(offer, "image"),
        # A model whose search is listed may search by itself, once, without being told to.
        call=_dearest(offer, "request") + max(1, searches) * _dearest(offer, "web_search"),
    )


def _dearest(offer: Offer, *names: str) -> int:
    """The highest of prices over all endpoints, in pico-dollars."""
    prices = [price for pricing in offer.pricings for name in names if (price := pricing.dearest(name)) is not None]
    # A call with one's own key at a provider costs its price there, and the gateway's fee on it.
    own_key = 1 + BYOK_FEE if offer.speaks_openrouter else Decimal(1)
    return to_pico_ceiling(max(prices, default=Decimal(0)) * own_key)


def most_completion(params: Mapping[str, Any], longest: int | None) -> int | None:
    """Tokens of all answers of a call at most; None: nothing limits them."""
    sent = [params.get(name) for name in ("max_tokens", "max_completion_tokens")]
    told = [limit for limit in sent if isinstance(limit, int) and not isinstance(limit, bool) and limit > 0]
    # Which of two a provider heeds is not known.
    most = max(max(told), LEAST_ANSWER) if told else longest
    if most is None:
        return None
    reasoning, foretold = params.get("reasoning"), params.get("prediction")
    if isinstance(reasoning, Mapping) and isinstance(thought := reasoning.get("max_tokens"), int) and thought > 0:
        most += thought
    if foretold is not None:
        most += _json_size(foretold)  # what was foretold and not said is billed like an answer
    return most * _answers(params)


def _answers(params: Mapping[str, Any]) -> int:
    asked = [params.get(name) for name in _ANSWERS]
    return max([1, *(count for count in asked if isinstance(count, int) and not isinstance(count, bool))])


def _beside(request: CompletionRequest) -> int:
    tools = request.params.get("tools") or request.params.get("functions")
    return (HIDDEN_TOOL_PROMPT if tools else HIDDEN_PROMPT) + 2 * _json_size(request.params)


# -- what has no bound ---------------------------------------------------------------------------------------------


def _spends_text_only(params: Mapping[str, Any]) -> bool:
    """Whether a request says that the answer is text, whatever the model could give beside."""
    modalities = params.get("modalities")
    return isinstance(modalities, list | tuple) and list(modalities) == ["text"]


def _named(offer: Offer, keys: frozenset[str]) -> str:
    """The first price of these that is listed and cannot be told, in words; empty: none."""
    unclear = [key for pricing in offer.pricings for key in pricing.unclear if key in keys]
    return f"{offer.name}: the price {unclear[0]!r} cannot be told" if unclear else ""


def _unpriced(offer: Offer, request: CompletionRequest, searches: int) -> str:
    """What of the price list leaves a request without a bound; empty: nothing."""
    if not offer.pricings:
        return offer.unpriced or "its price is not known"
    text_only = _spends_text_only(request.params)
    for pricing in offer.pricings:
        if pricing.variable:
            return "its price depends on the model that a router picks"
        for key in pricing.unclear:
            if key not in _MEDIA_KEYS and not (text_only and key in _SPOKEN_KEYS):
                return f"the price {key!r} cannot be told"
        if pricing.prompt is None or pricing.completion is None:
            return "it has no price per token"
        if pricing.dearest("image_output") and not text_only:
            return "the price 'image_output': how many pictures an answer holds is not limited"
        if searches and pricing.web_search is None:
            return "the price of a search is not listed"
    return ""


def _beyond_prices(request: CompletionRequest, offer: Offer) -> str:
    """What of a request the price list does not bound; empty: nothing."""
    name, *variants = request.model.lower().split(":")
    params = request.params
    if "@preset/" in name or params.get("preset"):
        return "a preset is kept by the gateway and may change the model or add plugins"
    if "online" in variants:
        return "the fee of the search that :online adds is not listed"
    if params.get("web_search_options") is not None:
        return "the fee of web_search_options is not listed"
    return _plugins(params.get("plugins")) or _tools(params) or _tier(params, offer) or _odd(params)


def _plugins(plugins: Any) -> str:
    if plugins is None or plugins == []:
        return ""
    if not isinstance(plugins, list | tuple) or not all(isinstance(plugin, Mapping) for plugin in plugins):
        return "plugins that cannot be read"
    for plugin in plugins:
        if plugin.get("enabled") is not False and str(plugin.get("id")) not in _SPENT_INSIDE and not _is_native(plugin):
            return f"the fee of the plugin {str(plugin.get('id'))[:40]!r} is not listed"
    return ""


def _tools(params: Mapping[str, Any]) -> str:
    tools, choice = params.get("tools"), params.get("tool_choice")
    if tools is not None and not isinstance(tools, list | tuple):
        return "tools that cannot be read"
    kinds = [str(tool.get("type")) if isinstance(tool, Mapping) else "" for tool in tools or ()]
    if isinstance(choice, Mapping):
        kinds.append(str(choice.get("type")))
    for kind in kinds:
        if kind not in ("function", "allowed_tools"):
            return f"the fee of the tool {kind[:40]!r}, which the gateway runs, is not listed"
    return "deferred_tools have no listed price" if params.get("deferred_tools") else ""


def _tier(params: Mapping[str, Any], offer: Offer) -> str:
    tier = params.get("service_tier")
    if tier is None:
        return ""
    dearer = _TIERS.get(tier) if isinstance(tier, str) else None
    if dearer is None:
        return f"the service tier {str(tier)[:40]!r} is not known"
    return f"no price of the service tier {tier!r} is listed" if dearer and not offer.tiers & set(dearer) else ""


def _odd(params: Mapping[str, Any]) -> str:
    reasoning = params.get("reasoning")
    if isinstance(reasoning, Mapping) and reasoning.get("mode") not in (None, "standard"):
        return f"the reasoning mode {str(reasoning['mode'])[:40]!r} may answer several times"
    for name in _ANSWERS:
        count = params.get(name)
        if count is not None and (not isinstance(count, int) or isinstance(count, bool)):
            return f"{name} is no number"
    strange = [name for name in params if name not in KNOWN_PARAMETERS and name not in _ANSWERS]
    return f"what the parameter {strange[0][:40]!r} costs is not known" if strange else ""


def _is_native(plugin: Mapping[str, Any]) -> bool:
    """Whether a plugin is the search of the model itself, so often at most: the one search whose price is listed."""
    uses = plugin.get("max_uses")
    limited = isinstance(uses, int) and not isinstance(uses, bool) and uses > 0
    return plugin.get("id") == "web" and plugin.get("engine") == "native" and limited


def _searches(params: Mapping[str, Any]) -> int:
    """Searches with a listed price that a request may make at most."""
    plugins = params.get("plugins")
    listed = plugins if isinstance(plugins, list | tuple) else ()
    return sum(
        plugin["max_uses"]
        for plugin in listed
        if isinstance(plugin, Mapping) and plugin.get("enabled") is not False and _is_native(plugin)
    )


def bound_pico(
    pricing: Pricing | Sequence[Pricing], request: CompletionRequest, *, max_completion_tokens: int
) -> int | None:
    """The most a request can cost in pico-dollars by price lists alone; None where it has no bound.

    max_completion_tokens: what an answer has at most where the request does not say.
    """
    pricings = [pricing] if isinstance(pricing, Pricing) else pricing
    offer = Offer(name=request.model, pricings=pricings, longest=max_completion_tokens)
    return terms_of(offer, request).bound(weight_of(request.messages)).pico
