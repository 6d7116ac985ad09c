"""A stream passed on as it comes: bytes from the runtime's thread to the server's event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

from assay.api.payloads import dumped
from assay.domain.messages import CompletionRequest
from assay.openrouter.failures import Failure
from assay.runs.dispatch import Outcome
from assay.workbench.calls import send_completion
from assay.workbench.runtime import Runtime

_OURS = frozenset({
    "connection", "reset", "first_token_timeout", "silence_timeout", "timeout", "truncated", "too_large",
})  # fmt: skip
"""Failures of which the stream itself says nothing: the caller is told in an event of our own."""


class Relay:
    """One streamed call. Belongs to the server's event loop.

    `first()` waits until it is known whether there is a stream; then `chunks()` gives it.
    """

    def __init__(self, rt: Runtime, request: CompletionRequest, tags: Sequence[str]) -> None:
        loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._head: bytes | None = None

        def put(item: bytes | None) -> None:
            with suppress(RuntimeError):  # the server is gone
                loop.call_soon_threadsafe(self._queue.put_nowait, item)

        self._sent = send_completion(rt, request, tags=tags, stream=True, on_bytes=put)
        self._sent.add_done_callback(lambda _: put(None))

    async def first(self) -> Outcome | None:
        """None as soon as bytes came; the outcome when the call ended without any. Raises what the call raised."""
        try:
            self._head = await self._queue.get()
        except asyncio.CancelledError:
            self._sent.cancel()
            raise
        return None if self._head is not None else self._sent.result()

    async def chunks(self) -> AsyncIterator[bytes]:
        """The bytes of the stream; a caller that goes away stops the call."""
        try:
            while self._head is not None:
                yield self._head
                self._head = await self._queue.get()
            if (failure := self._failure()) is not None and failure.kind in _OURS:
                yield b"data: " + dumped(error_chunk(failure)) + b"\n\n"
        finally:
            self._sent.cancel()

    def _failure(self) -> Failure | None:
        error = self._sent.exception()
        return None if error is not None else self._sent.result().failure


def error_chunk(failure: Failure) -> dict[str, Any]:
    """An error as the last chunk of a stream, in the gateway's shape (wire reference 5.4)."""
    code = 504 if "timeout" in failure.kind else 502
    return {
        "id": "", "object": "chat.completion.chunk", "model": "", "provider": "",
        "error": {"code": code, "message": str(failure), "metadata": {"error_type": failure.kind}},
        "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
    }  # fmt: skip
