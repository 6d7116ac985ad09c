"""What the gateway's router says of providers that failed before an answer (wire reference 4, 6.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from assay.openrouter.wire_values import clean

MOST = 20
"""Failed providers of one call that are kept at most."""
_NAME = 60


def failed_providers(metadata: object) -> tuple[str, ...]:
    """From `openrouter_metadata`: the attempts that were not answered with success, as `Name (502)`, in order."""
    attempts = metadata.get("attempts") if isinstance(metadata, Mapping) else None
    return _named(attempts if isinstance(attempts, list) else [])


def failed_before(error: object) -> tuple[str, ...]:
    """From an `error` object: the providers of its `previous_errors`."""
    metadata = error.get("metadata") if isinstance(error, Mapping) else None
    previous = metadata.get("previous_errors") if isinstance(metadata, Mapping) else None
    return _named(previous if isinstance(previous, list) else [])


def _named(attempts: list[Any]) -> tuple[str, ...]:
    found = []
    for attempt in attempts[:MOST]:
        if not isinstance(attempt, Mapping):
            continue
        provider = attempt.get("provider") or attempt.get("provider_name")
        status = attempt.get("status") or attempt.get("code")
        if isinstance(provider, str) and provider and not _succeeded(status):
            said = f" ({clean(str(status))[:_NAME]})" if isinstance(status, int | str) and status else ""
            found.append(clean(provider)[:_NAME] + said)
    return tuple(found)


def _succeeded(status: object) -> bool:
    """Whether a status, as a number or in words, is one of success."""
    if isinstance(status, str) and not status.isdecimal():
        return status.lower() in ("ok", "success", "succeeded", "completed")
    return isinstance(status, int | str) and 200 <= int(str(status)[:4]) < 300
