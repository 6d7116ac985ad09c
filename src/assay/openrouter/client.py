"""One async client over one connection pool: single attempts, catalogue and account calls (wire reference 1-7)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import httpx
import orjson

from assay import __version__
from assay.config import Gateway, Settings
from assay.domain.completion import Completion
from assay.domain.messages import CompletionRequest
from assay.openrouter.assembly import StreamAssembly, parse_json, read_body
from assay.openrouter.attempt import Attempt, OnBytes, OnDelta, OnHeaders, Said
from assay.openrouter.decoding import ACCEPTED
from assay.openrouter.failures import (
    FailureKind,
    GatewayFailed,
    classify_error,
    classify_http,
    failure_of,
    wants_other_limit,
)
from assay.openrouter.posting import Answer, HttpxAnswer, poster_over
from assay.openrouter.redaction import Redactor, secrets_of
from assay.openrouter.sse import SSEReader
from assay.openrouter.transport import checked_base_url, kind_of_transport_error, pooled_transport
from assay.openrouter.usage import cost_of, parse_usage
from assay.openrouter.wire_values import amount_of, id_of, text_of

ANSWER_LIMIT = 8 * 1024 * 1024
"""Bytes of one answer at most."""
MOST_COMMENTS = 20_000
"""Keep-alive comments in one stream at most: hours of them."""
REPLY_LIMIT = 256 * 1024 * 1024
"""Bytes of a catalogue or of a batch's results at most."""
ENDING_S = 2.0
"""Seconds that [DONE], or what follows an error, is waited for once nothing else is missing."""
USAGE_S = 20.0
"""Seconds that the usage is waited for after a stream's finish reason, as long as its connection stands."""
PAGE = 1000
MOST_PAGES = 100
"""Pages of the catalogue at most."""
_OPENROUTER_ONLY = frozenset({"provider", "models", "plugins", "session_id"})
_BROKEN = (httpx.HTTPError, OSError)


