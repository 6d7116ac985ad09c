"""The settings page: what the gateway says about itself, in words."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from assay.config import Settings
from assay.views import resources
from assay.workbench.gateway.health import check_gateway
from assay.workbench.session import open_session

ROOT = Path(__file__).resolve().parents[2]


def test_gateway_check_is_said_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sandbox is called the sandbox, and amounts are amounts: no name of a field or of a type."""
    with open_session(Settings(database_url=f"sqlite:///{tmp_path}/a.db"), sandbox_speed=0) as session:
        session.ready()
        monkeypatch.setattr(resources, "get_runtime", lambda: session.runtime)
        page = AppTest.from_file(str(ROOT / "src/assay/views/shell.py"), default_timeout=30).run()
        page.switch_page(str(ROOT / "pages/settings.py")).run()
        page.button(key="settings.check").click().run()

        assert not page.exception
        assert [box.value for box in page.success] == ["The sandbox answers."]
        assert check_gateway(session).facts == {
            "Used": "$0",
            "Used today": "$0",
            "Used this month": "$0",
            "Free tier": "no",
        }
