"""The command line as a user calls it: its own process, real files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROMPT = "Which of these: billing, bug, account, feature request, shipping, cancellation? {{ticket}}"


def assay(folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Runs `python -m assay` in a folder."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("OPENROUTER_", "ASSAY_"))}
    clean |= {"ASSAY_DATABASE_URL": f"sqlite:///{folder}/a.db", **env}
    command = [sys.executable, "-m", "assay", *words]
    return subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True, timeout=120, check=False)


def test_run_to_export_by_hand(tmp_path: Path) -> None:
    """A run prints one JSON object; show, spend and export agree with it."""
    (tmp_path / "tickets.csv").write_text("ticket;category\nI was charged twice on an invoice;billing\nApp crash;bug\n")
    done = assay(tmp_path, "run", "tickets.csv", "--prompt", PROMPT, "--model", "sandbox/atlas-large", "--model",
                 "sandbox/swift", "--grader", "contains", "--out", "rows.csv", "--json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)

    assert (result["cells"], result["done"], result["failed"], result["state"]) == (4, 4, 0, "done")
    assert len(result["scoreboard"]) == 2
    spend = json.loads(assay(tmp_path, "spend", "--json").stdout)
    assert spend["known_usd"] == result["cost_usd"]
    shown = assay(tmp_path, "show", result["run"])
    assert "atlas-large" in shown.stdout
    assert (tmp_path / "rows.csv").read_text("utf-8-sig").count("sandbox/swift") == 2
    assert result["run"] in assay(tmp_path, "runs").stdout


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("run", "none.csv", "--prompt", "x", "--model", "sandbox/swift"), 1, "no file, dataset or example"),
        (("run", "support_tickets", "--prompt", "{{x}}", "--model", "sandbox/swift"), 1, "Undefined variables"),
        (("run", "support_tickets", "--prompt", "x", "--model", "sandbox/none"), 1, "no model"),
        (("run", "support_tickets", "--prompt", "x", "--model", "sandbox/swift", "--grader", "y"), 2, "no grader"),
        (("run", "support_tickets", "--prompt", "@none.txt", "--model", "sandbox/swift"), 2, "cannot be read"),
        (("run", "support_tickets", "--prompt", "x", "--model", "m", "--param", "temperature=9"), 2, "within 0 to 2"),
        (("run", "support_tickets"), 2, "Missing option"),
        (("show", "nothing"), 1, "no run"),
    ],
)
def test_wrong_words_are_answered_in_words(tmp_path: Path, words: tuple[str, ...], code: int, said: str) -> None:
    """Exit 1 for an error, 2 for wrong usage; words, no traceback."""
    done = assay(tmp_path, *words)

    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_gateway_that_is_not_there_is_said(tmp_path: Path) -> None:
    """No network: words and a cure, exit 1, and no key in them."""
    done = assay(tmp_path, "models", OPENROUTER_API_KEY="sk-CANARY", OPENROUTER_BASE_URL="http://127.0.0.1:9/api/v1")

    assert done.returncode == 1
    assert "cannot be reached" in done.stderr
    assert "CANARY" not in done.stderr + done.stdout
