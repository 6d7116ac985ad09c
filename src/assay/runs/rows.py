"""The rows that a run at work asks for: read in slices, of which the latest are kept."""

from __future__ import annotations

import asyncio

from assay.store.datasets import StoredDataset, StoredRow, rows_of
from assay.store.engine import Store

ROWS_AT_ONCE = 200
CHUNKS_KEPT = 8


class RowReader:
    """Reads a dataset's rows. Belongs to one event loop."""

    def __init__(self, store: Store, dataset: StoredDataset) -> None:
        self._store = store
        self._dataset = dataset
        self._chunks: dict[int, asyncio.Future[list[StoredRow]]] = {}

    async def row(self, position: int) -> StoredRow:
        """A row of the dataset; those near it are read with it. Raises StoreError."""
        chunk = position // ROWS_AT_ONCE
        reading = self._chunks.get(chunk)
        if reading is not None and reading.done() and reading.exception() is None:
            return reading.result()[position % ROWS_AT_ONCE]
        if reading is None:
            # One reading for all cells that wait for the chunk.
            reading = self._chunks[chunk] = asyncio.ensure_future(asyncio.to_thread(self._read, chunk))
            for old in list(self._chunks)[:-CHUNKS_KEPT]:  # those read first: a pilot's rows lie anywhere
                del self._chunks[old]
        try:
            return (await asyncio.shield(reading))[position % ROWS_AT_ONCE]
        except Exception:
            if self._chunks.get(chunk) is reading:
                del self._chunks[chunk]  # whoever asks again has it read again
            raise

    def _read(self, chunk: int) -> list[StoredRow]:
        with self._store.read() as connection:
            return rows_of(connection, self._dataset, start=chunk * ROWS_AT_ONCE, count=ROWS_AT_ONCE)
