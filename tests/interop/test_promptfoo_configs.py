"""promptfoo's configurations: the tests that it runs are the rows that we import."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from promptfoo_driver import Promptfoo

from assay.datasets.reader import read_table
from assay.datasets.table import ReadOptions
from assay.domain.json_values import as_text

HEAD = "prompts: ['p']\nproviders: [echo]\n"
FILES = {
    "tests.csv": "name,question,__expected\nAna,refunds,contains:p\nBo,delays,icontains:P\n",
    "more.yaml": "- vars: {question: x}\n- vars: {question: [y, z], name: [a, b]}\n",
    "lines.jsonl": '{"vars": {"question": "l1"}}\n{"vars": {"question": "l2", "n": 1.5}}\n',
    "vars.yaml": "name: file\nquestion: f\n",
    "default.yaml": "vars: {language: Spanish}\n",
}
CONFIGS = {
    "file": "tests: file://tests.csv\n",
    "name": "tests: tests.csv\n",
    "mixed": "tests: [file://tests.csv, {vars: {question: own}}, file://lines.jsonl]\n",
    "pattern": "tests: file://m*.yaml\n",
    "default": "defaultTest: {vars: {language: Spanish}}\ntests: [{vars: {q: a}}, {vars: {q: b, language: French}}]\n",
    "default in a file": "defaultTest: file://default.yaml\ntests: [{vars: {q: a}}]\n",
    "product": "tests: [{vars: {x: [a, b], y: [c, d], z: 1}}, {vars: {x: [a, b]}, "
    "options: {disableVarExpansion: true}}]\n",
    "objects": "tests: [{vars: {x: {a: 1, b: [x]}, y: [1, 2], t: true}}]\n",
    "vars": "tests: [{vars: file://vars.yaml}]\n",
    "scenarios": "scenarios: [{config: [{vars: {l: fr}}, {vars: {l: de}}], tests: [{vars: {q: a}}, {vars: {q: b}}]}]\n",
    "anchors": "x: &x {q: a, r: s}\ntests: [{vars: *x}, {vars: {<<: *x, r: t}}]\n",
    "reference": "shared: {v: {q: a}}\ntests: [{vars: {$ref: '#/shared/v'}}]\n",
}


def theirs(promptfoo: Promptfoo, path: Path) -> list[dict[str, str]]:
    """The variables of the tests that promptfoo runs, in order."""
    out = promptfoo.home / "out.json"
    promptfoo("eval", "-c", str(path), "-o", str(out), "--no-cache", "--no-table", "--no-progress-bar", codes=(0, 100))
    found: list[dict[str, Any]] = json.loads(out.read_text("utf-8"))["results"]["results"]
    return [
        {name: as_text(value) for name, value in result["vars"].items() if not name.startswith(("_", "sessionId"))}
        for result in sorted(found, key=lambda result: result["testIdx"])
    ]


@pytest.mark.parametrize("name", CONFIGS)
def test_rows_of_a_configuration_are_the_tests_that_promptfoo_runs(promptfoo: Promptfoo, name: str) -> None:
    """Files, patterns, defaults, lists, scenarios, references: the same variables in each, in the same order."""
    for file, content in FILES.items():
        (promptfoo.home / file).write_text(content, "utf-8")
    path = promptfoo.home / "promptfooconfig.yaml"
    path.write_text(HEAD + CONFIGS[name], "utf-8")

    table = read_table(path, options=ReadOptions(folder=path.parent))
    expected = theirs(promptfoo, path)

    names = {variable for test in expected for variable in test}
    rows = [{name: value for name, value in row.items() if name in names and value} for row in table]
    assert rows == expected
