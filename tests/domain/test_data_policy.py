"""Policies only ever narrow: lists are intersected, flags add up, what no policy covers is named."""

from __future__ import annotations

import pytest

from assay.domain.data_policy import in_words, is_looser, make_policy, narrowed, strictest, uncovered
from assay.errors import PolicyError


def test_contestant_and_policy_lists_are_intersected() -> None:
    """The wire gets the providers that both allow; of a slug and a part of it, the part."""
    own = {"only": ["Northwind", "eastbay/eu", "southgate"], "sort": "price"}

    found = narrowed(own, make_policy(only=["northwind/fp8", "eastbay"], zdr=True))

    assert found == {"only": ["eastbay/eu", "northwind/fp8"], "sort": "price", "zdr": True}


def test_contestant_cannot_relax_the_policy() -> None:
    """What a contestant says about retention and training yields to the policy."""
    found = narrowed({"zdr": False, "data_collection": "allow"}, make_policy(zdr=True, no_training=True))

    assert found == {"zdr": True, "data_collection": "deny"}


def test_policy_does_not_relax_the_contestant() -> None:
    """A contestant that asks for more than the policy keeps it."""
    own = {"zdr": True, "data_collection": "deny", "ignore": ["eastbay"]}

    assert narrowed(own, make_policy(only=["northwind"])) == own | {"only": ["northwind"]}


def test_empty_intersection_is_refused_and_never_sent() -> None:
    """An empty list on the wire would allow every provider."""
    with pytest.raises(PolicyError, match="allows only eastbay, the data policy only northwind"):
        narrowed({"only": ["eastbay"]}, make_policy(only=["northwind"]))
    with pytest.raises(PolicyError, match="no provider is left"):
        narrowed({}, strictest(make_policy(only=["a"]), make_policy(only=["b"])))


@pytest.mark.parametrize(
    ("new", "old", "looser"),
    [
        ({}, {"zdr": True}, True),
        ({"zdr": True}, {}, False),
        ({"zdr": True}, {"data_collection": "deny"}, False),
        ({"only": ["a"]}, {"data_collection": "deny"}, True),
        ({"only": ["a/b"]}, {"only": ["a"]}, False),
        ({"only": ["a"]}, {"only": ["a/b"]}, True),
        ({"only": ["a", "c"]}, {"only": ["a"]}, True),
        ({"zdr": True}, {"zdr": True, "only": ["a"]}, True),
    ],
)
def test_looser_is_told_from_tighter(new: dict[str, object], old: dict[str, object], looser: bool) -> None:
    """A policy is looser when it allows something that the old one refused."""
    assert is_looser(new, old) is looser


@pytest.mark.parametrize(
    ("model", "params", "said"),
    [
        ("a/b:online", {}, "search"),
        ("a/b:free:online", {}, "search"),
        ("a/b", {"models": ["c/d:online"]}, "search"),
        ("a/b", {"plugins": [{"id": "web"}]}, "plugins"),
        ("a/b", {"web_search_options": {"search_context_size": "low"}}, "web search"),
        ("a/b", {"tools": [{"type": "openrouter:web_search"}]}, "server tools"),
        ("@preset/mine", {}, "preset"),
        ("a/b:nitro", {"tools": [{"type": "function"}], "plugins": []}, ""),
    ],
)
def test_what_no_policy_covers_is_named(model: str, params: dict[str, object], said: str) -> None:
    """Search, plugins, server tools and presets send the prompt elsewhere; functions do not."""
    found = uncovered(model, params)

    assert said in found
    assert bool(found) is bool(said)


def test_policy_reads_as_a_line() -> None:
    """The words that screens and refusals show."""
    assert in_words(make_policy(zdr=True, no_training=True, only=["B", "a"])) == (
        "zero data retention only, no training, only a, b"
    )
    assert in_words({}) == ""
