"""The dataset commands as a user calls them."""

from __future__ import annotations

import json
from pathlib import Path

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
