"""The application: routes, and who is let in.

GET  /api/models                the models, in the seed's words and Assay's
POST /api/completions           one completion as a `chat.completion`, with its cost and where that is known from
POST /api/completions/stream    the same as server-sent events
GET  /api/v1/models             as OpenAI's and OpenRouter's programs ask; /api/v1/models/{id} for one of them
POST /api/v1/chat/completions   as OpenAI's and OpenRouter's programs ask, streaming included
POST /api/v1/responses          the same in the words of OpenAI's Responses
POST /api/v1/embeddings         embeddings of texts
GET  /api/health                200 while the service runs
GET  /api/docs, /openapi.json   what there is; these three need no token, and hold nothing of the data

Every call lands in the ledger with purpose `api` and the tags of X-Assay-Tag, and counts in the month's budget.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Mount
from starlette.types import ASGIApp

from assay import __version__
from assay.api.asked import Asked, ChatIn, CompletionIn, EmbeddingsIn, Switches, switches_of
from assay.api.bodies import Refused, read
from assay.api.documents import page_of
from assay.api.door import Door, Rules, error, rules_of
from assay.api.failing import failed
from assay.api.payloads import chat_completion, chunks_of, completion_out, dumped, model_out, openai_model
from assay.api.relay import CallerGone, Relay, Streamed, framed, waited_for
from assay.api.responses import ResponsesIn, Telling, response_of
from assay.domain.messages import CompletionRequest
from assay.errors import AssayError, BudgetExceeded, StoreError
from assay.openrouter.catalogue import Model
from assay.runs.dispatch import Outcome
from assay.workbench.gateway.calls import ModelHeld, send_completion, send_embeddings
from assay.workbench.gateway.catalogue import list_models, model_endpoints
from assay.workbench.runtime import Runtime
from assay.workbench.session import Session

MOST_TAGS = 10
LONGEST_TAG = 64
LONGEST_NOTES = 1000


def tags_of(x_assay_tag: Annotated[list[str] | None, Header()] = None) -> list[str]:
    """The tags of the X-Assay-Tag headers, each of which may hold several with commas between."""
    tags = [tag.strip() for line in x_assay_tag or [] for tag in line.split(",") if tag.strip()]
    if len(tags) > MOST_TAGS or any(len(tag) > LONGEST_TAG for tag in tags):
        raise Refused(422, f"X-Assay-Tag takes {MOST_TAGS} tags of {LONGEST_TAG} characters.")
    return tags


def switches(request: Request) -> Switches:
    """The switches in the headers."""
    return switches_of(request.headers)


def session_of(request: Request) -> Session:
    """The session of a call: the service's door to the workbench."""
    return Session(request.app.state.get_runtime())


OpenSession = Annotated[Session, Depends(session_of)]
SentTags = Annotated[list[str], Depends(tags_of)]
Switched = Annotated[Switches, Depends(switches)]


def create_service(get_runtime: Callable[[], Runtime], *, rules: Rules | None = None) -> ASGIApp:
    """The application, to be mounted at /api. Without a token in the settings every route answers 403.

    rules: who is let in beside what the settings say.
    """
    app = create_routes(get_runtime)

    def token() -> str:
        given = get_runtime().settings.api_token
        return given.get_secret_value().strip() if given else ""

    return Door(app, rules or rules_of(get_runtime().settings), token)


def create_server(get_runtime: Callable[[], Runtime], *, rules: Rules | None = None) -> Starlette:
    """The service by itself: everything below /api, nothing else."""
    return Starlette(routes=[Mount("/api", create_service(get_runtime, rules=rules))])


