"""How the workbench is set up, and whether the gateway answers."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from assay import __version__
from assay.errors import GatewayError
from assay.money import format_usd, to_pico, usd
from assay.store.engine import StoreHealth

if TYPE_CHECKING:
    from assay.workbench.session import Session

KEY_FACTS = {
    "limit": "Limit of the key",
    "limit_remaining": "Left of it",
    "limit_reset": "It starts anew",
    "usage": "Used",
    "usage_daily": "Used today",
    "usage_monthly": "Used this month",
    "is_free_tier": "Free tier",
}
PACKAGES = ("streamlit", "httpx", "aiohttp", "pandas", "sqlmodel", "sqlalchemy", "plotly")


@dataclass(frozen=True, slots=True)
class Health:
    """What the settings page shows. No key is in it."""

    gateway: str
    base_url: str
    key_source: str
    has_management_key: bool
    store: StoreHealth
    endpoints: tuple[tuple[str, str], ...] = ()
    """(name, base URL) of the further endpoints."""
    versions: Mapping[str, str] = field(default_factory=dict)


def health(session: Session) -> Health:
    """Versions, data file and where the key comes from."""
    versions = {"assay": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return Health(
        session.gateway.name,
        session.gateway.base_url,
        session.settings.key_source,
        session.settings.openrouter_management_key is not None,
        session.store.health(),
        tuple((name, client.gateway.base_url) for name, client in session.gateways.others.items()),
        versions,
    )


@dataclass(frozen=True, slots=True)
class GatewayCheck:
    """Whether the gateway answers with this key."""

    ok: bool
    message: str
    facts: Mapping[str, str] = field(default_factory=dict)
    """What the gateway tells about the key, by name, in words; amounts in USD."""


def check_gateway(session: Session) -> GatewayCheck:
    """One free call to /key: words and a cure when it fails."""
    try:
        facts = session.wait(session.client.key())
    except GatewayError as error:
        return GatewayCheck(False, str(error))
    shown = {said: _in_words(facts[name]) for name, said in KEY_FACTS.items() if facts.get(name) is not None}
    answers = "The sandbox answers." if session.is_sandbox else "The gateway answers and accepts the key."
    return GatewayCheck(True, answers, shown)


def _in_words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return format_usd(to_pico(usd(value))) if isinstance(value, int | float | Decimal) else str(value)
