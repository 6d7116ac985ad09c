"""Sandboxes over real HTTP, instant unless a test says otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from assay.sandbox import SandboxConfig, SandboxServer

Open = Callable[..., tuple[SandboxServer, httpx.Client]]


@pytest.fixture
def serve() -> Iterator[Open]:
    """Starts a sandbox with the given settings and gives it with a client for it."""
    with ExitStack() as stack:

        def start(**settings: Any) -> tuple[SandboxServer, httpx.Client]:
            server = stack.enter_context(SandboxServer(SandboxConfig(**{"speed": 0, **settings})))
            headers = {"Authorization": "Bearer sandbox"}
            return server, stack.enter_context(httpx.Client(base_url=server.base_url, headers=headers, timeout=5))

        yield start


@pytest.fixture(scope="session")
def sandbox() -> Iterator[httpx.Client]:
    """A client for an instant sandbox with default settings."""
    with (
        SandboxServer(SandboxConfig(speed=0)) as server,
        httpx.Client(base_url=server.base_url, headers={"Authorization": "Bearer sandbox"}, timeout=5) as client,
    ):
        yield client
