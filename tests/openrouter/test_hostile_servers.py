"""Whatever bytes a server sends, a call ends in an answer or in a failure of a known kind, in bounded memory."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from assay.config import Gateway, Settings
from assay.domain.completion import Completion
from assay.domain.messages import CompletionRequest, Message
from assay.openrouter.client import Client
from assay.openrouter.failures import FailureKind, GatewayFailed
from assay.openrouter.habits import END_WAIT_S

MB = 1024 * 1024
KINDS = frozenset(get_args(FailureKind))
JSON = b'{"id":"g","choices":[{"message":{"content":"four"},"finish_reason":"stop"}],"usage":{"cost":0.1}}'
EVENTS = (
    b'data: {"id":"g","choices":[{"delta":{"content":"four"},"finish_reason":"stop"}]}\n\n'
    b'data: {"choices":[],"usage":{"cost":0.1}}\n\ndata: [DONE]\n\n'
)
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Found = Completion | str
REQUEST = CompletionRequest("m", (Message("user", "x"),), {"max_tokens": 10})


async def calls(serve: Serve, *, count: int = 1, stream: bool = False, pause: float = 0, **more: float) -> list[Found]:
    """What comes of calls, one after the other: the answer, or the kind of the failure."""

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client has hung up
        finally:
            writer.close()

    server = await asyncio.start_server(one, "127.0.0.1", 0, limit=MB)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api/v1"
    client = Client(Gateway("openrouter", url, SecretStr("k")), Settings(**more))  # type: ignore[arg-type]
    found: list[Found] = []
    try:
        for _ in range(count):
            try:
                found.append(await client.attempt(REQUEST, stream=stream))
            except GatewayFailed as error:
                found.append(error.failure.kind if str(error.failure) else "")
            await asyncio.sleep(pause)
    finally:
        await client.aclose()
        server.close()
    return found


async def request_of(reader: asyncio.StreamReader) -> bytes:
    """One request's body."""
    head = await reader.readuntil(b"\r\n\r\n")
    size = next((int(x.split(b":")[1]) for x in head.split(b"\r\n") if x.lower().startswith(b"content-length")), 0)
    return await reader.readexactly(size)


