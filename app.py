"""The server: `streamlit run app.py` finds `app` and serves it. The pages' entry script is src/assay/views/shell.py."""

from __future__ import annotations

import gc
import importlib
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import streamlit as st
from starlette.middleware import Middleware
from starlette.routing import Mount
from streamlit import config as st_config

from assay import logs
from assay.api.door import rules_of
from assay.api.listening import guard_running_server
from assay.api.skin import Skin
from assay.config import read_settings
from assay.places import PACKAGE
from assay.views.headers import SecurityHeaders
from assay.workbench.runtime import close_runtime, runtime

ENTRY = PACKAGE / "views" / "shell.py"
WARM_UP_S = 3.0


def warm_up() -> None:
    """Imports what the charts and tables need, so that the first of them does not wait for it."""
    for name in ("pandas", "plotly.graph_objects"):
        importlib.import_module(name)


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[dict[str, Any] | None]:
    """Opens the store and starts the engine before the first page; stops them in order at the end."""
    guard_running_server()
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
    if SETTINGS.api_token is None:
        return []
    from assay.api.service import create_service

    return [Mount("/api", create_service(runtime, rules=rules_of(SETTINGS)))]


SETTINGS = read_settings()
logs.set_up(SETTINGS)
if SETTINGS.allowed_hosts:
    # Streamlit looks at the names by itself once more.
    st_config.set_option("server.allowedHosts", [*st_config.get_option("server.allowedHosts"), *SETTINGS.allowed_hosts])
app = st.App(
    ENTRY,
    routes=routes(),
    lifespan=lifespan,
    middleware=[
        Middleware(Skin, hosts=tuple(SETTINGS.allowed_hosts), origins=frozenset(SETTINGS.cors_origins)),
        Middleware(SecurityHeaders),
    ],
)
