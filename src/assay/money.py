"""Exact money: Decimal US dollars in code, integer pico-dollars (1e-12 USD) at rest.

A price per token such as 0.00000015 USD is 150,000 pico-dollars, so sums of millions of
calls stay exact integers and fit a signed 64-bit column up to 9.2 million dollars.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Context, Decimal, InvalidOperation, localcontext

PICO = Decimal(10) ** 12
_EXACT = Context(prec=50)


def usd(value: str | int | float | Decimal) -> Decimal:
    """A dollar amount as an exact Decimal; a float is read through its shortest decimal text.

    Raises ValueError where the text is not a finite number.
    """
    try:
        amount = value if isinstance(value, Decimal) else Decimal(str(value).strip())
    except InvalidOperation as error:
        raise ValueError(f"{value!r} is not an amount of money.") from error
    if not amount.is_finite():
        raise ValueError(f"{value!r} is not a finite amount of money.")
    return amount


MOST_BUDGET_USD = Decimal(1_000_000)
"""A budget at most: nine of them fit the sums' 64 bits."""


def budget_usd(value: str | int | float | Decimal) -> Decimal:
    """A budget in USD. Raises ValueError in words where it is no amount, negative, or more than the books hold."""
    try:
        amount = usd(value)
    except ValueError:
        raise ValueError(f"{value!r} is not an amount in USD.") from None
    if not 0 <= amount <= MOST_BUDGET_USD:
        raise ValueError(f"{value!r} must be within 0 to {MOST_BUDGET_USD:,} USD.")
    return amount


def to_pico(amount: Decimal) -> int:
    """Pico-dollars of an amount in USD, rounded half to even below 1e-12 USD."""
    return int(_EXACT.multiply(amount, PICO).to_integral_value(rounding=ROUND_HALF_EVEN, context=_EXACT))


def to_pico_ceiling(amount: Decimal) -> int:
    """Pico-dollars of an amount in USD, rounded up: for bounds that must never be too low."""
    return int(_EXACT.multiply(amount, PICO).to_integral_value(rounding=ROUND_CEILING, context=_EXACT))


def from_pico(pico: int) -> Decimal:
    """US dollars of an amount in pico-dollars."""
    return Decimal(pico).scaleb(-12)


def plain(amount: Decimal) -> str:
    """An amount in plain digits: no exponent, no zeros at the end; zero is "0"."""
    text = f"{amount:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def exact_usd(pico: int) -> str:
    """US dollars of an amount in pico-dollars, to the last digit, as `plain` writes them."""
    return plain(from_pico(pico))


def format_usd(pico: int | None, *, places: int | None = None) -> str:
    """An amount for a person: two significant digits below a dollar, cents above; None is "unknown".

    places: fixed number of decimals instead.
    """
    if pico is None:
        return "unknown"
    amount = from_pico(pico)
    sign, size = ("-" if amount < 0 else ""), abs(amount)
    if places is not None:
        return f"{sign}${size:,.{places}f}"
    if size == 0:
        return "$0"
    if size >= 100:
        return f"{sign}${size:,.0f}" if size >= 10_000 else f"{sign}${size:,.2f}"
    if size >= 1:
        return f"{sign}${size:,.2f}"
    digits = -size.adjusted() + 1
    return f"{sign}${size:.{digits}f}"


def format_usd_up(pico: int) -> str:
    """A limit for a person, in as many digits and never below the exact one."""
    with localcontext() as context:
        context.rounding = ROUND_CEILING
        return format_usd(pico)
