"""Settings and where the key comes from."""

from pathlib import Path

import pytest

from assay.config import Gateway, Settings


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