def create_routes(get_runtime: Callable[[], Runtime]) -> FastAPI:
    """The routes, without the door before them."""
    app = FastAPI(title="Assay", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.get_runtime = get_runtime
    _add_documents(app)
    _add_models(app)
    _add_completions(app)
    _add_openai(app)
    _handle_errors(app)
    return app


def _add_documents(app: FastAPI) -> None:
    @app.get("/health", summary="Whether the service runs")
    async def health() -> dict[str, str]:
        return {"status": "ok", "version": __version__}

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        return JSONResponse(app.openapi())

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(
            page_of(app.openapi()), headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
        )


def _add_models(app: FastAPI) -> None:
    @app.get("/models", summary="The models with their prices")
    async def models(session: OpenSession) -> Response:
        rows = [model_out(model) for model in await _models(session)]
        return _json({"data": rows, "models": rows})

    @app.get("/v1/models", summary="The models, as OpenAI's and OpenRouter's programs ask")
    @app.get("/v1/models/user", include_in_schema=False)
    async def openai_models(session: OpenSession) -> Response:
        rows = [openai_model(model) for model in await _models(session)]
        return _json({"object": "list", "data": rows, "total_count": len(rows), "links": {"next": None}})

    @app.get("/v1/models/count", summary="How many models there are")
    async def count(session: OpenSession) -> Response:
        return _json({"data": {"count": len(await _models(session))}})

    @app.get("/v1/models/{model_id:path}/endpoints", summary="The providers of a model")
    async def endpoints(session: OpenSession, model_id: str) -> Response:
        found = openai_model(await _model(session, model_id))
        rows = await asyncio.to_thread(model_endpoints, session, model_id)
        named = {name: found.get(name) for name in ("id", "name", "created", "description", "architecture")}
        return _json({"data": named | {"endpoints": rows}})

    @app.get("/v1/models/{model_id:path}", summary="One model by its id")
    async def openai_one(session: OpenSession, model_id: str) -> Response:
        return _json(openai_model(await _model(session, model_id)))

    @app.get("/v1/model/{model_id:path}", summary="One model by its id, as OpenRouter's programs ask")
    async def openrouter_one(session: OpenSession, model_id: str) -> Response:
        return _json({"data": openai_model(await _model(session, model_id))})


def _add_completions(app: FastAPI) -> None:
    @app.post("/completions", summary="One completion, with its cost", **_takes(CompletionIn))
    async def completion(request: Request, session: OpenSession, tags: SentTags, switched: Switched) -> Response:
        body = await read(request, CompletionIn)
        asked = body.asked(switched)
        if body.stream:
            return await _streamed(request, session, asked, tags)
        outcome = await _plain(request, session, asked.request, tags)
        if outcome.failure is not None:
            return failed(outcome, _headers(outcome, asked.notes))
        return _json(completion_out(outcome, asked.notes), _headers(outcome, asked.notes))

    @app.post("/completions/stream", summary="One completion as a stream", **_takes(CompletionIn))
    async def stream(request: Request, session: OpenSession, tags: SentTags, switched: Switched) -> Response:
        body = await read(request, CompletionIn)
        return await _streamed(request, session, body.asked(switched), tags)


def _add_openai(app: FastAPI) -> None:
    @app.post("/v1/chat/completions", summary="One completion, as OpenAI's programs ask", **_takes(ChatIn))
    async def chat(request: Request, session: OpenSession, tags: SentTags, switched: Switched) -> Response:
        body = await read(request, ChatIn)
        asked = body.asked(switched)
        if body.stream:
            return await _streamed(request, session, asked, tags)
        outcome = await _plain(request, session, asked.request, tags)
        return _answered(outcome, asked.notes)

    @app.post("/v1/responses", summary="One completion in the words of OpenAI's Responses", **_takes(ResponsesIn))
    async def responses(request: Request, session: OpenSession, tags: SentTags, switched: Switched) -> Response:
        body = await read(request, ResponsesIn)
        asked = body.asked(switched)
        if body.stream:
            return await _told(request, session, body, asked, tags)
        outcome = await _plain(request, session, asked.request, tags)
        headers = _headers(outcome, asked.notes)
        return failed(outcome, headers) if outcome.failure is not None else _json(response_of(body, outcome), headers)

    @app.post("/v1/embeddings", summary="Embeddings of texts", **_takes(EmbeddingsIn))
    async def embeddings(request: Request, session: OpenSession, tags: SentTags, switched: Switched) -> Response:
        body = await read(request, EmbeddingsIn)
        asked = body.asked(switched)
        _refuse_unkept(session, asked.request)
        outcome = await waited_for(send_embeddings(session, asked.request, body.input, tags=tags), request.receive)
        return _answered(outcome, asked.notes)


def _takes(kind: type[BaseModel]) -> dict[str, Any]:
    """What the description says of a body that the route reads by itself."""
    schema = kind.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)
    if "messages" in schema.get("properties", {}):
        schema["properties"]["messages"] = {"type": "array", "items": {"type": "object"}, "title": "Messages"}
    content = {"application/json": {"schema": schema}}
    return {"openapi_extra": {"requestBody": {"required": True, "content": content}}}


async def _models(session: Session) -> Sequence[Model]:
    def found() -> Sequence[Model]:
        session.ready()
        return list_models(session)

    return await asyncio.to_thread(found)


async def _model(session: Session, model_id: str) -> Model:
    await _models(session)
    found = session.dispatcher.prices.model(model_id)
    if found is None:
        raise Refused(404, f"There is no model {model_id[:200]!r}.", error_type="not_found")
    return found


