"""What OpenRouter charges beside inference, as published (wire reference 8; documentation of 2026-08-22).

purchase_fee_usd  of buying credits, by card or in crypto
byok_fee_usd      of calls with one's own provider key by today's rule, `old_byok_fee_usd` by the one before
"""

from __future__ import annotations

from decimal import Decimal

CREDIT_PURCHASE_FEE = Decimal("0.055")
"""Share of a credit purchase by card."""
CREDIT_PURCHASE_MINIMUM_USD = Decimal("0.80")
CRYPTO_PURCHASE_FEE = Decimal("0.05")
BYOK_FEE = Decimal("0.05")
"""Share of the list price of calls with one's own provider key, past the monthly allowance."""
BYOK_ALLOWANCE_USD = Decimal(25_000)
"""List-price dollars a month free of the BYOK fee, pay-as-you-go."""
OLD_BYOK_ALLOWANCE_REQUESTS = 1_000_000
"""Requests a month that were free of the BYOK fee by the rule of 2025."""
SOURCE = "OpenRouter documentation, 2026-08-22"


def purchase_fee_usd(credits_usd: Decimal, *, crypto: bool = False) -> Decimal:
    """The fee in USD for buying that many credits; 0 credits cost 0."""
    if credits_usd <= 0:
        return Decimal(0)
    if crypto:
        return credits_usd * CRYPTO_PURCHASE_FEE
    return max(credits_usd * CREDIT_PURCHASE_FEE, CREDIT_PURCHASE_MINIMUM_USD)


def byok_fee_usd(list_price_usd: Decimal, *, earlier_usd: Decimal = Decimal(0)) -> Decimal:
    """The fee in USD for calls with one's own provider key by today's rule: 5 % past the month's allowance.

    list_price_usd: what the calls would have cost at list price. earlier_usd: the same for those of the month before
    them.
    """
    free = max(BYOK_ALLOWANCE_USD - max(earlier_usd, Decimal(0)), Decimal(0))
    return max(list_price_usd - free, Decimal(0)) * BYOK_FEE


def old_byok_fee_usd(list_price_usd: Decimal, *, requests: int, earlier_requests: int = 0) -> Decimal:
    """The same by the rule of 2025: 5 % of the list price of every request after the month's first million.

    Requests are taken to cost alike. No requests: 0.
    """
    if requests <= 0 or list_price_usd <= 0:
        return Decimal(0)
    free = min(max(OLD_BYOK_ALLOWANCE_REQUESTS - max(earlier_requests, 0), 0), requests)
    return list_price_usd * (requests - free) / requests * BYOK_FEE
