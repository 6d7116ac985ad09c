"""promptfoo's configurations: tests in files, defaults, lists, scenarios and references are applied or named."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_bombs import soon

from assay.datasets.reader import read_table
from assay.datasets.table import ReadOptions, Table
from assay.errors import ImportRefused

CONFIG = """
prompts: ["Answer in {{language}}: {{question}}"]
providers: [openai:gpt-4o-mini, {id: other}]
"""


def config(folder: Path, text: str, *, uploaded: bool = False, **files: str) -> Table:
    """The table of a configuration beside other files, named with `__` for their point."""
    for name, content in files.items():
        path = folder / name.replace("__", ".").replace("_in_", "/")
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, "utf-8")
    path = folder / "promptfooconfig.yaml"
    path.write_text(CONFIG + text, "utf-8")
    return read_table(path, options=ReadOptions(folder=None if uploaded else folder))


def said(table: Table) -> str:
    """What was noticed, in words."""
    return " ".join(finding.message for finding in table.findings)


TESTS_CSV = "name,question,__expected,__metric\nAna,refunds,contains:refund,tone\nBo,delays,icontains:delay,\n"


@pytest.mark.parametrize("given", ["file://tests.csv", "tests.csv", "[file://tests.csv]", "{path: file://t*.csv}"])
def test_tests_in_a_file_are_rows(tmp_path: Path, given: str) -> None:
    """By name, in a list, by pattern; prompts and providers are no rows, and said not to be."""
    table = config(tmp_path, f"tests: {given}", tests__csv=TESTS_CSV)

    assert list(table) == [
        {"name": "Ana", "question": "refunds", "__expected1": "contains:refund", "__metric": "tone"},
        {"name": "Bo", "question": "delays", "__expected1": "icontains:delay", "__metric": ""},
    ]
    assert "`prompts` (1), `providers` (2) are not part of them" in said(table)


def test_lists_of_tests_may_be_mixed(tmp_path: Path) -> None:
    """Tests beside the names of files of every kind, in their order."""
    files = {"a__yaml": "- vars: {q: 1}\n", "b__json": '[{"vars": {"q": "2"}}]', "c__jsonl": '{"vars": {"q": "3"}}\n'}

    table = config(tmp_path, "tests: [file://a.yaml, {vars: {q: x}}, file://b.json, file://c.jsonl]", **files)

    assert [row["q"] for row in table] == ["1", "x", "2", "3"]


DEFAULT = """
defaultTest:
  vars: {language: Spanish}
  assert: [{type: latency, threshold: 3000}]
  options: {prefix: "P: "}
tests:
  - vars: {question: a}
    assert: [{type: icontains, value: Lima}]
  - vars: {question: b, language: French}
    options: {disableDefaultAsserts: true}
"""


def test_default_test_is_in_every_row(tmp_path: Path) -> None:
    """Its variables where the test has none, its checks after the test's own, its options."""
    first, second = config(tmp_path, DEFAULT)

    assert (first["language"], first["question"], first["__prefix"]) == ("Spanish", "a", "P: ")
    assert (first["__expected1"], first["__expected2"]) == ("icontains:Lima", "latency(3000)")
    assert (second["language"], second["__expected1"], second["__prefix"]) == ("French", "", "P: ")


def test_default_test_may_stand_in_a_file(tmp_path: Path) -> None:
    """And be the only test there is."""
    table = config(tmp_path, "defaultTest: file://d.yaml", d__yaml="vars: {q: 1}\nassert: [{type: is-json}]\n")

    assert list(table) == [{"q": "1", "__expected1": "is-json"}]


def test_lists_of_texts_make_a_row_each(tmp_path: Path) -> None:
    """Every combination; lists of other things are one value, and so is every list where that is chosen."""
    text = """
tests:
  - vars: {a: [x, y], b: ["1", "2"], c: [3, 4], d: z}
  - vars: {a: [x, y]}
    options: {disableVarExpansion: true}
"""
    table = config(tmp_path, text)

    assert [(row["a"], row["b"]) for row in table][:4] == [("x", "1"), ("x", "2"), ("y", "1"), ("y", "2")]
    assert (table.rows[0][2], table.rows[4][0]) == ("[3, 4]", '["x", "y"]')