class Client:
    """Speaks to one gateway. Every method is for one event loop; none of them retries.

    transport: another transport under httpx, for tests of odd wire shapes.
    Raises SettingsError when the gateway's base URL is not safe to send a key to.
    """

    def __init__(
        self, gateway: Gateway, settings: Settings, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self.gateway = gateway
        self._settings = settings
        self._renamed: set[str] = set()
        """Models that take `max_completion_tokens` in place of `max_tokens`."""
        self.redactor = Redactor(secrets_of(settings, gateway))
        self._base = checked_base_url(gateway.base_url, has_key=gateway.api_key is not None)
        self._transport = transport or pooled_transport()
        headers = {"User-Agent": f"assay/{__version__}", "Accept-Encoding": ACCEPTED}
        if gateway.speaks_openrouter:
            headers |= {
                "HTTP-Referer": settings.app_url,
                "X-OpenRouter-Title": "Assay",
                "X-OpenRouter-Metadata": "enabled",
                "X-OpenRouter-Cache": "false",
            }
        timeout = httpx.Timeout(None, connect=settings.connect_timeout_s)
        self._http = httpx.AsyncClient(
            transport=self._transport,
            follow_redirects=False,
            trust_env=False,  # proxies of the environment are the transport's business
            timeout=timeout,
            headers=headers,
        )
        # Completions go to the transport without the client's layers (redirects, cookies, auth flows), which cost
        # as much CPU as the rest of a call and must not act here anyway.
        url = httpx.URL(f"{self._base}/chat/completions")
        asking = [
            ("Host", url.netloc.decode("ascii")),
            ("Accept", "*/*"),
            ("Content-Type", "application/json"),
            *headers.items(),
            *self._headers().items(),
        ]
        self._completions = poster_over(self._transport, url, httpx.Headers(asking), timeout)

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    def _headers(self, *, management: bool = False) -> dict[str, str]:
        key = self.gateway.management_key if management else None
        key = key or self.gateway.api_key
        return {"Authorization": f"Bearer {key.get_secret_value().strip()}"} if key else {}

    # -- completions -------------------------------------------------------------------------------------------

    async def attempt(
        self,
        request: CompletionRequest,
        *,
        stream: bool = True,
        on_delta: OnDelta | None = None,
        on_headers: OnHeaders | None = None,
        on_bytes: OnBytes | None = None,
    ) -> Completion:
        """One attempt at a completion; cancelling the task closes the connection.

        on_delta: called with each piece of text and of reasoning. on_headers: called with the generation id as soon
        as the headers are there, None when they hold none. on_bytes: called with each piece of a stream as it came.
        Raises GatewayFailed, with what had arrived as `partial`.
        """
        said = Said(self.redactor, on_delta, on_bytes)
        try:
            found = await self._timed(request, stream, said, on_headers)
            return self.redactor.completion(found)
        except GatewayFailed as error:
            raise self.redactor.failed(error) from None
        except RecursionError:
            raise GatewayFailed(failure_of("malformed", detail="its JSON is nested too deeply")) from None
        finally:
            said.close()

    async def _timed(
        self, request: CompletionRequest, stream: bool, said: Said, on_headers: OnHeaders | None
    ) -> Completion:
        loop = asyncio.get_running_loop()
        started = loop.time()
        total_at = started + self._settings.total_timeout_s
        first_at = min(total_at, started + self._settings.first_token_timeout_s) if stream else total_at
        state = Attempt(started=started, total_at=total_at)
        try:
            async with asyncio.timeout_at(first_at) as timer:
                state.timer = timer
                return await self._exchange(request, stream, state, said, on_headers)
        except TimeoutError:
            return self._ended(state, self._timeout_kind(stream, state))
        except _BROKEN as error:
            raise self._failed(kind_of_transport_error(error), state, detail=self._reason(error)) from None

    def _timeout_kind(self, stream: bool, state: Attempt) -> FailureKind:
        if not stream or asyncio.get_running_loop().time() >= state.total_at - 0.001:
            return "timeout"
        return "silence_timeout" if state.first_token_ms is not None else "first_token_timeout"

    def _ended(self, state: Attempt, otherwise: FailureKind, *, detail: str = "") -> Completion:
        """What has come of a stream that goes no further, where that is a complete answer.

        Raises GatewayFailed: the failure that the stream told itself, or else that of the way in which it ended.
        """
        assembly = state.assembly
        if assembly is None:
            raise self._failed(otherwise, state, detail=detail)
        failure = assembly.verdict()
        if failure is None:
            return state.completion(assembly)
        if assembly.failure is None:
            raise self._failed(otherwise, state, detail=detail)
        partial = state.completion(assembly)
        raise GatewayFailed(failure, partial=partial, generation_id=partial.generation_id)

    def _failed(self, kind: FailureKind, state: Attempt, *, detail: str = "") -> GatewayFailed:
        partial = state.partial()
        return GatewayFailed(failure_of(kind, detail=detail), partial=partial, generation_id=state.generation_id)

    async def _exchange(
        self,
        request: CompletionRequest,
        stream: bool,
        state: Attempt,
        said: Said,
        on_headers: OnHeaders | None,
    ) -> Completion:
        try:
            return await self._exchanged(request, stream, state, said, on_headers)
        except GatewayFailed as error:
            # It was refused unread: the same request under the other name is the first that can be answered.
            if self.gateway.speaks_openrouter or request.model in self._renamed or not wants_other_limit(error.body):
                raise
        self._renamed.add(request.model)
        return await self._exchanged(request, stream, state, said, on_headers)

    async def _exchanged(
        self, request: CompletionRequest, stream: bool, state: Attempt, said: Said, on_headers: OnHeaders | None
    ) -> Completion:
        answer = await self._completions.post(_encoded(self._body(request, stream)))
        try:
            state.generation_id = self._id(answer.header("x-generation-id"))
            if on_headers is not None:
                on_headers(state.generation_id)
            if answer.status != 200:
                body = await self._read(answer, state)
                failure = classify_http(answer.status, answer.headers, body)
                raise GatewayFailed(failure, generation_id=state.generation_id, status=answer.status, body=body)
            # The answer's own type decides: errors raised before the stream began come as JSON (reference 1.3).
            if "event-stream" in (answer.header("content-type") or ""):
                return await self._stream(answer, state, said)
            return self._plain(await self._read(answer, state), state)
        finally:
            await answer.aclose(ended=state.assembly is not None and state.assembly.done)

    async def _read(self, answer: Answer, state: Attempt) -> bytes:
        """The body, without keys. Raises GatewayFailed past the limit of an answer."""
        body = await _joined(answer.chunks(), ANSWER_LIMIT)
        if body is None:
            raise GatewayFailed(failure_of("too_large"), generation_id=state.generation_id)
        return self.redactor.body(body)

    def _id(self, header: str | None) -> str | None:
        found = id_of(header)
        return None if found is None or self.redactor.holds(found) else found

    def _reason(self, error: Exception) -> str:
        """What the transport said."""
        return " ".join(self.redactor.text(str(error)).split())[:160] or type(error).__name__

    def _assembly(self, state: Attempt) -> StreamAssembly:
        state.assembly = StreamAssembly(generation_id=state.generation_id, clean=self.redactor.value)
        return state.assembly

    def _body(self, request: CompletionRequest, stream: bool) -> dict[str, Any]:
        """The body as this gateway takes it: plain OpenAI endpoints know no routing, and tell usage on request only."""
        body = request.body(stream=stream)
        if not self.gateway.speaks_openrouter:
            for name in _OPENROUTER_ONLY & body.keys():
                del body[name]
            if stream:
                body["stream_options"] = {"include_usage": True}
            if request.model in self._renamed and "max_tokens" in body:
                body["max_completion_tokens"] = body.pop("max_tokens")
        return body

    def _plain(self, body: bytes, state: Attempt) -> Completion:
        try:
            parsed = parse_json(body)
        except ValueError:
            parsed = None
        if not isinstance(parsed, Mapping):
            if body.lstrip()[:5] in (b"data:", b": OPE"):  # a stream that calls itself something else
                return self._whole_stream(body, state)
            raise GatewayFailed(
                failure_of("malformed", detail="the body is not JSON"), generation_id=state.generation_id
            )
        completion, failure = read_body(parsed, generation_id=state.generation_id)
        completion = replace(completion, total_ms=state.total_ms, body=body)
        if failure is not None:
            raise GatewayFailed(
                failure, partial=completion, generation_id=completion.generation_id, status=200, body=body
            )
        return completion

    def _whole_stream(self, body: bytes, state: Attempt) -> Completion:
        reader, assembly = SSEReader(), self._assembly(state)
        assembly.add(reader.feed(body))
        assembly.add(reader.close(), cut=True)
        return self._finished(state, assembly)

    def _finished(self, state: Attempt, assembly: StreamAssembly) -> Completion:
        """The completion of a stream whose last byte came. Raises GatewayFailed."""
        completion = state.completion(assembly)
        failure = assembly.verdict()
        if failure is not None:
            raise GatewayFailed(failure, partial=completion, generation_id=completion.generation_id)
        return completion

    async def _stream(self, answer: Answer, state: Attempt, said: Said) -> Completion:
        reader, assembly = SSEReader(), self._assembly(state)
        unread: list[bytes] = []  # what came before the first event: a body that calls itself a stream and is none
        try:
            async for chunk in answer.chunks():
                said.bytes_came(chunk)
                if not assembly.events:
                    unread.append(chunk)
                self._take(reader.feed(chunk), assembly, state, said)
                if reader.size > ANSWER_LIMIT or reader.comments > MOST_COMMENTS:
                    raise self._failed("too_large", state)
                if assembly.done:
                    break
        except _BROKEN as error:
            self._take(reader.close(), assembly, state, said, cut=True)
            return self._ended(state, "truncated", detail=self._reason(error))
        self._take(reader.close(), assembly, state, said, cut=True)
        if not assembly.events and not assembly.done and (body := b"".join(unread)).lstrip()[:1] == b"{":
            return self._plain(body, state)
        return self._finished(state, assembly)

    def _take(
        self, events: list[bytes], assembly: StreamAssembly, state: Attempt, said: Said, *, cut: bool = False
    ) -> None:
        if not events:
            return
        came = assembly.add(events, cut=cut)
        said.pieces_came(came)
        if came and not assembly.done:
            state.token_came(self._settings.silence_timeout_s)
        elif came:
            state.note_first_token()
        if not assembly.done and (assembly.ended or assembly.failure is not None):
            # Neither [DONE] nor the end of the body need ever come: the answer is not held for them.
            known = assembly.has_usage or assembly.failure is not None
            state.wait_at_most(ENDING_S if known else USAGE_S)

    # -- catalogue and account ---------------------------------------------------------------------------------

    async def models(self, *, output_modalities: str = "all", only_mine: bool = False) -> list[Mapping[str, Any]]:
        """The rows of the model catalogue, all pages; only_mine: as the account's settings filter them."""
        path = "/models/user" if only_mine else "/models"
        body = await self._get(path, params={"output_modalities": output_modalities})
        rows = _rows(body)
        total = body.get("total_count")
        for _ in range(MOST_PAGES):
            if not isinstance(total, int) or len(rows) >= total or not _object(body.get("links")).get("next"):
                break
            query = {"output_modalities": output_modalities, "offset": str(len(rows)), "limit": str(PAGE)}
            body = await self._get(path, params=query)
            page = _rows(body)
            if not page:
                break
            rows += page
        return rows

    async def endpoints(self, model_id: str) -> Mapping[str, Any]:
        """A model with its endpoints: price, quantization, uptime, latency and throughput of every provider."""
        author, _, slug = model_id.partition("/")
        body = await self._get(f"/models/{_quoted(author)}/{_quoted(slug)}/endpoints")
        return _object(body.get("data"))

    async def providers(self) -> list[Mapping[str, Any]]:
        """All providers with their policies."""
        return _rows(await self._get("/providers"))

    async def zdr_endpoints(self) -> list[Mapping[str, Any]]:
        """The endpoints that retain nothing."""
        return _rows(await self._get("/endpoints/zdr"))

    async def generation(self, generation_id: str) -> Mapping[str, Any] | None:
        """The record of a generation: what was billed. None while it is not written yet (about 30 s).

        A total cost that is no cost is None.
        """
        try:
            body = await self._get("/generation", params={"id": generation_id})
        except GatewayFailed as error:
            if error.failure.http_status == 404:
                return None
            raise
        found = _object(body.get("data"))
        told = {"total_cost": amount_of(found.get("total_cost")), "provider_name": text_of(found.get("provider_name"))}
        return {**found, **told}

    async def key(self) -> Mapping[str, Any]:
        """The facts of the inference key: limit, usage, free requests of the day. Costs nothing."""
        return _object((await self._get("/key")).get("data"))

    async def credits(self) -> Mapping[str, Any]:
        """Credits bought and used, in USD; needs the management key."""
        return _object((await self._get("/credits", management=True)).get("data"))

    async def activity(self, date: str | None = None) -> list[Mapping[str, Any]]:
        """Spend by day, model and endpoint over the last 30 completed UTC days; needs the management key."""
        return _rows(await self._get("/activity", params={"date": date} if date else None, management=True))

    async def embed(
        self, model: str, texts: str | list[Any], *, params: Mapping[str, Any], provider: Mapping[str, Any]
    ) -> Completion:
        """Embeddings of texts as a completion without text, whose body is the gateway's answer.

        Raises GatewayFailed.
        """
        asked = {"model": model, "input": texts, **params}
        if provider and self.gateway.speaks_openrouter:
            asked["provider"] = dict(provider)
        kept: list[bytes] = []

        def keep(said: bytes) -> Any:
            kept.append(said)
            return orjson.loads(said)  # a million numbers: exact ones would take seconds of the engine's loop

        started = asyncio.get_running_loop().time()
        answer = await self._call("POST", "/embeddings", content=_encoded(asked), parse=keep)
        if not isinstance(answer.get("data"), list):
            raise GatewayFailed(failure_of("empty", detail="the answer holds no embeddings"))
        usage = parse_usage(answer.get("usage"))
        taken_ms = (asyncio.get_running_loop().time() - started) * 1000
        generation, answered = id_of(answer.get("id")), text_of(answer.get("model"))
        return Completion(
            "", "stop", usage, cost_of(usage), model=answered, generation_id=generation, total_ms=taken_ms, body=kept[0]
        )

    async def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
        timeout_s: float = 60.0,
        beta: bool = False,
    ) -> Mapping[str, Any]:
        """A JSON call of an endpoint that has a module of its own; beta: below /beta instead of /v1.

        Raises GatewayFailed.
        """
        base = f"{self._base.removesuffix('/v1')}/beta" if beta else self._base
        return await self._call(method, path, base=base, params=params, content=content, timeout_s=timeout_s)

    async def _get(
        self, path: str, *, params: Mapping[str, str] | None = None, management: bool = False
    ) -> Mapping[str, Any]:
        return await self._call("GET", path, params=params, management=management)

    async def _call(
        self,
        method: str,
        path: str,
        *,
        base: str | None = None,
        params: Mapping[str, str] | None = None,
        json_body: Mapping[str, Any] | None = None,
        content: bytes | None = None,
        management: bool = False,
        timeout_s: float = 60.0,
        parse: Callable[[bytes], Any] = parse_json,
    ) -> Mapping[str, Any]:
        """A JSON call. Raises GatewayFailed for every way in which it can fail."""
        loop = asyncio.get_running_loop()
        state = Attempt(started=loop.time(), total_at=loop.time() + timeout_s)
        headers = self._headers(management=management)
        if content is not None:
            headers["Content-Type"] = "application/json"
        try:
            async with asyncio.timeout_at(state.total_at):
                request = self._http.build_request(
                    method, (base or self._base) + path, params=params, json=json_body, content=content, headers=headers
                )
                response = await self._http.send(request, stream=True)
                try:
                    said = await _joined(HttpxAnswer(response).chunks(), REPLY_LIMIT)
                finally:
                    await response.aclose()
        except TimeoutError:
            raise self._failed("timeout", state) from None
        except _BROKEN as error:
            raise self._failed(kind_of_transport_error(error), state, detail=self._reason(error)) from None
        if said is None:
            raise GatewayFailed(failure_of("too_large", detail=f"{path} answered with too much"))
        said = self.redactor.body(said)
        if response.status_code not in (200, 202):
            failure = classify_http(response.status_code, response.headers, said)
            raise GatewayFailed(failure, status=response.status_code, body=said)
        try:
            body = parse(said)
        except ValueError:
            body = None
        if not isinstance(body, Mapping):
            raise GatewayFailed(failure_of("malformed", detail=f"{path} did not answer with JSON"))
        if body.get("error"):
            raise GatewayFailed(classify_error(body["error"]))
        return body


def _encoded(body: Mapping[str, Any]) -> bytes:
    """The JSON of a body; what is no Unicode text becomes a question mark."""
    try:
        return orjson.dumps(body)
    except TypeError:  # lone surrogates, integers beyond 64 bits
        return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")


async def _joined(chunks: AsyncIterator[bytes], most: int) -> bytes | None:
    """A body as a whole; None: it has more bytes than that."""
    parts, size = [], 0
    async for chunk in chunks:
        size += len(chunk)
        if size > most:
            return None
        parts.append(chunk)
    return b"".join(parts)


def _quoted(part: str) -> str:
    return quote(part, safe=":", errors="replace")


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _rows(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    data = body.get("data")
    return [row for row in data if isinstance(row, Mapping)] if isinstance(data, list) else []
