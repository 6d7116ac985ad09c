"""A prompt's life: written in the playground, kept, edited into version 2, compared, used in a batch."""

from __future__ import annotations

import re
import sqlite3

import pytest
from app_driver import ROOT, App, choose, settle, shoot
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser
TICKETS = ROOT / "examples" / "support_tickets.csv"
FIRST = "Category of {{ticket}}?"
SECOND = (
    "Which category fits best? Answer with one of: billing, bug, account, feature request, shipping, cancellation."
    "\n\n{{ticket}}"
)


def keep_from_playground(app: App, page: Page) -> None:
    """Writes a prompt in the playground and keeps it as triage."""
    page.goto(app.url)
    prompt = page.get_by_role("textbox", name="Prompt", exact=True)
    prompt.fill(FIRST)
    prompt.press("Tab")
    expect(page.get_by_text("Undefined")).to_have_count(0)
    settle(page)
    page.get_by_role("button", name="Save prompt").click()
    name = page.get_by_role("combobox", name=re.compile("Name"))
    name.fill("triage")
    name.press("Enter")
    settle(page)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("triage version 1 is kept.")).to_be_visible()


def edit_into_version_two(page: Page) -> None:
    """From the popover's link to the library, where the text is changed and kept with Ctrl+Enter."""
    page.get_by_role("link", name="Show in the library").click()
    expect(page.get_by_role("heading", name="triage")).to_be_visible()
    settle(page)
    page.get_by_role("button", name="Edit", exact=True).click()
    text = page.get_by_role("textbox", name="Prompt", exact=True)
    expect(text).to_have_value(FIRST)
    text.fill(SECOND)
    text.press("Control+Enter")


def test_prompt_from_playground_to_a_batch_with_two_versions(app: App, page: Page) -> None:
    """Keep, edit, read the difference, label, use in a batch; the run is found on the prompt's page."""
    keep_from_playground(app, page)
    edit_into_version_two(page)
    expect(page.get_by_text("Version 2 of 2", exact=False)).to_be_visible()
    gone, come = (page.get_by_test_id("stHtml").get_by_text(t) for t in ("Category", "Which"))
    expect(gone.first).to_be_visible()
    expect(come.first).to_be_visible()
    with sqlite3.connect(f"file:{app.database}?mode=ro", uri=True) as connection:
        assert connection.execute("SELECT name, version FROM saved_prompt").fetchall() == [("triage", 1), ("triage", 2)]

    page.get_by_role("button", name="Labels").click()
    page.get_by_role("button", name="Put on version 2").click()
    expect(page.get_by_role("button", name="Take production off")).to_be_visible()
    page.keyboard.press("Escape")
    settle(page)
    page.get_by_role("button", name="Use in a batch").click()
    page.wait_for_url(re.compile("batch"))
    page.locator("input[type=file]").set_input_files(str(TICKETS))
    expect(page.get_by_text("triage:2")).to_be_visible()
    choose(page, "From the library", "triage:1")
    page.keyboard.press("Escape")
    expect(page.get_by_text(re.compile("× 2 prompts ×"))).to_be_visible()
    settle(page)
    page.get_by_role("button", name="Start").click()
    page.wait_for_url(re.compile("run="))
    expect(page.get_by_text("Done ·")).to_be_visible(timeout=90_000)

    page.goto(f"{app.url}/prompts?prompt=triage")
    page.get_by_role("tab", name="Runs").click()
    expect(page.get_by_text("Select a run to open it.", exact=False)).to_be_visible()
    page.get_by_role("tab", name="Versions").click()
    settle(page)
    shoot(page, "prompts")
