"""How long the gateway asks to wait: Retry-After and X-RateLimit-Reset, as headers or in the error's metadata."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")


def retry_after_s(headers: Mapping[str, str], metadata: Mapping[str, Any], *, now: float | None = None) -> float | None:
    """Seconds to wait, > 0 and finite; None where the gateway gave no usable hint.

    headers: names in any case. metadata: `error.metadata`, whose `headers` may hold what the real headers lack.
    Retry-After wins over a reset time; of two resets the later one counts. Source: wire reference 1.3, 6.6.
    """
    now = time.time() if now is None else now
    nested = metadata.get("headers")
    sources = [headers, nested if isinstance(nested, Mapping) else {}]
    values = [{str(k).lower(): str(v).strip() for k, v in source.items()} for source in sources]
    for found in values:
        waits = [
            _milliseconds(found.get("retry-after-ms")),
            _wait(found.get("retry-after"), now),
            _wait(_text(metadata.get("retry_after")), now),
        ]
        usable = [wait for wait in waits if wait is not None]
        if usable:
            return usable[0]
    resets = [
        _reset(value, now) for found in values for name, value in found.items() if name.startswith("x-ratelimit-reset")
    ]
    return max((wait for wait in resets if wait is not None), default=None)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _milliseconds(text: str | None) -> float | None:
    wait = _number(text)
    return wait / 1000 if wait is not None and 0 < wait < math.inf else None


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text is not None and text.isascii() else None
    except ValueError:
        return None


def _wait(text: str | None, now: float) -> float | None:
    """Seconds from a count of seconds or an HTTP date; not positive or unreadable: None."""
    if not text:
        return None
    seconds = _number(text.split(",")[0]) if text[:1].isdigit() or text[:1] in "-." else None
    if seconds is None:
        seconds = _until_date(text, now)
    return seconds if seconds is not None and 0 < seconds < math.inf else None


def _until_date(text: str, now: float) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # a year of twenty digits
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp() - now


def _reset(text: str, now: float) -> float | None:
    """Seconds from a reset: epoch milliseconds (OpenRouter), epoch seconds, a duration such as 1m30s, or a date."""
    number = _number(text)
    if number is not None:
        if number > 1e11:
            wait: float | None = number / 1000 - now
        elif number > 1e9:
            wait = number - now
        else:
            wait = number
    elif (parts := _DURATION.findall(text)) and _DURATION.sub("", text) == "":
        wait = sum(float(count) * _UNITS[unit] for count, unit in parts)
    else:
        wait = _until_date(text, now)
    return wait if wait is not None and 0 < wait < math.inf else None
