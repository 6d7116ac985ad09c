"""One attempt at a completion: its clock, what has come of it, and who is told as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from assay.domain.completion import Completion
from assay.openrouter.assembly import StreamAssembly
from assay.openrouter.redacted_stream import PassedOn
from assay.openrouter.redaction import Pieces, Redactor

OnDelta = Callable[[str, str], None]
OnHeaders = Callable[[str | None], None]
OnBytes = Callable[[bytes], bool]


class Said:
    """Who is told of an answer as it comes, without the keys."""

    def __init__(self, redactor: Redactor, on_delta: OnDelta | None, on_bytes: OnBytes | None) -> None:
        self._on_delta = on_delta
        self._text, self._reasoning = Pieces(redactor), Pieces(redactor)
        self._passed_on = PassedOn(redactor, on_bytes) if on_bytes is not None else None

    def bytes_came(self, chunk: bytes) -> None:
        """Passes a piece of the stream on."""
        if self._passed_on is not None:
            self._passed_on.add(chunk)

    def pieces_came(self, pieces: list[tuple[str, str]]) -> None:
        """Passes pieces of text and reasoning on."""
        if self._on_delta is None:
            return
        for text, reasoning in pieces:
            text, reasoning = text and self._text.add(text), reasoning and self._reasoning.add(reasoning)
            if text or reasoning:
                self._on_delta(text, reasoning)

    def close(self) -> None:
        """Passes on what was held back, for nothing more comes."""
        if self._passed_on is not None:
            self._passed_on.close()
        text, reasoning = self._text.flush(), self._reasoning.flush()
        if self._on_delta is not None and (text or reasoning):
            self._on_delta(text, reasoning)


class Attempt:
    """The clock and the state of one attempt."""

    def __init__(self, *, started: float, total_at: float) -> None:
        self.started = started
        self.total_at = total_at
        self.armed_at = 0.0
        self.timer: asyncio.Timeout | None = None
        self.first_token_ms: float | None = None
        self.generation_id: str | None = None
        self.assembly: StreamAssembly | None = None

    def note_first_token(self) -> None:
        """Notes when the first piece of an answer came."""
        if self.first_token_ms is None:
            self.first_token_ms = (asyncio.get_running_loop().time() - self.started) * 1000

    def token_came(self, silence_s: float) -> None:
        """Starts the silence timer anew. Only tokens do: a comment proves that the edge lives, not the model."""
        self.note_first_token()
        now = asyncio.get_running_loop().time()
        if self.timer is not None and now - self.armed_at > silence_s / 100:
            self.armed_at = now
            self.timer.reschedule(min(self.total_at, now + silence_s))

    def wait_at_most(self, seconds: float) -> None:
        """Ends the waiting for what should follow a stream's end."""
        at = asyncio.get_running_loop().time() + seconds
        if self.timer is not None and at < (self.timer.when() or at + 1):
            self.armed_at = 0.0  # a piece that comes nevertheless starts the silence timer anew
            self.timer.reschedule(at)

    @property
    def total_ms(self) -> float:
        """Milliseconds since the attempt began."""
        return (asyncio.get_running_loop().time() - self.started) * 1000

    def completion(self, assembly: StreamAssembly) -> Completion:
        """What has come of a stream, with its times."""
        return assembly.completion(first_token_ms=self.first_token_ms, total_ms=self.total_ms)

    def partial(self) -> Completion | None:
        """What had arrived; None when nothing had."""
        return self.completion(self.assembly) if self.assembly is not None else None
