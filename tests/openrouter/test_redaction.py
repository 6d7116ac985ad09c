"""A key that a gateway echoes leaves the client layer in no text, no bytes and no piece of either."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from assay.config import Gateway, Settings
from assay.domain.completion import Completion
from assay.domain.messages import CompletionRequest, Message
from assay.openrouter.client import Client
from assay.openrouter.failures import GatewayFailed
from assay.openrouter.redacted_stream import PassedOn
from assay.openrouter.redaction import GONE, Pieces, Redactor

KEY = "sk-or-v1-c0ffee15900dfeedfacec0de8badf00dCANARYcafebabedeadbeef0123456789abcdef"
OTHER = "manage/ment+key=with&odd%characters-7f6e5d4c"
HIDDEN = KEY.removeprefix("sk-or-v1-")
REDACTOR = Redactor([KEY, OTHER])


def leaks(said: str) -> bool:
    """Whether twelve characters of a key in a row, or its common encodings, stand in a text."""
    unescaped = said.encode().decode("unicode_escape", "replace")
    return any(
        secret[place : place + 12] in text
        for text in (said, unescaped)
        for secret in (HIDDEN, OTHER, HIDDEN.encode().hex())
        for place in range(len(secret) - 11)
    )


WAYS: dict[str, Callable[[str], str]] = {
    "plain": lambda key: f"Authorization: Bearer {key}",
    "alone": lambda key: key,
    "cut": lambda key: key[:40],
    "tail": lambda key: key[-30:],
    "percent": lambda key: quote(key, safe=""),
    "percent-all": lambda key: "".join(f"%{byte:02X}" for byte in key.encode()),
    "hex": lambda key: key.encode().hex(),
    "base64": lambda key: base64.b64encode(key.encode()).decode(),
    "base64-bearer": lambda key: base64.b64encode(f"Bearer {key}".encode()).decode(),
    "base64-basic": lambda key: base64.b64encode(f"ab:{key}".encode()).decode(),
    "escaped": lambda key: "".join(f"\\u{ord(c):04x}" for c in key),
    "in-json": lambda key: json.dumps({"headers": {"authorization": f"Bearer {key}"}}),
}


@pytest.mark.parametrize("key", [KEY, OTHER])
@pytest.mark.parametrize("way", WAYS)
def test_key_is_taken_out_however_it_is_written(way: str, key: str) -> None:
    """As it is, cut short, encoded; what stands around it stays."""
    written = WAYS[way](key)
    found = REDACTOR.text(f"before {written} after")

    assert found.startswith("before ")
    assert found.endswith(" after")
    assert GONE in found
    assert not leaks(found)


def test_what_is_no_key_stays() -> None:
    """The beginning that all keys have, masked keys, and words that serve as keys of local servers."""
    for text in ("Keys begin with sk-or-v1- here", "sk-or-v1-c0f...def", "the capital of France", "ollama EMPTY"):
        assert REDACTOR.text(text) == text
    assert Redactor(["ollama", "EMPTY", "no-key-needed", "k", ""]).forms == []


def test_text_full_of_keys_takes_no_longer_than_its_length_asks() -> None:
    """An answer of megabytes that is nothing but cut keys does not stop the engine's loop."""
    started = time.process_time()
    found = REDACTOR.text(f"{KEY[:-1]} " * 60_000)

    assert time.process_time() - started < 5
    assert not leaks(found[:1000])


def test_json_nested_as_deep_as_a_parser_takes_is_read() -> None:
    """Its texts are looked through without a stack of their own."""
    nested: object = "A"
    for _ in range(1000):
        nested = [nested]

    assert REDACTOR.value(nested) is nested


def test_key_deep_in_json_is_taken_out() -> None:
    """Hundreds of levels end in no error, and the key is gone."""
    body = b'{"a":' * 450 + json.dumps(KEY).encode() + b"}" * 450

    assert not leaks(REDACTOR.body(body).decode())
    assert REDACTOR.body(body.replace(KEY.encode(), b"x")) == body.replace(KEY.encode(), b"x")


