"""The command about models: the list, or one model with its providers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assay.cli.options import AsJson
from assay.cli.terminal import app, opened, out, print_json
from assay.errors import DataError
from assay.money import plain

if TYPE_CHECKING:
    from assay.openrouter.catalogue import Model
    from assay.workbench.gateway.endpoint_words import EndpointFacts


@app.command()
def models(
    search: Annotated[
        str, typer.Argument(metavar="[MODEL]", help="A whole id shows one model; else part of an id or name.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """List the models with their prices per million tokens; or show MODEL with its providers and their state."""
    from assay.workbench.gateway.catalogue import catalogue_state, list_models, model_endpoints
    from assay.workbench.gateway.endpoint_words import endpoint_facts

    with opened() as session:
        session.ready()
        everything = list_models(session, text_only=False)
        one = next((m for m in everything if search and m.id.lower() == search.lower()), None)
        found = [one] if one else [m for m in list_models(session) if search.lower() in f"{m.id} {m.name}".lower()]
        endpoints = [endpoint_facts(row) for row in model_endpoints(session, one.id)] if one else []
        error = catalogue_state(session).error
    if error and not found:
        raise DataError(error)
    if as_json:
        print_json([as_object(m, endpoints if one else None) for m in found])
    elif one is not None:
        _details(one, endpoints)
    elif not found:
        out(f"No model fits {search!r}. Without a search word all are listed.")
    else:
        out(f"{'model':44} {'USD per M in / out':>20}  {'context':>9}")
        for m in found:
            note = "  moderated" if m.is_moderated else ""
            out(f"{m.id:44} {_prices(m):>20}  {m.context_length or 0:>9,}{note}")


def as_object(m: Model, endpoints: Sequence[EndpointFacts] | None) -> dict[str, Any]:
    """A model as JSON; with its endpoints where they were asked for."""
    found: dict[str, Any] = {
        "id": m.id,
        "name": m.name,
        "prompt_usd_per_million": m.prompt_usd_per_million,
        "completion_usd_per_million": m.completion_usd_per_million,
        "context": m.context_length,
        "is_moderated": m.is_moderated,
    }
    if endpoints is not None:
        found |= {
            "description": m.description,
            "max_completion_tokens": m.max_completion_tokens,
            "supported_parameters": sorted(m.supported_parameters),
            "expiration_date": m.expiration_date,
            "endpoints": [asdict(one) for one in endpoints],
        }
    return found


def _prices(m: Model) -> str:
    return " / ".join(_price(p) for p in (m.prompt_usd_per_million, m.completion_usd_per_million))


def _price(price: Decimal | None) -> str:
    return "unknown" if price is None else f"${plain(price)}"


def _details(m: Model, endpoints: Sequence[EndpointFacts]) -> None:
    out(f"{m.id}  {m.name}")
    if m.description:
        out(m.description)
    moderated = {True: "yes: prompts may be refused", False: "no", None: "the gateway does not say"}[m.is_moderated]
    for name, said in (
        ("USD per M in / out", _prices(m)),
        ("context", f"{m.context_length or 0:,} tokens"),
        ("longest answer", f"{m.max_completion_tokens:,} tokens" if m.max_completion_tokens else "not said"),
        ("moderated", moderated),
        ("expires", m.expiration_date or "not said"),
        ("parameters", ", ".join(sorted(m.supported_parameters)) or "not said"),
    ):
        out(f"  {name:20} {said}")
    if not endpoints:
        out("This endpoint names no providers.")
        return
    head = (
        "provider",
        "endpoint",
        "status",
        "USD per M in / out",
        "quantization",
        "uptime",
        "first token",
        "tok/s",
        "other prices",
    )
    rows = [head, *(_row(one) for one in endpoints)]
    widths = [max(len(row[n]) for row in rows) for n in range(len(head))]
    for row in rows:
        out("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _row(one: EndpointFacts) -> tuple[str, ...]:
    others = (f"{name} {price}" for name, price in one.prices.items() if name not in ("prompt", "completion"))
    return (
        one.provider,
        one.tag,
        one.status,
        f"{_price(one.prompt_usd_per_million)} / {_price(one.completion_usd_per_million)}",
        one.quantization or "-",
        "-" if one.uptime is None else f"{one.uptime:.1f} %",
        "-" if one.first_token_ms is None else f"{one.first_token_ms:.0f} ms",
        "-" if one.tokens_per_s is None else f"{one.tokens_per_s:.0f}",
        ", ".join(others),
    )
