"""From the list of runs to the rows that got worse, and through them by keyboard."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
from app_driver import App, settle, shoot
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser
ROWS = 120
SUITE = """
name: {name}
dataset: tickets.csv
prompts: ["{prompt} {{{{ticket}}}}"]
contestants: [sandbox/atlas-large, sandbox/swift]
params: {{temperature: 0}}
graders: [contains, equals]
expected: category
"""


def run_suite(app: App, name: str, prompt: str) -> str:
    """The id of a done run of the suite with a prompt."""
    (app.folder / "suite.yaml").write_text(SUITE.format(name=name, prompt=prompt))
    done = subprocess.run(
        [sys.executable, "-m", "assay", "run", "suite.yaml", "--json"],
        cwd=app.folder,
        capture_output=True,
        text=True,
        env={**os.environ, "ASSAY_DATABASE_URL": f"sqlite:///{app.database}"},
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["run"])


@pytest.fixture
def two_runs(app: App) -> tuple[str, str]:
    """A run, and one whose prompt names no category; the app shows them."""
    app.kill()
    lines = [f"{n},Ticket {n}: <img src=x onerror=alert(1)> invoice,billing" for n in range(ROWS)]
    (app.folder / "tickets.csv").write_text("\n".join(["id,ticket,category", *lines, ""]))
    found = run_suite(app, "first", "Which of these: billing, bug?"), run_suite(app, "second", "Say something about")
    app.start()
    return found


def tick(page: Page, line: int) -> None:
    """Ticks a line of the first table: its box stands at the left."""
    grid = page.get_by_test_id("stDataFrame").first
    grid.wait_for()
    box = grid.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 18, box["y"] + 18 + 35 * (line + 1))


def test_list_of_runs_leads_to_the_worse_rows_in_four_clicks(app: App, page: Page, two_runs: tuple[str, str]) -> None:
    """Tick, tick, Compare, Worse; then J walks through 30 rows, and the address opens the same row again."""
    page.goto(f"{app.url}/results")
    settle(page)
    tick(page, 0)
    expect(page.get_by_role("button", name="Open")).to_be_visible()
    settle(page)
    tick(page, 1)
    page.get_by_test_id("stMain").get_by_role("button", name="Compare").click()
    expect(page.get_by_text(f"{ROWS} rows in both")).to_be_visible()
    expect(page.get_by_text("Difference of the prompts")).to_be_visible()
    page.get_by_role("radio", name=re.compile(r"^Worse \d+")).click()
    expect(page.get_by_text(re.compile(r"1 of \d+ · worse"))).to_be_visible()
    settle(page)
    shoot(page, "compare")

    page.get_by_text(re.compile(r"1 of \d+ · worse")).click()
    for number in range(2, 32):
        page.keyboard.press("j")
        expect(page.get_by_text(re.compile(rf"· {number} of \d+ · worse"))).to_be_visible()
    page.keyboard.press("k")
    expect(page.get_by_text(re.compile(r"· 30 of \d+ · worse"))).to_be_visible()
    assert all(part in page.url for part in (*two_runs, "show=worse", "row="))
    page.goto(page.url)
    expect(page.get_by_text(re.compile(r"· 30 of \d+ · worse"))).to_be_visible()