def test_lists_of_texts_make_a_row_each_in_a_plain_list_of_tests() -> None:
    """A file of tests without a configuration around it."""
    rows = read_table(b'[{"vars": {"a": ["x", "y"]}, "assert": []}]', filename="x.json")

    assert [row["a"] for row in rows] == ["x", "y"]


def test_variables_in_files_are_their_texts(tmp_path: Path) -> None:
    """One file a row where a pattern fits several; YAML becomes JSON."""
    files = {"a__txt": "text a", "b__txt": "text b", "y__yaml": "k: [1]\n"}

    table = config(tmp_path, "tests: [{vars: {t: 'file://*.txt', y: file://y.yaml}}]", **files)

    assert [(row["t"], row["y"]) for row in table] == [("text a", '{"k": [1]}'), ("text b", '{"k": [1]}')]


@pytest.mark.parametrize("given", ["file://v.yaml", "[file://v.yaml, file://w.yaml]"])
def test_variables_may_all_stand_in_files(tmp_path: Path, given: str) -> None:
    """Later files win; lists in them make a row each, as those of the test itself."""
    text = f"defaultTest: {{vars: {{b: '0'}}}}\ntests: [{{vars: {given}}}]"

    table = config(tmp_path, text, v__yaml="q: [x, y]\nb: '1'\n", w__yaml="b: '1'\n")

    assert [(row["q"], row["b"]) for row in table] == [("x", "1"), ("y", "1")]


def test_value_of_a_check_may_stand_in_a_file(tmp_path: Path) -> None:
    """Schemas as objects, texts as texts; a program is named."""
    checks = ", ".join(
        f"{{type: {kind}, value: 'file://{name}'}}"
        for kind, name in (("is-json", "s.yaml"), ("contains", "t.txt"), ("javascript", "c.js"))
    )
    files = {"s__yaml": "type: object\n", "t__txt": "polite\n", "c__js": ""}

    table = config(tmp_path, f"tests: [{{vars: {{q: a}}, assert: [{checks}]}}]", **files)

    assert table.rows == [["a", 'is-json:{"type": "object"}', "contains:polite", "javascript:file://c.js"]]
    assert "`file://c.js`: it is a program" in said(table)


def test_settings_of_single_tests_are_named(tmp_path: Path) -> None:
    """They stay columns, and have no effect; so do variables of the environment, which are never read."""
    test = "{vars: {q: '{{env.HOME}}'}, provider: x, options: {prefix: P, transform: output.trim(), repeat: 2}}"

    table = config(tmp_path, f"tests: [{test}]")

    assert "have no effect here: `options.repeat`, `options.transform`, `provider`." in said(table)
    assert "variables of the environment are not filled in" in said(table)
    assert table.rows[0][0] == "{{env.HOME}}"


def test_configuration_without_tests_is_refused(tmp_path: Path) -> None:
    """Its providers are no rows."""
    with pytest.raises(ImportRefused, match="gives no tests: it has none"):
        config(tmp_path, "description: prompts and models")


SCENARIOS = """
scenarios:
  - config: [{vars: {language: French}}, {vars: {language: Dutch}, assert: [{type: is-json}]}]
    tests: [{vars: {q: a}}, {vars: {q: b}, assert: [{type: latency, threshold: 9}]}]
"""


def test_scenarios_are_multiplied(tmp_path: Path) -> None:
    """Each set of values with each test."""
    rows = list(config(tmp_path, SCENARIOS))

    assert [(r["language"], r["q"]) for r in rows] == [("French", "a"), ("French", "b"), ("Dutch", "a"), ("Dutch", "b")]
    assert [r["__expected1"] for r in rows] == ["", "latency(9)", "is-json", "latency(9)"]


