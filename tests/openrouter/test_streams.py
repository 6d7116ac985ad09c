"""When a stream is a complete answer, and that nothing of it is lost: odd ends, odd fields, any split of the bytes."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from odd_gateway import DONE, Chunk, OddGateway, Script, delta, end, tool, usage
from pydantic import SecretStr

from assay.config import Gateway, Settings
from assay.domain.completion import Completion
from assay.domain.messages import CompletionRequest, Message
from assay.openrouter.assembly import StreamAssembly, read_body
from assay.openrouter.client import Client
from assay.openrouter.failures import Failure, GatewayFailed
from assay.openrouter.sse import SSEReader


def asked(model: str, **scripts: Script) -> Completion:
    """What the client makes of a model's answer; a failure is raised."""

    async def ask(url: str) -> Completion:
        client = Client(Gateway("openrouter", url, SecretStr("k")), Settings())
        try:
            return await client.attempt(CompletionRequest(model, (Message("user", "SAY:hello"),)))
        finally:
            await client.aclose()

    with OddGateway(**scripts) as gateway:
        return asyncio.run(ask(gateway.base_url))


def wire(chunks: list[Chunk]) -> bytes:
    """The bytes of a stream."""
    lines = [chunk if isinstance(chunk, bytes) else json.dumps(chunk).encode() for chunk in chunks]
    return b"".join(b"data: %b\n\n" % line for line in lines)


def read(pieces: list[bytes]) -> tuple[Completion, Failure | None]:
    """What comes of a stream that arrived in these pieces, and then ended."""
    reader, assembly = SSEReader(), StreamAssembly()
    for piece in pieces:
        assembly.add(reader.feed(piece))
    assembly.add(reader.close(), cut=True)
    return assembly.completion(), assembly.verdict()


def whole(*chunks: Chunk) -> Completion:
    """The completion of a stream that must be complete."""
    completion, failure = read([wire(list(chunks))])
    assert failure is None
    return completion


@pytest.mark.parametrize("model", ["nofinish", "nodone", "usageonly", "doneonly", "finishonly"])
def test_stream_with_one_sign_of_its_end_is_complete(model: str) -> None:
    """[DONE], a finish reason or a last chunk of usage alone: any one will do after an answer."""
    assert asked(f"t/{model}").text == "Paris"


def test_stream_without_any_sign_of_its_end_is_truncated() -> None:
    """Text, or text with usage beside every piece, and then nothing."""
    for model in ("t/cut", "t/usageeachcut"):
        with pytest.raises(GatewayFailed) as caught:
            asked(model)
        assert caught.value.failure.kind == "truncated"
        assert caught.value.partial is not None
        assert caught.value.partial.text.startswith("Pa")


@pytest.mark.parametrize("ending", [[DONE], [delta(content=""), DONE], [{"choices": [], "usage": usage()}]])
def test_end_without_an_answer_is_truncated(ending: list[Chunk]) -> None:
    """[DONE] or usage after thinking alone, without a finish reason, is no answer."""
    _, failure = read([wire([delta(reasoning="Hm"), *ending])])

    assert failure is not None
    assert failure.kind == "truncated"


@pytest.mark.parametrize("chunks", [[], [{"choices": []}], [{"choices": [], "usage": usage(cost=0.0003)}]])
def test_whole_stream_without_choices_is_empty(chunks: list[Chunk]) -> None:
    """As a plain answer without choices is: nothing broke off, and what it cost is kept where it was told."""
    completion, failure = read([wire([*chunks, DONE])])

    assert failure is not None
    assert failure.kind == "empty"
    assert completion.cost.pico == (300_000_000 if chunks and "usage" in chunks[0] else None)


def test_last_usage_counts() -> None:
    """A server that counts on in every chunk ends with the whole bill."""
    found = asked("t/usageeach")

    assert (found.text, found.cost.pico) == ("Paris", 106_000_000)


def test_refusal_is_the_answer_and_says_so() -> None:
    """A refusal may be the only text: it is shown, and told apart from an answer."""
    found = asked("t/refusal")

    assert (found.text, found.refusal, found.output) == ("", "I cannot help.", "I cannot help.")
    assert found.note == "The model refused."


def test_calls_under_one_index_with_two_ids_are_two() -> None:
    """Both calls are kept, and shown where there is no text."""
    found = asked("t/tools")

    assert [(c["id"], json.loads(c["function"]["arguments"])) for c in found.tool_calls] == [
        ("c1", {"city": "Lima"}),
        ("c2", {"city": "Oslo"}),
    ]
    assert json.loads(found.output) == list(found.tool_calls)
    assert "2 tools" in found.note


