"""Contestants and prompts: what a run compares."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from assay.domain.messages import Message

LONGEST_VALUE = 24
"""Characters of a setting's value in a contestant's name at most."""
Variant = Literal["", "floor", "nitro"]


@dataclass(frozen=True, slots=True)
class Contestant:
    """What is compared: a model with parameters and routing, under a label."""

    model: str
    params: Mapping[str, Any] = field(default_factory=dict)
    provider: Mapping[str, Any] = field(default_factory=dict)
    variant: Variant = ""
    """Dynamic variant: floor = cheapest endpoint, nitro = fastest."""
    label: str = ""

    @property
    def model_id(self) -> str:
        """The model id as sent: with the dynamic variant as a suffix."""
        return f"{self.model}:{self.variant}" if self.variant else self.model

    @property
    def name(self) -> str:
        """The label, or else the model id without its author."""
        return self.label or self.model_id.split("/", 1)[-1]

    @property
    def key(self) -> str:
        """Twelve hex digits that stay the same for the same model, parameters and routing; the label does not count."""
        text = json.dumps([self.model, self.params, self.provider, self.variant], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def as_json(self) -> dict[str, Any]:
        """The contestant as JSON for the store."""
        return {
            "model": self.model,
            "params": dict(self.params),
            "provider": dict(self.provider),
            "variant": self.variant,
            "label": self.label,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Contestant:
        """The contestant that `as_json` wrote."""
        return cls(**value)


def names_of(contestants: Sequence[Contestant]) -> tuple[str, ...]:
    """A name for each of several contestants, no two the same: the short one where it is enough, else the model's id
    with its author, else with the settings that others do not have, else with a number."""
    names = [contestant.name for contestant in contestants]
    for longer in (_full_name, lambda c: _with_settings(c, contestants)):
        counts = Counter(names)
        names = [longer(c) if counts[name] > 1 else name for c, name in zip(contestants, names, strict=True)]
    return numbered(names)


def _full_name(contestant: Contestant) -> str:
    return contestant.label or contestant.model_id


def _with_settings(contestant: Contestant, contestants: Sequence[Contestant]) -> str:
    alike = [c for c in contestants if _full_name(c) == _full_name(contestant)]
    settings = [{**c.params, **c.provider} for c in alike]
    mine = {**contestant.params, **contestant.provider}
    own = {name: value for name, value in mine.items() if any(other.get(name) != value for other in settings)}
    said = ", ".join(f"{name} {_short(value)}" for name, value in own.items())
    return f"{_full_name(contestant)} ({said})" if said else _full_name(contestant)


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"


def numbered(names: Iterable[str]) -> tuple[str, ...]:
    """The names, a repeated one followed by (2), (3) and so on."""
    found: list[str] = []
    taken: set[str] = set()
    for name in names:
        shown, n = name, 1
        while shown in taken:
            n += 1
            shown = f"{name} ({n})"
        taken.add(shown)
        found.append(shown)
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A version of a prompt template: system and user text with `{{variables}}`, or whole messages instead."""

    user: str
    system: str = ""
    name: str = ""
    messages: tuple[Message, ...] = ()
    """A conversation template; when given, system and user are not used."""

    @property
    def key(self) -> str:
        """Twelve hex digits of the template's content; the name does not count."""
        text = json.dumps([self.system, self.user, [m.as_json() for m in self.messages]], sort_keys=True)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]

    def as_json(self) -> dict[str, Any]:
        """The prompt as JSON for the store."""
        return {
            "user": self.user,
            "system": self.system,
            "name": self.name,
            "messages": [m.as_json() for m in self.messages],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Prompt:
        """The prompt that `as_json` wrote."""
        messages = tuple(Message.from_json(m) for m in value.get("messages", ()))
        return cls(value["user"], value.get("system", ""), value.get("name", ""), messages)
