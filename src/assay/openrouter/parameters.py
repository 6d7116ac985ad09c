"""The parameters a user can set, which of them a model ignores, and old names for some (wire reference 3).

PARAMETERS        those with a help and a range, for forms
unknown_names     what in parameters and routing is no known name, with the nearest one
checked_settings  settings as typed anywhere, in today's words; raises what `unknown_names` and `check_parameter` say
modern_settings   the translation alone, and notes on what has no meaning any more
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from assay.errors import SettingsError
from assay.openrouter.catalogue import Model

Kind = Literal["number", "integer", "text", "choice", "json", "list"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter by its wire name."""

    name: str
    kind: Kind
    help: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()


PARAMETERS: dict[str, Parameter] = {
    p.name: p
    for p in (
        Parameter("temperature", "number", "Randomness; 0 is as repeatable as the model can be.", 0, 2),
        Parameter("max_tokens", "integer", "Longest answer in tokens, reasoning included.", 1),
        Parameter("top_p", "number", "Samples from the likeliest tokens that make up this share.", 0, 1),
        Parameter("top_k", "integer", "Samples from this many likeliest tokens; 0 is off.", 0),
        Parameter("min_p", "number", "Leaves out tokens below this share of the likeliest.", 0, 1),
        Parameter("top_a", "number", "Like min_p, by the square of the likeliest.", 0, 1),
        Parameter("seed", "integer", "Asks for the same answer again; best effort."),
        Parameter("frequency_penalty", "number", "Against repeating frequent tokens.", -2, 2),
        Parameter("presence_penalty", "number", "Against repeating any token.", -2, 2),
        Parameter("repetition_penalty", "number", "1 is none.", 0, 2),
        Parameter("stop", "list", "The answer ends before any of these texts; at most 4."),
        Parameter(
            "reasoning_effort",
            "choice",
            "How long a reasoning model thinks.",
            choices=("none", "minimal", "low", "medium", "high", "xhigh", "max"),
        ),
        Parameter("reasoning", "json", "Reasoning in full: effort or max_tokens, exclude ..."),
        Parameter("response_format", "json", "Asks for JSON or for a JSON schema."),
        Parameter("verbosity", "choice", "How wordy the answer is.", choices=("low", "medium", "high", "xhigh", "max")),
        Parameter(
            "service_tier",
            "choice",
            "flex is cheaper and slower.",
            choices=("auto", "default", "fast", "flex", "priority", "scale", "ultrafast"),
        ),
        Parameter("tools", "json", "Functions that the model may call."),
        Parameter("tool_choice", "json", "Whether and which function must be called."),
        Parameter("plugins", "json", "Plugins of the gateway."),
        Parameter("models", "json", "Fallback models, tried in order."),
        Parameter("logit_bias", "json", "Token id to bias, -100..100."),
        Parameter("session_id", "text", "Groups calls, and keeps them with one provider."),
    )
}
KNOWN_PARAMETERS = frozenset(PARAMETERS) | {
    "max_completion_tokens",
    "logprobs",
    "top_logprobs",
    "structured_outputs",
    "parallel_tool_calls",
    "max_tool_calls",
    "stop_server_tools_when",
    "deferred_tools",
    "include_reasoning",
    "prediction",
    "modalities",
    "image_config",
    "audio",
    "web_search_options",
    "user",
    "metadata",
    "trace",
    "cache_control",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "preset",
    "debug",
    "functions",
    "function_call",
    "store",
    "safety_identifier",
}
"""Names that the gateway knows (wire reference 3.1)."""
OLD_NAMES = frozenset(
    {
        "route",
        "moderation",
        "n",
        "candidate_count",
        "transforms",
        "usage",
        "stream",
        "stream_options",
        "x-zero-data-retention",
    }
)
"""Names that are translated, or answered with a note, by `modern_settings`."""
_MAX_PRICE = ("prompt", "completion", "request", "image", "audio")
_SPREAD = ("p50", "p75", "p90", "p99")
_SORTS = ("price", "throughput", "latency", "exacto")
ROUTING: dict[str, tuple[str, ...]] = {
    "order": (),
    "only": (),
    "ignore": (),
    "allow_fallbacks": (),
    "require_parameters": (),
    "data_collection": (),
    "zdr": (),
    "enforce_distillable_text": (),
    "quantizations": (),
    "sort": ("by", "partition"),
    "max_price": _MAX_PRICE,
    "preferred_min_throughput": _SPREAD,
    "preferred_max_latency": _SPREAD,
    "options": (),
}
"""Routing by its names in `provider` (wire reference 3.2), with the names inside; none: it holds no names of ours."""
_INSIDE: dict[str, tuple[str, ...]] = {
    "reasoning": ("effort", "max_tokens", "exclude", "enabled", "summary", "context", "mode"),
    "web_search_options": ("search_context_size", "user_location", "filters"),
    "cache_control": ("type", "ttl"),
    "prompt_cache_options": ("mode", "ttl"),
    "response_format": ("type", "json_schema", "schema", "grammar"),
    "audio": ("voice", "format"),
}
"""The names inside of parameters that are objects."""
_GATEWAY = frozenset(
    {
        "service_tier",
        "plugins",
        "models",
        "session_id",
        "verbosity",
        "user",
        "metadata",
        "trace",
        "preset",
        "debug",
        "cache_control",
        "prompt_cache_key",
        "prompt_cache_options",
        "max_tool_calls",
        "stop_server_tools_when",
    }
)
"""Parameters that the gateway itself reads: no model lists them."""


