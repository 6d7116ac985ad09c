"""What stands before the app's pages: which names it goes by, which pages may talk to it, which doors stay shut."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from assay.api.door import host_allowed, origin_allowed

CLOSED = ("/_stcore/metrics", "/_stcore/script-health-check", "/_stcore/agent")
"""Streamlit's own pages about its inside, open to everybody by default."""


class Skin:
    """ASGI middleware before everything else.

    hosts: names beside those of this machine. origins: of pages elsewhere that may open a WebSocket.
    """

    def __init__(self, app: ASGIApp, hosts: tuple[str, ...] = (), origins: frozenset[str] = frozenset()) -> None:
        self._app = app
        self._hosts = hosts
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or refuses it."""
        kind = scope["type"]
        if kind == "http" and (refused := self._refused(scope)):
            status, words = refused
            await PlainTextResponse(words, status_code=status)(scope, receive, send)
        elif kind == "websocket" and (self._refused(scope) or self._is_foreign(scope)):
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._app(scope, receive, send)

    def _refused(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        if len(headers.getlist("host")) > 1 or not host_allowed(headers.get("host", ""), self._hosts):
            return 400, "Assay does not go by this name. Name it in ASSAY_ALLOWED_HOSTS."
        path = "/" + "/".join(part for part in str(scope["path"]).lower().split("/") if part)
        if any(path == closed or path.startswith(f"{closed}/") for closed in CLOSED):
            return 404, "Not Found"
        return None

    def _is_foreign(self, scope: Scope) -> bool:
        """Whether a page of another origin, port included, opens a WebSocket; programs send no origin."""
        headers = Headers(scope=scope)
        origins = headers.getlist("origin")
        host = headers.get("host", "")
        return any(not origin_allowed(origin, scope["scheme"], host, self._origins) for origin in origins)
