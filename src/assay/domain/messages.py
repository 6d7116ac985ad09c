"""Messages and completion requests, as the gateway is asked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["system", "developer", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation; content is text or a list of content parts (wire reference 3.4)."""

    role: Role
    content: str | tuple[Mapping[str, Any], ...] | None
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further fields by wire name: name, tool_calls, tool_call_id ..."""

    def as_json(self) -> dict[str, Any]:
        """The message as JSON for the wire and the store."""
        content = [dict(part) for part in self.content] if isinstance(self.content, tuple) else self.content
        return {"role": self.role, "content": content, **self.extra}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Message:
        """The message that `as_json` wrote, or one of the wire; fields beyond role and content are kept."""
        content = value.get("content")
        extra = {name: field for name, field in value.items() if name not in ("role", "content")}
        return cls(value["role"], tuple(content) if isinstance(content, list) else content, extra)

    @property
    def text(self) -> str:
        """The text of the message; parts that are not text are left out."""
        if not isinstance(self.content, tuple):
            return self.content or ""
        return "\n".join(str(part.get("text", "")) for part in self.content if part.get("type") == "text")


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """What is sent to the gateway for one completion: only what the user set."""

    model: str
    """Model id as sent, variant suffix included."""
    messages: tuple[Message, ...]
    params: Mapping[str, Any] = field(default_factory=dict)
    """Sampling and output parameters by wire name (temperature, max_tokens, reasoning ...)."""
    provider: Mapping[str, Any] = field(default_factory=dict)
    """Provider routing by wire name (order, only, zdr, sort ...); empty: not sent."""

    def body(self, *, stream: bool = False) -> dict[str, Any]:
        """The JSON body, keys in a fixed order (the gateway's response cache depends on it)."""
        body: dict[str, Any] = {"model": self.model, "messages": [m.as_json() for m in self.messages]}
        body.update(self.params)
        if self.provider:
            body["provider"] = dict(self.provider)
        if stream:
            body["stream"] = True
        return body

    @property
    def chars(self) -> int | None:
        """Characters of its messages; None where they or the parameters hold more than text that is counted."""
        if "tools" in self.params or any(not isinstance(message.content, str) for message in self.messages):
            return None
        return sum(len(message.content or "") for message in self.messages)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the body as hex: equal for identical requests."""
        text = json.dumps(self.body(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
