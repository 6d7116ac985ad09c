"""Any bytes in any supported format end in rows, or in words with a cure, soon and in little memory.

ASSAY_ANY_BYTES: how many files of each kind to try instead of a few (the long form: 2000).
"""

from __future__ import annotations

import json
import logging
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_bombs import old_workbook, pace, taken
from test_hostile import csv_text, parquet_of, xlsx_of

from assay.datasets.reader import read_table
from assay.errors import ImportRefused

EXAMPLES = int(os.environ.get("ASSAY_ANY_BYTES", "0"))
SECONDS = 2 if EXAMPLES else 8
"""Of processor time: the issue's bound where the machine is at rest, and with room for a loaded one."""
MEMORY_MB = 300
ROWS = [["id", "question", "answer"], *([str(n), f'What, "{n}"?', "é"] for n in range(20))]
TESTS = {"prompts": ["p"], "defaultTest": {"vars": {"a": ["x", "y"]}}, "tests": ["file://x.csv", {"vars": {"q": "1"}}]}
CHEAP = {
    "x.csv": csv_text(ROWS).encode(),
    "x.tsv": csv_text(ROWS, "\t").encode("utf-16"),
    "x.json": json.dumps([dict(zip(ROWS[0], row, strict=True)) for row in ROWS[1:]]).encode(),
    "object.json": json.dumps({"train": [{"q": "a"}], "test": [{"q": "\ud800"}], "n": {"0": [1, {}]}}).encode(),
    "x.jsonl": b'{"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]}\n' * 5,
    "x.yaml": json.dumps(TESTS).encode() + b"\n",
    "x.yml": b"a: &a {q: 1, r: [x, *b]}\ntests:\n- vars: {<<: *a}\n  assert: [{$ref: '#/a'}]\n",
    "x.txt": b"a^b\n1^2\n",
}
"""Files that are read in this process."""
APART = {"x.parquet": parquet_of(ROWS), "x.xlsx": xlsx_of(ROWS), "x.xls": old_workbook(3, 3)}
"""Files that are read in a process of their own, which takes most of the time."""


@st.composite
def mutated(draw: st.DrawFn, content: bytes) -> bytes:
    """A file of which some parts are cut out, written over or doubled."""
    made = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(0, len(made) - 1)))
        end = place + draw(st.sampled_from([1, 1, 2, 8, 64]))
        with_what = draw(st.sampled_from(["bytes", "twice", "nothing"]))
        part = draw(st.binary(max_size=8)) if with_what == "bytes" else bytes(made[place:end]) * 2
        made[place:end] = b"" if with_what == "nothing" else part
    return bytes(made)


def end_well(content: bytes, name: str) -> None:
    """Reads a file, and asserts that it ends in rows or in words."""
    started, before = taken(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with told_by_readers() as memory:
        try:
            table = read_table(content, filename=name)
        except ImportRefused as error:
            assert error.message and error.cure  # noqa: PT017, PT018 - either outcome is right
        else:
            assert all(len(row) == len(table.columns) for row in table.rows)
            "".join(cell for row in table.rows for cell in row).encode()
            "".join(table.columns).encode()
    assert taken() - started < SECONDS * max(1.0, pace())
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEMORY_MB * 1024
    assert max(memory, default=0) < MEMORY_MB


@contextmanager
def told_by_readers() -> Iterator[list[int]]:
    """MB that each process which reads a file says that it took, where the system tells it."""
    told: list[int] = []

    class Heard(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            _, memory, _ = record.args  # type: ignore[misc]
            told.extend([memory] if isinstance(memory, int) else [])

    logger, heard = logging.getLogger("assay.datasets"), Heard()
    level = logger.level
    logger.addHandler(heard)
    logger.setLevel(logging.DEBUG)
    try:
        yield told
    finally:
        logger.removeHandler(heard)
        logger.setLevel(level)


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="the system does not tell a process's memory")
@pytest.mark.parametrize("name", APART)
def test_reader_in_its_own_process_tells_its_memory(name: str) -> None:
    """It is its own, whatever the process that started it holds, and in the log at DEBUG."""
    ballast = b"1" * (MEMORY_MB * 1024 * 1024)

    with told_by_readers() as memory:
        read_table(APART[name], filename=name)

    assert memory and 5 < max(memory) < MEMORY_MB < len(ballast)  # noqa: PT018


@pytest.mark.parametrize("name", CHEAP)
@settings(deadline=None, max_examples=EXAMPLES or 60, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_changed_file_ends_in_rows_or_in_words(name: str, data: st.DataObject) -> None:
    """A few bytes of a file that is right are others."""
    end_well(data.draw(mutated(CHEAP[name])), name)


@pytest.mark.parametrize("name", APART)
@settings(deadline=None, max_examples=EXAMPLES or 4, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_changed_file_ends_in_its_own_process(name: str, data: st.DataObject) -> None:
    """What the libraries of Parquet and workbooks do is told in words."""
    end_well(data.draw(mutated(APART[name])), name)


@settings(deadline=None, max_examples=EXAMPLES or 100, suppress_health_check=list(HealthCheck))
@given(content=st.binary(max_size=400), name=st.sampled_from([*CHEAP, "x", "x.bin"]))
def test_any_bytes_end_in_rows_or_in_words(content: bytes, name: str) -> None:
    """Whatever the file is called."""
    end_well(content, name)


HEADS = (b"PAR1", b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")


@settings(deadline=None, max_examples=EXAMPLES or 6, suppress_health_check=list(HealthCheck))
@given(head=st.sampled_from(HEADS), content=st.binary(max_size=400))
def test_any_bytes_after_a_known_beginning_end_in_words(head: bytes, content: bytes) -> None:
    """The first bytes choose the reader."""
    end_well(head + content + head[:4], "x")
