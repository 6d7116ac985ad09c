"""From `streamlit run app.py` to a usable first page, and page changes with a full store.

    python bench/startup.py [--runs 5] [--results 20000]

Prints the median and range of seconds over interleaved runs: command -> the Run button of the playground can be
clicked (Chromium already open, dependencies installed), then the click on each page -> its title and numbers stand,
with an empty store and with one that holds the asked number of results.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
PAGES = ("Batch evals", "Results", "Spend", "Models", "Settings", "Playground")


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def serve(folder: Path, port: int) -> subprocess.Popen[bytes]:
    """The app as a user starts it, with its data in `folder`."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("OPENROUTER_", "ASSAY_"))}
    env["ASSAY_DATABASE_URL"] = f"sqlite:///{folder}/assay.db"
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless=true", f"--server.port={port}"]
    return subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_for_health(port: int) -> None:
    """Returns when the server answers; raises after 60 s."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1):
                return
        except OSError:
            time.sleep(0.02)
    raise TimeoutError("The server did not answer within 60 s.")


def first_page_s(browser: Browser, folder: Path) -> tuple[float, dict[str, float]]:
    """Seconds from the command to the Run button, and seconds of each page change after it."""
    port = free_port()
    started = time.perf_counter()
    server = serve(folder, port)
    try:
        wait_for_health(port)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(f"http://127.0.0.1:{port}/")
        page.get_by_role("button", name="Run", exact=False).first.wait_for(timeout=60_000)
        usable = time.perf_counter() - started
        changes: dict[str, float] = {}
        for _ in range(2):  # the second round is what a user meets all day
            changes = {name: change_s(page, name) for name in PAGES}
        page.close()
        return usable, changes
    finally:
        server.kill()
        server.wait()


def change_s(page: Page, name: str) -> float:
    """Seconds from the click in the navigation until the page stands and the script has ended."""
    started = time.perf_counter()
    page.get_by_test_id("stSidebarNav").get_by_role("link", name=name).click()
    page.get_by_role("heading", name=name, exact=False).first.wait_for(timeout=60_000)
    page.wait_for_function(
        "document.querySelector('[data-testid=stApp]')?.getAttribute('data-test-script-state') === 'notRunning'",
        timeout=60_000,
    )
    return time.perf_counter() - started


def show(name: str, values: list[float]) -> None:
    """One line: median, minimum and maximum in seconds."""
    print(f"{name:34} {statistics.median(values):6.2f}  ({min(values):.2f} to {max(values):.2f})")


def main() -> None:
    """Runs the interleaved measurements and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--results", type=int, default=20_000)
    options = parser.parse_args()
    executable = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    usable: dict[str, list[float]] = {"empty": [], "full": []}
    changes: dict[str, dict[str, list[float]]] = {"empty": {}, "full": {}}
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folders = {kind: Path(name) / kind for kind in usable}
        for folder in folders.values():
            folder.mkdir()
        subprocess.run(
            [
                sys.executable,
                str(ROOT / "bench" / "seed_store.py"),
                str(folders["full"] / "assay.db"),
                str(options.results),
            ],
            check=True,
        )
        browser = playwright.chromium.launch(executable_path=executable, args=ARGS)
        for _ in range(options.runs):
            for kind, folder in folders.items():
                seconds, by_page = first_page_s(browser, folder)
                usable[kind].append(seconds)
                for page_name, value in by_page.items():
                    changes[kind].setdefault(page_name, []).append(value)
        browser.close()
    print(f"{'seconds, median (range)':34} {options.runs} interleaved runs")
    for kind in usable:
        show(f"first page, {kind} store", usable[kind])
        for page_name, values in changes[kind].items():
            show(f"  to {page_name}, {kind}", values)


if __name__ == "__main__":
    main()
