"""What comes in: bodies in the words of the seed, of Assay and of OpenAI's programs, as requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import orjson
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from assay.api.bodies import Refused
from assay.domain.messages import CompletionRequest, Message
from assay.errors import SettingsError
from assay.openrouter.parameters import ALLOW_UNKNOWN, ModernSettings, check_parameter, modern_settings, unknown_names

ModelId = Field(min_length=1, max_length=200)
_NO = frozenset({"", "0", "false", "no", "off", "disabled", "none", "null"})
"""What a switch in a header says when it is off; whatever else it says is on, for that is the careful reading."""
ZDR = "x-zero-data-retention"


class Asked(NamedTuple):
    """A request, and what is to be said about its old words."""

    request: CompletionRequest
    notes: list[str]


class Switches(NamedTuple):
    """What the headers of a request say."""

    zdr: bool = False
    allow_unknown: bool = False

    def widened(self, allow_unknown: bool) -> Switches:
        """The switches, with what the body allows too."""
        return self._replace(allow_unknown=self.allow_unknown or allow_unknown)


def switches_of(headers: Any) -> Switches:
    """The switches in the headers; of several that disagree the stricter wins."""
    zdr, unknown = headers.getlist(ZDR), headers.getlist("x-assay-allow-unknown")
    return Switches(any(_is_on(said) for said in zdr), bool(unknown) and all(_is_on(said) for said in unknown))


def _is_on(said: Any) -> bool:
    return str(said).strip().lower() not in _NO


class MessageIn(BaseModel):
    """A message; fields beyond role and content (tool calls, names) are passed on."""

    model_config = ConfigDict(extra="allow")

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]] | None = None

    def as_message(self) -> Message:
        """The message as the client layer sends it."""
        return Message.from_json(self.model_dump(exclude_unset=True))


class _Body(BaseModel):
    """What both kinds of completion share: every further field is a parameter."""

    model_config = ConfigDict(extra="allow")

    model: str = ModelId
    stream: bool | None = False
    provider: dict[str, Any] | None = None
    """Provider routing by wire name."""
    allow_unknown: bool = False
    """Sends fields that Assay does not know, instead of refusing them."""

    @model_validator(mode="after")
    def _in_range(self) -> _Body:
        checked(self.model_extra or {})
        if (self.model_extra or {}).get("n") not in (None, 1):
            raise ValueError("n: every call gives one answer")
        return self

    def settings(self) -> dict[str, Any]:
        """The parameters and the routing as they were sent; what is null was not set."""
        sent = {name: value for name, value in (self.model_extra or {}).items() if value is not None}
        return {**sent, "provider": dict(self.provider or {})}


class ChatIn(_Body):
    """A completion as OpenAI's programs ask for it."""

    messages: list[MessageIn] = Field(min_length=1)

    def asked(self, switches: Switches) -> Asked:
        """The request: only what the caller set."""
        messages = [message.as_message() for message in self.messages]
        return assembled(self.model, messages, self.settings(), switches.widened(self.allow_unknown))


class CompletionIn(_Body):
    """A completion as the seed's service takes it (parameters beside the messages), or in Assay's own words."""

    prompt: str | None = None
    """A user message; or else `messages`."""
    messages: list[MessageIn] = Field(default_factory=list)
    params: dict[str, Any] = Field(default_factory=dict)
    """Parameters by wire name, where they do not stand beside the messages."""

    @field_validator("params")
    @classmethod
    def _params_in_range(cls, value: dict[str, Any]) -> dict[str, Any]:
        return checked(value)

    @model_validator(mode="after")
    def _has_text(self) -> CompletionIn:
        if not self.prompt and not self.messages:
            raise ValueError("give a prompt or messages")
        return self

    def asked(self, switches: Switches) -> Asked:
        """The request: only what the caller set; a field beside the messages counts before the same one in `params`."""
        messages = [message.as_message() for message in self.messages]
        if self.prompt:
            messages.append(Message("user", self.prompt))
        return assembled(self.model, messages, {**self.params, **self.settings()}, switches.widened(self.allow_unknown))


class EmbeddingsIn(BaseModel):
    """Texts to be embedded."""

    model_config = ConfigDict(extra="allow")

    model: str = ModelId
    input: str | list[Any] = Field(min_length=1)
    provider: dict[str, Any] | None = None

    def asked(self, switches: Switches) -> Asked:
        """The request: its message is the input as JSON, which has at least as many bytes as the input has tokens."""
        sent = {name: value for name, value in (self.model_extra or {}).items() if value is not None}
        sent.pop("allow_unknown", None)
        provider = _strict(dict(self.provider or {}), switches)
        text = orjson.dumps(self.input).decode()
        return Asked(CompletionRequest(self.model, (Message("user", text),), sent, provider), [])


def assembled(model: str, messages: Sequence[Message], sent: Mapping[str, Any], switches: Switches) -> Asked:
    """A request in today's words, with what is to be said about the old ones.

    Raises Refused for a name that nobody knows, unless it is allowed: a mistyped `zdr` protects nothing.
    """
    plain = {name: value for name, value in sent.items() if name.lower() != ZDR}
    in_body = any(_is_on(value) for name, value in sent.items() if name.lower() == ZDR)
    found = modern_settings(plain)
    if not switches.allow_unknown:
        _refuse_unknown(found)
    provider = _strict(found.provider, Switches(zdr=switches.zdr or in_body))
    return Asked(CompletionRequest(model, tuple(messages), found.params, provider), found.messages)


def _refuse_unknown(found: ModernSettings) -> None:
    params = {name: unknown_names({name: value}, {}) for name, value in found.params.items()}
    routing = {f"provider.{name}": unknown_names({}, {name: value}) for name, value in found.provider.items()}
    fields = [
        {"field": name, "message": " ".join(problems)} for name, problems in {**params, **routing}.items() if problems
    ]
    if fields:
        told = " ".join(field["message"] for field in fields)
        raise Refused(422, f"{told} {ALLOW_UNKNOWN}", error_type="unprocessable", fields=fields)


def _strict(provider: dict[str, Any], switches: Switches) -> dict[str, Any]:
    return {**provider, "zdr": True} if switches.zdr else provider


def checked(params: dict[str, Any]) -> dict[str, Any]:
    """The parameters, if each is in its range; ValueError, as validation wants it, if not."""
    for name, value in params.items():
        try:
            check_parameter(name, value)
        except SettingsError as error:
            raise ValueError(str(error)) from error
    return params