def ignored_parameters(model: Model, params: Iterable[str]) -> list[str]:
    """The parameters that no endpoint of the model supports; none where the catalogue does not say."""
    supported = model.supported_parameters
    if not supported:
        return []
    also = {"reasoning_effort": "reasoning", "max_completion_tokens": "max_tokens"}
    return [
        name
        for name in params
        if name not in supported and name not in _GATEWAY and also.get(name, name) not in supported
    ]


def parse_parameter(name: str, text: str) -> Any:
    """The value of a parameter typed as text. Raises SettingsError in words for a value out of range."""
    parameter = PARAMETERS.get(name)
    try:
        if parameter is None or parameter.kind == "json":
            return json.loads(text)
        if parameter.kind == "list":
            return json.loads(text) if text.lstrip().startswith("[") else [text]
        if parameter.kind in ("text", "choice"):
            value: Any = text
        else:
            value = int(text) if parameter.kind == "integer" else float(text)
    except ValueError as error:
        kind = parameter.kind if parameter else "JSON value"
        raise SettingsError(f"{text!r} is no {kind} for the parameter {name}.") from error
    check_parameter(name, value)
    return value


def check_parameter(name: str, value: Any) -> None:
    """Raises SettingsError when a known parameter is outside its range."""
    parameter = PARAMETERS.get(name)
    if parameter is None:
        return
    if parameter.choices and value not in parameter.choices:
        raise SettingsError(f"{name} is {value!r}; it can be {', '.join(parameter.choices)}.")
    if isinstance(value, int | float) and not isinstance(value, bool):
        low, high = parameter.low, parameter.high
        if (low is not None and value < low) or (high is not None and value > high):
            bounds = f"{low if low is not None else ''} to {high if high is not None else ''}".strip()
            raise SettingsError(f"{name} is {value!r}; it must be within {bounds}.")


# -- names ---------------------------------------------------------------------------------------------------------


def unknown_names(params: Mapping[str, Any], provider: Mapping[str, Any]) -> list[str]:
    """A complaint for every name in parameters and routing that nobody knows, with the nearest one; none: empty.

    Values inside that are no such thing (a text where a list belongs) are complained about too: they are ignored on
    their way, and what was meant to protect protects nothing.
    """
    return [*_unknown_parameters(params), *_unknown_routing(provider)]


def _unknown_parameters(params: Mapping[str, Any]) -> Iterator[str]:
    for name, value in params.items():
        if name in ROUTING:
            yield f"{name!r} is no parameter but routing: it belongs into provider (provider.{name})."
        elif name not in KNOWN_PARAMETERS and name.lower() not in OLD_NAMES and name != "provider":
            yield _unknown("parameter", name, [*KNOWN_PARAMETERS, *(f"provider.{known}" for known in ROUTING)])
        elif name in _INSIDE and isinstance(value, Mapping):
            yield from _unknown_inside(name, value, _INSIDE[name])


def _unknown_routing(provider: Mapping[str, Any]) -> Iterator[str]:
    for name, value in provider.items():
        if name == "moderation":
            continue  # answered with a note
        if name not in ROUTING:
            if name in KNOWN_PARAMETERS:
                yield f"{name!r} is no routing but a parameter: it does not belong into provider."
            else:
                yield _unknown("routing", name, ROUTING)
        elif isinstance(value, Mapping) and ROUTING[name]:
            yield from _unknown_inside(f"provider.{name}", value, ROUTING[name])
        elif wrong := _wrong_routing(name, value):
            yield f"provider.{name} is {value!r}; {wrong}."


def _unknown_inside(place: str, value: Mapping[str, Any], known: tuple[str, ...]) -> Iterator[str]:
    for name in value:
        if name not in known:
            yield f"{place}.{name} is unknown. {_nearest(str(name), known)}"
    if place == "provider.sort" and value.get("by") is not None and value["by"] not in _SORTS:
        yield f"provider.sort.by is {value['by']!r}. {_nearest(str(value['by']), _SORTS)}"


