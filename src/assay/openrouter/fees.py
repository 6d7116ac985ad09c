"""What OpenRouter charges beside inference, as published (wire reference 8; documentation of 2026-08-22)."""

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
SOURCE = "OpenRouter documentation, 2026-08-22"


def purchase_fee_usd(credits_usd: Decimal, *, crypto: bool = False) -> Decimal:
    """The fee in USD for buying that many credits; 0 credits cost 0."""
    if credits_usd <= 0:
        return Decimal(0)
    if crypto:
        return credits_usd * CRYPTO_PURCHASE_FEE
    return max(credits_usd * CREDIT_PURCHASE_FEE, CREDIT_PURCHASE_MINIMUM_USD)
