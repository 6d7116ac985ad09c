"""The floors of the code: who may import whom."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Collection
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "assay"
FLOORS = (
    *("errors", "money", "plain_text", "config", "places", "logs", "processes", "leftovers"),
    *("domain", "openrouter", "prompts", "datasets", "scoring", "stats"),
    *("exports", "store", "runs", "workbench"),
    *("views", "api", "cli"),
)
SIBLINGS = {frozenset(pair) for pair in (("datasets", "stats"), ("scoring", "stats"), ("datasets", "scoring"))}


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Every module that a file imports, at its top or within functions."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
    return tuple(names)


def files() -> list[Path]:
    """All files of the package, the pages and the server."""
    return [*PACKAGE.rglob("*.py"), *(ROOT / "pages").glob("*.py"), ROOT / "app.py"]


def floor(path: Path) -> str:
    """The floor of a file: the first part of its path in the package."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py") if PACKAGE in path.parents else "views"


@pytest.mark.parametrize(
    ("library", "allowed"),
    [
        ("streamlit", {"views"}),
        ("httpx", {"openrouter"}),
        ("aiohttp", {"openrouter"}),
        ("sqlmodel", {"store"}),
        ("sqlalchemy", {"store"}),
        ("alembic", {"store"}),
    ],
)
def test_library_stays_on_its_floor(library: str, allowed: set[str]) -> None:
    """Each outer library is known to one floor only."""
    users = {floor(path) for path in files() for name in imports(path) if name.split(".")[0] == library}

    assert users <= allowed


def test_floors_import_only_what_stands_above() -> None:
    """No module imports from a floor below its own, nor sideways between the pure siblings."""
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        mine = floor(path)
        if mine not in FLOORS:
            continue
        for name in imports(path):
            parts = name.split(".")
            if parts[0] != "assay" or len(parts) < 2 or parts[1] not in FLOORS:
                continue
            below = FLOORS.index(parts[1]) > FLOORS.index(mine)
            if below or frozenset((parts[1], mine)) in SIBLINGS:
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")

    assert wrong == []


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def uses(path: Path, known: Collection[str]) -> set[str]:
    """The modules among the known that a file imports: within functions and for types only, too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= whole & set(known) or {node.module}
    return found & set(known)


def test_no_module_imports_itself_in_a_circle() -> None:
    """Each module can be read, and tried, with only what stands above it."""
    known = modules()
    needs = {name: uses(path, known) - {name} for name, path in known.items()}

    try:
        list(TopologicalSorter(needs).static_order())
    except CycleError as error:
        raise AssertionError(" imports ".join(reversed(error.args[1]))) from None


def test_sandbox_knows_nothing_of_the_rest() -> None:
    """The imitation of the gateway imports nothing of Assay but itself."""
    names = {name for path in (PACKAGE / "sandbox").rglob("*.py") for name in imports(path)}

    assert {n for n in names if n.startswith("assay") and not n.startswith("assay.sandbox")} == set()


def test_pages_hold_no_frames() -> None:
    """Pages import no pandas: logic is in views."""
    names = {name for path in (ROOT / "pages").glob("*.py") for name in imports(path)}

    assert not {n for n in names if n.split(".")[0] in ("pandas", "plotly")}


def test_revisions_of_the_tables_are_one_chain() -> None:
    """Each migration has the next free number, as its file's name says, and follows the one before."""
    found = [
        (path.name[:4], *re.findall(r'^(?:down_)?revision = "?(\w+)"?$', path.read_text("utf-8"), re.MULTILINE))
        for path in sorted((PACKAGE / "store" / "migrations" / "versions").glob("[0-9]*.py"))
    ]

    numbers = [f"{n:04}" for n in range(1, len(found) + 1)]
    assert found == list(zip(numbers, numbers, ["None", *numbers], strict=False))


def test_what_is_imported_is_declared() -> None:
    """Each library that the code imports by name stands in pyproject.toml by name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["otel"]]
    declared = {re.split(r"[<>=~!; \[]", line)[0].lower() for line in asked}
    homes = packages_distributions()
    tops = {name.split(".")[0] for path in files() for name in imports(path)}

    undeclared = {
        top
        for top in tops - set(sys.stdlib_module_names) - {"assay"}
        if not {re.sub("[-_.]+", "-", home).lower() for home in homes.get(top, [])} & declared
    }
    assert undeclared == set()


def test_modules_of_tests_have_names_of_their_own() -> None:
    """No two folders of tests hold a module of one name: pytest refuses to collect both."""
    names = [path.name for path in (ROOT / "tests").rglob("*.py") if path.name != "conftest.py"]

    assert sorted({name for name in names if names.count(name) > 1}) == []
