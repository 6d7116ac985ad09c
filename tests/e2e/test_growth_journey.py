"""A run grows from its page: the dialog says what it costs, and only the new cells are asked."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from app_driver import App, settle, shoot
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser
SUITE = """
name: Tickets
dataset: tickets.csv
prompts: ["Which of these: billing, bug? {{ticket}}"]
contestants: [sandbox/swift]
params: {temperature: 0}
graders: [contains]
limit: 2
gates:
- failed: {max: 0}
- p50_ms: {max: 0}
"""


@pytest.fixture
def run_id(app: App) -> str:
    """A done run of a suite with two gates, one of which is not met; the app shows it."""
    app.kill()
    (app.folder / "tickets.csv").write_text("id,ticket,category\n1,An invoice twice,billing\n2,Crash,bug\n3,Slow,bug\n")
    (app.folder / "suite.yaml").write_text(SUITE)
    done = subprocess.run(
        [sys.executable, "-m", "assay", "run", "suite.yaml", "--json"],
        cwd=app.folder,
        capture_output=True,
        text=True,
        env={**os.environ, "ASSAY_DATABASE_URL": f"sqlite:///{app.database}"},
        check=False,
        timeout=120,
    )
    assert done.returncode == 100, done.stderr
    app.start()
    return json.loads(done.stdout)["run"]


def cells(database: Path) -> list[tuple[object, ...]]:
    """(contestant, row, sample, call) of every result."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        return connection.execute("SELECT contestant, row, sample, call_id FROM result ORDER BY cell").fetchall()


def open_dialog(page: Page, name: str) -> None:
    """Opens an action's dialog."""
    settle(page)
    page.get_by_role("button", name=name).click()
    expect(page.get_by_role("dialog")).to_be_visible()


def start(app: App, page: Page, total: int) -> None:
    """Starts what the dialog describes, and waits until the run is done with so many cells."""
    page.get_by_role("dialog").get_by_role("button", name="Start").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    until = time.monotonic() + 60
    while len(cells(app.database)) < total and time.monotonic() < until:
        page.wait_for_timeout(50)
    expect(page.get_by_role("button", name="Pause")).to_have_count(0)
    expect(page.get_by_text("Done ·")).to_be_visible(timeout=60_000)


def test_run_grows_by_a_contestant_samples_and_rows(app: App, page: Page, run_id: str) -> None:
    """Each action asks for its new cells alone; the page says what was added and what came of the estimate."""
    before = cells(app.database)
    page.goto(f"{app.url}/results?run={run_id}")
    expect(page.get_by_text(re.compile("^Estimated"))).to_be_visible()
    expect(page.get_by_text("Gates: 1 of 2 met")).to_be_visible()
    expect(page.get_by_text("cells without an answer 0, at most 0")).to_be_visible()
    expect(page.get_by_text("at most 0 ms")).to_be_visible()

    open_dialog(page, "Add contestant")
    expect(page.get_by_text("Choose at least one model.")).to_be_visible()
    expect(page.get_by_text("Set like the others: temperature 0")).to_be_visible()
    box = page.get_by_role("dialog").get_by_role("combobox")
    box.fill("scribe")
    page.get_by_role("option").filter(has_text="sandbox/scribe").first.click()
    box.press("Tab")
    expect(page.get_by_text("2 new cells: 2 calls")).to_be_visible()
    shoot(page, "grow")
    start(app, page, 4)
    open_dialog(page, "More samples")
    expect(page.get_by_text("8 new cells: 8 calls")).to_be_visible()
    start(app, page, 12)
    open_dialog(page, "Add rows")
    expect(page.get_by_text("6 new cells: 6 calls")).to_be_visible()
    page.locator("[role=dialog] input[type=file]").set_input_files(
        {
            "name": "more.csv",
            "mimeType": "text/csv",
            "buffer": b"id,ticket,category\n2,Crash again,bug\n8,New,bug\n",
        }
    )
    expect(page.get_by_text("1 row is there with other values")).to_be_visible()
    start(app, page, 18)

    after = cells(app.database)
    assert len(after) == 18
    assert len({row[3] for row in after}) == len(after)
    assert set(before) <= set(after)
    page.get_by_role("tab", name="Plan").click()
    expect(page.get_by_text("added scribe")).to_be_visible()
    expect(page.get_by_text("raised samples from 1 to 3")).to_be_visible()
    expect(page.get_by_text(re.compile("added 1 row .tickets version 2., left out 1 changed row"))).to_be_visible()


def test_growth_that_cannot_be_is_said_in_the_dialog(app: App, page: Page, run_id: str) -> None:
    """The same prompt cannot start; an undefined variable is named; nothing is sent."""
    page.goto(f"{app.url}/results?run={run_id}")
    open_dialog(page, "Add prompt")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("Change the text")).to_be_visible()
    expect(dialog.get_by_role("button", name="Start")).to_be_disabled()

    text = dialog.get_by_role("textbox", name="Prompt", exact=True)
    text.fill("{{nope}}")
    text.press("Control+Enter")

    expect(dialog.get_by_text("Undefined variables")).to_be_visible()
    expect(dialog.get_by_role("button", name="Start")).to_be_disabled()
    assert len(cells(app.database)) == 2
