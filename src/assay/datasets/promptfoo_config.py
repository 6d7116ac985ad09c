"""promptfoo's configurations as rows: tests in files and lists, defaults, scenarios, references, arrays of values.

Only files below the configuration's own folder are read, and none where it was uploaded: these are named instead.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from assay.datasets.json_rows import Within
from assay.datasets.table import Finding
from assay.datasets.tool_rows import CHECKS
from assay.domain.json_values import as_text
from assay.errors import ImportRefused

Test = Mapping[str, Any]
ReadRows = Callable[[Path], Sequence[Mapping[str, Any]]]
"""Reads the rows of a file of tests: objects, or the cells of a table by column."""
_MARKS = ("prompts", "providers", "targets", "defaultTest", "scenarios")
_APPLIED = ("tests", "scenarios", "defaultTest", "$schema", "assertionTemplates", "description")
_CODE = (".js", ".cjs", ".mjs", ".ts", ".py", ".rb", ".go")
_TABLES = (".csv", ".json", ".jsonl", ".yaml", ".yml", ".xlsx")
_OPTIONS = ("prefix", "suffix", "disableVarExpansion", "disableDefaultAsserts", "disableConversationVar")
_OF_NO_EFFECT = ("prompts", "provider", "providers", "assertScoringFunction")
"""What tests say of how they are run."""
_ENVIRONMENT = re.compile(r"\{\{-?\s*(process\.)?env\b")
FILES_LIMIT = 1_000
FILE_LIMIT = 8 * 1024 * 1024
ROWS_LIMIT = 100_000
COMBINATIONS = 10_000
"""Rows of one test whose variables are lists, at most."""
DEPTH = 30
_VALUES = 1_000_000
"""Values that references may stand for."""


def is_config(value: Any) -> bool:
    """Whether an object is a configuration of promptfoo."""
    if not isinstance(value, Mapping):
        return False
    asks = any(isinstance(value.get(name), list | str | Mapping) for name in _MARKS)
    tests = value.get("tests")
    names_models = "prompts" in value and ("providers" in value or "targets" in value)
    return asks and (
        isinstance(tests, list | str | Mapping) or "scenarios" in value or "defaultTest" in value or names_models
    )


def rows_of(value: Mapping[str, Any], folder: Path | None, read: ReadRows) -> Within:
    """The tests of a configuration, each with its defaults. folder: None: it was uploaded. Raises ImportRefused."""
    return _Config(value, folder, read).rows()


def expanded(test: Any, *, files: Files | None = None) -> Iterator[Any]:
    """A test for each combination of the texts in lists among its variables; anything else as it is.

    Raises ImportRefused where they are too many.
    """
    if not isinstance(test, Mapping) or not isinstance(test.get("vars"), Mapping):
        yield test
        return
    options = test.get("options")
    whole = isinstance(options, Mapping) and options.get("disableVarExpansion") is True
    columns = []
    for value in test["vars"].values():
        values = files.contents(value) if files is not None else [value]
        # Like promptfoo: a list of other things than texts is one value.
        if len(values) == 1 and not whole and isinstance(values[0], list) and values[0] and _is_text(values[0][0]):
            values = values[0]
        columns.append(values)
    count = 1
    for values in columns:
        count *= len(values)
        if count > COMBINATIONS:
            raise ImportRefused(
                f"The lists of a test's variables make more than {COMBINATIONS:,} rows.", cure="Shorten them."
            )
    if count == 1 and all(column[0] is value for column, value in zip(columns, test["vars"].values(), strict=True)):
        yield test
        return
    for combination in itertools.product(*columns):
        yield {**test, "vars": dict(zip(test["vars"], combination, strict=True))}


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and type(value) is str


class Files:
    """The files beside a configuration, and which of them were not read. folder: None where it was uploaded."""

    def __init__(self, folder: Path | None, read: ReadRows) -> None:
        self._folder = folder.resolve() if folder is not None else None
        self._read = read
        self.left: dict[str, str] = {}
        """What was not applied, and why."""

    def tests(self, given: str) -> list[Test]:
        """The tests of a file, or of those that match a pattern. Raises ImportRefused for a file that is no table."""
        found: list[Test] = []
        for path in self._found(given):
            if path.suffix.lower() not in _TABLES:
                self.left[given] = "it is no table of tests"
                continue
            found += [_test_of(row) for row in self._read(path)]
        return found

    def value(self, given: str) -> Any:
        """The only object of a file; None: there is none."""
        rows = [row for path in self._found(given) for row in self._read(path)]
        return rows[0] if len(rows) == 1 else None

    def contents(self, value: Any) -> list[Any]:
        """The texts of the files that a variable names; any other value as it is."""
        if not (_is_text(value) and value.startswith("file://")):
            return [value]
        texts: list[Any] = [self._content(path) for path in self._found(value)]
        return [text for text in texts if text is not None] or [value]

    def variables(self, given: Any) -> Any:
        """The variables of a test, from the files that hold them where they are named; later ones win."""
        names = [given] if isinstance(given, str) else given
        if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
            return given
        rows = [row for name in names for path in self._found(name) for row in self._read(path)]
        return {name: value for row in rows for name, value in row.items()}

    def checked(self, check: Any) -> Any:
        """A check, with the content of the file that its value names."""
        if not isinstance(check, Mapping):
            return check
        if isinstance(check.get("assert"), list):
            return {**check, "assert": [self.checked(inner) for inner in check["assert"]]}
        (content,) = self.contents(check.get("value"))[:1]
        if content is check.get("value"):
            return check
        # Like promptfoo: schemas and lists are read from such files, whatever they are written in.
        parsed = check["value"].lower().endswith((".json", ".yaml", ".yml"))
        return {**check, "value": _parsed(content) if parsed else content.strip()}

    def _content(self, path: Path) -> str | None:
        if path.stat().st_size > FILE_LIMIT:
            self.left[path.name] = f"it has more than {FILE_LIMIT // 2**20} MB"
            return None
        try:
            text = path.read_text("utf-8-sig")
        except UnicodeDecodeError:
            self.left[path.name] = "it is no text"
            return None
        if path.suffix.lower() in (".yaml", ".yml"):
            from assay.datasets.yaml_text import load_yaml  # slow to import

            return as_text(load_yaml(text).value)
        return text

    def _found(self, given: str) -> list[Path]:
        """The files of a name or a pattern, within the folder."""
        name = given.removeprefix("file://")
        if any(name.lower().partition(":")[0].endswith(ending) for ending in _CODE):
            self.left[given] = "it is a program, and programs are not run"
        elif "://" in name or given.startswith(("http:", "https:", "huggingface:")):
            self.left[given] = "nothing is fetched from other machines"
        elif self._folder is None:
            self.left[given] = "an uploaded file names no files here; use `assay import`, or upload that file itself"
        else:
            return self._within(self._folder, given, name)
        return []

    def _within(self, folder: Path, given: str, name: str) -> list[Path]:
        try:
            plain = (folder / name).resolve()
            paths = [plain] if plain.is_file() else sorted(itertools.islice(folder.glob(name), FILES_LIMIT))
        except (ValueError, OSError, NotImplementedError):
            paths = []
        found = [path.resolve() for path in paths if path.is_file()]
        inside = [path for path in found if path.is_relative_to(folder)]
        if not found:
            self.left[given] = "there is no such file"
        elif not inside:
            self.left[given] = "it is not below the configuration's folder"
        return inside


def _parsed(content: str) -> Any:
    from assay.datasets.yaml_text import load_yaml  # slow to import

    return load_yaml(content).value


def _test_of(row: Mapping[str, Any]) -> Test:
    """A test as it stands in a file; the cells of a table become its variables, checks and settings."""
    if isinstance(row.get("vars"), Mapping) or not all(_is_text(value) for value in row.values()):
        return row
    test: dict[str, Any] = {
        "vars": {name: value for name, value in row.items() if not name.startswith("__")},
        "assert": [value for name, value in row.items() if name.startswith(CHECKS) and value.strip()],
    }
    options = {name: row[f"__{name}"] for name in ("prefix", "suffix") if row.get(f"__{name}")}
    metadata = {name[len("__metadata:") :]: value for name, value in row.items() if name.startswith("__metadata:")}
    given = {"description": row.get("__description"), "threshold": row.get("__threshold")}
    test |= {name: value for name, value in given.items() if value}
    test |= {"options": options} if options else {}
    test |= {"metadata": metadata} if metadata else {}
    done = ("__prefix", "__suffix", "__description", "__threshold")
    rest = [n for n in row if n.startswith("__") and not n.startswith((CHECKS, "__metadata:")) and n not in done]
    return test | {name: row[name] for name in rest if row[name]}


class _Config:
    """One configuration."""

    def __init__(self, value: Mapping[str, Any], folder: Path | None, read: ReadRows) -> None:
        self._files = Files(folder, read)
        self._left = self._files.left
        self._unapplied: set[str] = set()
        self._value: Mapping[str, Any] = _References(value, self._left).resolved(value)

    def rows(self) -> Within:
        """Every test with its defaults."""
        default = self._whole(self._default())
        tests = list(self._tests(self._value.get("tests")))
        tests += self._scenarios()
        if not tests and default and "tests" not in self._value and "scenarios" not in self._value:
            tests = [{}]
        rows: list[Any] = []
        for test in tests:
            rows += expanded(_merged(default, self._whole(test)), files=self._files)
            if len(rows) > ROWS_LIMIT:
                raise ImportRefused(f"The configuration makes more than {ROWS_LIMIT:,} rows.", cure="Split it.")
        if not rows:
            raise ImportRefused(f"The configuration gives no tests: {self._reasons()}.", cure="Import its tests.")
        return Within(rows, tuple(self._findings(len(rows))))

    def _whole(self, test: Test) -> Test:
        """A test with what its files hold; what is of no effect here is noted."""
        self._unapplied.update(name for name in test if name in _OF_NO_EFFECT and test[name])
        options = test.get("options")
        if isinstance(options, Mapping):
            self._unapplied.update(f"options.{name}" for name in options if name not in _OPTIONS)
        if _ENVIRONMENT.search(as_text({name: test.get(name) for name in ("vars", "assert")})):
            self._left["{{ env... }}"] = "variables of the environment are not filled in"
        if "vars" in test and not isinstance(test["vars"], Mapping):
            test = {**test, "vars": self._files.variables(test["vars"])}
        if isinstance(checks := test.get("assert"), list):
            test = {**test, "assert": [self._files.checked(check) for check in checks]}
        return test

    def _default(self) -> Test:
        given = self._value.get("defaultTest")
        if isinstance(given, str):
            given = self._files.value(given)
        return given if isinstance(given, Mapping) else {}

    def _tests(self, given: Any) -> Iterator[Test]:
        for entry in given if isinstance(given, list) else [given]:
            if isinstance(entry, Mapping) and isinstance(entry.get("path"), str) and "vars" not in entry:
                entry = entry["path"]
            if isinstance(entry, str):
                yield from self._files.tests(entry)
            elif isinstance(entry, Mapping):
                yield entry
            elif entry is not None:
                self._left[as_text(entry)[:60]] = "it is no test"

    def _scenarios(self) -> Iterator[Test]:
        given = self._value.get("scenarios")
        for entry in given if isinstance(given, list) else [given]:
            scenario = self._files.value(entry) if isinstance(entry, str) else entry
            if not isinstance(scenario, Mapping):
                continue
            for config in self._tests(scenario.get("config")):
                for test in self._tests(scenario["tests"]) if "tests" in scenario else [{}]:
                    yield _merged(config, test)

    def _reasons(self) -> str:
        return "; ".join(f"`{what}`: {why}" for what, why in self._left.items()) or "it has none"

    def _findings(self, count: int) -> Iterator[Finding]:
        if self._left:
            message = f"Parts of the configuration were not applied: {self._reasons()}."
            yield Finding("promptfoo", "warning", len(self._left), message, cure="Add what they say by hand.")
        if self._unapplied:
            listed = ", ".join(f"`{name}`" for name in sorted(self._unapplied))
            message = f"Settings of single tests have no effect here: {listed}."
            yield Finding("settings", "warning", len(self._unapplied), message, cure="Set them for the whole run.")
        beside = [f"`{name}`{_number(inner)}" for name, inner in self._value.items() if name not in _APPLIED]
        if beside:
            message = f"A configuration of promptfoo: its tests were read; {', '.join(beside)} are not part of them."
            yield Finding("beside", "note", count, message, cure="Choose prompts and models for the run.")


def _number(value: Any) -> str:
    return f" ({len(value)})" if isinstance(value, list) else ""


def _merged(default: Test, test: Test) -> Test:
    """A test with what it does not say itself; checks of both, its own first, so that their numbers stay."""
    merged = {**default, **test}
    for name in ("vars", "options", "metadata"):
        sides = [side[name] for side in (default, test) if isinstance(side.get(name), Mapping)]
        if sides or name == "vars":
            merged[name] = {key: value for side in sides for key, value in side.items()}
    options = merged.get("options")
    alone = isinstance(options, Mapping) and options.get("disableDefaultAsserts") is True
    checks = [*_checks(test), *([] if alone else _checks(default))]
    return {**merged, "assert": checks} if checks else {n: v for n, v in merged.items() if n != "assert"}


def _checks(test: Test) -> list[Any]:
    given = test.get("assert")
    return given if isinstance(given, list) else []


class _References:
    """Puts what `$ref` names in its place, where it is in the same file."""

    def __init__(self, root: Any, left: dict[str, str]) -> None:
        self._root, self._left, self._count = root, left, 0

    def resolved(self, value: Any, depth: int = 0) -> Any:
        """The value without references. Raises ImportRefused where they stand for too much."""
        self._count += 1
        if self._count > _VALUES:
            raise ImportRefused("The references of the configuration stand for too much.", cure="Write them out.")
        if isinstance(value, list):
            return [self.resolved(inner, depth + 1) for inner in value]
        if not isinstance(value, Mapping):
            return value
        if isinstance(given := value.get("$ref"), str):
            return self._named(given, value, depth)
        return {name: self.resolved(inner, depth + 1) for name, inner in value.items()}

    def _named(self, given: str, value: Mapping[str, Any], depth: int) -> Any:
        found = self._root
        for part in given.removeprefix("#/").split("/") if given.startswith("#/") else [None]:
            name = part.replace("~1", "/").replace("~0", "~") if part is not None else None
            if isinstance(found, list) and name is not None and name.isdigit() and int(name) < len(found):
                found = found[int(name)]
            elif isinstance(found, Mapping) and name in found:
                found = found[name]
            else:
                self._left[f"$ref {given}"] = "it is not in the same file"
                return {name: inner for name, inner in value.items() if name != "$ref"}
        if depth > DEPTH:
            raise ImportRefused(f"The reference {given!r} leads back to itself.", cure="Write it out.")
        return self.resolved(found, depth + 1)