CALLS = [
    ([tool(0, "a", "f", '{"x":'), tool(0, None, None, "1}")], [("a", "f", {"x": 1})]),
    (
        [tool(0, "a", "f", '{"x":'), tool(1, "b", "f", '{"y":'), tool(0, None, None, "1}"), tool(1, None, None, "2}")],
        [("a", "f", {"x": 1}), ("b", "f", {"y": 2})],
    ),
    (
        [tool(0, "a", "f", '{"x":'), tool(0, "b", "g", "{}"), tool(0, "a", None, "1}")],
        [("a", "f", {"x": 1}), ("b", "g", {})],
    ),
    ([tool(None, "a", "f", "{}"), tool(None, "b", "f", "{}")], [("a", "f", {}), ("b", "f", {})]),
    ([tool(None, "a", "f", '{"x":'), tool(None, None, None, "1}")], [("a", "f", {"x": 1})]),
    (
        [tool(None, None, "f", '{"x":1}'), tool(None, None, "f", '{"x":2}')],
        [(None, "f", {"x": 1}), (None, "f", {"x": 2})],
    ),
    ([tool(0, None, "f", '{"x":1}'), tool(0, None, "g", "{}")], [(None, "f", {"x": 1}), (None, "g", {})]),
    ([tool(0, None, "f", '{"x":'), tool(0, None, "f", "1}")], [(None, "f", {"x": 1})]),
    ([tool(0, "a", "f", '{"x":'), tool(0, "a", "f", "1}")], [("a", "f", {"x": 1})]),
    ([tool(0, "a", "f", {"x": 1})], [("a", "f", {"x": 1})]),
    ([tool(1, "b", "g", "{}"), tool(0, "a", "f", "{}")], [("a", "f", {}), ("b", "g", {})]),
    (
        [delta(function_call={"name": "f", "arguments": '{"x":'}), delta(function_call={"arguments": "1}"})],
        [(None, "f", {"x": 1})],
    ),
]


@pytest.mark.parametrize(("chunks", "expected"), CALLS)
def test_tool_calls_are_neither_merged_nor_lost(chunks: list[Chunk], expected: list[Any]) -> None:
    """By index and id; without an index, an id or both; interleaved; as objects; in the form before tool_calls."""
    found = whole(*chunks, *end("tool_calls")).tool_calls

    assert [(c["id"], c["function"]["name"], json.loads(c["function"]["arguments"])) for c in found] == expected


@pytest.mark.parametrize(
    "said",
    [
        {"reasoning": "Hm"},
        {"reasoning_content": "Hm"},
        {"thinking": "Hm"},
        {"reasoning": "Hm", "reasoning_content": "Hm"},
        {"reasoning_details": [{"type": "reasoning.text", "text": "Hm"}]},
        {"reasoning": "Hm", "reasoning_details": [{"type": "reasoning.summary", "summary": "Hm"}]},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}]},
    ],
)
def test_thinking_is_kept_under_every_name_and_once(said: dict[str, Any]) -> None:
    """Streamed or plain."""
    plain = {"choices": [{"message": {"content": "Paris", **said}, "finish_reason": "stop"}], "usage": usage()}
    if "content" in said:
        plain["choices"][0]["message"]["content"] = [*said["content"], {"type": "text", "text": "Paris"}]  # type: ignore[index]
    for found in (whole(delta(**said), delta(content="Paris"), *end()), read_body(plain)[0]):
        assert (found.text, found.reasoning, found.note) == ("Paris", "Hm", "")


def test_thinking_between_tags_stands_apart() -> None:
    """What a model thinks aloud before its answer is no part of it; a tag that is never closed hides nothing."""
    found = asked("t/think")
    unclosed = whole(delta(content="<think>It is 42."), *end())

    assert (found.text, found.reasoning) == ("It is 42.", "Is it 41 or 43? No.")
    assert unclosed.text == "<think>It is 42."