def _wrong_routing(name: str, value: Any) -> str:
    """What a routing value must be, where it is something else; empty: it is all right."""
    if value is None:
        return ""
    if name in ("zdr", "allow_fallbacks", "require_parameters", "enforce_distillable_text"):
        return "" if isinstance(value, bool) else "it must be true or false"
    if name in ("order", "only", "ignore", "quantizations"):
        listed = isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
        return "" if listed else "it must be a list of names"
    if name == "data_collection":
        return "" if value in ("allow", "deny") else "it can be allow, deny"
    if name == "sort":
        return "" if value in _SORTS else f"it can be {', '.join(_SORTS)}"
    if name in ("max_price", "options"):
        return "" if isinstance(value, Mapping) else "it must be an object"
    return ""


def _unknown(kind: str, name: str, known: Iterable[str]) -> str:
    return f"There is no {kind} {name!r}. {_nearest(name, known)}"


def _nearest(name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.6) or _by_last_part(name, names)
    return f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(names)}."


def _by_last_part(name: str, known: Iterable[str]) -> list[str]:
    """The nearest of names that have their place before them: `zdrr` is near `provider.zdr`."""
    places = {full.rpartition(".")[2]: full for full in known if "." in full}
    return [places[near] for near in difflib.get_close_matches(name.lower(), places, n=1, cutoff=0.6)]


# -- old words -----------------------------------------------------------------------------------------------------


class ModernSettings(NamedTuple):
    """Settings in today's words."""

    params: dict[str, Any]
    provider: dict[str, Any]
    messages: list[str]
    """About what has no meaning any more."""


def modern_settings(raw: Mapping[str, Any]) -> ModernSettings:
    """Settings in old or new words, in today's.

    `route: floor` and `nitro` become provider.sort price and throughput; the zero-data-retention header becomes
    provider.zdr. What has no modern meaning is answered with a message and never reaches the wire.
    """
    params = dict(raw)
    provider = dict(params.pop("provider", None) or {})
    said: list[str] = []
    route = params.pop("route", None)
    if route in ("floor", "nitro"):
        provider.setdefault("sort", "price" if route == "floor" else "throughput")
    elif route == "fallback":
        said.append("route: fallback is what the gateway does anyway; list models to fall back on in `models`.")
    elif route is not None:
        said.append(f"route: {route!r} was never a provider; use provider.order or provider.only.")
    for name in [key for key in params if key.lower() == "x-zero-data-retention"]:
        if str(params.pop(name)).strip().lower() not in ("0", "false", "disabled", "no", "off", "none", ""):
            provider["zdr"] = True
    for place, holder in (("moderation", params), ("provider.moderation", provider)):
        if holder.pop("moderation", None) is not None:
            said.append(f"{place} does nothing; is_moderated of the catalogue says which models are moderated.")
    for name in ("candidate_count", "n"):
        if params.pop(name, None) is not None:
            said.append(f"{name} is not supported: every call gives one answer. Raise the samples of the run instead.")
    for name in ("transforms", "usage", "stream", "stream_options"):
        if params.pop(name, None) is not None:
            said.append(f"{name} has no effect any more and is left out.")
    return ModernSettings(params, provider, said)


def checked_settings(raw: Mapping[str, Any], *, allow_unknown: bool = False) -> ModernSettings:
    """Settings as typed, with `provider` among them, in today's words.

    A name with a place before it (`provider.zdr`) is put there. Raises SettingsError naming everything that is
    unknown, unless it is allowed, or out of its range.
    """
    placed = dict(raw)
    provider = placed.pop("provider", None)
    if provider is not None and not isinstance(provider, Mapping):
        raise SettingsError(f"provider is {provider!r}; it must be an object of routing settings.")
    routing = dict(provider or {})
    for name in [name for name in placed if name.startswith("provider.")]:
        routing[name.removeprefix("provider.")] = placed.pop(name)
    found = modern_settings({**placed, "provider": routing})
    problems = [] if allow_unknown else unknown_names(found.params, found.provider)
    for name, value in found.params.items():
        try:
            check_parameter(name, value)
        except SettingsError as error:
            problems.append(str(error))
    if problems:
        raise SettingsError(" ".join(problems), cure="" if allow_unknown else ALLOW_UNKNOWN)
    return found


ALLOW_UNKNOWN = (
    "Unknown names are sent only where that is asked for: --allow-unknown, allow_unknown: true, or the switch under "
    "Parameters."
)
