"""What the command line writes: no name, column, answer or error steers the terminal; JSON stays exact; the log."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
import unicodedata
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.test_cli import assay

from assay.cli.terminal import print_json
from assay.plain_text import as_escapes, as_json_escapes

EVIL = "a\x1b[31mred\x1b]0;owned\x07\x9b2J\u202egnp\u2066\x7f\x08\u2028b"
STEERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def clean(found: subprocess.CompletedProcess[str]) -> bool:
    """Whether neither stream holds what steers; a carriage return of the bar aside."""
    return not STEERS.search(found.stdout) and not STEERS.search(found.stderr)


DRIVER = """
import json, sys
from assay.cli import main
for words in json.load(sys.stdin):
    sys.argv = ["assay", *words]
    try:
        main()
    except SystemExit:
        pass
"""


def assay_each(folder: Path, commands: Sequence[Sequence[str]]) -> subprocess.CompletedProcess[str]:
    """Runs commands one after the other in one process, as `assay` runs each."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("OPENROUTER_", "ASSAY_"))}
    return subprocess.run(
        [sys.executable, "-c", DRIVER],
        cwd=folder,
        env=env,
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset, a run and a prompt whose every name is hostile."""
    folder = tmp_path_factory.mktemp("evil")
    (folder / "rows.csv").write_text(f'q,"{EVIL}"\nhello,{EVIL}\n', "utf-8")
    (folder / "prompt.txt").write_text(f"Say {EVIL} about {{{{q}}}}", "utf-8")
    made = assay_each(
        folder,
        [
            ("import", "rows.csv", "--name", f"set {EVIL}"),
            ("prompts", "save", "evil", "--user-file", "prompt.txt", "--note", EVIL),
            (
                "run",
                "rows.csv",
                "--prompt",
                f"Repeat {EVIL}: {{{{q}}}}",
                "--model",
                "sandbox/swift",
                "--grader",
                "contains:value=x",
                "--name",
                f"run {EVIL}\nPASS  the run: forged",
                "--tag",
                EVIL,
                "--out",
                "out.csv",
            ),
        ],
    )
    assert (folder / "out.csv").is_file(), made.stderr
    assert clean(made)
    return folder


COMMANDS = (
    ("datasets",),
    ("runs",),
    ("show", "{run}"),
    ("spend",),
    ("models", EVIL),
    ("prompts",),
    ("prompts", "show", "evil"),
    ("prompts", "diff", "evil", "evil"),
    ("import", "rows.csv"),
    ("import", f"none {EVIL}.csv"),
    ("show", EVIL),
    ("datasets", "rows", f"set {EVIL}"),
    ("datasets", "tag", f"set {EVIL}", EVIL),
    ("compare", "{run}", "{run}"),
    ("compare", "{run}", "{run}", "--md"),
    ("estimate", "rows.csv", "--prompt", EVIL, "--model", EVIL),
    ("run", "rows.csv", "--prompt", "{{q}}", "--model", EVIL),
    ("run", "rows.csv", "--prompt", "{{q}}", "--model", "sandbox/swift", "--grader", EVIL),
    ("continue", EVIL),
    ("export", EVIL, "--out", "x.csv"),
    (EVIL,),
    ("run", f"{EVIL}.yaml"),
    ("runs", "--limit", EVIL),
    ("datasets", "policy", f"set {EVIL}", "--zdr"),
)


def test_no_command_steers_the_terminal(folder: Path) -> None:
    """Every command shows hostile names, columns, models, file names and errors as escapes, each on its line."""
    run = json.loads(assay_each(folder, [("runs", "--json")]).stdout)[0]["run"]
    found = assay_each(folder, [[run if word == "{run}" else word for word in words] for words in COMMANDS])

    assert STEERS.findall(found.stdout + found.stderr) == []
    assert "\nPASS  the run: forged" not in found.stdout
    assert "Traceback" not in found.stderr
    assert found.stdout.count("\\x1b[31mred") >= 10


def test_json_and_files_stay_exact(folder: Path) -> None:
    """`--json` means what was stored, character for character, and a file that is written is not escaped."""
    found = assay_each(folder, [("runs", "--json")])

    assert clean(found)
    assert json.loads(found.stdout)[0]["name"].startswith(f"run {EVIL}")
    assert "\u202e" in (folder / "out.csv").read_text("utf-8")


@given(st.text())
def test_escaped_text_steers_nothing_and_json_means_the_same(text: str) -> None:
    """Any text, lone surrogates included: escaped it holds nothing that steers; as JSON it is read back as it was."""
    said = as_escapes(text, one_line=True)

    assert not STEERS.search(said)
    assert all(unicodedata.category(c) not in ("Cs",) and c != "\n" for c in said)
    assert json.loads(as_json_escapes(json.dumps([text], ensure_ascii=False))) == [text]


def test_log_file_and_level_are_taken_at_either_end(tmp_path: Path) -> None:
    """A line per call in a private file, as JSON where asked, before or after the command; the key is nowhere."""
    words = ("run", "support_tickets", "--prompt", "{{ticket}}", "--model", "sandbox/swift", "--limit", "2")
    after = assay(tmp_path, *words, "--log-file", "a.log", "--log-format=json")
    before = assay(tmp_path, "--log-level", "INFO", *words)
    odd = assay(tmp_path, "runs", ASSAY_LOG_LEVEL="LOUD")

    lines = [json.loads(line) for line in (tmp_path / "a.log").read_text().splitlines()]
    assert after.returncode == before.returncode == 0, after.stderr + before.stderr
    assert [line["outcome"] for line in lines if line["logger"] == "assay.calls"] == ["ok", "ok"]
    assert stat.S_IMODE((tmp_path / "a.log").stat().st_mode) == 0o600
    assert "assay.calls" not in after.stderr
    assert before.stderr.count("assay.calls") == 2
    assert odd.returncode == 2
    assert "ASSAY_LOG_LEVEL" in odd.stderr
    assert "Traceback" not in odd.stderr


def test_json_amounts_are_plain_digits(capsys: pytest.CaptureFixture[str]) -> None:
    """A sum of nothing is 0 and not 0E-12, and no amount loses a digit."""
    print_json({"none": Decimal("0E-12"), "some": Decimal("1.5E-11"), "many": Decimal("1E+2")})

    assert json.loads(capsys.readouterr().out) == {"none": "0", "some": "0.000000000015", "many": "100"}
