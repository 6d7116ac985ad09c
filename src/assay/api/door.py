"""What every request passes before anything is read of it: host, origin, token, the bounds of its body."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from assay.config import Settings
from assay.openrouter.hosts import address_of, is_loopback, plain_host

log = logging.getLogger("assay.service")
BODY_LIMIT = 32 * 1024 * 1024
"""Bytes of a request at most."""
OPEN_PATHS = frozenset({"/health", "/docs", "/openapi.json"})
"""What answers without a token: the same for everybody, and nothing of the data."""
_METHODS = "GET, POST, OPTIONS"
_HEADERS = "authorization, content-type, x-assay-tag, x-assay-allow-unknown, x-zero-data-retention"


@dataclass(frozen=True, slots=True)
class Rules:
    """Who is let in."""

    tokenless: bool = False
    """Nobody needs a token: for loopback only."""
    hosts: tuple[str, ...] = ()
    """Names beside those of this machine under which the service may be called; `*`: any."""
    origins: frozenset[str] = frozenset()
    """Pages of other origins that may call it from a browser."""
    body_s: float = 120.0
    """Seconds in which a body must have come."""
    pause_s: float = 20.0
    """Seconds between two pieces of a body at most."""


def rules_of(settings: Settings, *, bound: str = "", tokenless: bool = False) -> Rules:
    """The rules that the settings give; bound: the address that is listened on."""
    hosts = (*settings.allowed_hosts, bound) if bound else tuple(settings.allowed_hosts)
    return Rules(tokenless, hosts, frozenset(origin.rstrip("/") for origin in settings.cors_origins))


def host_allowed(host: str, hosts: Iterable[str]) -> bool:
    """Whether a Host header names this machine or one of the names; an address among them is any of its forms."""
    name = _host_name(host)
    if name is None:
        return False
    if is_loopback(name):
        return True
    for allowed in hosts:
        if allowed == "*" or plain_host(allowed) == name:
            return True
        if allowed.startswith("*.") and name.endswith(allowed[1:].lower()):
            return True
        if allowed in ("0.0.0.0", "::") and address_of(name) is not None:  # noqa: S104 - asked for by the user
            return True  # a name can be made to point here by somebody else, an address cannot
    return False


def _host_name(host: str) -> str | None:
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    if not parts.hostname or parts.netloc != host or "@" in host or "%" in host:
        return None
    return plain_host(parts.hostname)


def origin_allowed(origin: str, scheme: str, host: str, origins: Iterable[str]) -> bool:
    """Whether a page of that origin is the server's own, port included, or one of the named."""
    plain = {"ws": "http", "wss": "https"}.get(scheme, scheme)
    return origin.lower() == f"{plain}://{host}".lower() or origin.rstrip("/") in origins