REFERENCES = """
assertionTemplates: {polite: {type: contains, value: please}}
shared: &shared {type: is-json}
base: &base {q: x, r: y}
tests:
  - vars: {q: a}
    assert: [{$ref: '#/assertionTemplates/polite'}, *shared]
  - vars: {<<: *base, q: b}
    assert: [{$ref: 'other.yaml#/x'}]
"""


def test_references_and_anchors_are_applied(tmp_path: Path) -> None:
    """Where they lead within the file; another file is named."""
    table = config(tmp_path, REFERENCES)

    first, second = table
    assert (first["__expected1"], first["__expected2"]) == ("contains:please", "is-json")
    assert (second["q"], second["r"]) == ("b", "y")
    assert "`$ref other.yaml#/x`: it is not in the same file" in said(table)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("file://../secret.csv", "not below"),
        ("file:///etc/passwd", "not below"),
        ("file://none.csv", "no such file"),
        ("file://gen.py", "programs are not run"),
        ("file://gen.js:make", "programs are not run"),
        ("https://docs.google.com/x", "nothing is fetched"),
        ("file://link.csv", "not below"),
        ("file://../*.csv", "not below"),
        ("huggingface://datasets/x", "nothing is fetched"),
    ],
)
def test_what_may_not_be_read_is_named(tmp_path: Path, given: str, why: str) -> None:
    """Paths lead nowhere else, programs are never run, nothing is fetched."""
    folder = tmp_path / "configs"
    folder.mkdir()
    (tmp_path / "secret.csv").write_text("q\nsecret\n")
    (folder / "link.csv").symlink_to(tmp_path / "secret.csv")

    table = config(folder, f"tests: ['{given}', {{vars: {{q: a, v: '{given}'}}}}]", gen__py="", gen__js="")

    assert list(table) == [{"q": "a", "v": given}]
    assert why in said(table)


def test_uploaded_configuration_reads_no_file(tmp_path: Path) -> None:
    """What it names is said; where nothing is left, it is refused."""
    table = config(tmp_path, "tests: [file://tests.csv, {vars: {q: a}}]", uploaded=True, tests__csv=TESTS_CSV)

    assert list(table) == [{"q": "a"}]
    assert "an uploaded file names no files here" in said(table)
    with pytest.raises(ImportRefused, match=r"tests\.csv.*names no files here"):
        config(tmp_path, "tests: file://tests.csv", uploaded=True)


def chain(first: str, link: str) -> str:
    """Ten parts of a file, each of which says the one before it twenty times."""
    links = (link.format(", ".join([f"*{chr(97 + n)}"] * 20)) for n in range(9))
    return f"a: &a {first}\n" + "".join(f"b{n}: &{chr(98 + n)} {text}\n" for n, text in enumerate(links))


BOMBS = [
    chain(f"[{', '.join(['xxxxxxxxx'] * 20)}]", "[{}]"),
    chain("{" + ", ".join(f"k{n}: v" for n in range(100)) + "}", "{{<<: [{}]}}"),
    "tests: [{vars: {" + ", ".join(f"v{n}: [a, b, c, d]" for n in range(20)) + "}}]",
    "x: {$ref: '#/x'}\ntests: [{vars: {q: a}}]",
    "x: {y: {$ref: '#/x'}, z: {$ref: '#/x'}}\ntests: [{vars: {q: a}}]",
]


@pytest.mark.parametrize("text", BOMBS)
def test_configuration_that_stands_for_far_more_is_refused(tmp_path: Path, text: str) -> None:
    """Aliases of aliases, lists of lists, references in a circle."""
    with soon(), pytest.raises(ImportRefused) as caught:
        config(tmp_path, text)

    assert caught.value.cure


def test_yaml_rows_have_their_lines() -> None:
    """What is wrong with a row is said with the line where it begins."""
    table = read_table(b"# tests\n\n- a: 1\n  b: 2\n\n- a: 3\n", filename="x.yaml")

    assert [(f.kind, f.lines) for f in table.findings] == [("lacking", (6,))]
