"""The application: token check, routes, errors.

GET  /api/models                the models in Assay's words
POST /api/completions           one completion, with its cost and where that is known from
POST /api/completions/stream    the same as server-sent events, as the gateway sends them
GET  /api/v1/models             as OpenAI's and OpenRouter's programs ask
POST /api/v1/chat/completions   as OpenAI's and OpenRouter's programs ask, streaming included
GET  /api/health                200 while the service runs; needs no token

Every call lands in the ledger with purpose `api` and the tags of X-Assay-Tag, and counts in the month's budget.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from assay import __version__
from assay.api.payloads import (
    ChatIn,
    CompletionIn,
    chat_completion,
    completion_out,
    dumped,
    failure_out,
    model_out,
    openai_model,
)
from assay.api.relay import Relay
from assay.domain.messages import CompletionRequest
from assay.errors import AssayError, BudgetExceeded, StoreError
from assay.openrouter.failures import FailureKind
from assay.runs.dispatch import Outcome
from assay.workbench.calls import send_completion
from assay.workbench.catalogue import list_models
from assay.workbench.runtime import Runtime

MOST_TAGS = 10
LONGEST_TAG = 64
BODY_LIMIT = 32 * 1024 * 1024
"""Bytes of a request at most."""
STATUS: dict[FailureKind, int] = {
    "connection": 502, "reset": 502, "truncated": 502, "malformed": 502, "empty": 502, "too_large": 502,
    "first_token_timeout": 504, "silence_timeout": 504, "timeout": 504,
}  # fmt: skip
"""Our status where the gateway gave none."""


class Refused(Exception):
    """A request that is not let in."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def allowed(request: Request, authorization: Annotated[str, Header()] = "") -> Runtime:
    """The runtime, for a caller that knows the token. Raises Refused."""
    rt: Runtime = request.app.state.get_runtime()
    token = rt.settings.api_token.get_secret_value().strip() if rt.settings.api_token else ""
    if not token:
        raise Refused(403, "The HTTP service is off. Set ASSAY_API_TOKEN to switch it on.")
    given = authorization.removeprefix("Bearer ").strip()
    if not hmac.compare_digest(given.encode("utf-8", "replace"), token.encode()):
        raise Refused(401, "The token is missing or wrong. Send Authorization: Bearer with ASSAY_API_TOKEN.")
    return rt


def tags_of(x_assay_tag: Annotated[list[str] | None, Header()] = None) -> list[str]:
    """The tags of the X-Assay-Tag headers, each of which may hold several with commas between."""
    tags = [tag.strip() for line in x_assay_tag or [] for tag in line.split(",") if tag.strip()]
    if len(tags) > MOST_TAGS or any(len(tag) > LONGEST_TAG for tag in tags):
        raise Refused(422, f"X-Assay-Tag takes {MOST_TAGS} tags of {LONGEST_TAG} characters.")
    return tags


OpenRuntime = Annotated[Runtime, Depends(allowed)]
SentTags = Annotated[list[str], Depends(tags_of)]


def create_service(get_runtime: Callable[[], Runtime]) -> FastAPI:
    """The application, to be mounted at /api. Without a token in the settings every route answers 403."""
    app = FastAPI(title="Assay", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)

    app.state.get_runtime = get_runtime

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok", "version": __version__}

    @app.get("/models")
    async def models(rt: OpenRuntime) -> Response:
        found = await asyncio.to_thread(_models, rt)
        return Response(dumped({"models": [model_out(model) for model in found]}), media_type="application/json")

    @app.get("/v1/models")
    async def openai_models(rt: OpenRuntime) -> Response:
        rows = [openai_model(model) for model in await asyncio.to_thread(_models, rt)]
        body = {"object": "list", "data": rows, "total_count": len(rows), "links": {"next": None}}
        return Response(dumped(body), media_type="application/json")

    @app.post("/completions")
    async def completion(rt: OpenRuntime, asked: CompletionIn, tags: SentTags) -> Response:
        outcome = await _plain(rt, asked.as_request(), tags)
        if outcome.failure is not None:
            return _failed(outcome)
        return Response(dumped(completion_out(outcome)), headers=_ids(outcome), media_type="application/json")

    @app.post("/completions/stream")
    async def stream(rt: OpenRuntime, asked: CompletionIn, tags: SentTags) -> Response:
        return await _streamed(rt, asked.as_request(), tags)

    @app.post("/v1/chat/completions")
    async def chat(rt: OpenRuntime, asked: ChatIn, tags: SentTags) -> Response:
        if asked.stream:
            return await _streamed(rt, asked.as_request(), tags)
        outcome = await _plain(rt, asked.as_request(), tags)
        return _failed(outcome) if outcome.failure is not None else _answered(outcome)

    app.add_middleware(BodyLimit)

    @app.middleware("http")
    async def let_in(request: Request, call_next: Any) -> Response:
        # Before the body is read: a stranger must not fill the memory.
        if not request.url.path.endswith("/health"):
            try:
                allowed(request, request.headers.get("authorization", ""))
            except Refused as error:
                return _error(error.status, str(error))
        response: Response = await call_next(request)
        response.headers["Cache-Control"] = "no-store"
        return response

    _handle_errors(app)
    return app


