"""Settings: from the environment, then `.env`, then `.streamlit/secrets.toml`; keys are never stored elsewhere."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import AliasChoices, BaseModel, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as SourceError

from assay.errors import SettingsError
from assay.money import budget_usd, usd

OPENROUTER_URL = "https://openrouter.ai/api/v1"
SECRETS_FILE = Path(".streamlit/secrets.toml")

KeySource = Literal["environment", ".env", ".streamlit/secrets.toml", "none"]


class SecretsToml(PydanticBaseSettingsSource):
    """Top-level names of `.streamlit/secrets.toml`, in either case."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        """Not used: the whole file is read at once."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """The settings found in the file; an absent or unreadable file gives none."""
        return {
            _field_of(name): value
            for name, value in read_secrets().items()
            if name.startswith(("OPENROUTER_", "ASSAY_")) and isinstance(value, str | int | float | bool | list | dict)
        }


def _field_of(name: str) -> str:
    """A source speaks of fields by their own names, or by an alias; the prefix is the environment's."""
    if name == "ASSAY_BASE_URL" or not name.startswith("ASSAY_"):
        return name
    return name.removeprefix("ASSAY_").lower()


def read_secrets() -> dict[str, Any]:
    """The names of `.streamlit/secrets.toml`, upper case; none where the file is absent or broken."""
    try:
        return {name.upper(): value for name, value in tomllib.loads(SECRETS_FILE.read_text("utf-8")).items()}
    except (OSError, ValueError):
        return {}


class TokenPrice(BaseModel, extra="forbid"):
    """A price in USD per million tokens."""

    prompt: str
    """For what is sent."""
    completion: str
    """For what is answered."""

    @field_validator("prompt", "completion", mode="before")
    @classmethod
    def _is_amount(cls, value: object) -> str:
        if usd(str(value)) < 0:
            raise ValueError("a price is not negative")
        return str(value)


class EndpointSetting(BaseModel, extra="forbid"):
    """An OpenAI-compatible endpoint beside the gateway: Ollama, vLLM, LiteLLM, llama.cpp ..."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")
    """Its models are asked for as NAME/MODEL."""
    base_url: str
    """What stands before /chat/completions, for example http://localhost:11434/v1."""
    key_variable: str | None = None
    """The variable that holds its key, in the environment, `.env` or secrets.toml; none: no key is sent."""
    prices: dict[str, TokenPrice] = Field(default_factory=dict)
    """Per model, `*` for every other; a model without a price has an unknown cost."""

    @field_validator("name")
    @classmethod
    def _is_free(cls, value: str) -> str:
        if value in ("openrouter", "sandbox"):
            raise ValueError("this name is taken")
        return value


