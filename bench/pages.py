"""How the pages feel with a large store: a ledger of a million calls, a run of 100,000 cells.

    python bench/pages.py [--results 100000] [--calls 1000000] [--rounds 5] [--keep FOLDER]

The app runs as a user starts it, on a store that bench/seed_store.py fills (--keep: in a folder that is used again).
Printed: seconds from the click until what was asked for stands and the page's script has ended. The first opening of
the run stands apart: it loads the page anew and counts the run's cells, which is then kept.
"""

from __future__ import annotations

import argparse
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, sync_playwright
from startup import ARGS, ROOT, free_port, serve, wait_for_health
from tabs import settled


def steps(
    page: Page, url: str, run_id: str, *, opened_before: bool, started: list[float]
) -> dict[str, Callable[[], None]]:
    """What a person does; each returns when its effect stands. A step that begins later than its call says when."""

    def link(name: str) -> None:
        page.get_by_test_id("stSidebarNav").get_by_role("link", name=name).click()

    def spend() -> None:
        link("Spend")
        page.get_by_text("By provider").wait_for()

    def spend_filter() -> None:
        page.get_by_role("radio", name="7 days").click()
        settled(page)
        page.get_by_text("Chosen:").wait_for()

    def ledger() -> None:
        page.get_by_role("tab", name="Ledger").click()
        page.get_by_role("button", name="Ledger as CSV").wait_for()

    def results() -> None:
        if opened_before:
            link("Results")
            page.get_by_text("Select a run to open it.").wait_for()
            settled(page)
            started.append(time.perf_counter())
            page.locator(".st-key-results-list .dvn-scroller").click(position={"x": 18, "y": 52})
        else:
            page.goto(f"{url}/results?run={run_id}")
        page.locator(".st-key-results-rows").wait_for(timeout=60_000)

    def only(name: str) -> Callable[[], None]:
        def choose() -> None:
            page.get_by_role("radio", name=name).click()
            settled(page)
            page.locator(".st-key-results-rows").wait_for()

        return choose

    def turn() -> None:
        page.locator(".st-key-results-page").get_by_role("button").last.click()
        settled(page)

    def search() -> None:
        box = page.get_by_role("searchbox", name="Search")
        box.fill("Question 777 ")
        box.press("Enter")
        page.get_by_text("1 rows").wait_for()

    def search_nothing() -> None:
        box = page.get_by_role("searchbox", name="Search")
        box.fill("no such words")
        box.press("Enter")
        page.get_by_text("No row fits.").wait_for()

    def calls() -> None:
        page.get_by_role("tab", name="Calls").click()
        page.get_by_test_id("stTabPanel").locator("visible=true").get_by_test_id("stDataFrame").wait_for()

    return {
        "run: open": results,
        "run: failed rows": only("Not passed"),
        "run: disagreements": only("Disagreements"),
        "run: all rows": only("All rows"),
        "run: next page": turn,
        "run: search, one row": search,
        "run: search, no row": search_nothing,
        "run: calls": calls,
        "spend: open": spend,
        "spend: 7 days": spend_filter,
        "spend: ledger": ledger,
    }


def measure(file: Path, rounds: int) -> dict[str, list[float]]:
    """Seconds of each step, and of the first opening of the run."""
    executable = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sqlite3.connect(file) as connection:
        ((run_id,),) = connection.execute("SELECT id FROM run").fetchall()
    times: dict[str, list[float]] = {}
    port = free_port()
    server = serve(file.parent, port)
    try:
        wait_for_health(port)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=executable, args=ARGS)
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            url = f"http://127.0.0.1:{port}"
            page.goto(f"{url}/models")
            page.get_by_role("heading", name="Models").first.wait_for()
            settled(page)
            started: list[float] = []
            for number in range(rounds):
                for name, act in steps(page, url, run_id, opened_before=number > 0, started=started).items():
                    started.append(time.perf_counter())
                    act()
                    settled(page)
                    label = "run: first opening" if number == 0 and name == "run: open" else name
                    times.setdefault(label, []).append(time.perf_counter() - started[-1])
            browser.close()
    finally:
        server.kill()
        server.wait()
    return times


def main() -> None:
    """Fills a store where there is none, measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=int, default=100_000)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keep", type=Path, help="a folder that keeps the store")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = options.keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "assay.db"
        if not file.exists():
            seed = [sys.executable, str(ROOT / "bench" / "seed_store.py"), str(file)]
            subprocess.run([*seed, str(options.results), str(options.calls)], check=True)
        times = measure(file, options.rounds)
    print(f"{'seconds':24}{'median':>8}{'longest':>9}{'count':>7}")
    for label, values in times.items():
        print(f"{label:24}{statistics.median(values):8.2f}{max(values):9.2f}{len(values):7}")


if __name__ == "__main__":
    main()
