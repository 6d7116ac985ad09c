"""A real server and a real browser: the app as a user starts it, in a folder of its own, without a key."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeout

ROOT = Path(__file__).resolve().parents[2]
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DRAWN = "[...document.querySelectorAll('[data-testid=stPlotlyChart]')].every(one => one.querySelector('.main-svg'))"
"""Every chart of the page is drawn."""
SHOTS = ROOT / "test-results" / "screenshots"
"""Where every picture goes; git ignores it."""
KEPT = ROOT / "docs" / "screenshots"
"""Where the pictures of the README stand."""
README_PICTURES = tuple(
    f"{page}-{scheme}.png" for page in ("playground", "results", "spend") for scheme in ("light", "dark")
)
expect.set_options(timeout=20_000)


def chromium() -> str | None:
    """The browser's path; None where there is none."""
    named = os.environ.get("ASSAY_CHROMIUM")
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return named or next(filter(None, map(shutil.which, names)), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium. Ends with its module: until then Playwright keeps an event loop in the main thread."""
    path = chromium()
    if path is None:
        if os.environ.get("CI"):
            pytest.fail("Under CI the browser tests must run, and there is no Chromium.")
        pytest.skip("there is no Chromium; `make test` installs one where it can")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=ARGS)
        yield opened
        opened.close()


@dataclass
class App:
    """A running app."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def database(self) -> Path:
        """Its SQLite file."""
        return self.folder / "assay.db"

    def start(self) -> None:
        """Starts the server and waits until it answers."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        env = {k: v for k, v in os.environ.items() if not k.startswith(("OPENROUTER_", "ASSAY_"))}
        env |= {"ASSAY_DATABASE_URL": f"sqlite:///{self.database}", **self.env}
        command = [
            sys.executable,
            "-m",
            "streamlit",
            "run",
            "app.py",
            "--server.headless=true",
            f"--server.port={self.port}",
        ]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log)
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                with urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=1):
                    return
            except OSError:
                time.sleep(0.1)
        raise AssertionError((self.folder / "server.log").read_text()[-3000:])

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Ends the server."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(timeout=20)
            self.process = None


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """The app with an empty database."""
    running = App(tmp_path)
    running.start()
    yield running
    running.kill()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that fails the test on an error in the browser's console or on an exception on the screen."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000}, accept_downloads=True)
    opened = context.new_page()
    problems: list[str] = []
    opened.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    yield opened
    assert opened.get_by_test_id("stException").count() == 0
    serious = [p for p in problems if "WebSocket" not in p and "ERR_CONNECTION" not in p and "Failed to load" not in p]
    assert serious == []
    context.close()


def settle(page: Page) -> None:
    """Waits until the page's script has ended."""
    page.wait_for_function(
        "document.querySelector('[data-testid=stApp]')?.getAttribute('data-test-script-state') === 'notRunning'",
        timeout=30_000,
    )


def choose(page: Page, box: str, option: str | re.Pattern[str]) -> None:
    """Chooses from a select box; a list that closes because the page is redrawn is opened again."""
    settle(page)
    wanted = page.get_by_role("option", name=option)
    for patience_ms in (3_000, 8_000, 20_000):
        try:
            if not wanted.is_visible():
                page.get_by_role("combobox", name=re.compile(box)).click(timeout=patience_ms)
            wanted.click(timeout=patience_ms)
        except PlaywrightTimeout:
            continue
        return
    raise AssertionError(f"{option} could not be chosen")


def shoot(page: Page, name: str) -> None:
    """Takes pictures of a page, where they are asked for (ASSAY_SCREENSHOTS=1); the README's go to its folder too."""
    if not os.environ.get("ASSAY_SCREENSHOTS"):
        return
    SHOTS.mkdir(parents=True, exist_ok=True)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        for width in (1440, 390):
            page.set_viewport_size({"width": width, "height": 1000})
            page.wait_for_timeout(900)
            page.wait_for_function(DRAWN, timeout=20_000)
            kind = "" if width == 1440 else "-narrow"
            picture = SHOTS / f"{name}-{scheme}{kind}.png"
            page.screenshot(path=picture)
            if picture.name in README_PICTURES:
                shutil.copyfile(picture, KEPT / picture.name)
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1440, "height": 1000})
