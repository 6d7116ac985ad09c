"""The datasets page in a browser: import, filter, edit into version 2, and a policy that refuses a contestant."""

from __future__ import annotations

import json
import re
import sqlite3

import pytest
from app_driver import ROOT, App, choose, settle, shoot
from playwright.sync_api import Locator, Page, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeout

pytestmark = pytest.mark.browser
CATEGORIES = ("billing", "bug", "account", "feature request", "shipping", "cancellation")


def rows(app: App, query: str) -> list[tuple[str, ...]]:
    """Rows of the app's database."""
    with sqlite3.connect(f"file:{app.database}?mode=ro", uri=True) as connection:
        return connection.execute(query).fetchall()


def opened_cell(page: Page, grid: Locator) -> Locator:
    """The editor of the second cell of the first row; a double click that meets a grid not drawn yet is tried again."""
    cell = page.locator("#portal textarea")
    for patience_ms in (3_000, 8_000, 20_000):
        grid.dblclick(position={"x": 250, "y": 52})
        try:
            cell.wait_for(timeout=patience_ms)
        except PlaywrightTimeout:
            continue
        return cell
    raise AssertionError("no cell opened")


def test_edited_dataset_under_a_policy_refuses_and_runs(app: App, page: Page) -> None:
    """A cell edited in a filtered view makes version 2; the batch on it refuses whom its policy refuses, and goes on
    without them under the policy."""
    page.goto(f"{app.url}/datasets")
    page.get_by_role("button", name="Import a file").click()
    page.locator("input[type=file]").set_input_files(str(ROOT / "examples" / "support_tickets.csv"))
    page.get_by_role("button", name="Import", exact=True).click()
    page.wait_for_url(re.compile("dataset=support_tickets"))
    settle(page)
    shoot(page, "datasets")

    page.get_by_role("button", name="Filter").click()
    choose(page, "Column", "channel")
    settle(page)
    choose(page, "Value", re.compile("phone"))
    page.get_by_role("button", name="Add filter").click()
    expect(page.get_by_role("button", name="channel is phone")).to_be_visible()
    page.keyboard.press("Escape")
    settle(page)

    page.get_by_text("Edit", exact=True).click()
    settle(page)
    grid = page.get_by_test_id("stDataFrame").first
    expect(grid).to_be_visible()
    cell = opened_cell(page, grid)
    cell.fill("Quinn")
    cell.press("Enter")
    expect(page.get_by_text("1 changed, 0 added, 0 deleted")).to_be_visible()
    page.get_by_role("button", name="Save as new version").click()
    expect(page.get_by_text("Version 2 is kept: 1 changed")).to_be_visible()
    versions = rows(app, "SELECT id, version FROM dataset ORDER BY version")
    assert [version for _, version in versions] == [1, 2]
    changed = rows(
        app,
        "SELECT b.row_key, b.values_json FROM dataset_row a JOIN dataset_row b ON a.row_key = b.row_key "
        "AND a.dataset_id < b.dataset_id WHERE a.values_json != b.values_json",
    )
    assert len(changed) == 1

    page.get_by_role("tab", name="Policy").click()
    page.get_by_text("Zero data retention only").click()
    choose(page, "Allowed providers", "northwind")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Keep policy").click()
    expect(page.get_by_text("The policy is kept: zero data retention only, only northwind")).to_be_visible()

    page.get_by_role("button", name="Use in a batch").click()
    page.wait_for_url(re.compile("batch.*dataset="))
    expect(page.get_by_text("support_tickets version 2")).to_be_visible()
    expect(page.get_by_text("The contestant swift is refused")).to_be_visible()
    expect(page.get_by_text("Contestants that remain: atlas-large, scribe")).to_be_visible()
    expect(page.get_by_role("button", name="Start")).to_be_disabled()
    page.get_by_role("button", name="Go on without the refused").click()
    expect(page.get_by_text("The contestant swift is refused")).to_be_hidden()
    settle(page)
    prompt = page.get_by_role("textbox", name="Prompt", exact=True)
    prompt.fill(f"Which category fits best? Answer with one of: {', '.join(CATEGORIES)}.\n\n{{{{ticket}}}}")
    prompt.press("Control+Enter")
    expect(page.get_by_text(re.compile("130 calls"))).to_be_visible()
    settle(page)
    expect(prompt).to_have_value(re.compile("Which category"))
    page.get_by_role("button", name="Start").click()
    page.wait_for_url(re.compile("run="))
    expect(page.get_by_text("Done ·")).to_be_visible(timeout=60_000)
    ((plan,),) = rows(app, "SELECT plan_json FROM run")
    assert json.loads(plan)["data_policy"] == {"zdr": True, "only": ["northwind"]}
    assert "Which category" in plan
    assert rows(app, "SELECT DISTINCT provider FROM call") == [("Northwind",)]

    settle(page)
    page.get_by_role("button", name="Failed rows").click()
    choose(page, "Of", "atlas-large")
    settle(page)
    expect(page.get_by_role("combobox", name=re.compile("Of"))).to_have_value("atlas-large")
    page.get_by_role("button", name="Keep failed rows").click()
    page.wait_for_url(re.compile("datasets.*failed"))
    expect(page.get_by_text(re.compile("failed rows kept"))).to_be_visible()
    expect(page.get_by_text("zero data retention only, only northwind").first).to_be_visible()
