"""The prompt library on the command line: save, label, show, diff, and runs that name a version."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from test_cli import assay


def saved(folder: Path, text: str, *words: str) -> str:
    """What `assay prompts save triage` says about a user text."""
    (folder / "user.txt").write_text(f"{text}\n")
    done = assay(folder, "prompts", "save", "triage", "--user-file", "user.txt", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_versions_from_files_to_diff_and_list(tmp_path: Path) -> None:
    """Files become versions, a label moves, the difference and the list say so."""
    (tmp_path / "system.txt").write_text("Be brief.\n")
    assert assay(tmp_path, "prompts").stdout.startswith("There are no prompts yet")
    assert saved(tmp_path, "Category? {{ticket}}", "--label", "production") == "triage version 1 is kept."
    assert saved(tmp_path, "Which one? {{ticket}}", "--system-file", "system.txt") == "triage version 2 is kept."
    assert saved(tmp_path, "Category? {{ticket}}") == "triage has this content already: version 1."
    assert assay(tmp_path, "prompts", "show", "triage@production").stdout == "Category? {{ticket}}\n"
    moved = assay(tmp_path, "prompts", "label", "triage", "production")
    assert moved.stdout == "production points at triage version 2.\n"

    assert assay(tmp_path, "prompts", "diff", "triage:1", "triage").stdout.splitlines() == [
        "--- triage:1",
        "+++ triage:2",
        "@@ system @@",
        "+Be brief.",
        "@@ user @@",
        "-Category? {{ticket}}",
        "+Which one? {{ticket}}",
    ]
    (line,) = json.loads(assay(tmp_path, "prompts", "--json").stdout)
    assert (line["name"], line["version"], line["labels"]) == ("triage", 2, {"production": 2})
    assert line["variables"] == ["ticket"]


def test_run_and_suite_take_a_version_of_the_library(tmp_path: Path) -> None:
    """`--prompt-name` and a suite's `library` send exactly the version; the results carry its name."""
    saved(tmp_path, "Category? {{ticket}}", "--label", "production")
    saved(tmp_path, "Which one? {{ticket}}")
    (tmp_path / "suite.yaml").write_text(
        "dataset: support_tickets\nlimit: 1\nprompts: [{library: triage@production}, {library: triage}]\n"
        "contestants: [sandbox/swift]\n"
    )
    by_hand = assay(
        tmp_path,
        "run",
        "support_tickets",
        "--prompt-name",
        "triage@production",
        "--model",
        "sandbox/swift",
        "--limit",
        "1",
        "--json",
    )
    by_suite = assay(tmp_path, "run", "suite.yaml", "--json")

    assert (by_hand.returncode, by_suite.returncode) == (0, 0), by_hand.stderr + by_suite.stderr
    board = json.loads(by_suite.stdout)["scoreboard"]
    assert sorted(line["contestant"] for line in board) == ["swift · triage v1", "swift · triage v2"]
    run_id = json.loads(by_hand.stdout)["run"]
    grown = assay(tmp_path, "grow", run_id, "--prompt-name", "triage:2", "--budget", "1", "--yes", "--json")
    assert len(json.loads(grown.stdout)["scoreboard"]) == 2
    assert json.loads(assay(tmp_path, "prompts", "--json").stdout)[0]["runs"] == 2


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("prompts", "show", "none"), 1, "no prompt 'none' in the library"),
        (("prompts", "save", "a"), 2, "--user-file"),
        (("prompts", "save", "a", "--user-file", "none.txt"), 2, "cannot be read"),
        (("prompts", "save", "a@b", "--user-file", "u.txt"), 1, "cannot be a prompt's name"),
        (("prompts", "save", "a", "--messages-file", "u.txt"), 1, "not a JSON list"),
        (("run", "support_tickets", "--prompt-name", "none@x", "--model", "sandbox/swift"), 1, "no prompt 'none'"),
        (("run", "support_tickets", "--model", "sandbox/swift"), 2, "--prompt-name"),
        (("run", "suite.yaml"), 2, "suite.yaml, line 2: There is no prompt 'none'"),
        (("run", "both.yaml"), 2, "exactly one of user, file and library"),
    ],
)
def test_wrong_use_is_answered_in_words(tmp_path: Path, words: tuple[str, ...], code: int, said: str) -> None:
    """Every mistake has words, its exit code and no traceback."""
    (tmp_path / "u.txt").write_text("hello")
    (tmp_path / "suite.yaml").write_text(
        "dataset: support_tickets\nprompts: [{library: none}]\ncontestants: [sandbox/swift]\n"
    )
    (tmp_path / "both.yaml").write_text("dataset: x\nprompts: [{library: a, user: b}]\ncontestants: [c]\n")
    done = assay(tmp_path, *words)

    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_difference_of_a_version_with_itself_is_said(tmp_path: Path) -> None:
    """A label and a number that are the same version give a sentence, not an empty difference."""
    saved(tmp_path, "Category? {{ticket}}", "--label", "production")

    done = assay(tmp_path, "prompts", "diff", "triage:1", "triage@production")

    assert (done.returncode, done.stdout) == (0, "Both are triage version 1.\n")