@pytest.mark.parametrize(
    ("chunks", "output", "note"),
    [
        ([delta(reasoning="Hm"), *end("length")], "", "It was cut at its limit of tokens before any text came"),
        ([delta(content=""), *end("length")], "", "It was cut at its limit of tokens before any text."),
        ([delta(content="Pa"), *end("length")], "Pa", "It was cut at its limit of tokens."),
        ([delta(reasoning="Hm"), *end()], "", "The model thought and gave no answer."),
        ([delta(content=""), *end()], "", "The answer is empty."),
        ([delta(content="I ca"), *end("content_filter")], "I ca", "A filter of the provider ended it."),
        ([delta(content="A", refusal="No."), *end()], "A", "The model refused: No."),
        ([delta(content="A"), tool(0, "a", "f", "{}"), *end()], "A", "It called a tool: f({})."),
        (
            [delta(images=[{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]), *end()],
            "",
            "It holds parts that are no text: image.",
        ),
        (
            [
                delta(audio={"id": "1", "data": "QQ"}),
                delta(audio={"transcript": "Hi ", "data": "=="}),
                delta(audio={"transcript": "you"}),
                *end(),
            ],
            "Hi you",
            "It holds parts that are no text: audio.",
        ),
    ],
)
def test_answer_that_is_no_plain_text_says_what_it_is(chunks: list[Chunk], output: str, note: str) -> None:
    """Nothing passes for an empty answer in silence."""
    found = whole(*chunks)

    assert found.output == output
    assert found.note.startswith(note)


def test_providers_that_failed_before_the_answer_are_told() -> None:
    """The router's own account, from the last chunk or the body."""
    attempts = [
        {"provider": "South", "status": 429},
        {"provider": "East", "status": 503},
        {"provider": "N", "status": 200},
    ]
    metadata = {"openrouter_metadata": {"attempt": 3, "attempts": attempts}}
    streamed = whole(delta(content="A"), {**delta("stop", content=""), "usage": usage(), **metadata}, DONE)
    plain = read_body({"choices": [{"message": {"content": "A"}}], "usage": usage(), **metadata})[0]

    assert streamed.failed_providers == plain.failed_providers == ("South (429)", "East (503)")


ERROR = {
    "error": {"code": 502, "message": "Provider disconnected"},
    "choices": [{"delta": {}, "finish_reason": "error"}],
}
BROKEN = wire([delta(content="Pa"), ERROR, {"choices": [], "usage": usage(cost=0.0003)}, DONE])


@given(st.lists(st.integers(0, len(BROKEN)), max_size=6))
def test_usage_after_an_error_is_read_at_every_split(cuts: list[int]) -> None:
    """What a broken answer cost stands after the error, in the same piece of bytes or not."""
    places = [0, *sorted(cuts), len(BROKEN)]
    completion, failure = read([BROKEN[a:b] for a, b in itertools.pairwise(places)])

    assert completion.cost.pico == 300_000_000
    assert failure is not None
    assert failure.kind == "provider_unavailable"


def test_usage_after_an_error_is_read_over_the_wire() -> None:
    """The client reads on after an error, each event in a piece of its own."""
    with pytest.raises(GatewayFailed) as caught:
        asked("t/broken", broken=[delta(content="Pa"), ERROR, {"choices": [], "usage": usage(cost=0.0003)}, DONE])

    assert caught.value.partial is not None
    assert caught.value.partial.cost.pico == 300_000_000


@given(st.data())
def test_cut_stream_is_never_taken_for_more_than_it_brought(data: st.DataObject) -> None:
    """At any byte: complete only with its text whole and a sign of its end, else truncated; never another failure."""
    body = wire([delta(content="Pa"), delta(content="ris"), *end()])
    completion, failure = read([body[: data.draw(st.integers(0, len(body)))]])

    assert completion.text == "Paris" if failure is None else failure.kind == "truncated"


@pytest.mark.parametrize("noise", [b"", b" ", b'{"type":"ping"}'])
def test_keep_alive_events_break_nothing(noise: bytes) -> None:
    """An event without data, or with nothing of an answer in it."""
    assert whole(delta(content="Pa"), noise, delta(content="ris"), *end()).text == "Paris"


async def raw(answer: bytes, *, hold: bool, **settings: float) -> Completion:
    """What the client makes of these bytes; hold: the server then keeps the connection open."""
    released = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        if hold:
            await released.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api/v1"
    client = Client(Gateway("openrouter", url, SecretStr("k")), Settings(**settings))  # type: ignore[arg-type]
    try:
        return await client.attempt(CompletionRequest("m", (Message("user", "x"),)))
    finally:
        released.set()
        await client.aclose()
        server.close()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunked(body: bytes) -> bytes:
    """One chunk of a body."""
    return b"%x\r\n%b\r\n" % (len(body), body)


@pytest.mark.parametrize("ending", [end()[:-1], [delta("stop", content=""), {"choices": [], "usage": usage()}]])
def test_answer_is_not_held_by_a_connection_that_stays_open(ending: list[Chunk]) -> None:
    """Neither [DONE] nor the end of the body comes: the answer is given back soon, not at the silence timer."""
    stream = HEAD + chunked(wire([delta(content="Paris"), *ending]))
    found = asyncio.run(asyncio.wait_for(raw(stream, hold=True), 8))

    assert (found.text, found.cost.pico) == ("Paris", 140_000_000)


def test_error_is_not_held_by_a_connection_that_stays_open() -> None:
    """An error in the stream is told soon, although the server neither says more nor closes."""
    with pytest.raises(GatewayFailed) as caught:
        asyncio.run(asyncio.wait_for(raw(HEAD + chunked(wire([ERROR])), hold=True), 8))

    assert caught.value.failure.kind == "provider_unavailable"


@pytest.mark.parametrize("kind", [b"text/plain", b"application/json"])
def test_stream_that_calls_itself_something_else_is_read(kind: bytes) -> None:
    """Some servers name no type, or a wrong one."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nConnection: close\r\n\r\n" % kind

    assert asyncio.run(raw(head + wire([delta(content="Paris"), *end()]), hold=False)).text == "Paris"


def test_plain_answer_that_calls_itself_a_stream_is_read() -> None:
    """JSON under the type of a stream: an answer, or the error that it holds."""
    body = json.dumps({"choices": [{"message": {"content": "Paris"}, "finish_reason": "stop"}]}).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"

    assert asyncio.run(raw(head + body, hold=False)).text == "Paris"
    with pytest.raises(GatewayFailed) as caught:
        asyncio.run(raw(head + b'{"error":{"code":429,"message":"slow down"}}', hold=False))
    assert caught.value.failure.kind == "rate_limit_provider"
