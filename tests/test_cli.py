"""The command line as a user calls it: its own process, real files."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from assay.money import from_pico
from assay.sandbox import Fault, SandboxConfig, SandboxServer

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
    done = assay(
        tmp_path,
        "run",
        "tickets.csv",
        "--prompt",
        PROMPT,
        "--model",
        "sandbox/atlas-large",
        "--model",
        "sandbox/swift",
        "--grader",
        "contains",
        "--out",
        "rows.csv",
        "--json",
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)

    assert (result["cells"], result["done"], result["failed"], result["state"]) == (4, 4, 0, "done")
    assert len(result["scoreboard"]) == 2
    spend = json.loads(assay(tmp_path, "spend", "--json").stdout)
    assert spend["known_usd"] == result["cost_usd"]
    assert result["decision"]["margin"] == 0.05
    shown = assay(tmp_path, "show", result["run"], "--margin", "0.1")
    assert "atlas-large" in shown.stdout
    assert (tmp_path / "rows.csv").read_text("utf-8-sig").count("sandbox/swift") == 2
    assert result["run"] in assay(tmp_path, "runs").stdout


def test_run_moves_to_another_workbench_by_hand(tmp_path: Path) -> None:
    """Archived there, taken in here: the scoreboard is the same; a second time, and another file, are refused."""
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    done = assay(
        there,
        "run",
        "support_tickets",
        "--prompt",
        PROMPT,
        "--model",
        "sandbox/swift",
        "--grader",
        "contains",
        "--limit",
        "4",
        "--out",
        "run.archive.jsonl",
        "--out",
        "rows.jsonl",
        "--json",
    )
    assert done.returncode == 0, done.stderr
    run_id = json.loads(done.stdout)["run"]

    taken = assay(here, "import-run", str(there / "run.archive.jsonl"), "--json")

    assert taken.returncode == 0, taken.stderr
    assert json.loads(taken.stdout)["run"] == run_id
    assert assay(here, "show", run_id).stdout == assay(there, "show", run_id).stdout
    again = assay(here, "import-run", str(there / "run.archive.jsonl"))
    assert (again.returncode, "here already" in again.stderr) == (1, True)
    other = assay(here, "import-run", str(there / "rows.jsonl"))
    assert (other.returncode, "not the archive of a run" in other.stderr) == (1, True)


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
        (("run", "none.yaml"), 2, "none.yaml cannot be read"),
        (("run", "none.yaml", "--grader", "contains"), 2, "--grader cannot be combined with a suite"),
        (("run", "none.yaml", "--model", "x"), 2, "--model cannot be combined with a suite"),
        (("run", "none.yaml", "--prompt", "x"), 2, "--prompt cannot be combined with a suite"),
        (("estimate", "none.yaml"), 2, "none.yaml cannot be read"),
        (("compare", "nothing", "nothing"), 1, "no run"),
        (("compare", "a", "b", "--md", "--json"), 2, "exclude each other"),
        (("import", "."), 1, "is not a file"),
        (("import", "a.csv", "--delimiter", "::"), 2, "not one character"),
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


def test_suite_with_a_budget_and_no_gateway_says_that_it_cannot_be_reached(tmp_path: Path) -> None:
    """Without prices no budget holds: exit 1 with the gateway named as the cause, and no run is begun."""
    suite(tmp_path)
    dead = {"OPENROUTER_API_KEY": "sk-test", "OPENROUTER_BASE_URL": "http://127.0.0.1:9/api/v1"}
    done = assay(tmp_path, "run", "suite.yaml", **dead)

    assert done.returncode == 1
    assert "no budget can be held" in done.stderr
    assert "cannot be reached" in done.stderr
    assert "no runs yet" in assay(tmp_path, "runs", **dead).stdout


def test_run_at_a_gateway_that_is_gone_exits_1_and_says_why(tmp_path: Path) -> None:
    """It is an error, not a gate that was missed, and nobody waits for it."""
    suite(tmp_path, "- score: {min: 0.5}\n")
    file = tmp_path / "suite.yaml"
    file.write_text(file.read_text().replace("budget_usd: 1\n", ""))
    dead = {"OPENROUTER_API_KEY": "sk-test", "OPENROUTER_BASE_URL": "http://127.0.0.1:9/api/v1"}

    done = assay(tmp_path, "run", "suite.yaml", **dead)

    assert done.returncode == 1
    assert "The gateway cannot be reached" in done.stdout
    assert "Continue goes on with the missing cells" in done.stdout
    assert "prices could not be fetched" in done.stderr
    assert "FAIL" not in done.stdout


def test_run_without_one_answer_exits_1_and_says_why(tmp_path: Path) -> None:
    """A gateway that refuses every call is an error, not a gate that was missed."""
    suite(tmp_path, "- score: {min: 0.5}\n")
    with SandboxServer(SandboxConfig(speed=0, faults=(Fault("400"),))) as sandbox:
        refusing = {"OPENROUTER_API_KEY": "sk-test", "OPENROUTER_BASE_URL": sandbox.base_url}

        done = assay(tmp_path, "run", "suite.yaml", **refusing)

    assert done.returncode == 1
    assert "Nothing was answered. The first error: " in done.stderr
    assert "FAIL" not in done.stdout


SUITE = """
name: Tickets
dataset: tickets.csv
prompts: ["Which of these: billing, bug? {{ticket}}"]
contestants: [sandbox/swift]
graders: [contains]
budget_usd: 1
gates:
- failed: {max: 0}
- cost_usd: {max: 0.5}
"""


def suite(folder: Path, more: str = "") -> None:
    """A suite file beside its dataset."""
    (folder / "tickets.csv").write_text(
        "id;ticket;category\n1;I was charged twice on an invoice;billing\n2;Crash;bug\n"
    )
    (folder / "suite.yaml").write_text(SUITE + more)


def test_suite_whose_gates_are_met_exits_0_and_is_compared(tmp_path: Path) -> None:
    """Every gate prints its value and bound; the next run is compared with the one before by name."""
    suite(tmp_path, "- not_worse_than: {run: main, missing: pass}\n")
    first = assay(tmp_path, "run", "suite.yaml", "--name", "main")
    assert first.returncode == 0, first.stderr
    assert "PASS  swift: cells without an answer 0, at most 0" in first.stdout
    assert "2/2" in first.stderr.splitlines()[-1]

    second = assay(tmp_path, "run", "suite.yaml", "--json", "--limit", "1")

    assert second.returncode == 0, second.stderr
    result = json.loads(second.stdout)
    assert (result["name"], result["cells"], len(result["gates"])) == ("Tickets", 1, 3)
    assert "on 1 rows" in result["gates"][2]["words"]
    found = json.loads(assay(tmp_path, "compare", "main", result["run"], "--json").stdout)
    assert (found["rows"], found["rows_only_a"], found["contestants"][0]["same"]) == (1, 1, 1)
    markdown = assay(tmp_path, "compare", "main", "Tickets", "--md").stdout
    assert markdown.startswith("### Tickets against main")
    assert "| swift | 1 | 0 | 1 | 0 |" in markdown
    assert "swift" in assay(tmp_path, "compare", "main", "Tickets").stdout


def test_estimate_of_a_suite_sends_nothing(tmp_path: Path) -> None:
    """A suite file is estimated as it would be run; options win over it as in a run, and no run is kept."""
    suite(tmp_path)

    done = assay(tmp_path, "estimate", "suite.yaml", "--samples", "3")

    assert (done.returncode, done.stdout.count("\n")) == (0, 1)
    assert done.stdout.startswith("2 rows x 1 prompt x 1 model x 3 samples = 6 calls")
    assert "no runs yet" in assay(tmp_path, "runs").stdout


@pytest.mark.parametrize("command", ["run", "estimate"])
@pytest.mark.parametrize(
    ("mistyped", "meant"),
    [
        (("--model", "sandbox/swfit"), "Did you mean sandbox/swift"),
        (("--model", "swift"), "Did you mean sandbox/swift"),
        (("--model", "sandbox/swift", "--param", "temprature=1"), "Did you mean 'temperature'?"),
    ],
)
def test_mistyped_name_is_met_with_the_nearest_before_anything_is_told_or_sent(
    tmp_path: Path, command: str, mistyped: tuple[str, ...], meant: str
) -> None:
    """A model or parameter that nobody knows is refused by an estimate as by a run."""
    (tmp_path / "q.csv").write_text("q\nHello\n")

    done = assay(tmp_path, command, "q.csv", "--prompt", "{{q}}", *mistyped)

    assert done.returncode not in (0, 100)
    assert meant in done.stderr
    assert done.stdout == ""


def test_gate_that_is_not_met_exits_100(tmp_path: Path) -> None:
    """The run is kept and shown; the exit code alone fails the build."""
    suite(tmp_path, "- p95_ms: {max: 0}\n")

    done = assay(tmp_path, "run", "suite.yaml")

    assert done.returncode == 100
    assert "FAIL  swift: p95 " in done.stdout
    assert "at most 0 ms" in done.stdout


def budget_of_one_call(folder: Path) -> str:
    """A budget in USD with room for one call of the suite at nine samples, and not for the whole."""
    found = json.loads(assay(folder, "estimate", "suite.yaml", "--samples", "9", "--json").stdout)
    return str(from_pico(found["cost"]["dearest"]))


def test_budget_below_one_call_is_refused_by_every_command(tmp_path: Path) -> None:
    """What one call may cost, whose it is and what to do are said; nothing is created or sent."""
    suite(tmp_path)
    words = "has no room for one call of swift, which may cost up to $"
    plain = ("tickets.csv", "--prompt", "{{ticket}}", "--model", "sandbox/swift")

    for asked in (("suite.yaml",), plain):
        done = assay(tmp_path, "run", *asked, "--budget", "0.0000001")
        assert (done.returncode, words in done.stderr, "at least $" in done.stderr) == (1, True, True), done.stderr
    assert "no runs yet" in assay(tmp_path, "runs").stdout

    run = json.loads(assay(tmp_path, "run", "suite.yaml", "--json").stdout)["run"]
    grown = assay(tmp_path, "grow", run, "--samples", "2", "--yes", "--budget", "0.001")
    assert (grown.returncode, words in grown.stderr) == (1, True), grown.stderr
    assert json.loads(assay(tmp_path, "show", run, "--json").stdout)["cells"] == 2


def test_run_that_cannot_be_completed_exits_1(tmp_path: Path) -> None:
    """A spent budget is an error, not a gate: a part of a run proves nothing."""
    suite(tmp_path)

    done = assay(tmp_path, "run", "suite.yaml", "--samples", "9", "--budget", budget_of_one_call(tmp_path))

    assert done.returncode == 1
    assert "gates are not checked" in done.stderr


def test_gates_are_checked_when_a_run_is_continued_or_grows(tmp_path: Path) -> None:
    """The run keeps its gates: continue and grow exit 100 like the first command would have."""
    suite(tmp_path, "- p95_ms: {max: 0}\n")
    tight = budget_of_one_call(tmp_path)
    stopped = assay(tmp_path, "run", "suite.yaml", "--samples", "9", "--budget", tight, "--json")
    run = json.loads(stopped.stdout)["run"]

    paused = assay(tmp_path, "continue", run)
    done = assay(tmp_path, "continue", run, "--budget", "1", "--json")
    grown = assay(tmp_path, "grow", run, "--model", "sandbox/scribe", "--yes")

    assert (paused.returncode, done.returncode, grown.returncode) == (1, 100, 100)
    assert "has no room for one call of swift" in paused.stderr
    assert [gate["passed"] for gate in json.loads(done.stdout)["gates"]] == [True, True, False]
    assert "FAIL  scribe: p95 " in grown.stdout
    assert "FAIL  swift: p95 " in assay(tmp_path, "show", run).stdout


def test_baseline_of_a_gate_is_the_one_of_the_start(tmp_path: Path) -> None:
    """A run that grows is not compared with itself, though it is now the newest of its name."""
    suite(tmp_path, "- not_worse_than: {run: Tickets, missing: pass}\n")
    first = json.loads(assay(tmp_path, "run", "suite.yaml", "--json").stdout)

    grown = json.loads(assay(tmp_path, "grow", first["run"], "--samples", "2", "--yes", "--json").stdout)

    assert grown["gates"][2]["words"] == first["gates"][2]["words"]
    assert "there is no run 'Tickets' yet" in grown["gates"][2]["words"]


def test_grow_says_what_it_costs_and_asks_before_it_starts(tmp_path: Path) -> None:
    """Without --yes nothing is sent; with it only the missing cells are, and show tells what was added."""
    suite(tmp_path)
    (tmp_path / "terse.txt").write_text("Category? {{ticket}}")
    (tmp_path / "more.csv").write_text("id;ticket;category\n2;Crash!;bug\n3;Slow;bug\n")
    words = ("--model", "sandbox/scribe", "--prompt-file", "terse.txt", "--samples", "2", "--data", "more.csv")
    run = json.loads(assay(tmp_path, "run", "suite.yaml", "--json").stdout)["run"]

    asked = assay(tmp_path, "grow", run, *words)
    before = assay(tmp_path, "show", run)
    done = assay(tmp_path, "grow", run, *words, "--budget", "1", "--yes", "--json")

    assert asked.returncode == 2
    assert "3 rows x 2 prompts x 2 models x 2 samples = 24 cells, 2 of them asked already" in asked.stderr
    assert "To send: 22 calls · about $" in asked.stderr
    assert "1 row is there with other values and left out, for the answers stand: 2." in asked.stderr
    assert "Nothing was added or sent. Give --yes to start." in asked.stderr
    assert "added" not in before.stdout
    result = json.loads(done.stdout)
    assert (done.returncode, result["cells"], result["done"]) == (0, 24, 24)
    assert result["estimate"]["complete"] is True
    shown = assay(tmp_path, "show", run).stdout
    assert (
        "added scribe and terse, raised samples from 1 to 2, added 1 row (tickets version 2), left out 1 changed row"
        in shown
    )
    assert "\nEstimated $" in shown


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 1, "Nothing would be added"),
        (("--model", "sandbox/swift", "--param", "temperature=9"), 2, "within 0 to 2"),
        (("--param", "temperature=0"), 2, "--param belongs to added models"),
        (("--rows", "some"), 2, "neither a number of rows nor 'all'"),
        (("--rows", "9"), 1, "There are 2 rows, not 9"),
        (("--prompt-file", "none.txt"), 2, "none.txt cannot be read"),
        (("--data", "none.csv"), 1, "no file, dataset or example"),
        (("--budget", "much", "--samples", "2"), 2, "much"),
    ],
)
def test_growth_in_wrong_words_is_answered_in_words(
    tmp_path: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    """Nothing is sent, and the cure is said."""
    suite(tmp_path)
    run = json.loads(assay(tmp_path, "run", "suite.yaml", "--json").stdout)["run"]

    done = assay(tmp_path, "grow", run, *words, "--yes")

    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_suite_with_a_wrong_key_exits_2_before_anything_is_sent(tmp_path: Path) -> None:
    """The line and what was meant."""
    suite(tmp_path, "promts: []\n")

    done = assay(tmp_path, "run", "suite.yaml")

    assert done.returncode == 2
    assert "suite.yaml, line 11: there is no key 'promts' here. Did you mean 'prompts'?" in done.stderr


def test_import_says_what_was_noticed_with_line_numbers(tmp_path: Path) -> None:
    """For people and as one object; the list of datasets counts the findings."""
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n3\n4\n5,6,7\n")

    said = assay(tmp_path, "import", "rows.csv").stdout
    kept = json.loads(assay(tmp_path, "import", "rows.csv", "--json").stdout)

    assert "- 2 rows have fewer cells than the header; they were filled up with empty cells (lines 3, 4)." in said
    assert "- 1 row has more cells than the header; it was cut to the header's width (line 5)." in said
    assert (kept["rows"], kept["columns"], [f["lines"] for f in kept["findings"]]) == (4, ["a", "b"], [[3, 4], [5]])
    assert f"{kept['dataset']}  rows version 1  4 rows  2 findings" in assay(tmp_path, "datasets").stdout
    listed = json.loads(assay(tmp_path, "datasets", "--json").stdout)
    assert [(d["dataset"], [f["count"] for f in d["findings"]]) for d in listed] == [(kept["dataset"], [2, 1])]


def test_schema_is_printed(tmp_path: Path) -> None:
    """Editors get the schema of suite files."""
    assert json.loads(assay(tmp_path, "schema").stdout)["title"] == "Assay suite"


def test_pilot_foretells_the_bill_and_continue_sends_the_rest(tmp_path: Path) -> None:
    """--pilot pauses after five rows with exit 0, says what the whole will cost, and nothing is asked twice."""
    (tmp_path / "many.csv").write_text("q\n" + "".join(f"Question {n}\n" for n in range(30)))

    pilot = assay(tmp_path, "run", "many.csv", "--prompt", "{{q}}", "--model", "sandbox/swift", "--pilot", "--json")
    found = json.loads(pilot.stdout)
    rest = assay(tmp_path, "continue", found["run"], "--json")

    assert (pilot.returncode, found["state"], found["done"]) == (0, "paused", 5)
    assert "The whole run will cost about $" in pilot.stderr
    ended = json.loads(rest.stdout)
    assert (rest.returncode, ended["state"], ended["done"], ended["forecast"]) == (0, "done", 30, None)
    assert found["forecast"]["low_usd"] <= ended["cost_usd"] <= found["forecast"]["high_usd"]


def test_settling_by_word_asks_first_and_takes_one_call_at_an_exact_amount(tmp_path: Path) -> None:
    """Nothing is settled unasked; then one call at its amount, the rest at nothing, once each."""
    (tmp_path / "t.csv").write_text("q\n" + "".join(f"Question {n}\n" for n in range(4)))
    with SandboxServer(SandboxConfig(speed=0, faults=(Fault("truncated", rate=1.0),))) as server:
        told = {"OPENROUTER_API_KEY": "sk-or-x", "OPENROUTER_BASE_URL": server.base_url, "ASSAY_MAX_ATTEMPTS": "1"}
        assay(tmp_path, "run", "t.csv", "--prompt", "{{q}}", "--model", "sandbox/swift", "--budget", "5", **told)
    database = sqlite3.connect(tmp_path / "a.db")
    with database:
        database.execute("UPDATE call SET generation_id = NULL")
    lost = [row[0] for row in database.execute("SELECT id FROM call WHERE cost_pico IS NULL ORDER BY id")]
    database.close()
    assert lost

    unasked = assay(tmp_path, "settle", "--nothing")
    several = assay(tmp_path, "settle", "--amount", "0.5", "--yes")
    one = assay(tmp_path, "settle", "--call", lost[0], "--amount", "0.000000000123", "--yes")
    again = assay(tmp_path, "settle", "--call", lost[0], "--nothing", "--yes")
    rest = assay(tmp_path, "settle", "--nothing", "--yes")
    spend = json.loads(assay(tmp_path, "spend", "--json").stdout)

    assert (unasked.returncode, several.returncode, again.returncode) == (2, 2, 1)
    assert "Nothing was settled. Give --yes to settle." in unasked.stderr
    assert "is known: $0.00000000012, stated" in again.stderr
    assert "1 call is settled by your word, at $0.00000000012 together." in one.stdout
    assert f"{len(lost) - 1:,} call" in rest.stdout
    assert (spend["unknown_calls"], spend["unknown_at_most_usd"]) == (0, "0")
    assert spend["known_usd"] == "0.000000000123"
