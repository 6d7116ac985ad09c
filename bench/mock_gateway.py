"""A gateway for benchmarks: one canned completion after a fixed wait, as little work per request as Python allows.

    python bench/mock_gateway.py PORT_FILE [--latency-ms 200] [--chunks 20] [--models 3] [--segments]

With --segments a stream is sent as most servers send it: one HTTP chunk and one segment per event, spread over the
wait, and the terminal chunk by itself after [DONE]; else the whole of it in one piece.

Writes its port into PORT_FILE once it listens. GET /stats tells how many completions it answered since it
was last asked, and when the first came and the last left.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from hashlib import sha256
from pathlib import Path
from typing import ClassVar

try:
    import uvloop
except ImportError:
    uvloop = None

WORDS = ["The", " capital", " of", " France", " is", " Paris", ".", " It", " lies", " on", " the", " Seine", "."]


class Answers:
    """The bytes of every answer, made once."""

    def __init__(self, chunks: int, models: int) -> None:
        base = {
            "id": "gen-1-bench",
            "model": "bench/m0",
            "provider": "Bench",
            "created": 1,
            "object": "chat.completion",
        }
        usage = {"prompt_tokens": 20, "completion_tokens": chunks, "total_tokens": 20 + chunks, "cost": 0.000123}
        words = [WORDS[n % len(WORDS)] for n in range(chunks)]
        choice = {"index": 0, "finish_reason": "stop", "native_finish_reason": "stop"}
        whole = base | {
            "choices": [choice | {"message": {"role": "assistant", "content": "".join(words)}}],
            "usage": usage,
        }
        self.plain = self._answer("application/json", json.dumps(whole).encode())
        base["object"] = "chat.completion.chunk"
        events = [
            base | {"choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]} for word in words
        ]
        events.append(base | {"choices": [choice | {"delta": {"content": ""}}]})
        events.append(base | {"choices": [], "usage": usage})
        lines = [f"data: {json.dumps(event)}\n\n".encode() for event in events] + [b"data: [DONE]\n\n"]
        self.stream = self._answer("text/event-stream", b"".join(lines))
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        self.segments = [head, *(b"%x\r\n%b\r\n" % (len(line), line) for line in lines), b"0\r\n\r\n"]
        pricing = {"prompt": "0.000001", "completion": "0.000002"}
        rows = [
            {
                "id": f"bench/m{n}",
                "name": f"Bench {n}",
                "context_length": 100_000,
                "pricing": pricing,
                "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
                "supported_parameters": ["max_tokens", "temperature", "seed"],
            }
            for n in range(models)
        ]
        self.models = self._answer("application/json", json.dumps({"data": rows, "total_count": models}).encode())
        self.endpoints = self._answer("application/json", b'{"data": {"endpoints": []}}')

    def _answer(self, kind: str, body: bytes) -> bytes:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nX-Generation-Id: gen-1-bench\r\nContent-Length: {len(body)}"
        return head.encode() + b"\r\n\r\n" + body


class Gateway(asyncio.Protocol):
    """One connection; requests may come one after another on it."""

    served = 0
    first_at = 0.0
    last_at = 0.0
    received = 0
    bodies: ClassVar[set[bytes]] = set()

    connections = 0

    def __init__(self, answers: Answers, latency_s: float, *, segments: bool) -> None:
        self._answers = answers
        self._latency_s = latency_s
        self._segments = segments
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        Gateway.connections += 1
        self._transport = transport
        self._loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            at = head.find(b"content-length:")
            size = int(head[at + 15 : (head.find(b"\r\n", at) if head.find(b"\r\n", at) > 0 else end)]) if at > 0 else 0
            if len(self._buffer) < end + 4 + size:
                return
            body, self._buffer = self._buffer[end + 4 : end + 4 + size], self._buffer[end + 4 + size :]
            self._answer(head.split(b" ", 2)[1], body)

    def _answer(self, path: bytes, body: bytes) -> None:
        if path.endswith(b"/chat/completions"):
            Gateway.received += 1
            Gateway.bodies.add(sha256(body).digest())
            Gateway.first_at = Gateway.first_at or time.time()
            streamed = b'"stream": true' in body or b'"stream":true' in body
            if streamed and self._segments:
                self._send_segments()
            else:
                self._loop.call_later(self._latency_s, self._send, streamed)
        elif path.endswith(b"/stats"):
            told = {"served": Gateway.served, "first_at": Gateway.first_at, "last_at": Gateway.last_at}
            told |= {"received": Gateway.received, "distinct": len(Gateway.bodies), "connections": Gateway.connections}
            Gateway.served, Gateway.first_at = 0, 0.0
            self._transport.write(self._answers._answer("application/json", json.dumps(told).encode()))
        else:
            self._transport.write(self._answers.endpoints if b"endpoints" in path else self._answers.models)

    def _send_segments(self) -> None:
        segments = self._answers.segments
        for place, segment in enumerate(segments):
            self._loop.call_later(self._latency_s * (place + 1) / len(segments), self._write, segment)
        self._loop.call_later(self._latency_s, self._count)

    def _write(self, segment: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(segment)

    def _count(self) -> None:
        Gateway.served += 1
        Gateway.last_at = time.time()

    def _send(self, streamed: bool) -> None:
        Gateway.served += 1
        Gateway.last_at = time.time()
        if not self._transport.is_closing():
            self._transport.write(self._answers.stream if streamed else self._answers.plain)


async def serve(args: argparse.Namespace) -> None:
    answers = Answers(args.chunks, args.models)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Gateway(answers, args.latency_ms / 1000, segments=args.segments), "127.0.0.1", 0, backlog=2048
    )
    Path(args.port_file).write_text(str(server.sockets[0].getsockname()[1]))  # noqa: ASYNC240 - before it serves
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port_file")
    parser.add_argument("--latency-ms", type=float, default=200)
    parser.add_argument("--chunks", type=int, default=20)
    parser.add_argument("--models", type=int, default=3)
    parser.add_argument("--segments", action="store_true")
    given = parser.parse_args()
    (uvloop.run if uvloop else asyncio.run)(serve(given))
