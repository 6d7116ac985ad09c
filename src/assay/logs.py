"""Where log lines go, and what they may hold: for every command, the app and the service.

A line per attempt comes from `assay.calls` (ids, model, status, times, tokens, cost). A connection that somebody
dropped is one line, whatever the library that met it makes of it. No key ever reaches a handler.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TextIO

from assay.config import Settings, endpoint_gateways
from assay.errors import SettingsError
from assay.plain_text import as_escapes, as_json_escapes

OURS = "assay"
QUIET = logging.WARNING
"""What other libraries, and a terminal whose log goes to a file, are heard from on."""
SPEAKERS_OF_DROPS = ("asyncio", "uvicorn.error", OURS)
DROPS = frozenset(
    {
        "ConnectionError",
        "ConnectionResetError",
        "ConnectionAbortedError",
        "BrokenPipeError",
        "IncompleteReadError",
        "ClientDisconnect",
        "ConnectionCut",
        "ClientDisconnected",
        "EndOfStream",
        "BrokenResourceError",
        "ClosedResourceError",
        "ConnectionClosed",
        "ConnectionClosedError",
        "ConnectionClosedOK",
        "SSLEOFError",
        "ClientConnectionResetError",
        "ServerDisconnectedError",
        "ClientOSError",
        "ClientPayloadError",
        "WebSocketClosedError",
        "StreamClosedError",
        "LocalProtocolError",
        "RemoteProtocolError",
    }
)
"""Names of the exceptions by which libraries say that the other side is gone."""
_KEY = re.compile(r"\b(sk-[A-Za-z0-9]{2,8}-)[A-Za-z0-9_-]{6,}|\b(Bearer\s+)[^\s\"',]+", re.IGNORECASE)


def set_up(settings: Settings, *, log_file: Path | None = None, stream: TextIO | None = None) -> None:
    """Sends log lines to standard error and, where one is named, to a file that only its owner can read.

    The level is that of the settings; without one a file gets INFO and a terminal warnings. Set up again it starts
    anew. Raises SettingsError when the file cannot be written.
    """
    path = log_file or settings.log_file
    chosen = logging.getLevelNamesMapping()[settings.log_level] if settings.log_level else None
    formatter = _formatter(settings)
    terminal: logging.Handler = logging.StreamHandler(stream or sys.stderr)
    terminal.setLevel(QUIET if path is not None or chosen is None else chosen)
    handlers = [terminal]
    if path is not None:
        handlers.append(_PrivateFile(path))
        handlers[-1].setLevel(chosen if chosen is not None else logging.INFO)
    for handler in handlers:
        handler.setFormatter(formatter)
    root = logging.getLogger()
    for old in [h for h in root.handlers if getattr(h, "is_assay", False)]:
        root.removeHandler(old)
        old.close()
    for handler in handlers:
        handler.is_assay = True  # type: ignore[attr-defined]
        handler.addFilter(one_line_for_drops)
        root.addHandler(handler)
    logging.getLogger(OURS).setLevel(min(handler.level for handler in handlers))
    for name in SPEAKERS_OF_DROPS:
        logger = logging.getLogger(name)
        # uvicorn brings handlers of its own: a filter of the logger is asked before them.
        logger.removeFilter(one_line_for_drops)
        logger.addFilter(one_line_for_drops)


def one_line_for_drops(record: logging.LogRecord) -> bool:
    """Takes the traceback from a record that only says that a connection was dropped."""
    error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    if error is not None and (name := _drop(error)) is not None:
        record.msg, record.args = "A connection was dropped (%s).", (name,)
        record.exc_info, record.exc_text = None, None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True


def _drop(error: BaseException) -> str | None:
    """The name of the dropped connection that an exception is, or holds alone; None where it is something else."""
    if isinstance(error, BaseExceptionGroup):
        names = [_drop(one) for one in error.exceptions]
        return names[0] if names and all(names) else None
    return next((kind.__name__ for kind in type(error).__mro__ if kind.__name__ in DROPS), None)


class _PrivateFile(logging.FileHandler):
    """Appends to a file of mode 0600; several processes may share it, for every line is one write."""

    def __init__(self, path: Path) -> None:
        try:
            super().__init__(path, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise SettingsError(
                f"The log file {path} cannot be written: {error.strerror}.", cure="Choose another --log-file."
            ) from error

    def _open(self) -> TextIOWrapper:
        def private(name: str, flags: int) -> int:
            return os.open(name, flags, 0o600)

        opened = open(self.baseFilename, "a", encoding=self.encoding, errors=self.errors, opener=private)  # noqa: SIM115
        if os.fstat(opened.fileno()).st_uid == os.getuid():
            os.fchmod(opened.fileno(), 0o600)
        return opened


def _formatter(settings: Settings) -> logging.Formatter:
    held = [settings.openrouter_api_key, settings.openrouter_management_key, settings.api_token]
    held += [gateway.api_key for gateway in endpoint_gateways(settings)]
    secrets = [secret.get_secret_value().strip() for secret in held if secret is not None]
    return _Json(secrets) if settings.log_format == "json" else _Text(secrets)


class _Text(logging.Formatter):
    """A line for people; a traceback, where there is one, below it."""

    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._secrets = [secret for secret in secrets if len(secret) >= 6]

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = as_escapes(record.message, one_line=True)
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        return as_escapes(self.without_keys(super().format(record)))

    def without_keys(self, text: str) -> str:
        """The text without any key: those of the settings, and what looks like one."""
        for secret in self._secrets:
            text = text.replace(secret, "[key]")
        return _KEY.sub(lambda found: f"{found[1] or found[2]}[key]", text)


class _Json(_Text):
    """An object in a line; the facts of a call are its fields."""

    def format(self, record: logging.LogRecord) -> str:
        facts: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            facts["traceback"] = self.formatException(record.exc_info)
        return as_json_escapes(self.without_keys(json.dumps(facts, ensure_ascii=False, default=str)))
