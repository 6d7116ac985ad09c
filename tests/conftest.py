"""Shared fixtures: real files, the sandbox over real HTTP, the reference data where it is present."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy import select

from assay.store.engine import Store
from assay.store.spend_slots import sums_of_calls
from assay.store.tables import SPEND_SLOT

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "data"
# A machine that is busy for a moment is no bug of what is tested.
settings.register_profile("assay", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("assay")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key or setting of the developer's machine reaches a test."""
    for name in ("OPENROUTER_API_KEY", "OPENROUTER_MANAGEMENT_KEY", "OPENROUTER_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The reference data beside the checkout; a clone without it skips."""
    if not SHARED.is_dir():
        pytest.skip("the reference data (../shared/data) is not there")
    return SHARED


@pytest.fixture
def sums_agree() -> Callable[[Store], None]:
    """Asserts that the kept sums of spend are exactly those of the ledger's ended calls."""

    def check(store: Store) -> None:
        with store.read() as connection:
            kept = connection.execute(select(SPEND_SLOT).where(SPEND_SLOT.c.calls != 0)).all()
            counted = connection.execute(sums_of_calls()).all()
        assert sorted(map(tuple, kept)) == sorted(map(tuple, counted))

    return check


ALONE = {"browser": "browser", "promptfoo": "npm"}
"""Fixtures whose tests are worked by one worker, one after another: they share a browser, or one folder of npm's."""


@pytest.hookimpl(tryfirst=True)  # pytest-xdist writes the groups into the names next
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Groups what pytest-xdist must not spread over workers."""
    for item in items:
        for fixture, group in ALONE.items():
            if fixture in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.xdist_group(group))
