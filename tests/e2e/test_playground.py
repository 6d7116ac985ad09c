"""The first minute: one click streams three models side by side; reload, vote and history."""

from __future__ import annotations

import re

import pytest
from app_driver import App, settle, shoot
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser


def run_once(page: Page, app: App) -> None:
    """Opens the playground and sends the sample prompt."""
    page.goto(app.url)
    page.get_by_role("button", name="Run", exact=False).click()
    page.wait_for_url(re.compile("comparison="))


def test_first_visit_one_click_streams_three_models(app: App, page: Page) -> None:
    """A newcomer without a key sees three answers with times, tokens and cost after one click."""
    run_once(page, app)

    expect(page.get_by_text(re.compile(r"first token .* billed"))).to_have_count(3)
    expect(page.get_by_text("Sandbox: simulated answers, invented prices")).to_be_visible()
    for name in ("atlas-large", "swift", "scribe"):
        expect(page.get_by_text(name, exact=True).first).to_be_visible()
    settle(page)
    shoot(page, "playground")


def test_reload_while_streaming_loses_nothing(app: App, page: Page) -> None:
    """A reload in mid-answer finds the same comparison, and it completes."""
    run_once(page, app)
    page.reload()

    expect(page.get_by_text(re.compile(r"first token .* billed"))).to_have_count(3)


def test_vote_and_history_are_kept(app: App, page: Page) -> None:
    """Two answers are compared when asked for; the vote survives a reload, and the history opens it all again."""
    run_once(page, app)
    expect(page.locator("ins")).to_have_count(0)
    page.get_by_text("Difference between two answers").click()
    expect(page.locator("ins").first).to_be_visible()
    page.get_by_role("button", name="Best").first.click()
    expect(page.get_by_role("button", name="Voted best")).to_be_visible()
    page.goto(app.url)
    page.get_by_text("History", exact=True).click()
    page.get_by_role("button", name=re.compile("3 models")).first.click()

    expect(page.get_by_role("button", name="Voted best")).to_be_visible()


@pytest.mark.parametrize(
    ("path", "heading"),
    [
        ("models", "Models"),
        ("batch", "Batch evals"),
        ("results", "Results"),
        ("spend", "Spend"),
        ("settings", "Settings"),
    ],
)
def test_deep_link_as_first_request_keeps_the_frame(app: App, page: Page, path: str, heading: str) -> None:
    """The very first request after a start may be any page: navigation and frame are there."""
    page.goto(f"{app.url}/{path}")

    expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
    expect(page.get_by_text("Sandbox: simulated answers, invented prices")).to_be_visible()
    settle(page)
    if path in ("models", "settings"):
        shoot(page, path)
