"""Answers that are meant to break their reader: numbers out of all bounds, text that nothing can store, bombs."""

from __future__ import annotations

import asyncio
import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from functools import cache
from typing import Any

import pytest
from pydantic import SecretStr

from assay.config import Gateway, Settings
from assay.domain.completion import Completion, Usage
from assay.domain.messages import CompletionRequest, Message
from assay.openrouter.assembly import StreamAssembly, parse_json, read_body
from assay.openrouter.bounds import bound_pico
from assay.openrouter.catalogue import parse_model
from assay.openrouter.client import Client
from assay.openrouter.failures import GatewayFailed, classify_error, classify_http
from assay.openrouter.hints import retry_after_s
from assay.openrouter.pricing import estimate_cost, parse_pricing

INT64 = 2**63
NUMBERS = (
    "NaN",
    "Infinity",
    "-Infinity",
    "-1",
    "1e30",
    "1e400",
    "1e9999999",
    "1e99999999999999999999",
    '"1e9999999"',
    '"sNaN"',
    "9223372036854775808",
    "1" * 4000,
    "true",
    "[]",
    "{}",
    '"abc"',
)
FIELDS = ("cost", "prompt_tokens", "completion_tokens")
REQUEST = CompletionRequest("a/b", (Message("user", "hello"),), {"max_tokens": 10})


def usage_with(field: str, number: str) -> str:
    """A usage block with one hostile number, as JSON."""
    sound = {"prompt_tokens": "3", "completion_tokens": "2", "cost": "0.1"}
    return "{" + ",".join(f'"{name}":{value}' for name, value in (sound | {field: number}).items()) + "}"


def plain(body: str) -> Completion:
    """The completion of a plain answer."""
    return read_body(parse_json(body.encode()))[0]


def streamed(*events: str) -> Completion:
    """The completion of a stream."""
    assembly = StreamAssembly()
    for event in events:
        assembly.add([event.encode()])
    return assembly.completion()


def test_words_of_a_failure_are_bounded() -> None:
    """Message and provider of any length make a line that can be read."""
    failure = classify_error({"code": 429, "message": "m" * 9000, "metadata": {"provider_name": "p" * 9000}})

    assert len(failure.message) < 600


def test_part_whose_type_is_no_text_is_kept_as_it_is() -> None:
    """An object or a list as a part's type is no error."""
    parts = [{"type": {"a": []}}, {"type": ["text"], "text": "A"}]
    found = plain(json.dumps({"choices": [{"message": {"content": parts}}]}))

    assert (found.text, len(found.media)) == ("A", 1)


@pytest.mark.parametrize("odd", ["\ud800", "x\x00"])
def test_parts_and_arguments_hold_only_text_that_can_be_stored(odd: str) -> None:
    """Lone surrogates and NUL in parts that are no text, and in arguments that came as an object."""
    part = {"type": f"video{odd}", "audio": {"transcript": f"Hello{odd}"}}
    call = {"id": "c", "function": {"name": "f", "arguments": {"a": odd, "b": 10**40}}}
    message = {"content": [part], "tool_calls": [call]}
    found = plain(json.dumps({"choices": [{"message": message}]}))

    assert odd[-1] not in "".join((found.output, found.note, json.dumps(found.media, ensure_ascii=False)))
    assert "".join((found.output, found.note)).encode()
    assert found.tool_calls[0]["function"]["name"] == "f"


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("field", FIELDS)
def test_usage_out_of_all_bounds_is_unknown(field: str, number: str) -> None:
    """A number that is none, or that no call can reach, is unknown: it neither hangs, raises nor reaches the books."""
    usage = usage_with(field, number)
    answers = [
        plain('{"choices":[{"message":{"content":"hi"}}],"usage":' + usage + "}"),
        streamed('{"choices":[],"usage":' + usage + "}"),
        streamed('{"choices":[],"usage":' + usage.replace('"cost"', '"spent"') + "}"),
    ]

    for answer in answers[: 2 if field == "cost" else 3]:
        assert answer.usage is not None
        assert (answer.cost.pico if field == "cost" else getattr(answer.usage, field)) is None


@pytest.mark.parametrize("field", ["prompt", "completion", "request"])
@pytest.mark.parametrize("price", ["1e30", "1e9999999", "1e99999999999999999999"])
def test_price_out_of_all_bounds_is_unknown(field: str, price: str) -> None:
    """A price that nobody asks is unknown, so that no bound outgrows the books."""
    pricing = parse_pricing({"prompt": "0.1", "completion": "0.1"} | {field: price})

    assert getattr(pricing, field) is None


