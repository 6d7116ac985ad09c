"""The server: `streamlit run app.py` finds `app` and serves it. The pages' entry script is src/assay/views/shell.py."""

from __future__ import annotations

import gc
import importlib
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import streamlit as st
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.routing import Mount

from assay import logs
from assay.config import read_settings
from assay.views.headers import SecurityHeaders
from assay.workbench.runtime import close_runtime, runtime

ENTRY = Path(__file__).resolve().parent / "src" / "assay" / "views" / "shell.py"
WARM_UP_S = 3.0


def warm_up() -> None:
    """Imports what the charts and tables need, so that the first of them does not wait for it."""
    for name in ("pandas", "plotly.graph_objects"):
        importlib.import_module(name)


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[dict[str, Any] | None]:
    """Opens the store and starts the engine before the first page; stops them in order at the end."""
    runtime()
    gc.collect()
    gc.freeze()  # the collection after every script run then costs nothing
    timer = threading.Timer(WARM_UP_S, warm_up)
    timer.daemon = True
    timer.start()
    try:
        yield None
    finally:
        timer.cancel()
        close_runtime()


def routes() -> list[Mount]:
    """The HTTP service under /api, when a token switches it on."""
    if read_settings().api_token is None:
        return []
    from assay.api.service import create_service

    return [Mount("/api", create_service(runtime))]


logs.set_up(read_settings())
app = st.App(
    ENTRY,
    routes=routes(),
    lifespan=lifespan,
    middleware=[
        Middleware(TrustedHostMiddleware, allowed_hosts=["localhost", "127.0.0.1", "[::1]", "*.localhost"]),
        Middleware(SecurityHeaders),
    ],
)
