"""A reader of server-sent events that is right for any split of the bytes (wire reference 5.1)."""

from __future__ import annotations


class SSEReader:
    """Turns chunks of bytes into the data of events; comments are counted, not returned.

    Lines end with LF, CRLF or CR; an event ends with an empty line; several data lines are joined with LF.
    """

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        """An unfinished line, in the pieces in which it came: joined once, however many they are."""
        self._data: list[bytes] = []
        self.comments = 0
        """Keep-alive comments seen."""
        self.size = 0
        """Bytes fed."""

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of the events that this chunk completed, in order; none: an empty list."""
        self.size += len(chunk)
        if b"\n" not in chunk and b"\r" not in chunk and not (self._rest and self._rest[-1].endswith(b"\r")):
            self._rest.append(chunk)
            return []
        buffer = b"".join(self._rest) + chunk
        held = b""
        if b"\r" in buffer:
            # A CR at the end may be half of a CRLF: it waits for the next chunk.
            held = b"\r" if buffer.endswith(b"\r") else b""
            buffer = buffer[: len(buffer) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        # Nearly all events are one line of data and an empty one: the split at once is half of a stream's work.
        blocks = buffer.split(b"\n\n")
        last = blocks.pop()
        events = []
        for block in blocks:
            if block.startswith(b"data: ") and not self._data and b"\n" not in block:
                events.append(block[6:])
            elif block.startswith(b":") and not self._data and b"\n" not in block:
                self.comments += 1
            else:
                events += self._lines([*block.split(b"\n"), b""])
        *lines, rest = last.split(b"\n")
        self._rest = [rest + held] if rest or held else []
        return events + self._lines(lines) if lines else events

    def close(self) -> list[bytes]:
        """The data of an event that the end of the stream cut off before its empty line."""
        events = self.feed(b"\n\n") if self._rest or self._data else []
        self._rest, self._data = [], []
        return events

    def _lines(self, lines: list[bytes]) -> list[bytes]:
        return [event for line in lines if (event := self._line(line)) is not None]

    def _line(self, line: bytes) -> bytes | None:
        if not line:
            if not self._data:
                return None
            data, self._data = b"\n".join(self._data), []
            return data
        if line.startswith(b":"):
            self.comments += 1
        elif line.startswith(b"data:"):
            self._data.append(line[6:] if line.startswith(b"data: ") else line[5:])
        return None
