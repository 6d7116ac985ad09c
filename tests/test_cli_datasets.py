"""The dataset commands as a user calls them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import openpyxl
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest

from test_cli import assay


def test_policy_is_set_shown_and_refuses(tmp_path: Path) -> None:
    """The policy stands in the list, refuses estimate and run with the reason, and is loosened only on purpose."""
    (tmp_path / "sums.csv").write_text("q,answer\ntwo and two?,four\nthree and one?,four\n")
    assert assay(tmp_path, "import", "sums.csv").returncode == 0
    done = assay(tmp_path, "datasets", "policy", "sums", "--zdr", "--no-training", "--only", "eastbay,northwind")
    assert done.returncode == 0, done.stderr
    asked = ("sums", "--prompt", "{{q}}", "--model", "sandbox/bard", "--model", "sandbox/swift")

    assert done.stdout.strip() == "sums: zero data retention only, no training, only eastbay, northwind"
    assert assay(tmp_path, "datasets", "tag", "sums", "gold").stdout.strip() == "gold"
    listed = assay(tmp_path, "datasets").stdout
    assert "#gold" in listed
    assert "[zero data retention only, no training, only eastbay, northwind]" in listed
    for command in ("estimate", "run"):
        refused = assay(tmp_path, command, *asked)
        assert refused.returncode == 1
        assert "bard is refused" in refused.stderr
        assert "Contestants that remain: swift" in refused.stderr
    assert assay(tmp_path, "run", *asked[:3], "--model", "sandbox/swift").returncode == 0
    loosened = assay(tmp_path, "datasets", "policy", "sums", "--none")
    assert loosened.returncode == 1
    assert "looser than before" in loosened.stderr
    assert assay(tmp_path, "datasets", "policy", "sums", "--none", "--loosen").stdout.strip() == "sums: no data policy"


def test_rows_splits_and_derived_datasets(tmp_path: Path) -> None:
    """Rows are filtered, split and kept apart; the command line says what it made."""
    lines = "".join(f"{n},{'de' if n % 2 else 'en'},text {n}\n" for n in range(40))
    (tmp_path / "t.csv").write_text(f"id,lang,text\n{lines}")
    assert assay(tmp_path, "import", "t.csv").returncode == 0
    found = assay(tmp_path, "datasets", "rows", "t", "--where", "lang=de", "--search", "text 1")
    made = assay(tmp_path, "datasets", "derive", "t", "--name", "some", "--where", "lang=de", "--sample", "5")

    assert [json.loads(line)["key"] for line in found.stdout.splitlines()] == ["1", "11", "13", "15", "17", "19"]
    assert "some version 1: 5 rows" in made.stdout
    assert "train: " in assay(tmp_path, "datasets", "split", "t", "train=80", "test=20").stdout
    assert assay(tmp_path, "datasets", "rename", "some", "few").returncode == 0
    assert "few version 1" in assay(tmp_path, "datasets").stdout
    assert assay(tmp_path, "datasets", "split", "t", "train").returncode == 2
    assert assay(tmp_path, "datasets", "rows", "t", "--where", "lang").returncode == 2
    assert "no dataset 'nope'" in assay(tmp_path, "datasets", "policy", "nope", "--zdr").stderr


def rows_in(ending: str) -> bytes:
    """Two questions and their answers in a format."""
    rows = [["question", "answer"], ["2+2", "4"], [" padded ", "007"]]
    if ending in ("json", "jsonl"):
        lines = [json.dumps(dict(zip(rows[0], row, strict=True))) for row in rows[1:]]
        return ("\n".join(lines) if ending == "jsonl" else f"[{','.join(lines)}]").encode()
    target = io.BytesIO()
    if ending == "parquet":
        parquet.write_table(arrow.table({name: [row[n] for row in rows[1:]] for n, name in enumerate(rows[0])}), target)
    elif ending == "xlsx":
        book = openpyxl.Workbook()
        assert book.active is not None
        for row in rows:
            book.active.append(row)
        book.save(target)
    else:
        delimiter = "\t" if ending == "tsv" else ","
        target.write("".join(f"{delimiter.join(row)}\n" for row in rows).encode())
    return target.getvalue()


@pytest.mark.parametrize("ending", ["csv", "tsv", "txt", "json", "jsonl", "parquet", "xlsx"])
def test_import_answers_for_every_format(tmp_path: Path, ending: str) -> None:
    """The dataset's id, rows, columns and findings, the same for the same content."""
    (tmp_path / f"sums.{ending}").write_bytes(rows_in(ending))

    done = assay(tmp_path, "import", f"sums.{ending}", "--json")

    told = json.loads(done.stdout)
    assert (told["dataset"], told["rows"], told["columns"]) == ("e89da56887d45d1a", 2, ["question", "answer"])
    assert (told["name"], told["version"], told["findings"]) == ("sums", 1, [])


def test_import_says_what_looks_like_data_and_takes_it_as_a_row(tmp_path: Path) -> None:
    """The first row of a file without a header, on request."""
    (tmp_path / "a.csv").write_text("1,hello\n2,world\n")

    said = assay(tmp_path, "import", "a.csv")
    taken = assay(tmp_path, "import", "a.csv", "--no-header", "--json")

    assert "looks like data" in said.stdout
    assert json.loads(taken.stdout)["rows"] == 2
    assert json.loads(taken.stdout)["columns"] == ["column 1", "column 2"]


def test_run_of_a_file_tells_its_warnings(tmp_path: Path) -> None:
    """A row that is left out is said with its line, by the options and by a suite alike."""
    rows = [[{"role": role, "content": "a"}] for role in ("user", "model")]
    (tmp_path / "x.jsonl").write_text("\n".join(json.dumps({"id": "1", "input": row}) for row in rows))
    (tmp_path / "suite.yaml").write_text("dataset: x.jsonl\nprompts: ['{{input}}']\ncontestants: [sandbox/swift]\n")
    asked = ("x.jsonl", "--prompt", "{{input}}", "--model", "sandbox/swift")

    for words in (("estimate", *asked), ("run", "suite.yaml")):
        done = assay(tmp_path, *words)

        assert done.returncode == 0, done.stderr
        assert "1 row holds a conversation that cannot be sent as it is" in done.stderr
        assert "(line 2)" in done.stderr
