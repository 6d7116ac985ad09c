"""Settings and where the key comes from."""

import threading
from decimal import Decimal
from pathlib import Path

import pytest

from assay.cli import main
from assay.config import Gateway, Settings
from assay.errors import SettingsError


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without settings and an environment without a key."""
    monkeypatch.chdir(tmp_path)
    for name in ("OPENROUTER_API_KEY", "OPENROUTER_BASE_URL", "ASSAY_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)


def write_secrets(text: str) -> None:
    """Writes `.streamlit/secrets.toml` in the current folder."""
    Path(".streamlit").mkdir()
    Path(".streamlit/secrets.toml").write_text(text)


def test_key_absent_is_none() -> None:
    """Nothing set: no key, and the source says so."""
    settings = Settings()

    assert settings.openrouter_api_key is None
    assert settings.key_source == "none"


def test_key_blank_counts_as_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A blank key is no key."""
    monkeypatch.setenv("OPENROUTER_API_KEY", "  ")

    assert Settings().key_source == "none"


def test_key_from_environment_wins_over_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment is looked at first."""
    Path(".env").write_text("OPENROUTER_API_KEY=from-dotenv")
    write_secrets('OPENROUTER_API_KEY = "from-secrets"')
    monkeypatch.setenv("OPENROUTER_API_KEY", "from-environment")

    settings = Settings()

    assert settings.openrouter_api_key is not None
    assert settings.openrouter_api_key.get_secret_value() == "from-environment"
    assert settings.key_source == "environment"


def test_key_from_dotenv_wins_over_secrets() -> None:
    """The `.env` file comes before Streamlit's secrets."""
    Path(".env").write_text("OPENROUTER_API_KEY=from-dotenv")
    write_secrets('OPENROUTER_API_KEY = "from-secrets"')

    settings = Settings()

    assert settings.openrouter_api_key is not None
    assert settings.openrouter_api_key.get_secret_value() == "from-dotenv"
    assert settings.key_source == ".env"


def test_key_from_secrets_in_lower_case_is_found() -> None:
    """Streamlit's secrets may use either case."""
    write_secrets('openrouter_api_key = "from-secrets"')

    settings = Settings()

    assert settings.openrouter_api_key is not None
    assert settings.key_source == ".streamlit/secrets.toml"


def test_broken_secrets_file_is_passed_over() -> None:
    """A broken file gives no settings and no traceback."""
    write_secrets("this is not toml")

    assert Settings().key_source == "none"


def test_key_is_never_in_a_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings and gateway can be printed without showing the key."""
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-or-v1-CANARY")
    settings = Settings()

    shown = repr(settings) + repr(Gateway("openrouter", settings.openrouter_base_url, settings.openrouter_api_key))

    assert "CANARY" not in shown


@pytest.mark.parametrize("value", ["50 USD", "-5", "nan", "inf", "-inf", "1e400", " ", "1,000", "$5", "0x10"])
def test_budget_that_is_no_amount_is_refused_in_words(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """The variable and what it holds are named; nothing is opened."""
    monkeypatch.setenv("ASSAY_MONTHLY_BUDGET_USD", value)

    with pytest.raises(SettingsError, match="ASSAY_MONTHLY_BUDGET_USD") as refused:
        Settings()
    assert repr(value) in str(refused.value)


@pytest.mark.parametrize(("value", "amount"), [("", None), ("0", 0), ("2.50", Decimal("2.5")), ("1e2", 100)])
def test_budget_is_an_exact_amount(monkeypatch: pytest.MonkeyPatch, value: str, amount: object) -> None:
    """Empty is none, 0 is a budget of nothing."""
    monkeypatch.setenv("ASSAY_MONTHLY_BUDGET_USD", value)

    assert Settings().monthly_budget_usd == amount


def test_budget_may_be_a_number_in_secrets_toml() -> None:
    """TOML has numbers; true is none of them."""
    write_secrets('ASSAY_MONTHLY_BUDGET_USD = 2.5\nassay_concurrency = 7\nASSAY_BASE_URL = "http://localhost:1/v1"')
    found = Settings()
    assert (found.monthly_budget_usd, found.concurrency) == (Decimal("2.5"), 7)
    assert found.openrouter_base_url == "http://localhost:1/v1"

    Path(".streamlit/secrets.toml").write_text("ASSAY_MONTHLY_BUDGET_USD = true")
    with pytest.raises(SettingsError, match="not an amount"):
        Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CONNECT_TIMEOUT_S", "nan"),
        ("TOTAL_TIMEOUT_S", "inf"),
        ("SILENCE_TIMEOUT_S", "-1"),
        ("CONCURRENCY", "many"),
        ("CONCURRENCY", "0"),
        ("PROBE_WAITS_S", "[1, -2]"),
        ("REQUESTS_PER_MINUTE", '{"*": 0}'),
        ("ENDPOINTS", "[x"),
        ("ENDPOINTS", '[{"name": "o", "base_url": "http://x", "prices": {"*": {"prompt": "-1", "completion": "1"}}}]'),
        (
            "ENDPOINTS",
            '[{"name": "o", "base_url": "http://x", "prices": {"*": {"prompt": "free", "completion": "1"}}}]',
        ),
        ("MAX_ATTEMPTS", "1e9"),
        ("CATALOGUE_TTL_S", "-inf"),
        ("UPLOAD_LIMIT_MB", ""),
    ],
)
def test_number_that_cannot_be_meant_is_refused_in_words(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """Every setting that holds an amount or a number says so when it holds none."""
    monkeypatch.setenv(f"ASSAY_{name}", value)

    with pytest.raises(SettingsError, match=r"A setting cannot be (used|read)") as refused:
        Settings()
    assert name.lower() in str(refused.value).lower()


def test_wrong_setting_ends_a_command_with_exit_2_and_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command line says what is wrong, and no thread of a half-opened workbench is left."""
    monkeypatch.setenv("ASSAY_MONTHLY_BUDGET_USD", "50 USD")
    monkeypatch.setattr("sys.argv", ["assay", "runs"])
    threads = threading.active_count()

    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "'50 USD' is not an amount in USD" in capsys.readouterr().err
    assert threading.active_count() == threads