class BodyLimit:
    """Reads a request's body before anything else does, and refuses one that is too large, declared or not."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "0")
        size = int(declared) if declared.isdecimal() and len(declared) < 20 else BODY_LIMIT + 1
        parts: list[bytes] = []
        more = size <= BODY_LIMIT
        size = 0 if more else size
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return  # the caller went away
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            more = message.get("more_body", False) and size <= BODY_LIMIT
        if size > BODY_LIMIT:
            await _error(413, f"A request may hold {BODY_LIMIT // 1024 // 1024} MB.")(scope, receive, send)
            return
        whole: Message | None = {"type": "http.request", "body": b"".join(parts), "more_body": False}

        async def again() -> Message:
            nonlocal whole
            message, whole = whole, None
            return message if message is not None else await receive()

        await self._app(scope, again, send)


def _models(rt: Runtime) -> tuple[Any, ...]:
    rt.ready()
    return list_models(rt)


async def _plain(rt: Runtime, request: CompletionRequest, tags: list[str]) -> Outcome:
    """The outcome of a call; a caller that goes away stops it."""
    return await asyncio.wrap_future(send_completion(rt, request, tags=tags))


async def _streamed(rt: Runtime, request: CompletionRequest, tags: list[str]) -> Response:
    relay = Relay(rt, request, tags)
    outcome = await relay.first()
    if outcome is None:
        return StreamingResponse(relay.chunks(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
    return _failed(outcome) if outcome.failure is not None else _answered(outcome)


def _answered(outcome: Outcome) -> Response:
    assert outcome.completion is not None  # noqa: S101 - no failure, so an answer
    # A gateway that streams although nobody asked it to leaves no body to pass on.
    body = outcome.completion.body or dumped(chat_completion(outcome.completion))
    return Response(body, headers=_ids(outcome), media_type="application/json")


def _failed(outcome: Outcome) -> Response:
    """The gateway's own status and body; where there is none, our words in its shape."""
    failure, error = outcome.failure, outcome.error
    assert failure is not None  # noqa: S101 - the caller has looked
    headers = _ids(outcome)
    if failure.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, round(failure.retry_after_s)))
    if error is not None and error.status is not None and error.body:
        kind = "application/json" if error.body.lstrip()[:1] in b"{[" else "text/plain; charset=utf-8"
        return Response(error.body, status_code=error.status, headers=headers, media_type=kind)
    status = STATUS.get(failure.kind) or failure.http_status or 502
    return Response(
        dumped(failure_out(failure, status)), status_code=status, headers=headers, media_type="application/json"
    )


def _ids(outcome: Outcome) -> dict[str, str]:
    headers = {"X-Assay-Call-Id": outcome.settlement.call_id}
    if outcome.settlement.generation_id:
        headers["X-Generation-Id"] = outcome.settlement.generation_id
    return headers


def _error(status: int, message: str, **metadata: Any) -> Response:
    body: dict[str, Any] = {"code": status, "message": message}
    if metadata:
        body["metadata"] = metadata
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return JSONResponse({"error": body}, status_code=status, headers=headers)


def _handle_errors(app: FastAPI) -> None:
    """Every error leaves in the gateway's shape."""

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> Response:
        return _error(error.status, str(error))

    @app.exception_handler(HTTPException)
    async def unheard_of(_: Request, error: HTTPException) -> Response:
        return _error(error.status_code, str(error.detail))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        # The offending input is left out: it may be a prompt.
        fields = [{"field": ".".join(str(part) for part in e["loc"][1:]), "message": e["msg"]} for e in error.errors()]
        told = "; ".join(f"{f['field'] or 'body'}: {f['message']}" for f in fields)
        return _error(422, told, error_type="unprocessable", fields=fields)

    @app.exception_handler(BudgetExceeded)
    async def no_budget(_: Request, error: BudgetExceeded) -> Response:
        return _error(402, str(error), error_type="payment_required", limit_source="assay_budget")

    @app.exception_handler(StoreError)
    async def no_store(_: Request, error: StoreError) -> Response:
        return _error(503, str(error))

    @app.exception_handler(AssayError)
    async def other(_: Request, error: AssayError) -> Response:
        return _error(400, str(error))


def create_server(get_runtime: Callable[[], Runtime]) -> Starlette:
    """The service by itself: everything below /api, nothing else."""
    return Starlette(routes=[Mount("/api", create_service(get_runtime))])
