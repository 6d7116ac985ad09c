"""What a browser receives while a gateway repeats the key everywhere: no frame and no page holds any of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from app_driver import App, settle
from echoing_gateway import EchoingGateway
from playwright.sync_api import Page, expect

from canary import KEYS, leaks

pytestmark = pytest.mark.browser


@pytest.fixture
def echoed(tmp_path: Path) -> Iterator[App]:
    """The app over a gateway that echoes, with a key of each kind."""
    with EchoingGateway(KEYS) as gateway:
        local = {"name": "local", "base_url": gateway.base_url, "key_variable": "LOCAL_KEY"}
        running = App(
            tmp_path,
            {
                "OPENROUTER_API_KEY": KEYS["key"],
                "OPENROUTER_MANAGEMENT_KEY": KEYS["management"],
                "OPENROUTER_BASE_URL": gateway.base_url,
                "ASSAY_API_TOKEN": KEYS["token"],
                "LOCAL_KEY": KEYS["endpoint"],
                "ASSAY_ENDPOINTS": json.dumps([local]),
                "ASSAY_MAX_ATTEMPTS": "1",
            },
        )
        running.start()
        yield running
        running.kill()
        assert any(path.endswith("/chat/completions") for path in gateway.asked)


def test_browser_receives_nothing_of_a_key(echoed: App, page: Page) -> None:
    """Answers of the models that are chosen at first in the playground, then every other page."""
    frames: list[str | bytes] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: frames.append(frame)))
    page.goto(echoed.url)
    page.get_by_role("button", name="Run", exact=False).click()
    page.wait_for_url("**comparison=**")
    expect(page.get_by_text("Your key:").first).to_be_visible()
    settle(page)
    shown = [page.content()]
    for path in ("models", "spend", "settings", "results", "batch"):
        page.goto(f"{echoed.url}/{path}")
        settle(page)
        shown.append(page.content())

    assert len(frames) > 20
    assert [leak for one in (*frames, *shown) for leak in leaks(one)] == []
