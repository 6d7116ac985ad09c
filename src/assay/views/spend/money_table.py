"""Tables with money: amounts are numbers, so that they sort as such, and read as amounts do everywhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from assay.money import exact_usd, format_usd, from_pico, to_pico, usd

MISSING = "–"


def dollars(amounts: Iterable[int | None]) -> list[float | None]:
    """A column of USD of amounts in pico-dollars; None: not known, or none."""
    return [None if pico is None else float(from_pico(pico)) for pico in amounts]


def rounded(value: float) -> str:
    """An amount of such a column as people read it."""
    return format_usd(to_pico(usd(value)))


def exact(value: float) -> str:
    """An amount of such a column to its last digit."""
    return f"${exact_usd(to_pico(usd(value)))}"


def money_table(
    columns: Mapping[str, Any],
    money: Iterable[str],
    *,
    say: Callable[[float], str] = rounded,
    said: Mapping[tuple[int, str], str] | None = None,
    missing: str = MISSING,
) -> Any:
    """A table for `st.dataframe`, whose columns of money were made by `dollars`.

    say: words of an amount. said: words for single cells instead, by (line, column). missing: words for what is None.
    A column of money takes no format of its own: it would win.
    """
    import pandas as pd

    frame = pd.DataFrame(columns)
    amounts = list(money)
    frame[amounts] = frame[amounts].astype(float)  # a column of Nones alone has no type yet
    words_of: dict[str, Any] = {name: say for name in amounts}
    table: Any = frame.style.format(words_of, na_rep=missing)
    for (line, name), words in (said or {}).items():
        table = table.format(lambda _, words=words: words, na_rep=words, subset=([line], [name]))
    return table
