"""The parameters a user can set, which of them a model ignores, and old names for some (wire reference 3)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
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
        Parameter("reasoning_effort", "choice", "How long a reasoning model thinks.",
                  choices=("none", "minimal", "low", "medium", "high", "xhigh", "max")),
        Parameter("reasoning", "json", "Reasoning in full: effort or max_tokens, exclude ..."),
        Parameter("response_format", "json", "Asks for JSON or for a JSON schema."),
        Parameter("verbosity", "choice", "How wordy the answer is.", choices=("low", "medium", "high", "xhigh", "max")),
        Parameter("service_tier", "choice", "flex is cheaper and slower.",
                  choices=("auto", "default", "flex", "priority")),
        Parameter("tools", "json", "Functions that the model may call."),
        Parameter("tool_choice", "json", "Whether and which function must be called."),
        Parameter("plugins", "json", "Plugins of the gateway."),
        Parameter("models", "json", "Fallback models, tried in order."),
        Parameter("logit_bias", "json", "Token id to bias, -100..100."),
        Parameter("session_id", "text", "Groups calls, and keeps them with one provider."),
    )
}  # fmt: skip
_GATEWAY = frozenset({"service_tier", "plugins", "models", "session_id", "verbosity"})
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
        if str(params.pop(name)).lower() in ("1", "true", "enabled"):
            provider["zdr"] = True
    if provider.pop("moderation", None) is not None:
        said.append("provider.moderation no longer exists; is_moderated of the catalogue says which models moderate.")
    for name in ("candidate_count", "n"):
        if params.pop(name, None) is not None:
            said.append(f"{name} is not supported: every call gives one answer. Raise the samples of the run instead.")
    for name in ("transforms", "usage", "stream", "stream_options"):
        if params.pop(name, None) is not None:
            said.append(f"{name} has no effect any more and is left out.")
    return ModernSettings(params, provider, said)
