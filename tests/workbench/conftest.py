"""A workbench with a fast sandbox and a database of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from assay.config import Settings
from assay.store.engine import Store
from assay.workbench.session import Session, open_session


@pytest.fixture
def session(tmp_path: Path, sums_agree: Callable[[Store], None]) -> Iterator[Session]:
    """A workbench with a fast sandbox, whose kept sums agree with its ledger in the end."""
    with open_session(Settings(database_url=f"sqlite:///{tmp_path}/a.db"), sandbox_speed=0) as opened:
        opened.ready()
        yield opened
        sums_agree(opened.store)
