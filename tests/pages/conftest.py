"""The workbench of the tests of pages: the one place that puts another in the place of the process's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.config import Settings
from assay.views import resources
from assay.workbench.session import Session, open_session


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """A workbench with a fast sandbox, which the pages get."""
    with open_session(Settings(database_url=f"sqlite:///{tmp_path}/a.db"), sandbox_speed=0) as opened:
        opened.ready()
        monkeypatch.setattr(resources, "get_runtime", lambda: opened.runtime)
        yield opened
