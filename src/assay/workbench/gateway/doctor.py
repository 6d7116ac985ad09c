"""What may be wrong with a set-up, each with its cure: key, limits, network, clock, database, disk."""

from __future__ import annotations

import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from assay.config import Settings
from assay.errors import AssayError, GatewayError
from assay.money import format_usd, to_pico, usd
from assay.openrouter.reach import reach
from assay.store.engine import SOUND_SQLITE, StoreHealth
from assay.store.integrity import damage, revision

if TYPE_CHECKING:
    from assay.workbench.session import Session

State = Literal["ok", "warn", "fail"]
LINKS: Mapping[str, str] = {
    "Status": "https://status.openrouter.ai/",
    "Documentation": "https://openrouter.ai/docs",
    "API reference": "https://openrouter.ai/docs/api-reference",
    "Models": "https://openrouter.ai/models",
    "Pricing": "https://openrouter.ai/pricing",
    "Keys": "https://openrouter.ai/keys",
    "Credits": "https://openrouter.ai/settings/credits",
}
"""Where the gateway itself says more."""
SKEW_S = 30.0
SOON = timedelta(days=7)
LITTLE_BYTES, NEXT_TO_NOTHING_BYTES = 1024**3, 100 * 1024**2


@dataclass(frozen=True, slots=True)
class Finding:
    """A thing that was looked at."""

    name: str
    state: State
    said: str
    cure: str = ""

    def as_json(self) -> dict[str, str]:
        """The finding as JSON."""
        return asdict(self)


def examine(session: Session) -> Iterator[Finding]:
    """Everything there is to say of a runtime; a look that fails is a finding too. Costs nothing."""
    looks: tuple[Callable[[Session], Iterator[Finding]], ...] = (
        _key,
        _network,
        _credits,
        _limits,
        _catalogue,
        _database,
    )
    for look in looks:
        try:
            yield from look(session)
        except AssayError as error:
            yield Finding(look.__name__.strip("_"), "fail", error.message, error.cure)
    yield from _disk(session.settings)


def without_database(settings: Settings, error: AssayError) -> Iterator[Finding]:
    """What can be said where the workbench cannot be opened."""
    yield Finding("database", "fail", error.message, error.cure)
    if settings.key_source == "none":
        yield Finding("key", "warn", "No key is set: the sandbox answers.", "Set OPENROUTER_API_KEY.")
    yield from _disk(settings)


# -- key, credits and limits ---------------------------------------------------------------------------------------


def _key(session: Session) -> Iterator[Finding]:
    source = session.settings.key_source
    if session.is_sandbox:
        yield Finding("key", "warn", "No key is set: the sandbox answers.", "Set OPENROUTER_API_KEY.")
    else:
        given = session.settings.openrouter_api_key
        text = given.get_secret_value() if given else ""
        odd = text != text.strip() or (session.gateway.base_url.startswith("https://openrouter") and text[:3] != "sk-")
        yield Finding(
            "key",
            "warn" if odd else "ok",
            f"Set, from {source}." + (" It does not look like a key." if odd else ""),
            "Copy it anew, without spaces or quotes." if odd else "",
        )
    try:
        facts = session.wait(session.client.key())
    except GatewayError as error:
        yield Finding("key accepted", "fail", str(error), f"Look at {LINKS['Keys']}.")
        return
    yield from _kind(facts)
    yield from _expiry(facts)
    yield from _key_limit(facts)
    yield from _free_requests(facts)


def _kind(facts: Mapping[str, Any]) -> Iterator[Finding]:
    if facts.get("is_management_key") or facts.get("is_provisioning_key"):
        yield Finding(
            "key kind",
            "fail",
            "This is a management key: it cannot ask models.",
            "Set an inference key, and this one as OPENROUTER_MANAGEMENT_KEY.",
        )
    else:
        yield Finding("key kind", "ok", "An inference key: it may ask models, and look at itself and its calls.")


