"""The Parameters popover: names that have no field of their own, old words and unknown ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from assay.workbench import playground
from assay.workbench.session import Session

ROOT = Path(__file__).resolve().parents[2]
FURTHER = "playground.params.further"


def opened() -> AppTest:
    """The playground."""
    return AppTest.from_file(str(ROOT / "src/assay/views/shell.py"), default_timeout=60).run()


def said(page: AppTest) -> str:
    """Everything that its captions and errors say."""
    return " ".join(block.value for block in [*page.caption, *page.error]).replace("\\", "")


def test_old_words_get_a_note_on_the_screen(session: Session) -> None:
    """`candidate_count`, `route` and `moderation` never reach the wire, and the page says what to do instead."""
    page = opened()
    old = {"candidate_count": 2, "route": "fallback", "moderation": False, "min_p": 0.1}
    page.text_area(key=FURTHER).set_value(json.dumps(old)).run()
    notes = said(page)
    page.button(key="playground.run").click().run()

    (past,) = playground.history(session, limit=5)
    assert not page.exception
    assert dict(playground.watch(session, past.id).panes[0].contestant.params) == {"min_p": 0.1}
    assert "candidate_count is not supported: every call gives one answer" in notes
    assert "list models to fall back on" in notes
    assert "is_moderated of the catalogue" in notes


def test_old_route_becomes_routing_on_the_screen(session: Session) -> None:
    """`route: floor` is today's `provider.sort: price`, beside what is set under Routing."""
    page = opened()
    page.text_area(key=FURTHER).set_value('{"route": "floor"}')
    page.toggle(key="playground.routing.deny").set_value(True).run()
    page.button(key="playground.run").click().run()

    (past,) = playground.history(session, limit=5)
    sent = playground.watch(session, past.id).panes[0].contestant.provider
    assert sent == {"sort": "price", "data_collection": "deny"}


@pytest.mark.parametrize("place", ["params.further", "routing.json"])
def test_unknown_name_is_refused_until_the_switch_is_on(session: Session, place: str) -> None:
    """The refusal names the switch; with it the name is sent, among the parameters and in routing."""
    page = opened()
    page.text_area(key=f"playground.{place}").set_value('{"brand_new": 1}').run()
    refused = said(page)
    page.toggle(key="playground.params.unknown").set_value(True).run()
    page.button(key="playground.run").click().run()

    (past,) = playground.history(session, limit=5)
    sent = playground.watch(session, past.id).panes[0].contestant
    assert "brand_new" in refused
    assert "the switch under Parameters" in refused
    assert {**sent.params, **sent.provider} == {"brand_new": 1}


@pytest.mark.parametrize("text", ["{", "[1]", '{"temperature": 9}', '{"temprature": 1}'])
def test_further_parameters_that_cannot_be_meant_are_refused(session: Session, text: str) -> None:
    """No JSON, no object, out of range, mistyped: words, and nothing can be sent."""
    page = opened()
    page.text_area(key=FURTHER).set_value(text).run()

    assert not page.exception
    assert page.error
    assert "playground.run" not in {button.key for button in page.button}