@pytest.mark.parametrize("number", [n for n in NUMBERS if n[0] not in '"t[{'])
def test_catalogue_row_with_hostile_numbers_is_read(number: str) -> None:
    """Hostile lengths in a catalogue row are unknown, and a bound made with it fits the books."""
    row = parse_json(
        '{"id":"a/b","context_length":%s,"created":%s,"top_provider":{"max_completion_tokens":%s},'
        '"pricing":{"prompt":"0.1","completion":"0.1","overrides":[{"min_prompt_tokens":%s}]}}' % ((number,) * 4)
    )
    model = parse_model(row)

    assert model is not None
    assert (model.context_length, model.max_completion_tokens, model.created) == (None, None, None)


def test_bound_beyond_the_books_is_unknown() -> None:
    """A request whose bound no budget can hold has none."""
    pricing = parse_pricing({"prompt": "0.1", "completion": "100"})

    assert bound_pico(pricing, replace(REQUEST, params={}), max_completion_tokens=10**9) is None


@pytest.mark.parametrize(
    "usage",
    [
        Usage(prompt_tokens=1, completion_tokens=1, cached_tokens=10**6),
        Usage(prompt_tokens=1, completion_tokens=1, cache_write_tokens=10**6),
        Usage(prompt_tokens=1, completion_tokens=1, reasoning_tokens=10**6),
    ],
)
def test_parts_larger_than_their_whole_never_make_a_negative_cost(usage: Usage) -> None:
    """Cached or reasoning tokens beyond the total lower no bill."""
    pricing = parse_pricing(
        {
            "prompt": "1e-6",
            "completion": "1e-6",
            "input_cache_read": "0",
            "input_cache_write": "0",
            "internal_reasoning": "0",
        }
    )

    assert (estimate_cost(pricing, usage).pico or 0) >= 0


def test_estimate_beyond_the_books_is_unknown() -> None:
    """A usage that a plain price turns into millions is unknown."""
    pricing = parse_pricing({"prompt": "100", "completion": "100"})

    assert estimate_cost(pricing, Usage(prompt_tokens=10**9, completion_tokens=1)).pico is None


@pytest.mark.parametrize("text", [r"\ud800", r"\u0000"])
def test_no_text_of_an_answer_holds_what_cannot_be_stored(text: str) -> None:
    """Lone surrogates and NUL are replaced in every field that is kept."""
    body = (
        '{"id":"T","model":"T","provider":"T","usage":{"cost":1},"choices":[{"finish_reason":"T",'
        '"native_finish_reason":"T","%s":{"content":"T","reasoning":"T","refusal":"T"}}]}'
    ).replace("T", text)

    for answer in (plain(body % "message"), streamed(body % "delta")):
        for name in ("text", "reasoning", "refusal", "model", "provider", "finish_reason", "native_finish_reason"):
            said = getattr(answer, name)
            assert said.encode(), name
            assert "\x00" not in said, name
        assert answer.generation_id is None or answer.generation_id.encode()


def test_error_text_can_be_stored() -> None:
    """Lone surrogates and NUL are replaced in what an error says, its provider and its reset."""
    hostile = "a\ud800b\x00c"
    failure = classify_error(
        {"code": 502, "message": hostile, "metadata": {"provider_name": hostile, "resets_at": hostile}}
    )

    assert str(failure).encode()
    assert "\x00" not in str(failure)
    assert (failure.provider or "").encode()


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 200_000,
        b'{"error":{"code":"\xc2\xb2"}}',
        b'{"error":{"code":"' + b"4" * 5000 + b'"}}',
        b'{"error":{"code":' + b"4" * 4000 + b"}}",
        b"\xff\xfe",
        b'{"error":[1]}',
        b"null",
    ],
)
def test_error_body_of_any_kind_is_classified(body: bytes) -> None:
    """Bombs and odd codes in an error body are a failure like any other."""
    assert classify_http(500, {}, body).kind in ("edge", "server")


@pytest.mark.parametrize(
    "hint",
    [
        "1e400",
        "9" * 400,
        "9" * 400 + "s",
        "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
        "nan",
        "-inf",
        "\u00b2",
        "Mon, 01 Jan 0001 00:00:00 +2359",
        "9999-12-31T23:59:59-23:59",
        "0001-01-01T00:00:00+23:59",
        "-5",
    ],
)
@pytest.mark.parametrize("header", ["Retry-After", "retry-after-ms", "X-RateLimit-Reset"])
def test_hint_out_of_all_bounds_is_finite_or_none(header: str, hint: str) -> None:
    """No hint makes a wait that is endless, and none raises."""
    found = retry_after_s({header: hint}, {})

    assert found is None or 0 < found < 1e12


