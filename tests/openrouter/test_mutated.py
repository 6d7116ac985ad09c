"""Recorded traffic, changed as broken networks and proxies change it: every one ends in an answer or a failure."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from assay.config import Gateway, Settings
from assay.domain.completion import Completion
from assay.domain.messages import CompletionRequest, Message
from assay.openrouter.client import Client
from assay.openrouter.failures import GatewayFailed

pytestmark = pytest.mark.shared
ROUNDS = int(os.environ.get("ASSAY_FUZZ_ROUNDS", "400"))
"""Changed exchanges; a long run asks for more."""
SEED = int(os.environ.get("ASSAY_FUZZ_SEED", "14"))
Chunks = list[bytes]


@pytest.fixture(scope="module")
def recorded(shared_data: Path) -> list[tuple[int, dict[str, str], Chunks]]:
    """Status, headers and pieces of the recorded chat exchanges of at most 200 kB."""
    with gzip.open(shared_data / "openrouter-recorded.jsonl.gz", "rt", encoding="utf-8") as lines:
        found = [json.loads(line) for line in lines]
    chats = [(one["status"], one.get("headers") or {}, pieces_of(one)) for one in found if "/chat/" in one["url"]]
    return [chat for chat in chats if 0 < sum(map(len, chat[2])) < 200_000]


def pieces_of(exchange: dict[str, Any]) -> Chunks:
    """The body's pieces as they came."""
    if exchange.get("chunks"):
        return [base64.b64decode(chunk) for chunk in exchange["chunks"]]
    body = exchange["body"]
    return [body.encode() if isinstance(body, str) else json.dumps(body).encode()]


def flipped(dice: random.Random, chunks: Chunks) -> Chunks:
    """Some bytes are others."""
    return [bytes(dice.randrange(256) if dice.random() < 0.002 else byte for byte in chunk) for chunk in chunks]


def cut(dice: random.Random, chunks: Chunks) -> Chunks:
    """The body ends early, or its beginning is missing."""
    whole = b"".join(chunks)
    place = dice.randrange(len(whole))
    return [whole[:place] if dice.random() < 0.7 else whole[place:]]


def repeated(dice: random.Random, chunks: Chunks) -> Chunks:
    """Pieces come twice, or are lost."""
    return [chunk for chunk in chunks for _ in range(dice.choice((0, 1, 1, 1, 2)))]


def shuffled(dice: random.Random, chunks: Chunks) -> Chunks:
    """Events come in another order, split anywhere."""
    events = b"".join(chunks).split(b"\n\n")
    dice.shuffle(events)
    whole = b"\n\n".join(events)
    size = dice.randrange(1, 400)
    return [whole[place : place + size] for place in range(0, len(whole), size)]


ODD: tuple[Any, ...] = (None, True, -1, 10**400, 1e308, "", "x" * 5000, [], {}, [[]], {"a": [None]}, "\ud800", "\x00")


def swapped(dice: random.Random, chunks: Chunks) -> Chunks:
    """Values of JSON stand in each other's places, or are of another type."""
    return [b"\n".join(_swapped_line(dice, line) for line in b"".join(chunks).split(b"\n"))]


def _swapped_line(dice: random.Random, line: bytes) -> bytes:
    head, data = (b"data: ", line[6:]) if line.startswith(b"data: ") else (b"", line)
    try:
        value = json.loads(data)
    except ValueError:
        return line
    return head + json.dumps(_changed(dice, value)).encode()


def _changed(dice: random.Random, value: Any) -> Any:
    if dice.random() < 0.06:
        return dice.choice(ODD)
    if isinstance(value, dict):
        values = [_changed(dice, each) for each in value.values()]
        if dice.random() < 0.1:
            dice.shuffle(values)
        return dict(zip(value, values, strict=True))
    return [_changed(dice, each) for each in value] if isinstance(value, list) else value


CHANGES: tuple[Callable[[random.Random, Chunks], Chunks], ...] = (flipped, cut, repeated, shuffled, swapped)


class _Sent(httpx.AsyncByteStream):
    def __init__(self, chunks: Chunks) -> None:
        self._chunks = chunks

    async def __aiter__(self) -> Any:
        for chunk in self._chunks:
            yield chunk


def test_changed_exchange_ends_in_an_answer_or_a_failure(recorded: list[tuple[int, dict[str, str], Chunks]]) -> None:
    """Flipped, cut, repeated, shuffled, swapped: nothing else is raised, and no amount is out of bounds."""
    dice = random.Random(SEED)
    current: list[tuple[int, dict[str, str], Chunks]] = []

    def answer(_: httpx.Request) -> httpx.Response:
        status, headers, chunks = current[-1]
        kept = {k: v for k, v in headers.items() if k.lower() in ("content-type", "retry-after", "x-generation-id")}
        return httpx.Response(status, headers=kept, stream=_Sent(chunks))

    async def ask(client: Client, *, stream: bool) -> Completion | GatewayFailed:
        try:
            return await client.attempt(CompletionRequest("m", (Message("user", "x"),)), stream=stream)
        except GatewayFailed as error:
            return error

    async def all_rounds() -> list[str]:
        gateway = Gateway("openrouter", "http://127.0.0.1:9/api/v1", SecretStr("sk-or-v1-" + "0123456789abcdef" * 4))
        client = Client(gateway, Settings(), transport=httpx.MockTransport(answer))
        kinds = []
        for number in range(ROUNDS):
            status, headers, chunks = dice.choice(recorded)
            for _ in range(dice.choice((1, 1, 2))):
                chunks = dice.choice(CHANGES)(dice, chunks) or [b""]
                chunks = chunks if any(chunks) else [b" "]
            current[:] = [(status, headers, chunks)]
            found = await asyncio.wait_for(ask(client, stream=b"data:" in b"".join(chunks)[:4000]), 20)
            kinds.append(outcome_of(found, number))
        await client.aclose()
        return kinds

    kinds = asyncio.run(all_rounds())

    assert len(kinds) == ROUNDS
    assert "answer" in kinds
    assert len(set(kinds)) > 4


def outcome_of(found: Completion | GatewayFailed, number: int) -> str:
    """What it came to, once it has been looked at."""
    answer = found if isinstance(found, Completion) else found.partial
    if answer is not None:
        assert answer.cost.pico is None or 0 <= answer.cost.pico <= 10**16, f"round {number}"
        used = answer.usage
        counted = (used.prompt_tokens, used.completion_tokens, used.reasoning_tokens) if used else ()
        assert all(count is None or 0 <= count <= 10**9 for count in counted), f"round {number}"
        json.dumps([answer.output, answer.note, answer.reasoning, answer.model]).encode()
        "".join((answer.output, answer.note, answer.reasoning, answer.model or "")).encode()
    if isinstance(found, Completion):
        return "answer"
    assert str(found)
    assert len(str(found)) < 3_000, f"round {number}"
    return found.failure.kind
