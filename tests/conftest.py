"""Shared fixtures: real files, the sandbox over real HTTP, the reference data where it is present."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy import select

from assay.store.books import counted_pico, month_of
from assay.store.engine import Store
from assay.store.spend_slots import sums_of_calls
from assay.store.tables import CALL, MONTH_SPEND, RUN, SPEND_SLOT

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
    """Asserts that the kept sums of spend and of budgets are exactly those of the ledger's calls."""

    def check(store: Store) -> None:
        with store.read() as connection:
            kept = connection.execute(select(SPEND_SLOT).where(SPEND_SLOT.c.calls != 0)).all()
            counted = connection.execute(sums_of_calls()).all()
            calls = connection.execute(select(CALL)).all()
            held = {
                table.name: {row[0]: (row.settled_pico, row.reserved_pico) for row in connection.execute(select(table))}
                for table in (RUN, MONTH_SPEND)
            }
        assert sorted(map(tuple, kept)) == sorted(map(tuple, counted))
        assert _held(calls, held["run"], lambda call: call.run_id) == held["run"]
        months = held["month_spend"]
        assert _held(calls, months, lambda call: month_of(call.created_ms)) == months

    return check


def _held(calls: Sequence[Any], names: Iterable[str], name_of: Callable[[Any], str | None]) -> dict[str, Any]:
    """What calls hold of budgets, (settled, reserved) by name, as the rows of the ledger say."""
    sums = {name: [0, 0] for name in names}
    for call in calls:
        if (name := name_of(call)) is None:
            continue
        flies = call.state == "sent"
        counts = counted_pico(call.cost_pico, call.provenance, call.bound_pico)
        sums[name][flies] += (call.bound_pico or 0) if flies else counts
    return {name: tuple(pair) for name, pair in sums.items()}


ALONE = {"browser": "browser", "promptfoo": "npm"}
"""Fixtures whose tests are worked by one worker, one after another: they share a browser, or one folder of npm's."""


@pytest.hookimpl(tryfirst=True)  # pytest-xdist writes the groups into the names next
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Groups what pytest-xdist must not spread over workers."""
    for item in items:
        for fixture, group in ALONE.items():
            if fixture in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.xdist_group(group))
