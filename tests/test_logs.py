"""Log lines: where they go, what they never hold, and that a dropped connection is one line."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from assay import logs
from assay.config import Settings
from assay.errors import SettingsError

KEY = "sk-or-v1-CANARY0123456789"


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """The handlers of a test end with it."""
    yield
    for handler in [h for h in logging.getLogger().handlers if getattr(h, "is_assay", False)]:
        logging.getLogger().removeHandler(handler)
        handler.close()
    logging.getLogger("assay").setLevel(logging.NOTSET)


@pytest.fixture(autouse=True)
def _loggers_as_a_process_starts_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers that other tests ran in this process have set levels and ends of their own."""
    for name in ("uvicorn", "uvicorn.error", "asyncio"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.NOTSET)
        monkeypatch.setattr(logger, "propagate", True)
        monkeypatch.setattr(logger, "disabled", False)


def _set_up(level: str | None = "INFO", form: str = "text", path: Path | None = None) -> io.StringIO:
    said = io.StringIO()
    settings = Settings.model_validate({"log_level": level, "log_format": form, "OPENROUTER_API_KEY": KEY})
    logs.set_up(settings, log_file=path, stream=said)
    return said


def _dropped(name: str, error: BaseException) -> None:
    logging.getLogger(name).error("Task exception was never retrieved\nfuture: <Task>", exc_info=error)


@pytest.mark.parametrize("name", ["asyncio", "uvicorn.error", "assay.calls"])
@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(104, "reset"),
        BrokenPipeError(),
        asyncio.IncompleteReadError(b"", 4),
        ExceptionGroup("several", [ConnectionResetError()]),
    ],
)
def test_dropped_connection_is_one_line(name: str, error: Exception) -> None:
    """Whoever tells of it, a connection that the other side dropped makes one line without a traceback."""
    said = _set_up()
    _dropped(name, error)

    assert said.getvalue().count("\n") == 1
    assert "A connection was dropped" in said.getvalue()


def test_other_exception_keeps_its_traceback() -> None:
    """What is no dropped connection is told in full, a group that holds something else too."""
    said = _set_up()
    _dropped("asyncio", ExceptionGroup("two", [ConnectionResetError(), ValueError("odd")]))

    assert "ValueError: odd" in said.getvalue()


@pytest.mark.parametrize("form", ["text", "json"])
def test_line_holds_no_key_and_steers_no_terminal(form: str) -> None:
    """A key that somebody logs is taken out, and an escape sequence is shown as one."""
    said = _set_up(form=form)
    logging.getLogger("assay.calls").info("key %s and Bearer abcdef012345 in \x1b]0;x\x07\nFORGED", KEY)

    assert "CANARY" not in said.getvalue()
    assert "abcdef012345" not in said.getvalue()
    assert "\x1b" not in said.getvalue()
    assert said.getvalue().count("\n") == 1


def test_line_holds_no_key_of_a_further_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that looks like none is known by its setting, with the space that was copied along."""
    monkeypatch.setenv("MY_ENDPOINT_KEY", "hunter2-hunter2 ")
    said = io.StringIO()
    endpoint = {"name": "local", "base_url": "http://localhost:1/v1", "key_variable": "MY_ENDPOINT_KEY"}
    logs.set_up(Settings.model_validate({"endpoints": [endpoint]}), stream=said)
    logging.getLogger("assay.calls").warning("sent %s", "hunter2-hunter2")

    assert said.getvalue().strip().endswith("sent [key]")


def test_json_line_has_the_facts_of_a_call() -> None:
    """A line of JSON holds level, logger, time, message and the facts that came with it."""
    said = _set_up(form="json")
    logging.getLogger("assay.calls").info("call 1", extra={"facts": {"status": 200, "cost_pico": 12}})

    found = json.loads(said.getvalue())
    assert found["status"] == 200
    assert found["cost_pico"] == 12
    assert found["level"] == "INFO"
    assert found["time"].endswith("+00:00")


def test_file_is_its_owner_s_and_is_appended_to(tmp_path: Path) -> None:
    """A log file has mode 0600, also one that was open to all, and keeps what it held."""
    path = tmp_path / "a.log"
    path.write_text("before\n")
    path.chmod(0o644)
    said = _set_up(level=None, path=path)
    logging.getLogger("assay.calls").info("a call")
    logging.getLogger("aiohttp").info("not ours")

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().startswith("before\n")
    assert "a call" in path.read_text()
    assert "not ours" not in path.read_text()
    assert said.getvalue() == ""


def test_level_of_the_settings_is_heard_on_the_terminal() -> None:
    """Without a level only warnings are heard, with INFO a line per call too."""
    quiet = _set_up(level=None)
    logging.getLogger("assay.calls").info("a call")
    loud = _set_up(level="info")
    logging.getLogger("assay.calls").info("a call")

    assert (quiet.getvalue(), loud.getvalue().count("a call")) == ("", 1)


def test_file_that_cannot_be_written_is_said_in_words(tmp_path: Path) -> None:
    """A folder that is not there is a SettingsError, not a traceback."""
    with pytest.raises(SettingsError, match="cannot be written"):
        _set_up(path=tmp_path / "none" / "a.log")
