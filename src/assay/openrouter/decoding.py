"""Compressed bodies taken apart piece by piece: no answer, however well packed, fills the memory at once."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator

import httpx

ACCEPTED = "gzip, deflate"
PIECE = 256 * 1024
"""Bytes of one decoded piece at most."""
_WINDOW = {"gzip": 47, "x-gzip": 47, "deflate": 15}


def decoded(raw: AsyncIterator[bytes], encoding: str | None) -> AsyncIterator[bytes]:
    """The bytes of a body whose Content-Encoding is given.

    Raises httpx.DecodingError for any that was not asked for, two in a row (a bomb in a bomb) included, and where the
    bytes are damaged or end too soon.
    """
    name = (encoding or "identity").strip().lower()
    if name == "identity":
        return raw
    if name not in _WINDOW:
        raise httpx.DecodingError(f"The answer is encoded as {name[:40]!r}, which was not asked for.")
    return _inflated(raw, _WINDOW[name])


async def _inflated(raw: AsyncIterator[bytes], window: int) -> AsyncIterator[bytes]:
    inflater = zlib.decompressobj(window)
    try:
        async for chunk in raw:
            while chunk and not inflater.eof:
                yield inflater.decompress(chunk, PIECE)
                chunk = inflater.unconsumed_tail
    except zlib.error as error:
        raise httpx.DecodingError(f"The compressed answer is damaged: {error}.") from None
    while not inflater.eof:
        rest = inflater.decompress(inflater.unconsumed_tail, PIECE)
        if not rest:
            raise httpx.DecodingError("The compressed answer ends too soon.")
        yield rest