def says(*answers: bytes, keep: bool = False) -> Serve:
    """A server that says these bytes to the requests of a connection, in order; keep: and leaves it open then."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await request_of(reader)
            for piece in answer.split(b"|"):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
        if keep:
            await reader.read()

    return serve


def head(*lines: bytes, status: bytes = b"HTTP/1.1 200 OK") -> bytes:
    """A status line and headers."""
    return b"\r\n".join([status, b"Content-Type: application/json", *lines]) + b"\r\n\r\n"


def sized(body: bytes = JSON, *lines: bytes) -> bytes:
    """An answer of a declared length."""
    return head(b"Content-Length: %d" % len(body), *lines) + body


CHUNKED = b"Transfer-Encoding: chunked"
WHOLE = b"%x\r\n%b\r\n" % (len(JSON), JSON)
LEGAL = {
    "extension": head(CHUNKED) + b"%x;name=value\r\n%b\r\n0\r\n\r\n" % (len(JSON), JSON),
    "quoted-extension": head(CHUNKED) + b'%x;a="b;c"\r\n%b\r\n0\r\n\r\n' % (len(JSON), JSON),
    "leading-zeros": head(CHUNKED) + b"000%x\r\n%b\r\n0000\r\n\r\n" % (len(JSON), JSON),
    "upper-case": head(CHUNKED) + (b"%x" % len(JSON)).upper() + b"\r\n" + JSON + b"\r\n0\r\n\r\n",
    "trailers": head(CHUNKED) + WHOLE + b"0\r\nX-Late: 1\r\nX-Later: 2\r\n\r\n",
    "one-byte-chunks": head(CHUNKED) + b"".join(b"1\r\n%c\r\n" % byte for byte in JSON) + b"0\r\n\r\n",
    "interim": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + sized(),
    "http-1.0": b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + JSON,
    "no-reason": b"HTTP/1.1 200\r\nContent-Length: %d\r\n\r\n%b" % (len(JSON), JSON),
    "until-closed": head(b"Connection: close") + JSON,
    "gzip": sized(gzip.compress(JSON), b"Content-Encoding: gzip"),
    "same-header-twice": sized(JSON, b"X-A: 1", b"X-A: 2"),
    "empty-header": sized(JSON, b"X-Empty:"),
    "odd-bytes": sized(JSON, b"X-Odd: \xff\xfe\x80"),
    "many-headers": sized(JSON, *[b"X-%d: %d" % (n, n) for n in range(500)]),
    "byte-by-byte": b"|".join(b"%c" % byte for byte in sized()),
    "cookies": sized(JSON, b"Set-Cookie: a=b; expires=never; domain=\xff", b"Set-Cookie: ==;;"),
    "location": sized(JSON, b"Location: http://[::1/ \xff"),
}


@pytest.mark.parametrize("answer", LEGAL.values(), ids=LEGAL)
def test_odd_but_sound_framing_gives_the_answer(answer: bytes) -> None:
    """Extensions, trailers, interim answers, old versions, odd headers."""
    (found,) = asyncio.run(calls(says(answer)))

    assert isinstance(found, Completion)
    assert found.text == "four"


BROKEN = {
    "negative-size": head(CHUNKED) + b"-5\r\nhello\r\n0\r\n\r\n",
    "huge-size": head(CHUNKED) + b"ffffffffffffffffffff\r\nhello",
    "large-size": head(CHUNKED) + b"7fffffffffffffff\r\nhello",
    "no-size": head(CHUNKED) + b"\r\nhello\r\n",
    "word-for-size": head(CHUNKED) + b"five\r\nhello\r\n0\r\n\r\n",
    "no-line-end": head(CHUNKED) + b"5\r\nhelloworld\r\n0\r\n\r\n",
    "two-lengths": head(b"Content-Length: 5", b"Content-Length: %d" % len(JSON)) + JSON,
    "length-list": head(b"Content-Length: 5, 5") + b"hello",
    "negative-length": head(b"Content-Length: -1") + JSON,
    "word-for-length": head(b"Content-Length: many") + JSON,
    "endless-length": head(b"Content-Length: " + b"9" * 50) + JSON,
    "length-and-chunked": head(b"Content-Length: 5", CHUNKED) + WHOLE + b"0\r\n\r\n",
    "short": head(b"Content-Length: 5000") + JSON,
    "cut-chunks": head(CHUNKED) + WHOLE,
    "cut-head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "nothing": b"",
    "bare-lf": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "no-space": b"HTTP/1.1200 OK\r\n\r\n",
    "not-http": b"SSH-2.0-OpenSSH_9\r\n",
    "old": b"<html>hello</html>",
    "http-2": b"HTTP/2 200 OK\r\n\r\n",
    "status-word": b"HTTP/1.1 OK 200\r\n\r\n",
    "status-000": b"HTTP/1.1 000 No\r\nContent-Length: 2\r\n\r\nok",
    "status-999": head(b"Content-Length: 2", status=b"HTTP/1.1 999 No") + b"ok",
    "switching": b"HTTP/1.1 101 Up\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n\x00\x01",
    "no-content": b"HTTP/1.1 204 None\r\nContent-Length: 5\r\n\r\nhello",
    "not-modified": b"HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\nhello",
    "redirect": head(b"Location: http://169.254.169.254/", b"Content-Length: 0", status=b"HTTP/1.1 302 Go"),
    "nul-in-header": head(b"X-A: a\x00b", b"Content-Length: 2") + b"ok",
    "space-before-colon": head(b"X-A : b", b"Content-Length : 2") + b"ok",
    "only-interim": b"HTTP/1.1 100 Continue\r\n\r\n" * 50,
    "not-json": sized(b"<html>"),
    "json-list": sized(b"[]"),
    "nested": sized(b"[" * 100_000),
    "nested-choices": sized(b'{"choices":' * 50_000),
    "deep-error": sized(b'{"error":' + b'{"a":' * 900 + b"1" + b"}" * 901),
    "long-number": sized(b'{"choices":[{"message":{"content":"x"}}],"usage":{"cost":' + b"9" * 5000 + b"}}"),
    "wrong-gzip": sized(JSON, b"Content-Encoding: gzip"),
    "unknown-coding": sized(JSON, b"Content-Encoding: zstd"),
    "te-gzip": head(b"Transfer-Encoding: gzip") + gzip.compress(JSON),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
def test_broken_answer_is_a_failure_of_a_known_kind(answer: bytes, stream: bool) -> None:
    """Bad framing, two lengths, early ends, what is no HTTP, what is no JSON: never taken for an answer."""
    (found,) = asyncio.run(asyncio.wait_for(calls(says(answer), stream=stream), 20))

    assert found in KINDS


@pytest.mark.parametrize("name", ["folded", "obs-fold-length"])
def test_folded_header_ends_either_way(name: str) -> None:
    """A header that goes on in the next line is joined or refused; it does not swallow the body."""
    line = b"X-A: one\r\n two" if name == "folded" else b"X-A: one\r\n Content-Length: 3"
    (found,) = asyncio.run(calls(says(sized(JSON, line))))

    assert found in KINDS or (isinstance(found, Completion) and found.text == "four")


SURPLUS = sized(JSON.replace(b"four", b"evil"))


@pytest.mark.parametrize("between", [b"", b"|"], ids=["at-once", "apart"])
@pytest.mark.parametrize("surplus", [SURPLUS, SURPLUS[:40], b"garbage", b"\r\n", b"0\r\n\r\n"])
def test_surplus_bytes_are_no_answer_to_the_next_call(surplus: bytes, between: bytes) -> None:
    """What follows a whole answer, whole or in part, answers nobody."""
    found = asyncio.run(calls(says(sized() + between + surplus, sized()), count=2, pause=0.05))

    assert [one.text if isinstance(one, Completion) else one for one in found] == ["four", "four"]


def test_surplus_after_the_end_of_a_stream_is_no_answer_to_the_next_call() -> None:
    """Also while the end of a body is awaited after [DONE]."""
    stream = head(CHUNKED).replace(b"application/json", b"text/event-stream")
    first = stream + b"%x\r\n%b\r\n|0\r\n\r\n|" % (len(EVENTS), EVENTS) + SURPLUS
    found = asyncio.run(calls(says(first, sized()), count=2, stream=True, pause=0.05))

    assert [one.text if isinstance(one, Completion) else one for one in found] == ["four", "four"]


async def endless(first: bytes, more: bytes) -> AsyncIterator[bytes]:
    """Bytes without an end."""
    yield first
    while True:
        yield more


PILE = b"x" * 65_536
STREAM_HEAD = head(CHUNKED).replace(b"application/json", b"text/event-stream")
ENDLESS = {
    "trailers": (head(CHUNKED) + WHOLE + b"0\r\n", b"X-Late: " + PILE + b"\r\n"),
    "small-trailers": (head(CHUNKED) + WHOLE + b"0\r\n", b"a: b\r\n" * 1000),
    "one-trailer": (head(CHUNKED) + WHOLE + b"0\r\nX-Late: ", PILE),
    "head": (b"HTTP/1.1 200 OK\r\n", b"X-More: " + PILE + b"\r\n"),
    "one-header": (b"HTTP/1.1 200 OK\r\nX-More: ", PILE),
    "status-line": (b"HTTP/1.1 200 ", PILE),
    "interim": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "extension": (head(CHUNKED) + b"5;", PILE),
    "size": (head(CHUNKED), b"0" * 65_536),
    "body": (head(), PILE),
    "chunks": (head(CHUNKED), b"10000\r\n%b\r\n" % PILE),
    "error-body": (head(CHUNKED, status=b"HTTP/1.1 500 No"), b"10000\r\n%b\r\n" % PILE),
    "comments": (STREAM_HEAD, b"10000\r\n%b\r\n" % (b": x\n\n" * 13107 + b":")),
    "one-event": (STREAM_HEAD + b"6\r\ndata: \r\n", b"10000\r\n%b\r\n" % PILE),
    "events": (STREAM_HEAD, b"b\r\ndata: {}\n\n\r\n" * 4000),
    "texts": (
        STREAM_HEAD,
        b"".join(
            [
                b"%x\r\n%b\r\n" % (len(e), e)
                for e in [b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n' % (b"y" * 4000)]
            ]
        )
        * 16,
    ),
    "after-done": (STREAM_HEAD + b"%x\r\n%b\r\n" % (len(EVENTS), EVENTS), b"10000\r\n%b\r\n" % PILE),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_endless_answer_ends_in_little_memory(name: str) -> None:
    """Heads, trailers, sizes, bodies, comments and events without an end: cut off, in less than 60 MB."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        async for piece in endless(*ENDLESS[name]):
            writer.write(piece)
            await writer.drain()

    tracemalloc.start()
    (found,) = asyncio.run(asyncio.wait_for(calls(serve, stream=True), 60))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert (isinstance(found, Completion) and found.text == "four") if name == "after-done" else found in KINDS
    assert peak < 60 * MB


