"""Names of parameters and routing: what nobody knows is refused with the nearest one, old names get a note."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import SettingsError
from assay.openrouter.parameters import KNOWN_PARAMETERS, ROUTING, checked_settings, modern_settings, unknown_names


@pytest.mark.parametrize(
    ("settings", "nearest"),
    [
        ({"temprature": 0.2}, "'temperature'"),
        ({"Temperature": 1}, "'temperature'"),
        ({"max_token": 5}, "'max_tokens'"),
        ({"zdrr": True}, "'provider.zdr'"),
        ({"zdr": True}, "provider.zdr"),
        ({"data_colection": "deny"}, "data_collection"),
        ({"provider": {"zdrr": True}}, "'zdr'"),
        ({"provider": {"ony": ["a"]}}, "'only'"),
        ({"provider": {"temperature": 1}}, "parameter"),
        ({"provider": {"max_price": {"promt": 1}}}, "'prompt'"),
        ({"provider": {"sort": {"bye": "price"}}}, "'by'"),
        ({"provider": {"sort": {"by": "prices"}}}, "'price'"),
        ({"provider": {"sort": "cheapest"}}, "price"),
        ({"provider": {"preferred_max_latency": {"p95": 1}}}, "'p99'"),
        ({"provider": {"zdr": "true"}}, "true or false"),
        ({"provider": {"only": "openai"}}, "list"),
        ({"provider": {"data_collection": "denied"}}, "allow, deny"),
        ({"provider": {"max_price": 3}}, "object"),
        ({"reasoning": {"efort": "low"}}, "'effort'"),
        ({"cache_control": {"type": "ephemeral", "tll": "1h"}}, "'ttl'"),
        ({"provider": "openai"}, "object"),
        ({"temperature": 9}, "within"),
        ({"provider.zdrr": True}, "'zdr'"),
    ],
)
def test_unknown_name_is_refused_with_the_nearest_one(settings: dict[str, Any], nearest: str) -> None:
    """A mistyped name, at any depth, and a value that protects nothing are refused in words."""
    with pytest.raises(SettingsError) as refused:
        checked_settings(settings)

    assert nearest in str(refused.value)


def test_unknown_names_are_sent_where_that_is_allowed() -> None:
    """What the gateway may know before we do passes through; a known one out of its range does not."""
    found = checked_settings({"new_thing": 1, "provider": {"newer": 2}}, allow_unknown=True)

    assert (found.params, found.provider) == ({"new_thing": 1}, {"newer": 2})
    with pytest.raises(SettingsError, match="temperature"):
        checked_settings({"temperature": 9}, allow_unknown=True)


def test_every_known_name_and_place_is_accepted() -> None:
    """All names of the wire reference, and routing written with its place."""
    found = checked_settings({"provider.zdr": True, "provider": {"only": ["a"], "sort": {"by": "price"}}, "user": "u"})

    assert found.provider == {"only": ["a"], "sort": {"by": "price"}, "zdr": True}
    assert unknown_names(dict.fromkeys(KNOWN_PARAMETERS), dict.fromkeys(ROUTING)) == []


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"candidate_count": 2}, "candidate_count"),
        ({"route": "fallback"}, "route"),
        ({"route": "east"}, "route"),
        ({"moderation": True}, "moderation"),
        ({"provider": {"moderation": True}}, "provider.moderation"),
        ({"n": 2}, "n is not supported"),
        ({"transforms": []}, "transforms"),
    ],
)
def test_old_name_does_nothing_and_says_so(settings: dict[str, Any], word: str) -> None:
    """A flag of old documentation gets a note and never reaches the wire."""
    found = checked_settings(settings)

    assert (found.params, found.provider) == ({}, {})
    assert word in found.messages[0]


@pytest.mark.parametrize("value", [True, "true", "TRUE ", "1", "yes", "on", "enabled"])
def test_header_for_zero_retention_protects_however_it_is_written(value: object) -> None:
    """Anything but a clear no asks for zero data retention."""
    assert modern_settings({"X-Zero-Data-Retention": value}).provider == {"zdr": True}
    assert modern_settings({"X-Zero-Data-Retention": "false"}).provider == {}


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from([*KNOWN_PARAMETERS, "provider", "provider.zdr", "zdrr", "n"]), _JSON, max_size=4)
)
def test_any_settings_end_in_settings_or_in_words(settings: dict[str, Any]) -> None:
    """Whatever JSON stands in a request, it is understood or refused, never a crash."""
    try:
        found = checked_settings(settings)
    except SettingsError:
        return
    assert not unknown_names(found.params, found.provider)