def _refuse_unkept(session: Session, request: CompletionRequest) -> None:
    """Refuses a promise about the data that an endpoint beside the gateway is not even asked to keep."""
    promised = request.provider.get("zdr") is True or request.provider.get("data_collection") == "deny"
    if promised and not session.dispatcher.prices.speaks_openrouter(request.model):
        name = session.gateways.of(request.model).client.gateway.name
        raise Refused(400, f"What the endpoint {name} keeps is not known: it cannot be asked for zero data retention.")


async def _plain(request: Request, session: Session, asked: CompletionRequest, tags: list[str]) -> Outcome:
    """The outcome of a call; a caller that goes away stops it."""
    _refuse_unkept(session, asked)
    return await waited_for(send_completion(session, asked, tags=tags), request.receive)


async def _streamed(request: Request, session: Session, asked: Asked, tags: list[str]) -> Response:
    _refuse_unkept(session, asked.request)
    relay = Relay(session, asked.request, tags)
    outcome = await relay.first(request.receive)
    if outcome is None:
        return Streamed(framed(relay.events()), relay.stop, _headers(None, asked.notes))
    if outcome.failure is not None or outcome.completion is None:
        return failed(outcome, _headers(outcome, asked.notes))
    events = chunks_of(outcome.completion)
    text = b"".join(b"data: " + event + b"\n\n" for event in events)
    return Response(text, headers=_headers(outcome, asked.notes), media_type="text/event-stream")


async def _told(request: Request, session: Session, body: ResponsesIn, asked: Asked, tags: list[str]) -> Response:
    _refuse_unkept(session, asked.request)
    relay = Relay(session, asked.request, tags)
    outcome = await relay.first(request.receive)
    if outcome is not None and outcome.failure is not None:
        return failed(outcome, _headers(outcome, asked.notes))
    telling = Telling(body, relay, whole=outcome is not None)
    return Streamed(telling.pieces(), relay.stop, _headers(outcome, asked.notes))


def _answered(outcome: Outcome, notes: Sequence[str]) -> Response:
    if outcome.failure is not None:
        return failed(outcome, _headers(outcome, notes))
    assert outcome.completion is not None  # noqa: S101 - no failure, so an answer
    # A gateway that streams although nobody asked it to leaves no body to pass on.
    body = outcome.completion.body or dumped(chat_completion(outcome.completion))
    return Response(body, headers=_headers(outcome, notes), media_type="application/json")


def _json(value: Any, headers: dict[str, str] | None = None) -> Response:
    return Response(dumped(value), headers=headers, media_type="application/json")


def _headers(outcome: Outcome | None, notes: Sequence[str]) -> dict[str, str]:
    headers = {}
    if outcome is not None:
        headers["X-Assay-Call-Id"] = outcome.settlement.call_id
        if generation := outcome.settlement.generation_id:
            headers["X-Generation-Id"] = _plain_text(generation)
    if notes:
        headers["X-Assay-Notes"] = _plain_text(" ".join(notes))[:LONGEST_NOTES]
    return headers


def _plain_text(text: str) -> str:
    """Text as a header takes it."""
    return "".join(mark if " " <= mark <= "~" else "?" for mark in text)


def _handle_errors(app: FastAPI) -> None:
    """Every error leaves in the gateway's shape."""

    @app.exception_handler(Refused)
    async def refused(_: Request, told: Refused) -> Response:
        return error(told.status, str(told), **told.metadata)

    @app.exception_handler(CallerGone)
    async def gone(_: Request, __: CallerGone) -> Response:
        return Response(status_code=499)  # nobody reads it

    @app.exception_handler(HTTPException)
    async def unheard_of(_: Request, told: HTTPException) -> Response:
        return error(told.status_code, str(told.detail))

    @app.exception_handler(BudgetExceeded)
    async def no_budget(_: Request, told: BudgetExceeded) -> Response:
        return error(402, str(told), error_type="payment_required", limit_source="assay_budget")

    @app.exception_handler(ModelHeld)
    async def held(_: Request, told: ModelHeld) -> Response:
        answer = error(429, str(told), error_type="rate_limit_exceeded")
        answer.headers["Retry-After"] = str(max(1, round(told.retry_after_s)))
        return answer

    @app.exception_handler(StoreError)
    async def no_store(_: Request, told: StoreError) -> Response:
        return error(503, str(told))

    @app.exception_handler(AssayError)
    async def other(_: Request, told: AssayError) -> Response:
        return error(400, str(told))