@pytest.mark.parametrize("piece", [b"", b"H", b": x\n\n"])
def test_slow_bytes_meet_the_timers(piece: bytes) -> None:
    """A server that says nothing, or a byte now and then, ends at the timer for the first token."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        if piece.startswith(b":"):
            writer.write(STREAM_HEAD)
        while True:
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if piece.startswith(b":") else piece)
            await writer.drain()
            await asyncio.sleep(0.01)

    (found,) = asyncio.run(asyncio.wait_for(calls(serve, stream=True, first_token_timeout_s=0.3), 10))

    assert found in ("first_token_timeout", "reset")


@pytest.mark.parametrize("delay", [0.0, 0.002, 0.02])
def test_server_that_closes_after_each_answer_loses_no_call(delay: float) -> None:
    """It says keep-alive and closes: no request is sent into the closing, and none is sent twice."""
    read = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal read
        await request_of(reader)
        read += 1
        writer.write(sized(JSON, b"Keep-Alive: timeout=5, max=100"))
        await writer.drain()
        await asyncio.sleep(delay)

    found = asyncio.run(calls(serve, count=25))

    assert [one.text if isinstance(one, Completion) else one for one in found] == ["four"] * 25
    assert read == 25


def test_request_that_may_have_arrived_is_not_repeated() -> None:
    """A server that reads a request and closes has perhaps billed it: the client asks once, and says so."""
    read = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal read
        for answer in (sized(), b""):
            await request_of(reader)
            read += 1
            writer.write(answer)

    found = asyncio.run(calls(serve, count=2, pause=0.15))

    assert found[1:] == ["reset"]
    assert read == 2


def test_connection_outlives_an_end_that_comes_late() -> None:
    """The terminal chunk comes by itself after [DONE]: the caller has its answer, and the connection goes on."""
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while await request_of(reader):
            writer.write(STREAM_HEAD + b"%x\r\n%b\r\n" % (len(EVENTS), EVENTS))
            await writer.drain()
            for _ in range(50):  # turns of the loop that both sides share: a time could run out on a busy machine
                await asyncio.sleep(0)
            writer.write(b"0\r\n\r\n")

    found = asyncio.run(calls(serve, count=20, stream=True))

    assert all(isinstance(one, Completion) for one in found)
    assert connections == 1


def test_connection_outlives_a_late_end_on_a_busy_machine() -> None:
    """The end came in time, and the process had no time to read it before its own clock ran out."""
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while await request_of(reader):
            writer.write(STREAM_HEAD + b"%x\r\n%b\r\n" % (len(EVENTS), EVENTS))
            await writer.drain()
            asyncio.get_running_loop().call_later(0.002, time.sleep, 2 * END_WAIT_S)  # holds up all that is due
            await asyncio.sleep(0.003)
            writer.write(b"0\r\n\r\n")

    found = asyncio.run(calls(serve, count=20, stream=True))

    assert all(isinstance(one, Completion) for one in found)
    assert connections == 1


def mutated(draw: Any) -> bytes:
    """A sound answer with some of its bytes changed, doubled or left out."""
    whole = bytearray(draw(st.sampled_from([sized(), STREAM_HEAD + b"%x\r\n%b\r\n0\r\n\r\n" % (len(EVENTS), EVENTS)])))
    for _ in range(draw(st.integers(0, 6))):
        place = draw(st.integers(0, len(whole)))
        whole[place : place + draw(st.integers(0, 8))] = draw(st.binary(max_size=8))
    return bytes(whole)


ANY = st.one_of(st.binary(max_size=400), st.binary(max_size=300).map(sized), st.composite(mutated)())


@settings(max_examples=150)
@given(ANY, st.booleans())
@example(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: [DONE]", True)
def test_any_bytes_end_in_an_answer_or_a_failure_of_a_known_kind(answer: bytes, stream: bool) -> None:
    """Nothing else leaves the client, whatever a server says."""
    (found,) = asyncio.run(calls(says(answer.replace(b"|", b"!")), stream=stream))

    assert isinstance(found, Completion) or found in KINDS


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "message",
                    "delta",
                    "content",
                    "text",
                    "type",
                    "usage",
                    "cost",
                    "error",
                    "code",
                    "metadata",
                    "tool_calls",
                    "function",
                    "arguments",
                    "index",
                    "id",
                    "audio",
                    "images",
                    "reasoning_details",
                    "finish_reason",
                    "previous_errors",
                    "provider",
                    "status",
                    "openrouter_metadata",
                    "attempts",
                    "cost_details",
                    "data",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=150)
@given(st.lists(VALUES, max_size=4), st.booleans(), st.sampled_from([200, 400, 402, 429, 503]))
def test_any_json_ends_in_an_answer_or_a_failure_of_a_known_kind(said: list[Any], stream: bool, status: int) -> None:
    """Every field of every type: wherever a mapping, a list or a number is expected, anything may stand."""
    if stream:
        body = b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in said)
    else:
        body = json.dumps({"choices": said} if len(said) % 2 else said[:1] and said[0]).encode()
    kind = b"text/event-stream" if stream else b"application/json"
    top = b"HTTP/1.1 %d X\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n" % (status, kind, len(body))
    (found,) = asyncio.run(calls(says((top + body).replace(b"|", b"!")), stream=stream))

    assert isinstance(found, Completion) or found in KINDS
