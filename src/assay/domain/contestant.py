"""Contestants and prompts: what a run compares."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from assay.domain.messages import Message

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