def _expiry(facts: Mapping[str, Any]) -> Iterator[Finding]:
    given = facts.get("expires_at")
    if not isinstance(given, str) or not given:
        yield Finding("key expiry", "ok", "It does not expire.")
        return
    try:
        at = datetime.fromisoformat(given)
    except ValueError:
        yield Finding("key expiry", "warn", f"It expires at {given!r}, which is no date.")
        return
    left = (at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.now(UTC)
    state: State = "fail" if left < timedelta() else "warn" if left < SOON else "ok"
    said = f"It expired on {at:%d %b %Y}." if state == "fail" else f"It expires on {at:%d %b %Y}."
    yield Finding("key expiry", state, said, "" if state == "ok" else f"Make a new one: {LINKS['Keys']}.")


def _key_limit(facts: Mapping[str, Any]) -> Iterator[Finding]:
    limit, left = _amount(facts.get("limit")), _amount(facts.get("limit_remaining"))
    if limit is None:
        yield Finding("key limit", "ok", "None; credits and budgets hold.")
        return
    shown = f"{_usd(left)} of {_usd(limit)} left"
    again = f", anew {facts['limit_reset']}" if facts.get("limit_reset") else ""
    state: State = "fail" if left is not None and left <= 0 else "ok"
    if state == "ok" and left is not None and left < limit / 10:
        state = "warn"
    yield Finding("key limit", state, f"{shown}{again}.", "" if state == "ok" else f"Raise it: {LINKS['Keys']}.")


def _free_requests(facts: Mapping[str, Any]) -> Iterator[Finding]:
    free = facts.get("free_model_daily_requests")
    if not isinstance(free, Mapping) or not isinstance(free.get("limit"), int):
        return
    left, limit = free.get("remaining"), free["limit"]
    said = f"{left} of {limit} requests to free models left until 00:00 UTC, at most 20 a minute."
    more = "Buying $10 of credits once raises 50 a day to 1,000." if limit < 1000 else ""
    yield Finding("free requests", "warn" if left == 0 else "ok", said, more)


def _credits(session: Session) -> Iterator[Finding]:
    if session.settings.openrouter_management_key is None and not session.is_sandbox:
        yield Finding(
            "credits",
            "ok",
            "Not asked: only a management key may see the balance.",
            "Set OPENROUTER_MANAGEMENT_KEY to have it shown.",
        )
        return
    found = session.wait(session.client.credits())
    total, used = _amount(found.get("total_credits")), _amount(found.get("total_usage"))
    if total is None or used is None:
        yield Finding("credits", "warn", "The gateway did not say what is left.")
        return
    left = total - used
    state: State = "fail" if left <= 0 else "warn" if left < 5 else "ok"
    cure = "" if state == "ok" else f"Buy credits: {LINKS['Credits']}. A low balance also slows every request."
    yield Finding("credits", state, f"{_usd(left)} of {_usd(total)} left.", cure)


def _limits(session: Session) -> Iterator[Finding]:
    settings = session.settings
    budget = f"${settings.monthly_budget_usd} a month" if settings.monthly_budget_usd else "no monthly budget"
    paced = ", ".join(f"{model} {n} a minute" for model, n in settings.requests_per_minute.items()) or "none set"
    yield Finding(
        "limits",
        "ok",
        f"{settings.concurrency} calls in flight, {settings.max_attempts} attempts a call, {budget}; pace: {paced}.",
    )


def _amount(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    return usd(value)


def _usd(value: Decimal | None) -> str:
    return "an unknown part" if value is None else format_usd(to_pico(value)) if value >= 0 else f"-${-value}"


# -- network, clock and catalogue ----------------------------------------------------------------------------------


def _network(session: Session) -> Iterator[Finding]:
    from urllib.parse import urlsplit

    from assay.openrouter.reach import proxy_of

    proxy = proxy_of(urlsplit(session.gateway.base_url).scheme)
    if proxy and not session.is_sandbox:
        yield Finding("proxy", "ok", f"Calls go through {proxy}.")
    for found in reach(session.gateway.base_url):
        cure = "" if found.ok else f"Check the network, a firewall and the proxy; {LINKS['Status']}"
        yield Finding(f"network {found.step}", "ok" if found.ok else "fail", f"{found.said}.", cure)
        if found.skew_s is not None:
            late = abs(found.skew_s) > SKEW_S
            said = f"{abs(found.skew_s):.0f} s {'ahead of' if found.skew_s > 0 else 'behind'} the gateway's."
            yield Finding(
                "clock",
                "warn" if late else "ok",
                said,
                "Set the clock: budgets and free requests count by UTC days." if late else "",
            )


def _catalogue(session: Session) -> Iterator[Finding]:
    session.ready()
    state, models = session.catalogue.state, session.catalogue.models()
    if not models:
        yield Finding("catalogue", "fail", state.error or "There are no models.", "Runs cannot be priced without it.")
    else:
        yield Finding("catalogue", "warn" if state.error else "ok", f"{len(models):,} models. {state.error}".strip())


# -- database and disk ---------------------------------------------------------------------------------------------


def _database(session: Session) -> Iterator[Finding]:
    health: StoreHealth = session.store.health()
    size = f", {(health.size_bytes or 0) / 1024**2:.1f} MB" if health.path else ""
    said = f"{health.path or health.url}{size}, tables of revision {revision(session.store)}."
    yield Finding("database", "ok", said)
    if found := damage(session.store):
        yield Finding(
            "database integrity",
            "fail",
            f"SQLite finds it damaged: {found}.",
            "Stop Assay, keep a copy, and restore a backup or run sqlite3's .recover.",
        )
    else:
        yield Finding("database integrity", "ok", "Sound.")
    if not health.sound:
        wanted = ".".join(map(str, SOUND_SQLITE))
        yield Finding(
            "SQLite",
            "warn",
            f"Version {health.version} has a known bug with several writers.",
            f"Install pysqlite3 with SQLite {wanted} or newer.",
        )
    if health.path is not None and stat.S_IMODE(health.path.stat().st_mode) & 0o077:
        yield Finding(
            "database access", "warn", "Others on this machine may read the database.", f"chmod 600 {health.path}"
        )


def _disk(settings: Settings) -> Iterator[Finding]:
    import shutil

    path = settings.database_url.removeprefix("sqlite:///")
    folder = Path(path).resolve().parent if settings.database_url.startswith("sqlite") else Path.cwd()
    for name, where in (("disk", folder), ("disk of temporary files", Path(tempfile.gettempdir()))):
        there = next((p for p in (where, *where.parents) if p.exists()), Path("/"))
        free = shutil.disk_usage(there).free
        state: State = "fail" if free < NEXT_TO_NOTHING_BYTES else "warn" if free < LITTLE_BYTES else "ok"
        yield Finding(name, state, f"{free / 1024**3:.1f} GB free at {where}.", "" if state == "ok" else "Make room.")
