"""Commands about the gateway: spend, sandbox, serve."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from assay.cli.options import AsJson
from assay.cli.terminal import UsageError, app, confirm, opened, out, print_json, say
from assay.errors import DataError, SettingsError
from assay.money import budget_usd, format_usd, from_pico, to_pico
from assay.sandbox.fault_kinds import FAULTS

FAULT_HELP = "KIND is one of " + "; ".join(f"{kind}: {like}" for kind, like in FAULTS.items()) + "."


@app.command()
def spend(
    days: Annotated[int | None, typer.Option(min=1, help="The last days only.")] = None,
    recover: Annotated[
        bool, typer.Option("--recover", help="First ask the gateway for costs that are not known yet.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show where the money went, by model."""
    from assay.workbench.spending import spend as workbench
    from assay.workbench.spending.days import zone_of

    zone = zone_of(None)
    chosen = workbench.since_days(days, zone=zone)
    with opened() as session:
        if recover:
            say(f"{workbench.recover(session):,} costs were told by the gateway.")
        found = workbench.report(session, chosen, zone=zone)
    total, lines, flying = found.sum, found.by["model"], found.in_flight
    if as_json:
        print_json(
            {
                "known_usd": from_pico(total.known_pico),
                "calls": total.calls,
                "unknown_calls": total.unknown_calls,
                "unknown_at_most_usd": from_pico(total.unknown_bound_pico),
                "upstream_usd": from_pico(total.upstream_pico),
                "in_flight_calls": flying.calls,
                "in_flight_at_most_usd": from_pico(flying.bound_pico),
                "models": [
                    {
                        "model": x.label,
                        "known_usd": from_pico(x.sum.known_pico),
                        "calls": x.sum.calls,
                        "unknown_calls": x.sum.unknown_calls,
                    }
                    for x in lines
                ],
            }
        )
        return
    out(f"{workbench.in_words(total)} on {total.calls:,} calls")
    if flying.calls:
        out(f"{flying.calls:,} calls in flight, at most {format_usd(flying.bound_pico)} more")
    for x in lines:
        out(f"{x.label:44} {format_usd(x.sum.known_pico):>12}  {x.sum.calls:>7,} calls")


@app.command()
def settle(
    run: Annotated[str | None, typer.Option(help="The calls of one run only.")] = None,
    call: Annotated[str | None, typer.Option(help="One call, by its id in the ledger's CSV.")] = None,
    as_nothing: Annotated[bool, typer.Option("--nothing", help="They were not billed.")] = False,
    at_most: Annotated[bool, typer.Option("--at-most", help="Count each at its upper bound.")] = False,
    amount: Annotated[
        str | None, typer.Option(metavar="USD", help="What the call of --call cost exactly, by the gateway's bill.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Settle without asking.")] = False,
) -> None:
    """Say what calls of unknown cost did cost, once the gateway cannot tell: compare with its bill first.

    `assay spend --recover` asks the gateway. What is settled by your word is marked as stated and stays so; it counts
    in sums and budgets in place of the upper bound.
    """
    from assay.workbench.results import cells
    from assay.workbench.spending import spend as workbench

    if [as_nothing, at_most, amount is not None].count(True) != 1:
        raise UsageError(
            "Say --nothing, --at-most or --amount, one of them.", cure="`assay spend --recover` asks the gateway first."
        )
    if run is not None and call is not None:
        raise UsageError("--run and --call cannot be combined.", cure="Give one of them.")
    if amount is not None and call is None:
        raise UsageError("--amount is the cost of one call.", cure="Give --call with its id too.")
    each = 0 if amount is None else _stated(amount)
    with opened() as session:
        run_id = None if run is None else cells.get_run(session, run).id
        unknown = workbench.unknown_of(session, run_id=run_id, call_id=call)
        if not unknown.unknown_calls:
            out("There is no call of unknown cost.")
            return
        at = "at its upper bound each" if at_most else f"at {format_usd(each)} each"
        calls = f"{unknown.unknown_calls:,} call{'' if unknown.unknown_calls == 1 else 's'} of unknown cost"
        say(f"{calls}, at most {format_usd(unknown.unknown_bound_pico)} together, would be settled {at}, for good.")
        confirm("Settle?", undone="Nothing was settled.", yes=yes, cure="Give --yes to settle.")
        found = workbench.state_costs(session, run_id=run_id, call_id=call, at_bound=at_most, each_pico=each)
    are = "call is" if found.calls == 1 else "calls are"
    out(f"{found.calls:,} {are} settled by your word, at {format_usd(found.known_pico)} together.")
    if left := unknown.unknown_calls - found.calls:
        out(f"{left:,} stay unknown, for nobody knows what they cost at most. --nothing settles them.")


