"""Commands about the set-up and its prices: doctor, fees."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from assay.cli.options import AsJson
from assay.cli.terminal import UsageError, app, opened, out, print_json, say
from assay.errors import AssayError, DataError
from assay.money import format_usd, to_pico, usd

if TYPE_CHECKING:
    from assay.workbench.gateway.doctor import Finding
    from assay.workbench.session import Session


@app.command()
def doctor(
    live: Annotated[
        bool, typer.Option("--live", help="Go every path to the gateway once, for 5 cents at most.")
    ] = False,
    model: Annotated[str, typer.Option(help="The model of --live; the cheapest with tools when absent.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before --live.")] = False,
    as_json: AsJson = False,
) -> None:
    """Look at key, limits, network, clock, database and disk; say what is wrong and its cure.

    Exit 1 when anything fails. With --live a bounded acceptance run follows, its cost shown first.
    """
    from assay.config import read_settings
    from assay.workbench.gateway import doctor as workbench

    found: list[Finding] = []
    with ExitStack() as stack:
        try:
            session: Session | None = stack.enter_context(opened())
        except AssayError as error:
            session = None
            found += _told(workbench.without_database(read_settings(), error), as_json)
        if session is not None:
            found += _told(workbench.examine(session), as_json)
            if live:
                found += _told(_live(session, model, yes), as_json)
    if as_json:
        print_json({"findings": [one.as_json() for one in found], "links": dict(workbench.LINKS)})
    else:
        counts = {state: sum(one.state == state for one in found) for state in ("ok", "warn", "fail")}
        out(f"{counts['ok']} ok, {counts['warn']} to look at, {counts['fail']} failed.")
        for name, url in workbench.LINKS.items():
            out(f"{name:14} {url}")
    if any(one.state == "fail" for one in found):
        raise typer.Exit(1)


def _told(findings: Iterator[Finding], as_json: bool) -> list[Finding]:
    """The findings, each printed as it comes."""
    kept = []
    for one in findings:
        kept.append(one)
        if not as_json:
            out(f"{one.state:4}  {one.name:24} {one.said}{f' {one.cure}' if one.cure else ''}")
    return kept


def _live(session: Session, model: str, yes: bool) -> Iterator[Finding]:
    from assay.workbench.gateway import acceptance
    from assay.workbench.gateway.doctor import Finding

    try:
        planned = acceptance.plan(session, model)
    except DataError as error:
        yield Finding("live", "fail", error.message, error.cure)
        return
    say(f"The acceptance run makes {planned.in_words()}.")
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("--live pays for calls.", cure="Add --yes to go on without being asked.")
        if not typer.confirm("Go on?", err=True):
            return
    yield from acceptance.accept(session, planned)


@app.command()
def fees(
    amount: Annotated[
        str, typer.Argument(metavar="USD", help="Credits to buy, or a month's list price with own keys.")
    ],
    requests: Annotated[
        int | None, typer.Option(min=1, help="Requests of the month, for the BYOK rule of 2025.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what OpenRouter charges beside inference for an amount: by card, in crypto, with your own provider keys."""
    from assay.openrouter import fees as rules

    try:
        credits = usd(amount)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if credits < 0:
        raise UsageError(f"{amount} is negative.")
    card, crypto = rules.purchase_fee_usd(credits), rules.purchase_fee_usd(credits, crypto=True)
    byok = rules.byok_fee_usd(credits)
    old = rules.old_byok_fee_usd(credits, requests=requests) if requests else None
    if as_json:
        print_json(
            {
                "amount_usd": credits,
                "card_fee_usd": card,
                "card_total_usd": credits + card,
                "crypto_fee_usd": crypto,
                "crypto_total_usd": credits + crypto,
                "byok_fee_usd": byok,
                "byok_fee_2025_usd": old,
                "source": rules.SOURCE,
            }
        )
        return
    shown = [format_usd(to_pico(x)) for x in (credits, card, credits + card, crypto, credits + crypto, byok)]
    out(f"Credits of {shown[0]} by card     fee {shown[1]} (5.5 %, at least $0.80), {shown[2]} in all")
    out(f"Credits of {shown[0]} in crypto   fee {shown[3]} (5 %), {shown[4]} in all")
    out(
        f"Own provider keys (BYOK), {shown[0]} a month at list price: {shown[5]}, by today's rule: "
        f"5 % past ${rules.BYOK_ALLOWANCE_USD:,} of list price a month"
    )
    if old is None:
        out("By the rule of 2025 it was 5 % past a million requests a month; --requests N says.")
    else:
        out(
            f"By the rule of 2025, {requests:,} requests: {format_usd(to_pico(old))}, "
            f"5 % past {rules.OLD_BYOK_ALLOWANCE_REQUESTS:,} requests a month"
        )
    out(f"Source: {rules.SOURCE}.")