class Door:
    """Asks for the token before a byte of the body is read; reads the body within its bounds; answers CORS."""

    def __init__(self, app: ASGIApp, rules: Rules, token: Callable[[], str]) -> None:
        self._app = app
        self._rules = rules
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        headers = Headers(scope=scope)
        out = _Sender(send, self._cross_origin(headers))
        answer = self._answer_at_door(scope, headers)
        if answer is None and scope["method"] in ("POST", "PUT", "PATCH"):
            body = await self._body(scope, headers, receive)
            if body is None:
                return
            if isinstance(body, Response):
                answer = body
            else:
                receive = _replayed(body, receive)
        if answer is not None:
            await answer(scope, receive, out)
        else:
            await self._app(scope, receive, out)

    def _answer_at_door(self, scope: Scope, headers: Headers) -> Response | None:
        """The answer to a request that goes no further; None: it may come in."""
        host, origin = headers.get("host", ""), headers.get("origin")
        if len(headers.getlist("host")) > 1 or not host_allowed(host, self._rules.hosts):
            return error(400, f"The service does not go by the name {host[:100]!r}. Name it in ASSAY_ALLOWED_HOSTS.")
        if scope["method"] == "OPTIONS" and origin in self._rules.origins:
            return Response(status_code=204)
        if scope["method"] in ("GET", "HEAD") and _below_mount(scope) in OPEN_PATHS:
            return None
        if self._rules.tokenless:
            return self._foreign_page(scope, headers, host, origin)
        token = self._token()
        if not token:
            return error(403, "The HTTP service is off. Set ASSAY_API_TOKEN to switch it on.")
        if not _same(_bearer(headers), token):
            return error(401, "The token is missing or wrong. Send Authorization: Bearer with ASSAY_API_TOKEN.")
        return None

    def _foreign_page(self, scope: Scope, headers: Headers, host: str, origin: str | None) -> Response | None:
        """Without a token any page in the user's browser could call: only our own and the named may."""
        foreign = headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and origin is None
        if foreign or (origin is not None and not origin_allowed(origin, scope["scheme"], host, self._rules.origins)):
            return error(403, "Pages of other origins may not call the service. Name them in ASSAY_CORS_ORIGINS.")
        return None

    def _cross_origin(self, headers: Headers) -> dict[str, str]:
        origin = headers.get("origin")
        if origin is None or origin not in self._rules.origins:
            return {}
        return {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Methods": _METHODS,
            "Access-Control-Allow-Headers": _HEADERS,
            "Access-Control-Max-Age": "600",
            "Vary": "Origin",
            "Access-Control-Expose-Headers": "x-assay-call-id, x-generation-id, x-assay-notes, retry-after",
        }

    async def _body(self, scope: Scope, headers: Headers, receive: Receive) -> bytes | Response | None:
        """The body; the answer to one that is too large or too slow; None: the caller went away."""
        declared = headers.get("content-length", "0")
        size = int(declared) if declared.isdecimal() and len(declared) < 20 else BODY_LIMIT + 1
        if size > BODY_LIMIT:
            return error(413, f"A request may hold {BODY_LIMIT // 1024 // 1024} MB.")
        body, more = bytearray(), True  # grows by shares of itself: small pieces neither pile up nor are copied anew
        try:
            async with asyncio.timeout(self._rules.body_s):
                while more:
                    async with asyncio.timeout(self._rules.pause_s):
                        message = await receive()
                    if message["type"] != "http.request":
                        log.info(
                            "a caller went away before its request was whole: %s %s", scope["method"], _path(scope)
                        )
                        return None
                    body += message.get("body", b"")
                    if len(body) > BODY_LIMIT:
                        return error(413, f"A request may hold {BODY_LIMIT // 1024 // 1024} MB.")
                    more = message.get("more_body", False)
        except TimeoutError:
            log.info("a request's body did not come in time: %s %s", scope["method"], _path(scope))
            return error(408, "The request's body did not come in time.")
        return bytes(body)


class _Sender:
    """Sends an answer with the headers that every answer has."""

    def __init__(self, send: Send, more: dict[str, str]) -> None:
        self._send = send
        self._more = more

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["Cache-Control"] = "no-store"
            headers["X-Content-Type-Options"] = "nosniff"
            headers.update(self._more)
        await self._send(message)


def _replayed(body: bytes, receive: Receive) -> Receive:
    whole: Message | None = {"type": "http.request", "body": body, "more_body": False}

    async def again() -> Message:
        nonlocal whole
        message, whole = whole, None
        return message if message is not None else await receive()

    return again


def _below_mount(scope: Scope) -> str:
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path.removeprefix(root) if path.startswith(f"{root}/") else path


def _path(scope: Scope) -> str:
    return json.dumps(str(scope.get("path", ""))[:100])


def _bearer(headers: Headers) -> str:
    said = headers.get("authorization", "").strip()
    scheme, _, given = said.partition(" ")
    return given.strip() if scheme.lower() == "bearer" else said


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode("utf-8", "replace"))


def error(status: int, message: str, **metadata: Any) -> Response:
    """An error in the gateway's shape; `detail` beside it is where the seed's clients look."""
    body: dict[str, Any] = {"code": status, "message": message}
    if metadata:
        body["metadata"] = metadata
    headers = {"X-Should-Retry": "false"}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"error": body, "detail": message}, status_code=status, headers=headers)
