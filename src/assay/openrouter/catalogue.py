"""Rows of the model catalogue as frozen values (wire reference 2.1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from assay.config import Gateway
from assay.money import usd
from assay.openrouter.pricing import Pricing, parse_pricing
from assay.openrouter.wire_values import count_of

LATEST = 253_402_300_799
"""The last second of the year 9999, as a moment can say it."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model of the catalogue; `raw` keeps every field as received."""

    id: str
    name: str
    pricing: Pricing
    description: str = ""
    created: int | None = None
    """Unix seconds."""
    context_length: int | None = None
    max_completion_tokens: int | None = None
    input_modalities: tuple[str, ...] = ("text",)
    output_modalities: tuple[str, ...] = ("text",)
    supported_parameters: frozenset[str] = frozenset()
    """Union over endpoints; empty where the gateway does not say."""
    expiration_date: str | None = None
    """YYYY-MM-DD."""
    knowledge_cutoff: str | None = None
    is_moderated: bool | None = None
    reasoning: Mapping[str, Any] | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def author(self) -> str:
        """What stands before the slash of the id."""
        return self.id.split("/", 1)[0]

    @property
    def is_free(self) -> bool:
        """Whether it costs nothing and has the free tier's limits."""
        return self.id.endswith(":free") or self.pricing.is_free

    @property
    def reasons(self) -> bool:
        """Whether it thinks before it answers."""
        return self.reasoning is not None or "reasoning" in self.supported_parameters

    @property
    def prompt_usd_per_million(self) -> Decimal | None:
        """USD per million prompt tokens; None: unknown."""
        return None if self.pricing.prompt is None else self.pricing.prompt * 1_000_000

    @property
    def completion_usd_per_million(self) -> Decimal | None:
        """USD per million completion tokens; None: unknown."""
        return None if self.pricing.completion is None else self.pricing.completion * 1_000_000


def parse_model(raw: Mapping[str, Any]) -> Model | None:
    """A catalogue row; a row without an id is None, any other odd field falls back to unknown."""
    model_id = raw.get("id")
    if not isinstance(model_id, str) or not model_id:
        return None
    architecture, top = _object(raw.get("architecture")), _object(raw.get("top_provider"))
    moderated, reasoning = top.get("is_moderated"), raw.get("reasoning")
    return Model(
        id=model_id,
        name=_text(raw.get("name")) or model_id,
        pricing=parse_pricing(_object(raw.get("pricing"))),
        description=_text(raw.get("description")) or "",
        created=count_of(raw.get("created"), LATEST),
        context_length=count_of(raw.get("context_length")) or count_of(top.get("context_length")),
        max_completion_tokens=count_of(top.get("max_completion_tokens")),
        input_modalities=_texts(architecture.get("input_modalities")) or ("text",),
        output_modalities=_texts(architecture.get("output_modalities")) or ("text",),
        supported_parameters=frozenset(_texts(raw.get("supported_parameters"))),
        expiration_date=_text(raw.get("expiration_date")),
        knowledge_cutoff=_text(raw.get("knowledge_cutoff")),
        is_moderated=moderated if isinstance(moderated, bool) else None,
        reasoning=reasoning if isinstance(reasoning, Mapping) else None,
        raw=raw,
    )


def parse_models(rows: Iterable[Any]) -> tuple[Model, ...]:
    """The models of a catalogue, in its order; rows that are no objects are left out."""
    models = (parse_model(row) for row in rows if isinstance(row, Mapping))
    return tuple(model for model in models if model is not None)


def plain_row(row: Mapping[str, Any], gateway: Gateway) -> dict[str, Any]:
    """A row of a plain OpenAI endpoint's list as a catalogue row: its id under the endpoint's name, prices as set.

    What such an endpoint does not say (context, parameters, modalities) stays unknown.
    """
    wire = str(row.get("id", ""))
    price = gateway.prices.get(wire) or gateway.prices.get("*")
    pricing = (
        {name: f"{usd(value) / 1_000_000:f}" for name, value in price.model_dump().items()} if price is not None else {}
    )
    known = {name: value for name, value in row.items() if name not in ("id", "pricing")}
    context = row.get("context_length") or row.get("max_model_len")
    return known | {
        "id": f"{gateway.name}/{wire}",
        "name": f"{wire} ({gateway.name})",
        "pricing": pricing,
        "context_length": context,
    }


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _texts(value: object) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()
