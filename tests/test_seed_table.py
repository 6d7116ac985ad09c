"""docs/seed.md says nothing that is not there: its commands, pages and tests exist, and no section is left out."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import NamedTuple

import pytest
import typer

from assay.cli import app

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "docs" / "seed.md"
SEED = ROOT.parent / "shared" / "seed-000_0ce48e7d75b44bee.txt"


class Point(NamedTuple):
    """A line of the table."""

    section: str
    point: str
    where: str
    test: str


def points() -> list[Point]:
    """The lines of the table."""
    rows = [line.strip("| ").split(" | ") for line in TABLE.read_text("utf-8").splitlines() if line.startswith("| ")]
    return [Point(*(cell.strip() for cell in row)) for row in rows[1:]]


def test_every_named_test_exists() -> None:
    """A test that was renamed or removed is named no more."""
    missing = []
    for point in points():
        for path, name in re.findall(r"`(tests/[\w/.]+)::(\w+)`", point.test):
            source = ROOT / path
            tree = ast.parse(source.read_text("utf-8")) if source.is_file() else ast.Module([], [])
            if name not in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}:
                missing.append(f"{path}::{name}")

    assert missing == []


def test_every_named_command_and_page_exists() -> None:
    """Commands are in the program, pages in their folder; every point has one of them, and a test."""
    commands = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    named = {name for point in points() for name in re.findall(r"`assay ([a-z-]+)", point.where)}
    pages = {name for point in points() for name in re.findall(r"`(pages/\w+\.py)`", point.where)}

    assert named - commands == set()
    assert [page for page in pages if not (ROOT / page).is_file()] == []
    assert [p.point for p in points() if not p.where or "::" not in p.test] == []


def test_every_command_shows_its_use() -> None:
    """Each command of the table has words of its own in the program's help."""
    found = typer.main.get_command(app).commands  # type: ignore[attr-defined]

    assert [name for name, command in found.items() if not command.help] == []


@pytest.mark.shared
@pytest.mark.skipif(not SEED.is_file(), reason="the seed is not beside the checkout")
def test_every_section_of_the_seed_is_in_the_table() -> None:
    """No section of the seed document is left out."""
    sections = re.findall(r"^## (.+)$", SEED.read_text("utf-8"), re.MULTILINE)

    assert [name for name in sections if name not in {point.section for point in points()}] == []