def test_huge_cost_at_rest_never_outgrows_its_column() -> None:
    """The largest cost that is believed can be summed thousands of times."""
    largest = plain(json.dumps({"choices": [{"message": {"content": "x"}}], "usage": {"cost": 9999}}))
    beyond: dict[str, Any] = {"choices": [{"message": {"content": "x"}}], "usage": {"cost": 10001}}

    assert largest.cost.pico == Decimal(9999) * 10**12 < INT64 / 900
    assert plain(json.dumps(beyond)).cost.pico is None


MB = 1024 * 1024
DONE = b"[DONE]"
TEXT = b'{"choices":[{"delta":{"content":"four"}}]}'
END = b'{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"cost":1e-6}}'
STREAM = b"".join(b"data: %b\n\n" % event for event in (TEXT, END, DONE))


async def ask(body: bytes, encoding: str, *, kind: str = "text/event-stream", listing: bool = False) -> Any:
    """What the client makes of a body with that Content-Encoding: the failure's kind, or what it read."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Encoding: {encoding}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api/v1"
    client = Client(Gateway("openrouter", url, SecretStr("k")), Settings())
    try:
        return await (client.models() if listing else client.attempt(REQUEST))
    except GatewayFailed as error:
        return error.failure.kind
    finally:
        await client.aclose()
        server.close()


@cache
def packed(size: int) -> bytes:
    """That many zeros, as gzip. Seconds of work: only where a test asks for it."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(bytes(MB)) for _ in range(size // MB)) + packer.flush()


@pytest.mark.parametrize("kind", ["text/event-stream", "application/json"])
@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (lambda: packed(256 * MB), "gzip"),
        (lambda: packed(256 * MB), "x-gzip"),
        (lambda: gzip.compress(packed(1024 * MB)), "gzip, gzip"),
        (lambda: b"x", "br"),
        (lambda: b"damaged", "gzip"),
        (lambda: gzip.compress(STREAM)[:40], "gzip"),
    ],
    ids=["bomb", "other-name", "bomb-in-a-bomb", "not-asked-for", "damaged", "cut"],
)
def test_packed_answer_that_is_none_fails_in_little_memory(
    content: Callable[[], bytes], encoding: str, kind: str
) -> None:
    """A compression bomb, and a body that cannot be unpacked whole, are failures; nothing is unpacked at once."""
    body = content()
    tracemalloc.start()
    failed = asyncio.run(ask(body, encoding, kind=kind))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert failed in ("too_large", "truncated", "reset")
    assert peak < 40 * MB


@pytest.mark.parametrize(("pack", "encoding"), [(gzip.compress, "gzip"), (zlib.compress, "deflate")])
def test_packed_answer_is_read(pack: Any, encoding: str) -> None:
    """What was asked for is unpacked: a stream, and a list of models."""
    listing = asyncio.run(ask(pack(b'{"data":[{"id":"a/b"}]}'), encoding, kind="application/json", listing=True))

    assert asyncio.run(ask(pack(STREAM), encoding)).text == "four"
    assert listing == [{"id": "a/b"}]


@pytest.mark.parametrize(
    "late", [b'{"error":{"code":500,"message":"late"}}', b'{"choices":[{"delta":{"content":"x"}}]}']
)
def test_what_comes_after_the_end_counts_for_nothing(late: bytes) -> None:
    """An event after [DONE] neither fails nor lengthens an answer, in one piece with it or not."""
    events = [TEXT, END, DONE, late]
    together, apart = StreamAssembly(), StreamAssembly()
    together.add(events)
    for event in events:
        apart.add([event])

    assert together.completion().text == apart.completion().text == "four"
    assert together.verdict() is apart.verdict() is None


def test_error_after_text_may_be_billed() -> None:
    """A stream that breaks off after it said something is of unknown cost; before that it costs nothing."""
    error = b'{"error":{"code":502,"message":"Provider disconnected"},"choices":[{"finish_reason":"error"}]}'
    before, after = StreamAssembly(), StreamAssembly()
    before.add([error])
    after.add([TEXT, error])

    assert [end.billed for end in (before.verdict(), after.verdict()) if end] == ["no", "unknown"]
