"""How a running batch of 10,000 cells feels: the time of an interaction with four tabs open on it.

    python bench/tabs.py [--cells 10000] [--tabs 4] [--clicks 15]

The app runs as a user starts it, against bench/mock_gateway.py (200 ms an answer); the run is queued before it starts,
with a grader. In every tab in turn: Rows to Calls and back, a filter and back, the next page of rows, and a change to
the Spend page and back. An interaction ends when what it asked for stands and the page's script has ended. Printed:
median, 95th percentile and the longest over all tabs, and how far the run was at the beginning and the end.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from client import gateway
from playwright.sync_api import Page, sync_playwright
from startup import ARGS, ROOT, free_port, wait_for_health

from assay.config import Gateway, Settings
from assay.domain.contestant import Contestant, Prompt
from assay.domain.score import GraderSpec
from assay.store import runs as stored
from assay.workbench.datasets import kept
from assay.workbench.running import runs
from assay.workbench.running.runs import RunDraft
from assay.workbench.session import open_session

MODELS = ("bench/m0", "bench/m1", "bench/m2", "bench/m3")


def queue_run(folder: Path, url: str, cells: int) -> str:
    """Stores a run that the app will pick up at its start; its id."""
    rows = cells // len(MODELS)
    table = folder / "rows.csv"
    table.write_text("question,answer\n" + "".join(f"What is the capital number {n}?,Paris\n" for n in range(rows)))
    settings = Settings(database_url=f"sqlite:///{folder}/assay.db")
    with open_session(settings, gateway=Gateway("openrouter", url, None)) as session:
        session.ready()
        dataset = kept.open_dataset(session, str(table))
        draft = RunDraft(
            dataset.id,
            (Prompt("{{question}}"),),
            tuple(map(Contestant, MODELS)),
            (GraderSpec("contains"),),
            expected_column="answer",
        )
        plan = runs.plan_of(session, draft)
        return session.store.writer.call(lambda c: stored.create_run(c, plan, name="Ten thousand cells"))


def settled(page: Page) -> None:
    """Returns when the page's script has ended."""
    page.wait_for_function(
        "document.querySelector('[data-testid=stApp]')?.getAttribute('data-test-script-state') === 'notRunning'",
        timeout=60_000,
    )


def interactions(page: Page) -> list[Callable[[], None]]:
    """What a person does with a run; each returns when its effect stands."""

    def to_calls() -> None:
        page.get_by_role("tab", name="Calls").click()
        page.get_by_test_id("stTabPanel").locator("visible=true").get_by_test_id("stDataFrame").wait_for()

    def to_rows() -> None:
        page.get_by_role("tab", name="Rows").click()
        page.locator(".st-key-results-rows").wait_for()

    def only_failed() -> None:
        page.get_by_role("radio", name="Not passed").click()
        page.get_by_text("No row fits.").wait_for()

    def everything() -> None:
        page.get_by_role("radio", name="All rows").click()
        page.locator(".st-key-results-rows").wait_for()

    def to_spend() -> None:
        page.get_by_test_id("stSidebarNav").get_by_role("link", name="Spend").click()
        page.get_by_role("heading", name="Spend", exact=False).first.wait_for()

    def back() -> None:
        page.go_back()
        page.locator(".st-key-results-rows").wait_for()

    return [to_calls, to_rows, only_failed, everything, to_spend, back]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--tabs", type=int, default=4)
    parser.add_argument("--clicks", type=int, default=18, help="interactions in each tab")
    args = parser.parse_args()
    executable = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name, gateway(20, models=len(MODELS)) as url, sync_playwright() as playwright:
        folder = Path(name)
        run_id = queue_run(folder, url, args.cells)
        port = free_port()
        env = {k: v for k, v in os.environ.items() if not k.startswith(("OPENROUTER_", "ASSAY_"))}
        env |= {"ASSAY_DATABASE_URL": f"sqlite:///{folder}/assay.db", "OPENROUTER_API_KEY": "bench"}
        env["OPENROUTER_BASE_URL"] = url
        command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless=true"]
        server = subprocess.Popen(
            [*command, f"--server.port={port}"], cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            wait_for_health(port)
            browser = playwright.chromium.launch(executable_path=executable, args=ARGS)
            pages = [browser.new_page(viewport={"width": 1440, "height": 900}) for _ in range(args.tabs)]
            for page in pages:
                page.goto(f"http://127.0.0.1:{port}/results?run={run_id}")
                page.locator(".st-key-results-rows").wait_for(timeout=60_000)
                settled(page)
            began = progress(pages[0])
            for number in range(args.clicks):
                for page in pages:
                    act = interactions(page)[number % 6]
                    started = time.perf_counter()
                    act()
                    settled(page)
                    times.setdefault(act.__name__, []).append(time.perf_counter() - started)
            ended = progress(pages[0])
            browser.close()
        finally:
            server.kill()
            server.wait()
    print(f"run at the beginning: {began}; at the end: {ended}")
    print(f"{'seconds':16}{'median':>8}{'p95':>8}{'longest':>9}{'count':>7}")
    for label, values in {**times, "all": [value for part in times.values() for value in part]}.items():
        p95 = statistics.quantiles(values, n=20)[-1] if len(values) > 1 else values[0]
        print(f"{label:16}{statistics.median(values):8.2f}{p95:8.2f}{max(values):9.2f}{len(values):7}")


def progress(page: Page) -> str:
    """What the progress bar says."""
    bar = page.get_by_text("a second").first
    return bar.inner_text().split(" · ")[0] if bar.count() else "ended"


if __name__ == "__main__":
    main()
