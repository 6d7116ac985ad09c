"""SIGKILL at any moment of what people do: after the next start nothing half made is seen and the ledger is whole."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from killed_driver import ACTIONS, check, killed

from assay.sandbox import SandboxConfig, SandboxServer


@pytest.fixture
def url() -> Iterator[str]:
    """A gateway that lives on."""
    with SandboxServer(SandboxConfig(speed=0.02)) as server:
        yield server.base_url


@pytest.mark.parametrize("action", ACTIONS)
def test_kill_leaves_nothing_half_made(tmp_path: Path, url: str, action: str) -> None:
    """Starting, importing, growing, exporting, continuing: finished by the next start, or gone without a trace."""
    done = killed(action, tmp_path, url, random.Random(f"{action} 1"))

    check(action, tmp_path, url, done)
