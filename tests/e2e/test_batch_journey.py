"""The second journey: a file, three models, a grader, start, results, spend; and a server that dies meanwhile."""

from __future__ import annotations

import re
import sqlite3
import time
from decimal import Decimal
from pathlib import Path

import pytest
from app_driver import ROOT, App, settle, shoot
from playwright.sync_api import Locator, Page, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeout

pytestmark = pytest.mark.browser
TICKETS = ROOT / "examples" / "support_tickets.csv"


def rows(app: App, query: str) -> list[tuple[object, ...]]:
    """Rows of the app's database."""
    with sqlite3.connect(f"file:{app.database}?mode=ro", uri=True) as connection:
        return connection.execute(query).fetchall()


def start_batch(app: App, page: Page, file: Path = TICKETS) -> None:
    """Uploads a file and starts the run that the page suggests."""
    page.goto(f"{app.url}/batch")
    page.locator("input[type=file]").set_input_files(str(file))
    prompt = page.get_by_role("textbox", name="Prompt", exact=True)
    expect(prompt).to_have_value(re.compile("{{ticket}}"))
    prompt.fill(
        "Which category fits best? Answer with one of: billing, bug, account, feature request, shipping, cancellation."
        "\n\n{{ticket}}"
    )
    prompt.press("Control+Enter")
    expect(page.get_by_text(re.compile("195 calls"))).to_be_visible()
    settle(page)
    shoot(page, "batch")
    page.get_by_role("button", name="Start").click()
    page.wait_for_url(re.compile("run="))


def downloaded(page: Page, button: Locator) -> str:
    """What the button's download holds; a click that meets a page just being redrawn is tried again."""
    settle(page)
    for patience_ms in (8_000, 15_000, 30_000):
        try:
            with page.expect_download(timeout=patience_ms) as download:
                button.click()
            return Path(download.value.path()).read_text("utf-8-sig")
        except PlaywrightTimeout:
            continue
    raise AssertionError("no download came")


def test_csv_to_results_to_spend_adds_up(app: App, page: Page) -> None:
    """Upload, three models, a grader, start; the spend page shows exactly the sum of the ledger."""
    start_batch(app, page)

    expect(page.get_by_text("Done ·")).to_be_visible(timeout=60_000)
    expect(page.get_by_text(re.compile("is best|lead together|differ on")).first).to_be_visible()
    settle(page)
    shoot(page, "results")
    ((known, calls, unknown),) = rows(app, "SELECT sum(cost_pico), count(*), count(*) - count(cost_pico) FROM call")
    assert calls == 195
    assert unknown == 0
    page.get_by_role("button", name="Export", exact=True).click()
    exported = downloaded(page, page.get_by_role("button", name="CSV, one line per answer"))
    page.keyboard.press("Escape")
    assert exported.count("sandbox/swift") == 65

    page.get_by_role("link", name="Spend").click()
    expect(page.get_by_text(f"Chosen: {calls} calls")).to_be_visible()
    settle(page)
    shoot(page, "spend")
    page.get_by_text("Table", exact=True).first.click()
    lines = downloaded(page, page.get_by_role("button", name="CSV", exact=True).first).splitlines()
    assert sum(Decimal(line.split(",")[2]) for line in lines[1:]) == Decimal(int(str(known))).scaleb(-12)


def test_server_killed_during_a_run_picks_it_up_again(app: App, page: Page) -> None:
    """kill -9 in mid-run, start again: the run completes, no settled result is lost, nothing settled is paid twice."""
    start_batch(app, page)
    until = time.monotonic() + 30
    while rows(app, "SELECT done FROM run")[0][0] < 20 and time.monotonic() < until:  # type: ignore[operator]
        page.wait_for_timeout(50)
    page.goto("about:blank")
    app.kill()
    before = {row[0] for row in rows(app, "SELECT cell FROM result")}
    app.start()

    page.goto(f"{app.url}/results?run={rows(app, 'SELECT id FROM run')[0][0]}")
    expect(page.get_by_text("Done ·")).to_be_visible(timeout=60_000)
    expect(page.get_by_text("Picked up where a process that ended had left it")).to_be_visible()
    assert before
    assert rows(app, "SELECT count(*) FROM result") == [(195,)]
    repeated = rows(app, "SELECT cell FROM call WHERE outcome = 'ok' GROUP BY cell HAVING count(*) > 1")
    assert repeated == []
    assert rows(app, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.csv", b"\n", "The file is empty"),
        ("header.csv", b"a,b\n", "no rows"),
        ("broken.json", b"[{]", "is not JSON"),
        ("bomb.xlsx", b"PK\x03\x04nonsense", "damaged"),
    ],
)
def test_broken_file_is_refused_in_words(app: App, page: Page, name: str, content: bytes, words: str) -> None:
    """A file that cannot be used gets words and a cure, no traceback."""
    page.goto(f"{app.url}/batch")
    page.locator("input[type=file]").set_input_files({"name": name, "mimeType": "text/plain", "buffer": content})

    expect(page.get_by_test_id("stAlert").filter(has_text=words)).to_be_visible()


def test_undefined_variable_blocks_the_start(app: App, page: Page) -> None:
    """A variable that is no column is named, and Start stays disabled."""
    page.goto(f"{app.url}/batch")
    page.locator("input[type=file]").set_input_files(str(TICKETS))
    prompt = page.get_by_role("textbox", name="Prompt", exact=True)
    expect(prompt).to_have_value(re.compile("{{ticket}}"))
    prompt.fill("{{tickte}}")
    prompt.press("Control+Enter")

    expect(page.get_by_text("Undefined variables").first).to_be_visible()
    expect(page.get_by_role("button", name="Start")).to_be_disabled()


def test_wrong_key_is_said_in_words(app: App, page: Page) -> None:
    """A gateway that refuses the key: the pane says so with the cure; the key is nowhere on the screen."""
    from assay.sandbox import SandboxConfig, SandboxServer

    app.kill()
    with SandboxServer(SandboxConfig(speed=0, keys=frozenset({"right"}))) as gateway:
        app.env = {"OPENROUTER_API_KEY": "sk-or-v1-CANARY", "OPENROUTER_BASE_URL": gateway.base_url}
        app.start()
        page.goto(app.url)
        page.get_by_role("button", name="Run", exact=False).click()

        expect(page.get_by_text("OPENROUTER_API_KEY").first).to_be_visible()
        assert "CANARY" not in page.content()
        app.kill()
    assert b"CANARY" not in app.database.read_bytes()
