"""Budgets before anything is sent: what is refused, and what a run is never above.

budget_pico       a budget as given
refuse_unheld     a budget that cannot be held, or has no room for the dearest single call
never_above       what a run cannot cost more than; every face prints `never_words` of it
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from assay.errors import BudgetExceeded, RunError
from assay.money import budget_usd, format_usd, format_usd_up, to_pico
from assay.runs.estimate import Estimate
from assay.store.books import month_of, month_settled
from assay.store.ledger import now_ms

if TYPE_CHECKING:
    from assay.workbench.session import Session


def budget_pico(amount: Decimal | None) -> int | None:
    """A budget in pico-dollars; None: none is set. Raises RunError for what is no amount, or negative."""
    try:
        return None if amount is None else to_pico(budget_usd(amount))
    except ValueError as error:
        raise RunError(f"The budget {error}", cure="Give an amount in USD, such as 2.50.") from None


class _Held(NamedTuple):
    whose: str
    pico: int
    committed: int
    cure: str

    @property
    def words(self) -> str:
        return f"{self.whose} budget of {format_usd(self.pico)}"


def _held(session: Session, budget: int | None, committed: int) -> Iterator[_Held]:
    """The budgets that calls must fit into."""
    if budget is not None:
        yield _Held("the run's", budget, committed, "Give")
    monthly = session.dispatcher.monthly_budget_pico
    if monthly is not None:
        with session.store.read() as connection:
            settled = month_settled(connection, month_of(now_ms()))
        yield _Held("the month's", monthly, settled, "Raise ASSAY_MONTHLY_BUDGET_USD to")


def refuse_unheld(session: Session, cost: Estimate, budget: int | None, *, committed: int = 0) -> None:
    """Raises BudgetExceeded when a budget cannot be held, or has no room for the dearest single call.

    budget: the run's own, in pico-dollars; the month's counts beside. committed: what counts against the run's
    already. Said before anything is created: such a run would pause where it stands, and could never be completed.
    """
    held = list(_held(session, budget, committed))
    if cost.worst is None and held:
        raise BudgetExceeded(
            f"Nobody knows what the calls cost at most, so {' and '.join(one.words for one in held)} cannot be held: "
            f"{'; '.join(cost.unbounded) or 'a price is unknown'}.",
            cure="Leave that out, or remove the budget.",
        )
    for one in held:
        if cost.dearest is not None and one.committed + cost.dearest > one.pico:
            spent = f", of which {format_usd(one.committed)} is spent or may have been," if one.committed else ""
            raise BudgetExceeded(
                f"{one.words[0].upper()}{one.words[1:]}{spent} has no room for one call of {cost.dearest_of}, which "
                f"may cost up to {format_usd_up(cost.dearest)}.",
                cure=f"{one.cure} at least {format_usd_up(one.committed + cost.dearest)}, or limit the answers with a "
                "lower max_tokens.",
            )


def refuse_spent(budget: int | None, committed: int) -> None:
    """Raises BudgetExceeded for a new budget that is spent already."""
    if budget is not None and budget < committed:
        raise BudgetExceeded(
            f"A budget of {format_usd(budget)} leaves no room: {format_usd(committed)} of the run is spent or "
            "may have been.",
            cure="Give a higher one; it includes what is spent already.",
        )


def never_above(cost: Estimate, budget: int | None) -> int | None:
    """The most that a new run can cost, in pico-dollars; None: nothing limits it.

    Its budget is what holds; a run without one gets for its budget what all tries of its calls cost at most.
    """
    return cost.never_above if budget is None or cost.worst is None else budget


def never_words(limit: int | None, cost: Estimate) -> str:
    """What a cost is never above, in words."""
    if limit is not None:
        return f"never above {format_usd_up(limit)}, every try counted"
    return f"no upper bound{': ' if cost.unbounded else ''}{'; '.join(cost.unbounded)}"