def _stated(amount: str) -> int:
    """Pico-dollars of an amount on the command line. Raises UsageError in words."""
    try:
        return to_pico(budget_usd(amount))
    except ValueError as error:
        raise UsageError(f"--amount {error}", cure="Give an amount in USD, such as 0.0125.") from error


@app.command()
def sandbox(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8900,
    speed: Annotated[float, typer.Option(min=0, help="Multiplies all waiting; 0 answers at once.")] = 1.0,
    fault: Annotated[
        list[str],
        typer.Option(
            "--fault", metavar="KIND[:RATE][@MODEL]", help=f"Calls meet it, all or that share; several. {FAULT_HELP}"
        ),
    ] = [],  # noqa: B006
    byok: Annotated[
        list[str], typer.Option("--byok", metavar="PROVIDER", help="It bills a key of your own; several.")
    ] = [],  # noqa: B006
) -> None:
    """Serve the imitation of OpenRouter on loopback until Ctrl-C."""
    from assay.sandbox import SandboxConfig, SandboxServer
    from assay.workbench.gateway.faults import parse_faults

    try:
        faults = parse_faults(fault)
    except SettingsError as error:
        raise UsageError(str(error)) from error
    config = SandboxConfig(speed=speed, faults=faults, byok=frozenset(byok))
    try:
        server = SandboxServer(config, port=port)
    except OSError as error:
        raise DataError(f"Port {port} cannot be used: {error.strerror}.", cure="Choose another --port.") from error
    with server:
        print(server.base_url, flush=True)
        say("Simulated answers, invented prices. Any key is accepted. Ctrl-C ends it.")
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            return


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8600,
    no_token: Annotated[bool, typer.Option("--no-token", help="Ask for no token; on this machine only.")] = False,
) -> None:
    """Serve completions over HTTP, OpenAI-compatible, through the ledger; needs ASSAY_API_TOKEN."""
    from assay.api.door import rules_of
    from assay.api.listening import listening, run_until_stopped
    from assay.api.service import create_server
    from assay.config import read_settings
    from assay.openrouter.hosts import is_loopback

    settings = read_settings()
    token = settings.api_token.get_secret_value().strip() if settings.api_token else ""
    if no_token and not is_loopback(host):
        raise UsageError(
            f"Without a token the service listens on this machine only, not on {host}.",
            cure="Leave out --no-token and set ASSAY_API_TOKEN, or use --host 127.0.0.1.",
        )
    if not no_token and not token:
        raise UsageError(
            "The HTTP service needs a token.",
            cure="Set ASSAY_API_TOKEN to a long random text, or serve this machine alone with --no-token.",
        )
    try:
        socket = listening(host, port)
    except OSError as error:
        raise DataError(f"{host}:{port} cannot be listened on: {error.strerror}.", cure="Choose another.") from error
    with socket, opened() as session:
        session.ready()
        shown = f"[{host}]" if ":" in host else host
        print(f"http://{shown}:{socket.getsockname()[1]}/api/v1", flush=True)
        if no_token:
            say("No token is asked for: every program on this machine can spend through it.")
        rules = rules_of(settings, bound=host, tokenless=no_token)
        run_until_stopped(create_server(lambda: session.runtime, rules=rules), socket)