class Settings(BaseSettings):
    """What can be set from outside; every name with the prefix ASSAY_, but for the key and base URL of OpenRouter."""

    model_config = SettingsConfigDict(
        env_prefix="ASSAY_", env_file=".env", extra="ignore", populate_by_name=True, allow_inf_nan=False
    )

    openrouter_api_key: SecretStr | None = Field(None, validation_alias="OPENROUTER_API_KEY")
    """The key for completions; without one the sandbox answers."""
    openrouter_management_key: SecretStr | None = Field(None, validation_alias="OPENROUTER_MANAGEMENT_KEY")
    """The key for credits and activity, kept apart from the one for completions."""
    openrouter_base_url: str = Field(
        OPENROUTER_URL, validation_alias=AliasChoices("OPENROUTER_BASE_URL", "ASSAY_BASE_URL")
    )
    """Another OpenRouter-compatible gateway; the key goes to this host only."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] | None = None
    """What is logged of Assay itself; INFO has a line per attempt. None: warnings, and INFO in a log file."""
    log_format: Literal["text", "json"] = "text"
    """How a log line is written."""
    log_file: Path | None = None
    """Log lines are appended to it; only its owner can read it."""
    database_url: str = "sqlite:///data/assay.db"
    """Where results and the ledger live."""
    app_url: str = "https://github.com/assay-workbench/assay"
    """Sent as HTTP-Referer for app attribution."""
    concurrency: int = Field(32, ge=1, le=512)
    """Calls in flight at most for one run."""
    connect_timeout_s: float = Field(10.0, gt=0)
    """Seconds until a connection to the gateway stands."""
    first_token_timeout_s: float = Field(120.0, gt=0)
    """Seconds until the first token of an answer."""
    silence_timeout_s: float = Field(120.0, gt=0)
    """Seconds between two pieces of a stream."""
    total_timeout_s: float = Field(600.0, gt=0)
    """Seconds that one attempt may take in all."""
    max_attempts: int = Field(4, ge=1, le=10)
    """How often a call is sent at most, the first time included."""
    batch_poll_s: float = Field(5.0, gt=0)
    """Seconds before the gateway's batch is first looked after; each further wait is longer, up to a minute."""
    probe_waits_s: tuple[Annotated[float, Field(ge=0)], ...] = (5.0, 15.0, 30.0)
    """Seconds that a contestant is paused for after it kept failing, each time before one cell tries it again."""
    unreachable_patience_s: float = Field(60.0, ge=0)
    """Seconds that a run waits for a gateway that cannot be reached before it pauses."""
    close_patience_s: float = Field(5.0, ge=0)
    """Seconds that calls of runs may still take when the app is closed; what is cut off then is paid unanswered."""
    catalogue_ttl_s: float = Field(3600.0, ge=0)
    """Seconds after which the list of models is read again."""
    database_patience_s: float = Field(120.0, ge=0)
    """Seconds that a database is waited for which another program holds locked."""
    upload_limit_mb: int = Field(50, ge=1)
    """The largest file that is taken, in MB."""
    monthly_budget_usd: Decimal | None = None
    """USD that the whole workbench never passes in a month of UTC."""
    api_token: SecretStr | None = None
    """Switches the HTTP service on; callers send it as a bearer token."""
    allowed_hosts: list[str] = Field(default_factory=list)
    """Names beside localhost under which the servers may be called: a JSON list; `*.example.com` for those below."""
    cors_origins: list[str] = Field(default_factory=list)
    """Origins whose pages may call the HTTP service from a browser, like https://app.example.com: a JSON list."""
    endpoints: list[EndpointSetting] = Field(default_factory=list)
    """Further OpenAI-compatible endpoints: a JSON list in ASSAY_ENDPOINTS, or [[ASSAY_ENDPOINTS]] in secrets.toml."""
    requests_per_minute: dict[str, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    """Most calls per minute by model id, `*` for every model: a JSON object in ASSAY_REQUESTS_PER_MINUTE."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then environment, then `.env`, then `.streamlit/secrets.toml`."""
        return init_settings, env_settings, dotenv_settings, SecretsToml(settings_cls)

    def __init__(self, **given: Any) -> None:
        """Raises SettingsError naming every setting that cannot be used; what it held is not shown unless it is a
        budget, for it may be a key."""
        try:
            super().__init__(**given)
        except ValidationError as error:
            said = [f"{_variable(one['loc'])}: {one['msg'].removeprefix('Value error, ')}" for one in error.errors()]
            raise SettingsError(f"A setting cannot be used. {'; '.join(said)}".rstrip(".") + ".") from None
        except SourceError as error:
            raise SettingsError(f"A setting cannot be read as JSON: {error}.") from None

    @field_validator("monthly_budget_usd", mode="before")
    @classmethod
    def _is_budget(cls, value: Any) -> Decimal | None:
        if value is None or value == "":
            return None
        if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
            raise ValueError(f"{value!r} is not an amount in USD.")
        return budget_usd(value)

    @field_validator("log_level", "log_format", mode="before")
    @classmethod
    def _in_either_case(cls, value: object, found: ValidationInfo) -> object:
        if not isinstance(value, str):
            return value
        return (value.upper() or None) if found.field_name == "log_level" else value.lower()

    @cached_property
    def key_source(self) -> KeySource:
        """Where the OpenRouter key comes from."""
        if not self.openrouter_api_key or not self.openrouter_api_key.get_secret_value().strip():
            return "none"
        if os.environ.get("OPENROUTER_API_KEY"):
            return "environment"
        return ".env" if dotenv_values(".env").get("OPENROUTER_API_KEY") else ".streamlit/secrets.toml"


def read_settings(**given: Any) -> Settings:
    """The settings of this process. Raises SettingsError naming every variable that cannot be meant."""
    return Settings(**given)


def _variable(place: tuple[int | str, ...]) -> str:
    name = ".".join(map(str, place))
    return name if name.isupper() else f"ASSAY_{name.upper()}"


@dataclass(frozen=True, slots=True)
class Gateway:
    """Where calls go: a name, a base URL that ends before `/models`, and keys that `repr` never shows."""

    name: str
    """openrouter, sandbox, or the name of another endpoint; stored with every call."""
    base_url: str
    api_key: SecretStr | None = None
    management_key: SecretStr | None = None
    prices: Mapping[str, TokenPrice] = field(default_factory=dict)
    """Prices that the settings give, for endpoints whose catalogue has none."""

    @property
    def speaks_openrouter(self) -> bool:
        """Whether it has OpenRouter's routing, catalogue and generation records; others speak plain OpenAI."""
        return self.name in ("openrouter", "sandbox")

    @property
    def is_sandbox(self) -> bool:
        """Whether answers are simulated and prices invented."""
        return self.name == "sandbox"


def address_of(base_url: str) -> str:
    """A base URL in the one form in which addresses are compared, kept and shown: nothing secret is in it."""
    try:
        parts = urlsplit(base_url.strip())
        port = parts.port
    except ValueError:
        return base_url.rpartition("@")[2]
    host = (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    usual = port is None or (parts.scheme.lower(), port) in (("http", 80), ("https", 443))
    return f"{parts.scheme.lower()}://{host}{'' if usual else f':{port}'}{parts.path.rstrip('/')}"


def endpoint_gateways(settings: Settings) -> list[Gateway]:
    """The gateways of the further endpoints, each with the key that its variable holds."""
    return [
        Gateway(given.name, given.base_url, _secret(given.key_variable), prices=given.prices)
        for given in settings.endpoints
    ]


def _secret(variable: str | None) -> SecretStr | None:
    if not variable:
        return None
    held = os.environ.get(variable) or dotenv_values(".env").get(variable) or read_secrets().get(variable.upper())
    return SecretStr(str(held)) if held else None
