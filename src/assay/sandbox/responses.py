"""POST /responses, plain and streamed (wire reference 7.10): the answers of chat completions in another shape."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from assay.sandbox.answers import text_of
from assay.sandbox.billing import Bill, Books
from assay.sandbox.catalogue import slug
from assay.sandbox.chat import ConnectionCut, pieces, total_s
from assay.sandbox.config import Fault, SandboxConfig
from assay.sandbox.faults import IN_BODY, error, fault_response
from assay.sandbox.replies import Reply, composed, metadata

OF_RESPONSES = ("input", "instructions", "max_output_tokens", "text", "stream", "store", "previous_response_id")
"""Fields that a chat completion has under another name, or not at all."""
BROKEN = ("error_in_200", "first_event_error", "mid_stream_error", "truncated", "malformed_chunk")


async def responses(request: Request, config: SandboxConfig, books: Books) -> Response:
    """Answers a request of the Responses API."""
    try:
        body = json.loads(await request.body())
    except ValueError:
        return error(400, "The body is not valid JSON")
    chat = as_chat(body) if isinstance(body, dict) else None
    if chat is None:
        return error(400, "Input required: specify input", {"error_type": "invalid_request"})
    if body.get("store") is True or body.get("previous_response_id"):
        return error(400, "This API is stateless: store and previous_response_id are not supported")
    books.requests.append(body)
    reply = composed(chat, config, books)
    if isinstance(reply, Response):
        return reply
    kind = reply.fault.kind if reply.fault else ""
    if reply.fault is not None and kind not in IN_BODY:
        return fault_response(reply.fault, reply.persona)
    if kind == "reset":
        raise ConnectionCut
    if books.spend + reply.bill.cost > config.credits_usd:
        return fault_response(Fault("402_credits"), reply.persona)
    if request.headers.get("x-openrouter-metadata", "").lower() == "enabled":
        reply.metadata = metadata(reply)
    headers = {"X-Generation-Id": reply.id}
    if body.get("stream") is True:
        stream = _Stream(reply, body, config, books)
        return StreamingResponse(stream.events(), media_type="text/event-stream", headers=headers)
    return await _plain(reply, body, config, books, headers)


def as_chat(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """The chat completion that means the same; None where there is no input."""
    messages = _messages(body.get("input"))
    if not messages:
        return None
    if isinstance(body.get("instructions"), str):
        messages.insert(0, {"role": "system", "content": body["instructions"]})
    chat = {name: value for name, value in body.items() if name not in OF_RESPONSES}
    if body.get("max_output_tokens"):
        chat["max_tokens"] = body["max_output_tokens"]
    wanted = body["text"].get("format") if isinstance(body.get("text"), Mapping) else None
    if isinstance(wanted, Mapping) and wanted.get("type") == "json_schema":
        chat["response_format"] = {"type": "json_schema", "json_schema": dict(wanted)}
    return chat | {"messages": messages}


def _messages(given: object) -> list[dict[str, Any]]:
    if isinstance(given, str):
        return [{"role": "user", "content": given}] if given else []
    items = [item for item in given if isinstance(item, Mapping)] if isinstance(given, list) else []
    return [
        {"role": str(item.get("role") or "user"), "content": _content(item.get("content"))}
        for item in items
        if item.get("type", "message") == "message"
    ]


def _content(content: object) -> object:
    """The content of a message: parts of text under their name in chat completions."""
    if not isinstance(content, list):
        return text_of(content)
    texts = ("input_text", "output_text")
    return [
        {
            **part,
            "type": "text" if part.get("type") in texts else str(part.get("type")).replace("input_image", "image_url"),
        }
        for part in content
        if isinstance(part, Mapping)
    ]


async def _plain(
    reply: Reply, body: Mapping[str, Any], config: SandboxConfig, books: Books, headers: Mapping[str, str]
) -> Response:
    kind = reply.fault.kind if reply.fault else ""
    await asyncio.sleep(total_s(reply, config))
    if kind == "stall":
        await asyncio.sleep(3600)
    if kind in ("truncated", "malformed_chunk"):
        return Response('{"id": "gen-1", "output": [{"typ', media_type="application/json", headers=dict(headers))
    if kind in BROKEN:
        return JSONResponse(response_row(reply, body, "failed", output=[]), headers=dict(headers))
    _book(reply, books, streamed=False)
    output = [] if kind == "empty_choices" else _output(reply, "".join(reply.text))
    row = response_row(reply, body, _status(reply), output=output, usage=kind not in ("no_usage", "fabricated"))
    return JSONResponse(row, headers=dict(headers))


def _book(reply: Reply, books: Books, *, streamed: bool, cancelled: bool = False) -> None:
    books.record(
        reply.id,
        reply.bill,
        fingerprint=reply.fingerprint,
        cancelled=cancelled,
        streamed=streamed,
        api_type="responses",
        failed=reply.failed,
    )


def _status(reply: Reply) -> str:
    return "incomplete" if reply.finish == "length" else "completed"


def _output(reply: Reply, text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if reply.reasoning:
        said = {"type": "summary_text", "text": "".join(reply.reasoning)}
        found.append({"id": f"rs_{reply.id[4:]}", "type": "reasoning", "summary": [said]})
    return [*found, _message(reply, text, "completed")]


def _message(reply: Reply, text: str, status: str) -> dict[str, Any]:
    content = [_part(text)] if status == "completed" else []
    return {"id": f"msg_{reply.id[4:]}", "type": "message", "role": "assistant", "status": status, "content": content}


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def usage_of(bill: Bill) -> dict[str, Any]:
    """The usage block in the words of the Responses API."""
    found = bill.usage()
    details = found["prompt_tokens_details"]
    return {
        "input_tokens": bill.prompt_tokens,
        "output_tokens": bill.completion_tokens,
        "total_tokens": found["total_tokens"],
        "cost": found["cost"],
        "is_byok": found["is_byok"],
        "input_tokens_details": {name: details[name] for name in ("cached_tokens", "cache_write_tokens")},
        "output_tokens_details": {"reasoning_tokens": bill.reasoning_tokens},
        "cost_details": bill.cost_details("input", "output"),
    }


def response_row(
    reply: Reply, body: Mapping[str, Any], status: str, *, output: list[dict[str, Any]], usage: bool = True
) -> dict[str, Any]:
    """The response object (wire reference 7.10)."""
    ended = status in ("completed", "incomplete")
    found: dict[str, Any] = {
        "id": reply.id,
        "object": "response",
        "created_at": int(time.time()),
        "completed_at": int(time.time()) if ended else None,
        "model": slug(reply.persona),
        "provider": reply.endpoint.provider,
        "status": status,
        "error": {"code": "server_error", "message": "Upstream idle timeout exceeded"} if status == "failed" else None,
        "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
        "instructions": body.get("instructions"),
        "metadata": body.get("metadata") or {},
        "output": output,
        "output_text": "".join(p["text"] for item in output for p in item.get("content", ())),
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "temperature": body.get("temperature"),
        "top_p": body.get("top_p"),
        "frequency_penalty": None,
        "presence_penalty": None,
        "store": False,
        "max_output_tokens": body.get("max_output_tokens"),
        "service_tier": reply.endpoint.service_tier,
        "usage": usage_of(reply.bill) if ended and usage else None,
    }
    return found | ({"openrouter_metadata": reply.metadata} if reply.metadata and ended else {})


class _Stream:
    """The events of a streamed response, numbered."""

    def __init__(self, reply: Reply, body: Mapping[str, Any], config: SandboxConfig, books: Books) -> None:
        self._reply = reply
        self._body = body
        self._config = config
        self._books = books
        self._number = -1

    def _event(self, kind: str, **more: Any) -> bytes:
        self._number += 1
        event = {"type": kind, "sequence_number": self._number, **more}
        return f"event: {kind}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n".encode()

    def _row(self, status: str, output: list[dict[str, Any]], *, usage: bool = True) -> dict[str, Any]:
        return response_row(self._reply, self._body, status, output=output, usage=usage)

    async def events(self) -> AsyncIterator[bytes]:
        """The events; who hangs up pays what was produced, or everything where the provider cannot stop."""
        reply, kind = self._reply, self._reply.fault.kind if self._reply.fault else ""
        sent, finished, broken = 0, False, (len(reply.text) + len(reply.reasoning)) // 2
        place = {"item_id": f"msg_{reply.id[4:]}", "output_index": 0, "content_index": 0}
        try:
            yield b": OPENROUTER PROCESSING\n\n"
            yield self._event("response.created", response=self._row("in_progress", []))
            if kind == "stall":
                await asyncio.sleep(3600)
            yield self._event("response.in_progress", response=self._row("in_progress", []))
            if kind in ("error_in_200", "first_event_error"):
                finished = True
                yield self._event("response.failed", response=self._row("failed", []))
                return
            yield self._event("response.output_item.added", output_index=0, item=_message(reply, "", "in_progress"))
            yield self._event("response.content_part.added", part=_part(""), **place)
            async for name, text, sent in pieces(reply, self._config, broken if kind in BROKEN else None):  # noqa: B007 - billed in `finally`
                if name == "content":
                    yield self._event("response.output_text.delta", delta=text, logprobs=[], **place)
            if kind == "truncated":
                return
            if kind in BROKEN:
                finished = True
                yield self._event("response.failed", response=self._row("failed", []))
                return
            finished = True
            _book(reply, self._books, streamed=True)
            for event in self._ending(place, usage=kind not in ("no_usage", "fabricated")):
                yield event
        finally:
            if not finished and sent:
                if reply.endpoint.cancels:
                    reply.bill.completion_tokens = sent
                _book(reply, self._books, streamed=True, cancelled=True)

    def _ending(self, place: Mapping[str, Any], *, usage: bool) -> list[bytes]:
        reply, text = self._reply, "".join(self._reply.text)
        done = _message(reply, text, "completed")
        last = "response.incomplete" if reply.finish == "length" else "response.completed"
        return [
            self._event("response.output_text.done", text=text, logprobs=[], **place),
            self._event("response.content_part.done", part=_part(text), **place),
            self._event("response.output_item.done", output_index=0, item=done),
            self._event(last, response=self._row(_status(reply), _output(reply, text), usage=usage)),
            b"data: [DONE]\n\n",
        ]
