"""The command that says what calls cost at listed prices: price."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assay.cli.options import AsJson
from assay.cli.terminal import app, opened, out, print_json
from assay.money import plain

if TYPE_CHECKING:
    from assay.openrouter.pricing import Line
    from assay.workbench.spending.calculator import Priced


@app.command()
def price(
    model: Annotated[str, typer.Argument(help="A model id.")],
    prompt: Annotated[int, typer.Option("--in", min=0, help="Prompt tokens of a call, cached ones included.")] = 0,
    completion: Annotated[int, typer.Option("--out", min=0, help="Tokens of the answer, reasoning included.")] = 0,
    cached: Annotated[int, typer.Option("--cached", min=0, help="Of the prompt: read from the cache.")] = 0,
    cache_write: Annotated[int, typer.Option("--cache-write", min=0, help="Of the prompt: kept for 5 minutes.")] = 0,
    cache_write_1h: Annotated[int, typer.Option("--cache-write-1h", min=0, help="Of the prompt: kept 1 hour.")] = 0,
    reasoning: Annotated[int, typer.Option("--reasoning", min=0, help="Of the answer: thinking.")] = 0,
    audio: Annotated[int, typer.Option("--audio", min=0, help="Of the prompt: sound.")] = 0,
    images: Annotated[int, typer.Option("--images", min=0, help="Pictures sent.")] = 0,
    searches: Annotated[int, typer.Option("--searches", min=0, help="Web searches of the model itself.")] = 0,
    calls: Annotated[int, typer.Option("--calls", min=1, help="Such calls.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Say what calls of a size cost at the listed prices of a model, exactly; sends nothing to it."""
    from assay.openrouter.pricing import Amounts
    from assay.workbench.spending import calculator

    used = Amounts(
        prompt=prompt,
        completion=completion,
        cached=cached,
        cache_written=cache_write,
        cache_written_1h=cache_write_1h,
        reasoning=reasoning,
        audio=audio,
        images=images,
        searches=searches,
    )
    with opened() as session:
        session.ready()
        found = calculator.price(session, model, used, calls=calls)
    if as_json:
        print_json(as_object(found))
        return
    for line in in_lines(found):
        out(line)


def as_object(found: Priced) -> dict[str, Any]:
    """A price as JSON; amounts in USD as exact decimal text, unknown ones null."""
    return {
        "model": found.model.id,
        "calls": found.calls,
        "total_usd": _exact(found.total_usd),
        "per_call_usd": _exact(found.bill.total_usd),
        "discount": str(found.bill.discount),
        "long_context": found.is_long_context,
        "unknown": list(found.bill.unclear),
        "lines": [
            {"key": line.name, "used": line.used, "each_usd": _exact(line.each), "usd": _exact(line.usd)}
            for line in found.bill.lines
        ],
    }


def in_lines(found: Priced) -> list[str]:
    """A price in lines: what was used of each key, and the total."""
    lines = [f"{found.model.id}, {found.calls:,} call{'' if found.calls == 1 else 's'} at listed prices"]
    lines += [_line(line) for line in found.bill.lines]
    if found.is_long_context:
        lines.append("  The prompt is so long that the prices of a long context hold.")
    if found.bill.discount:
        lines.append(f"  less {found.bill.discount:%}")
    if found.bill.unclear:
        lines.append(f"  Prices that cannot be told: {', '.join(found.bill.unclear)}.")
    per_call = "" if found.calls == 1 else f" ({_amount(found.bill.total_usd)} per call)"
    return [*lines, f"Total: {_amount(found.total_usd)}{per_call}"]


def _line(line: Line) -> str:
    each = "unknown" if line.each is None else f"${plain(line.each * 1_000_000)} per million"
    if line.name in ("request", "image", "web_search", "image_output"):
        each = "unknown" if line.each is None else f"${plain(line.each)} each"
    return f"  {line.name:22} {line.used:>12,}  at {each:>26}  {_amount(line.usd):>16}"


def _amount(amount: Decimal | None) -> str:
    return "unknown" if amount is None else f"${plain(amount)}"


def _exact(amount: Decimal | None) -> str | None:
    return None if amount is None else plain(amount)