@given(st.lists(st.integers(0, len(KEY) + 20), max_size=80))
def test_key_in_pieces_is_taken_out_at_every_split(cuts: list[int]) -> None:
    """Whatever is shown as it comes, joined, holds no key and loses nothing else."""
    text = f"The key: {KEY} - so."
    places = [0, *sorted(cuts), len(text)]
    pieces = Pieces(REDACTOR)
    shown = [pieces.add(text[a:b]) for a, b in itertools.pairwise(places)] + [pieces.flush()]

    assert "".join(shown) == f"The key: {GONE} - so."


@given(st.lists(st.integers(0, len(KEY) + 10), max_size=20), st.integers(1, 40))
def test_key_in_a_stream_that_is_passed_on_is_taken_out(cuts: list[int], size: int) -> None:
    """Split over deltas and over segments: the events stay events, and the text is whole but for the key."""
    text = f"Key: {KEY}, yes"
    places = [0, *sorted(cut for cut in cuts if cut <= len(text)), len(text)]
    events = [{"choices": [{"delta": {"content": text[a:b]}}]} for a, b in itertools.pairwise(places)]
    stream = b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in events)
    stream = b": " + KEY.encode() + b"\n\n" + stream + b"data: [DONE]\n\n"
    came: list[bytes] = []
    passed_on = PassedOn(REDACTOR, came.append)
    for place in range(0, len(stream), size):
        passed_on.add(stream[place : place + size])
    passed_on.close()

    lines = b"".join(came).decode().split("\n\n")
    said = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    assert not leaks(b"".join(came).decode())
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in said) == f"Key: {GONE}, yes"
    assert lines[-2] == "data: [DONE]"


def test_stream_without_a_key_is_passed_on_byte_for_byte() -> None:
    """Whatever its line ends and comments."""
    stream = (
        b': OPENROUTER PROCESSING\r\n\r\ndata: {"choices":[{"delta":{"content":"\\u00e9 x"}}]}\r\n\r\ndata:[DONE]\n\n'
    )
    came: list[bytes] = []
    passed_on = PassedOn(REDACTOR, came.append)
    for place in range(0, len(stream), 7):
        passed_on.add(stream[place : place + 7])
    passed_on.close()

    assert b"".join(came) == stream


def everything(value: object) -> str:
    """All that an answer or a failure holds, as one text."""
    if isinstance(value, GatewayFailed):
        return (
            f"{value!r} {value} {value.cure} {value.failure!r} {value.partial!r} {value.generation_id} {value.body!r}"
        )
    assert isinstance(value, Completion)
    return f"{value!r} {value.body!r} {value.output} {value.note}"


async def outcome(answer: bytes, *, stream: bool) -> tuple[Completion | GatewayFailed, str]:
    """What the client makes of these bytes, and what it told on the way."""
    told: list[object] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api/v1"
    client = Client(Gateway("openrouter", url, SecretStr(KEY), SecretStr(OTHER)), Settings())
    hooks: dict[str, Any] = {"on_delta": lambda *said: told.extend(said), "on_headers": told.append}
    try:
        request = CompletionRequest("m", (Message("user", "x"),))
        return await client.attempt(request, stream=stream, on_bytes=told.append, **hooks), repr(told)
    except GatewayFailed as error:
        return error, repr(told)
    finally:
        await client.aclose()
        server.close()


