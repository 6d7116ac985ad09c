"""Random tables, written in random dialects, encodings and formats, are read back equal."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_hostile import Cells, cells_of, json_of, jsonl_of, parquet_of, xlsx_of

from assay.datasets.reader import read_table
from assay.datasets.table import ReadOptions

ENCODINGS = (
    "utf-8",
    "utf-8-sig",
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "cp1252",
    "latin-1",
    "shift_jis",
    "gb18030",
    "big5",
    "euc_kr",
    "koi8-r",
    "cp1251",
)


UNICODE = st.characters(codec="utf-8", exclude_characters="\x00\ufeff", exclude_categories=("Cs",))
Characters = st.SearchStrategy[str]


def characters_of(encoding: str) -> Characters:
    """Characters that an encoding can hold."""
    if encoding.startswith("utf"):
        return UNICODE
    pairs = (bytes([first, second]) for first in range(0xA4, 0xF0) for second in range(0xA1, 0xFE, 3))
    known = (one.decode(encoding, "ignore") for one in (*(bytes([n]) for n in range(1, 256)), *pairs))
    return st.sampled_from(sorted({c for c in "".join(known) if c.encode(encoding, "ignore").decode(encoding) == c}))


@st.composite
def tables(draw: st.DrawFn, characters: Characters) -> Cells:
    """A header of different names and rows whose first cell is not empty."""
    name = st.text(characters, min_size=1, max_size=8).filter(str.strip)
    names = draw(st.lists(name, min_size=2, max_size=5, unique=True))
    cells = st.text(characters, max_size=12)
    row = st.tuples(st.text(characters, min_size=1, max_size=12), *[cells] * (len(names) - 1)).map(list)
    return [names, *draw(st.lists(row, min_size=1, max_size=5))]


TABLES = {encoding: tables(characters_of(encoding)) for encoding in ENCODINGS}


@settings(deadline=None)
@given(
    data=st.data(),
    delimiter=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(ENCODINGS),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_delimited_table_is_read_back_equal(
    data: st.DataObject, delimiter: str, encoding: str, quoting: int, end: str
) -> None:
    """In the dialect in which it was written, quotes and line breaks within cells included."""
    rows = data.draw(TABLES[encoding])
    text = io.StringIO(newline="")
    # The writer leaves a line break of another kind than its own unquoted.
    quoted = csv.QUOTE_ALL if end != "\r\n" else quoting
    csv.writer(text, delimiter=delimiter, quoting=quoted, lineterminator=end).writerows(rows)  # type: ignore[arg-type]
    options = ReadOptions(delimiter=delimiter, encoding=encoding)

    assert cells_of(read_table(text.getvalue().encode(encoding), filename="x.csv", options=options)) == rows


PLAIN = st.text(st.characters(codec="utf-8", categories=("Lu", "Ll", "Lo", "Nd")), min_size=1, max_size=8)
TYPED = st.one_of(PLAIN, st.sampled_from(["a, b", "x;y", 'say "hi"', "two\nlines", " padded ", "007", "1|2", ""]))


@settings(deadline=None)
@given(data=st.data(), delimiter=st.sampled_from(",;\t|"), mark=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_dialect_is_found_out(data: st.DataObject, delimiter: str, mark: str) -> None:
    """A table of words and a few awkward cells needs no options."""
    names = data.draw(st.lists(PLAIN, min_size=2, max_size=5, unique=True))
    row = st.tuples(PLAIN, *[TYPED] * (len(names) - 1)).map(list)
    rows = [names, *data.draw(st.lists(row, min_size=1, max_size=5))]
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows(rows)

    assert cells_of(read_table(text.getvalue().encode(mark), filename="x.csv")) == rows


FORMATS = {"x.json": json_of, "x.jsonl": jsonl_of, "x.parquet": parquet_of, "x.xlsx": xlsx_of}
IN_XML = UNICODE.filter(lambda c: c in "\t\n" or (c >= " " and c not in "\x7f\ufffe\uffff"))


@pytest.mark.parametrize("name", ["x.json", "x.jsonl"])
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_table_is_read_back_equal_from_json(name: str, data: st.DataObject) -> None:
    """Every character; the shapes of other tools are left alone."""
    rows = data.draw(TABLES["utf-8"])

    assert cells_of(read_table(FORMATS[name](rows), filename=name, options=ReadOptions(shape="none"))) == rows


@pytest.mark.parametrize("name", ["x.parquet", "x.xlsx"])
@settings(deadline=None, max_examples=12)
@given(data=st.data())
def test_table_is_read_back_equal_from_a_process_of_its_own(name: str, data: st.DataObject) -> None:
    """Every character that the format can hold, over the pipe too."""
    rows = data.draw(tables(IN_XML) if name == "x.xlsx" else TABLES["utf-8"])

    assert cells_of(read_table(FORMATS[name](rows), filename=name, options=ReadOptions(shape="none"))) == rows
