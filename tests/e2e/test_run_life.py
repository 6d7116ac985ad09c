"""The life of a run in a browser: what is typed last is what is sent, two tabs, budgets, and a gateway that refuses."""

from __future__ import annotations

import re

import pytest
from app_driver import App, settle
from playwright.sync_api import Page, expect
from test_batch_journey import TICKETS, rows

pytestmark = pytest.mark.browser


def filled(app: App, page: Page) -> None:
    """The batch page with the tickets and the prompt that it suggests."""
    page.goto(f"{app.url}/batch")
    page.locator("input[type=file]").set_input_files(str(TICKETS))
    expect(page.get_by_role("textbox", name="Prompt", exact=True)).to_have_value(re.compile("{{ticket}}"))
    expect(page.get_by_text(re.compile("195 calls"))).to_be_visible()
    settle(page)


def test_prompt_typed_last_is_the_one_that_is_sent(app: App, page: Page) -> None:
    """A click on Start straight from the prompt's box starts what stands in the box."""
    filled(app, page)
    page.get_by_role("textbox", name="Prompt", exact=True).fill("Latest words: {{ticket}}")
    page.get_by_role("button", name="Start").click()
    page.wait_for_url(re.compile("run="))

    assert "Latest words" in str(rows(app, "SELECT plan_json FROM run")[0][0])


def test_budget_raised_and_continued_in_one_go(app: App, page: Page) -> None:
    """A run paused at its budget says so; the new amount counts though Continue is clicked straight from its box."""
    filled(app, page)
    page.get_by_role("spinbutton", name="Budget, USD").fill("0.05")
    page.get_by_role("button", name="Start").click()
    page.wait_for_url(re.compile("run="))
    expect(page.get_by_text("budget of $0.050 is reached")).to_be_visible(timeout=120_000)
    expect(page.get_by_text(re.compile(r"\d+ waiting"))).to_be_visible()

    page.get_by_role("spinbutton", name="Budget, USD").fill("5")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("Done ·")).to_be_visible(timeout=120_000)
    assert rows(app, "SELECT state, done, budget_pico FROM run") == [("done", 195, 5 * 10**12)]


def test_double_click_starts_one_run_that_another_tab_stops(app: App, page: Page) -> None:
    """Two clicks on Start are one run; Stop in a second tab is seen in the first, and after a reload."""
    filled(app, page)
    page.get_by_role("spinbutton", name="Samples per cell").fill("20")
    page.get_by_role("spinbutton", name="Samples per cell").press("Enter")
    expect(page.get_by_text(re.compile("3,900 calls"))).to_be_visible()
    settle(page)
    page.get_by_role("button", name="Start").dblclick()
    page.wait_for_url(re.compile("run="))
    expect(page.get_by_test_id("stSidebar").get_by_text(re.compile("% ·")).first).to_be_visible()

    other = page.context.new_page()
    other.goto(page.url)
    other.get_by_role("button", name="Stop").click()
    expect(other.get_by_text("Stopped by you")).to_be_visible()
    expect(page.get_by_text("Stopped by you")).to_be_visible()
    page.reload()
    expect(page.get_by_text("Stopped by you")).to_be_visible()
    assert rows(app, "SELECT count(*), max(state) FROM run") == [(1, "stopped")]
