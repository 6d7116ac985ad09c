"""Values of the wire as they may be kept: numbers that the books can hold, text that can be stored.

What is out of these bounds was never meant: it is unknown (None), like what is missing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from assay.money import to_pico, usd

MOST_TOKENS = 10**9
"""Tokens of one call, or of a context, at most."""
MOST_USD = Decimal(10_000)
"""Cost of one call at most: 900 of them fit the sums' 64 bits (money.py)."""
LONGEST_ID = 200


def clean(text: str) -> str:
    """The text without lone surrogates and NUL, which neither SQLite nor a browser takes."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "\ufffd")


def clean_json(value: Any, depth: int = 100) -> Any:
    """JSON whose texts are all clean; what lies deeper than that many levels is None."""
    if isinstance(value, str):
        return clean(value)
    if depth == 0:
        return None
    if isinstance(value, Mapping):
        return {clean(str(name)): clean_json(each, depth - 1) for name, each in value.items()}
    return [clean_json(each, depth - 1) for each in value] if isinstance(value, list) else value


def text_of(value: object) -> str | None:
    """A text that can be stored; None where the value is none."""
    return clean(value) if isinstance(value, str) else None


def id_of(value: object) -> str | None:
    """A generation id that can be asked for; None where the value is none, or is no id."""
    usable = isinstance(value, str) and 0 < len(value) <= LONGEST_ID and value.isascii() and value.isprintable()
    return str(value) if usable else None


def count_of(value: object, most: int = MOST_TOKENS) -> int | None:
    """A whole number from 0 to `most`, fractions cut off; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    if not isinstance(value, int) and not math.isfinite(value):
        return None
    # Compared before it is made an int: 1e9999999 would take minutes.
    return int(value) if 0 <= value <= most else None


def amount_of(value: object, most: Decimal = MOST_USD) -> Decimal | None:
    """An amount in USD from 0 to `most`; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        return None
    try:
        amount = usd(value)
    except ValueError:
        return None
    return amount if 0 <= amount <= most else None


def pico_of(amount: Decimal) -> int | None:
    """Pico-dollars of what one call costs; None beyond the most that one can."""
    return to_pico(amount) if 0 <= amount <= MOST_USD else None