def plain(body: bytes, status: bytes = b"200 OK", *headers: bytes) -> bytes:
    """The bytes of an answer that is JSON."""
    lines = [b"HTTP/1.1 " + status, b"Content-Type: application/json", b"Connection: close", *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def sse(*chunks: object) -> bytes:
    """The bytes of an answer that is a stream."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    return head + b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks) + b"data: [DONE]\n\n"


BEARER = f"Bearer {KEY}"
ANSWER = {"choices": [{"message": {"content": "A"}, "finish_reason": "stop"}], "usage": {"cost": 0.1}}
PLACES: dict[str, bytes] = {
    "error": plain(json.dumps({"error": {"code": 401, "message": f"bad key {BEARER}"}}).encode(), b"401 No"),
    "error-cut": plain(json.dumps({"error": {"code": 400, "message": "x" * 250 + BEARER}}).encode(), b"400 No"),
    "error-text": plain(BEARER.encode(), b"400 No"),
    "reason-phrase": plain(b"{}", b"500 " + KEY.encode()),
    "provider": plain(json.dumps({"error": {"code": 502, "metadata": {"provider_name": BEARER}}}).encode(), b"502 No"),
    "before": plain(
        json.dumps({"error": {"code": 502, "metadata": {"previous_errors": [{"provider": KEY}]}}}).encode(), b"502 No"
    ),
    "resets": plain(json.dumps({"error": {"code": 403, "metadata": {"resets_at": KEY}}}).encode(), b"403 No"),
    "encoding": plain(b"x", b"200 OK", b"Content-Encoding: " + KEY.encode()),
    "id-header": plain(json.dumps(ANSWER).encode(), b"200 OK", b"X-Generation-Id: " + KEY.encode()),
    "id-body": plain(json.dumps(ANSWER | {"id": KEY}).encode()),
    "model": plain(json.dumps(ANSWER | {"model": KEY, "provider": BEARER}).encode()),
    "usage": plain(json.dumps(ANSWER | {"usage": {"cost": 0.1, "cost_details": {KEY: BEARER}}}).encode()),
    "escaped": plain(
        json.dumps(ANSWER | {"debug": "K"})
        .encode()
        .replace(b'"K"', b'"%b"' % b"".join(b"\\u%04x" % byte for byte in KEY.encode()))
    ),
    "not-http": b"HTTP/9 " + KEY.encode() + b"\r\n\r\n",
    "stream-text": sse(
        {"choices": [{"delta": {"content": KEY[:30]}}]},
        {"choices": [{"delta": {"content": KEY[30:]}}]},
        {"choices": [{"delta": {}, "finish_reason": "stop"}]},
    ),
    "stream-finish": sse({"choices": [{"delta": {"content": "A"}, "finish_reason": KEY, "native_finish_reason": KEY}]}),
    "stream-error": sse(
        {"choices": [{"delta": {"content": "A"}}]}, {"error": {"code": 502, "message": "x" * 250 + KEY}}
    ),
    "stream-tool": sse(
        {
            "choices": [
                {
                    "delta": {"tool_calls": [{"id": KEY, "function": {"name": KEY, "arguments": KEY}}]},
                    "finish_reason": "tool_calls",
                }
            ]
        }
    ),
    "stream-attempts": sse(
        {
            "choices": [{"delta": {"content": "A"}, "finish_reason": "stop"}],
            "openrouter_metadata": {"attempts": [{"provider": BEARER, "status": KEY}]},
        }
    ),
    "stream-cut": sse({"choices": [{"delta": {"content": KEY}}]})[:-60],
}


@pytest.mark.parametrize("place", PLACES)
def test_echoed_key_leaves_the_client_nowhere(place: str) -> None:
    """In bodies, headers, messages, names, ids, usage, finish reasons, tool calls; cut at our own limits too."""
    found, told = asyncio.run(outcome(PLACES[place], stream=place.startswith("stream")))

    assert not leaks(everything(found))
    assert not leaks(told)


def test_echoed_key_is_in_no_answer_about_the_account() -> None:
    """Catalogue, key and endpoints go through the same place."""

    async def ask() -> object:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(plain(json.dumps({"data": {"label": KEY, "nested": [{KEY: BEARER}]}}).encode()))
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api/v1"
        client = Client(Gateway("openrouter", url, SecretStr(KEY)), Settings())
        found = await client.key()
        await client.aclose()
        server.close()
        return found

    assert not leaks(repr(asyncio.run(ask())))
