"""The page of evidence, opened from the disk in a browser without a network."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from app_driver import shoot
from playwright.sync_api import Browser, Page, expect
from pydantic import SecretStr

from assay.config import Gateway, Settings
from assay.domain.contestant import Contestant, Prompt
from assay.domain.score import GraderSpec
from assay.exports import evidence
from assay.exports.record import CellFact
from assay.sandbox import SandboxConfig, SandboxServer
from assay.workbench.datasets import kept
from assay.workbench.results import exports
from assay.workbench.running import runs
from assay.workbench.running.runs import RunDraft
from assay.workbench.session import open_session

HOSTILE = "<script>window.hacked=1</script><img src=x onerror=window.hacked=1>"
KEY = "sk-canary-of-this-test-0123456789"
ROWS = 60
MANY = 5_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pages: one of a run over 60 rows, one hostile; one of its answers repeated over 5,000 rows."""
    found = tmp_path_factory.mktemp("canary-of-the-folder")
    rows = [f"t{n},{HOSTILE if n == 7 else f'a question {n}'},billing" for n in range(ROWS)]
    (found / "rows.csv").write_text("id,ticket,category\n" + "\n".join(rows), "utf-8")
    with SandboxServer(SandboxConfig(speed=0)) as server:
        settings = Settings(database_url=f"sqlite:///{found}/a.db")
        with open_session(settings, gateway=Gateway("sandbox", server.base_url, SecretStr(KEY))) as session:
            session.ready()
            dataset = kept.open_dataset(session, str(found / "rows.csv"))
            models = tuple(Contestant(f"sandbox/{name}") for name in ("swift", "atlas-large", "scribe"))
            draft = RunDraft(
                dataset.id,
                (Prompt("Which: billing, bug? {{ticket}}"),),
                models,
                (GraderSpec("contains"),),
                expected_column="category",
                name="Weekly check",
            )
            state = runs.wait_for_run(session, runs.start_run(session, draft), timeout_s=60)
            assert state.state == "done"
            exports.export_run(session, state.id, "evidence", found / "evidence.html")
            record = exports.run_record(session, state.id)
            cells = list(record.cells())

    def many() -> Iterator[CellFact]:
        for row in range(MANY):
            for cell in cells[row % ROWS * 3 : row % ROWS * 3 + 3]:
                yield replace(cell, row=row, row_key=f"k{row}")

    with (found / "many.html").open("wb") as target:
        evidence.write(replace(record, cells=many), target)
    return found


@dataclass
class Reader:
    """A browser page without a network, and what it asked for or complained of."""

    page: Page
    asked: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@pytest.fixture
def reader(browser: Browser) -> Iterator[Reader]:
    """A reader; none of its pages may ask for anything but files that the test opened, nor complain."""
    context = browser.new_context(offline=True, viewport={"width": 1280, "height": 900})
    found = Reader(context.new_page())
    found.page.on("request", lambda request: found.asked.append(request.url))
    found.page.on("console", lambda m: found.problems.append(m.text) if m.type == "error" else None)
    yield found
    assert found.problems == []
    context.close()


def test_evidence_opens_offline_and_runs_no_text(reader: Reader, folder: Path) -> None:
    """Verdict, charts, table and method stand without a network; no text runs; nothing else is asked for."""
    page, file = reader.page, folder / "evidence.html"

    page.goto(file.as_uri())

    expect(page.get_by_role("heading", name="Weekly check")).to_be_visible()
    expect(page.locator(".verdict")).to_contain_text(re.compile("is best|lead together|differ on"))
    expect(page.get_by_role("img", name="Score of each contestant with its 95 % interval")).to_be_visible()
    expect(page.get_by_role("img", name="Score against the cost of the run")).to_be_visible()
    for name in ("Statistics", "Rows", "Method", "Spend"):
        expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
    page.get_by_role("searchbox").fill("window.hacked")
    expect(page.locator("#rows tbody tr")).to_have_count(1)
    expect(page.get_by_text("onerror=window.hacked", exact=False).first).to_be_visible()
    assert page.evaluate("window.hacked") is None
    assert reader.asked == [file.as_uri()]
    assert KEY not in page.content()
    assert "canary" not in page.content()


def test_row_opens_by_click_and_by_key(reader: Reader, folder: Path) -> None:
    """Enter or a click opens a row and shows what its grader said; a column that repeats the key is left out."""
    page = reader.page
    page.goto((folder / "evidence.html").as_uri())
    row = page.locator("#rows tbody tr").first
    reason = row.locator(".why").first

    expect(reason).to_be_hidden()
    row.press("Enter")
    expect(row).to_have_attribute("aria-expanded", "true")
    expect(reason).to_be_visible()
    row.click()

    expect(reason).to_be_hidden()
    expect(page.locator("#rows th")).to_have_text(["Row ↑", "ticket", "category", "swift", "atlas-large", "scribe"])


def test_filter_over_5000_rows_does_not_freeze(reader: Reader, folder: Path) -> None:
    """Searching, choosing, sorting and turning pages each take less than half a second; the size stays bounded."""
    page, file = reader.page, folder / "many.html"
    page.goto(file.as_uri())
    count = page.locator("#count")
    expect(count).to_have_text(f"{MANY:,} of {MANY:,} rows, page 1 of 100")
    timed = """([id, event, value]) => {
      const node = document.querySelector(id), from = performance.now();
      if (value !== null) node.value = value;
      node.dispatchEvent(new Event(event));
      document.body.offsetHeight;
      return performance.now() - from;
    }"""

    steps = [
        ["#search", "input", "question 1"],
        ["#next", "click", None],
        ["#search", "input", ""],
        ["#show", "change", "failed"],
        ["#rows th:last-child button", "click", None],
    ]
    times = [page.evaluate(timed, step) for step in steps]

    assert max(times) < 500
    expect(count).to_contain_text(f"of {MANY:,} rows")
    expect(page.locator("#rows tbody tr")).to_have_count(50)
    assert file.stat().st_size < 10_000_000


def test_evidence_fits_a_phone(reader: Reader, folder: Path) -> None:
    """At 390 pixels nothing but tables scrolls sideways, and each row is a card that names its columns."""
    page = reader.page
    page.set_viewport_size({"width": 390, "height": 900})
    page.goto((folder / "evidence.html").as_uri())
    card = page.locator("#rows tbody tr").first

    expect(card).to_be_visible()

    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("document.querySelector('#rows').scrollWidth") <= 390
    name = "getComputedStyle(document.querySelector('#rows td[data-name=scribe]'), '::before').content"
    assert page.evaluate(name) == '"scribe"'
    shoot(page, "evidence")
