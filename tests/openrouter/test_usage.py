"""What is believed of a gateway's usage block: amounts as numbers, own keys apart, nothing taken for a bill."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from assay.domain.completion import UNKNOWN_COST, Completion, Cost
from assay.openrouter.pricing import parse_pricing
from assay.openrouter.usage import cost_of, estimated_cost, kept_details, parse_usage, recovered_cost

PRICING = parse_pricing({"prompt": "0.000001", "completion": "0.000002"})
LIST_PRICE = 140_000_000
"""Pico-dollars of 100 tokens in and 20 out."""


def usage(**said: Any) -> dict[str, Any]:
    """A usage block of 100 and 20 tokens with what is said of its cost."""
    return {"prompt_tokens": 100, "completion_tokens": 20, **said}


def upstream(amount: object, **parts: object) -> dict[str, Any]:
    """The details of a cost."""
    return {"upstream_inference_cost": amount, **parts}


@pytest.mark.parametrize(
    ("said", "cost"),
    [
        ({"cost": 0.00014, "is_byok": False, "cost_details": upstream(0.00014)}, Cost(LIST_PRICE, "billed")),
        (
            {"cost": 0, "is_byok": True, "cost_details": upstream(0.0360795)},
            Cost(36_079_500_000, "upstream", 36_079_500_000),
        ),
        (
            {"cost": 0.001, "is_byok": True, "cost_details": upstream(0.0360795)},
            Cost(37_079_500_000, "upstream", 36_079_500_000),
        ),
        ({"is_byok": True, "cost_details": upstream(0.5)}, Cost(5 * 10**11, "upstream", 5 * 10**11)),
        ({"cost": -1, "is_byok": True, "cost_details": upstream(0.5)}, Cost(5 * 10**11, "upstream", 5 * 10**11)),
        ({"cost": 0, "cost_details": upstream(0.5)}, Cost(5 * 10**11, "upstream", 5 * 10**11)),
        (
            {
                "cost": 0,
                "is_byok": True,
                "cost_details": upstream(
                    None, upstream_inference_prompt_cost=0.2, upstream_inference_completions_cost=0.3
                ),
            },
            Cost(5 * 10**11, "upstream", 5 * 10**11),
        ),
        ({"cost": 0, "is_byok": True, "cost_details": upstream(0)}, Cost(0, "billed", 0)),
        ({"cost": 0.5, "cost_details": upstream(0.5)}, Cost(5 * 10**11, "billed")),
        ({"cost": 0.4, "is_byok": False, "cost_details": upstream(0.5)}, Cost(4 * 10**11, "billed")),
        ({"cost": 0}, Cost(0, "billed")),
    ],
)
def test_cost_is_what_was_paid_to_the_gateway_and_with_an_own_key(said: dict[str, Any], cost: Cost) -> None:
    """The upstream amount counts with one's own key, once, and never without one."""
    assert cost_of(parse_usage(usage(**said))) == cost


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"cost": None},
        {"cost": -0.5},
        {"cost": "0.00014"},
        {"cost": True},
        {"cost": [1]},
        {"cost": 1e9},
        {"cost": Decimal("NaN")},
        {"cost": Decimal("1e999999")},
        {"cost": float("inf")},
    ],
)
def test_cost_that_nobody_can_have_charged_is_estimated(said: dict[str, Any]) -> None:
    """A cost that is missing, negative, a text or absurd is not called billed: list price is estimated."""
    found = parse_usage(usage(**said))

    assert cost_of(found) == UNKNOWN_COST
    assert estimated_cost(Completion("", "stop", found, UNKNOWN_COST), PRICING) == Cost(LIST_PRICE, "estimated")


@pytest.mark.parametrize("details", [None, upstream(None), upstream("0.1"), upstream(-3), "none"])
def test_own_key_whose_upstream_is_not_told_is_estimated_with_its_fee(details: object) -> None:
    """The gateway's fee is not the cost of the call: list price is estimated, and the fee comes on top."""
    found = parse_usage(usage(cost=0.001, is_byok=True, cost_details=details))

    assert cost_of(found) == UNKNOWN_COST
    cost = estimated_cost(Completion("", "stop", found, UNKNOWN_COST), PRICING)
    assert cost == Cost(LIST_PRICE + 10**9, "estimated", LIST_PRICE)


@pytest.mark.parametrize(
    ("record", "cost"),
    [
        ({"total_cost": 0.0021, "is_byok": False, "upstream_inference_cost": 0}, Cost(21 * 10**8, "recovered")),
        (
            {"total_cost": 0, "is_byok": True, "upstream_inference_cost": 0.02},
            Cost(2 * 10**10, "recovered", 2 * 10**10),
        ),
        ({"total_cost": 0, "is_byok": True, "upstream_inference_cost": None}, UNKNOWN_COST),
        ({"total_cost": "much"}, UNKNOWN_COST),
        ({"total_cost": -1}, UNKNOWN_COST),
        ({}, UNKNOWN_COST),
    ],
)
def test_record_of_a_generation_tells_the_cost_as_an_answer_does(record: dict[str, Any], cost: Cost) -> None:
    """A recovered cost holds the upstream part too; a record without a sound amount leaves it unknown."""
    assert recovered_cost(record) == cost


def test_details_are_kept_where_they_tell_more_than_the_cost() -> None:
    """One's own key and further parts are kept; the usual three amounts, which follow from the cost, are not."""
    own = parse_usage(usage(cost=0, is_byok=True, cost_details=upstream(0.5)))
    tools = parse_usage(usage(cost=1, is_byok=False, cost_details=upstream(0.5, server_tool_cost=0.5)))
    plain = parse_usage(usage(cost=1, is_byok=False, cost_details=upstream(1)))
    long = parse_usage(usage(cost=0, is_byok=True, cost_details=upstream(1, note="x" * 5000)))

    assert kept_details(own) == '{"upstream_inference_cost": 0.5}'
    assert "server_tool_cost" in (kept_details(tools) or "")
    assert kept_details(plain) is kept_details(long) is kept_details(None) is None
