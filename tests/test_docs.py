"""README and docs/ say nothing that is not there: links, commands, options, settings, and the pages made from code."""

from __future__ import annotations

import re
import runpy
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from assay.cli import COMMON, app, options_first

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "examples" / "README.md", *sorted(DOCS.rglob("*.md")))
REFERENCE = ROOT / "scripts" / "reference.py"
MADE = DOCS / "reference"
OF_TESTS = {"ASSAY_SCREENSHOTS", "ASSAY_CHROMIUM"}
"""Names that only the suite reads."""
MOST_LINES = 50
"""Of the README: one screen."""


@cache
def made() -> dict[str, str]:
    """The pages that the code gives now, by their file names."""
    pages: dict[str, str] = runpy.run_path(str(REFERENCE))["pages"]()
    return pages


@cache
def program() -> Any:
    """The command line as it is parsed."""
    return typer.main.get_command(app)


def text_of(page: Path) -> str:
    """A page's text."""
    return page.read_text("utf-8")


def name_of(page: Path) -> str:
    """A page as it is named in a failure."""
    return page.relative_to(ROOT).as_posix()


def prose_of(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", text_of(page), flags=re.MULTILINE | re.DOTALL)


def anchors_of(page: Path) -> set[str]:
    """The headings of a page as links name them."""
    headings = re.findall(r"^#+ (.+)$", prose_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links_of(page: Path) -> list[str]:
    """Where a page leads to within the repository, pictures included."""
    text = prose_of(page)
    found = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|srcset)="([^"]+)"', text)
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def console_lines(page: Path) -> list[str]:
    """What a page asks to type, a line that goes on as one."""
    blocks = re.findall(r"^```console\n(.*?)^```$", text_of(page), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.replace("\\\n", " ").splitlines() if line.strip()]


def typed() -> Iterator[Any]:
    """Each command line of Assay in the blocks of README and docs."""
    for page in PAGES:
        for line in console_lines(page):
            words = shlex.split(line, comments=True)
            if words and words[0] in ("assay", ".venv/bin/assay"):
                yield pytest.param(words[1:], id=f"{page.name}: {' '.join(words[:4])}")


def command_of(words: list[str]) -> tuple[Any, list[str]]:
    """The command that words begin with, and what is left of them. Raises KeyError for one that does not exist."""
    command, left = program(), list(words)
    while left and left[0] in getattr(command, "commands", {}):
        command = command.commands[left.pop(0)]
    if command is program():
        raise KeyError(" ".join(words))
    return command, left


def options_of(command: Any) -> set[str]:
    """The options of a command."""
    return {name for p in command.params if p.param_type_name == "option" for name in p.opts} | {"--help", *COMMON}


def every_command(command: Any) -> Iterator[Any]:
    """A command and all below it."""
    yield command
    for one in getattr(command, "commands", {}).values():
        yield from every_command(one)


@pytest.mark.parametrize("name", ["commands.md", "settings.md", "failures.md", "graders.md"])
def test_reference_page_is_what_the_code_gives(name: str) -> None:
    """A page of docs/reference is made anew with each change of the code that it shows."""
    held = text_of(MADE / name)

    assert held == made()[name], "It is out of date: run `python scripts/reference.py`."


def test_reference_holds_no_other_page() -> None:
    """Nothing in docs/reference is written by hand, and none of it is without a meaning."""
    empty = [f"{name}: {line}" for name, text in made().items() for line in text.splitlines() if line.endswith("|  |")]

    assert {page.name for page in MADE.iterdir()} == set(made())
    assert empty == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    """Each link within the repository leads to a file, and to a heading of it where it names one."""
    broken = []
    for link in links_of(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            broken.append(link)

    assert broken == []


def test_every_page_is_reached_from_the_contents() -> None:
    """The contents link every page of docs/, and README links the contents."""
    listed = {(DOCS / link.partition("#")[0]).resolve() for link in links_of(DOCS / "index.md")}

    assert [name_of(page) for page in DOCS.rglob("*.md") if page not in listed and page.name != "index.md"] == []
    assert "docs/index.md" in links_of(ROOT / "README.md")


@pytest.mark.parametrize("words", list(typed()))
def test_command_line_of_a_page_parses(words: list[str]) -> None:
    """A command line that a page shows has a command, options and values that exist."""
    left = options_first(words)
    while left[0] in COMMON:
        left = left[2:]
    command, rest = command_of(left)

    assert command.make_context(command.name, rest).params is not None


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_and_options_in_the_text_exist(page: Path) -> None:
    """A command or an option named within a sentence exists; an option beside a command is one of it."""
    known = set().union(*map(options_of, every_command(program())))
    wrong = []
    for code in re.findall(r"`([^`\n]+)`", prose_of(page)):
        words = code.split()
        if words[0] == "assay" and len(words) > 1 and words[1].islower():
            command, left = command_of(words[1:])
            wrong += [f"{code}: {word}" for word in left if word.startswith("--") and word not in options_of(command)]
        elif words[0].startswith("--") and words[0].partition("=")[0] not in known:
            wrong.append(code)

    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_settings_and_targets_named_exist(page: Path) -> None:
    """Each ASSAY_ name is a setting, or one of the tests'; each `make` target and each script stands there."""
    settings = set(re.findall(r"`((?:ASSAY|OPENROUTER)_\w+)`", made()["settings.md"]))
    named = set(re.findall(r"\b((?:ASSAY|OPENROUTER)_[A-Z_]+)\b", text_of(page)))
    targets = set(re.findall(r"^([a-z-]+):", text_of(ROOT / "Makefile"), re.MULTILINE))
    lines = [shlex.split(line, comments=True) for line in console_lines(page)]
    scripts = [words[1] for words in lines if words[:1] == ["python"] and words[1].endswith(".py")]

    assert named - settings - OF_TESTS == set()
    assert [words for words in lines if words[:1] == ["make"] and words[1] not in targets] == []
    assert [script for script in scripts if not (ROOT / script).is_file()] == []


def test_readme_is_one_screen_with_its_two_commands() -> None:
    """README stays short, and begins with `make run` and `make test`."""
    lines = text_of(ROOT / "README.md").splitlines()
    commands = [line.partition("#")[0].strip() for line in console_lines(ROOT / "README.md")]

    assert len(lines) <= MOST_LINES
    assert commands[:2] == ["make run", "make test"]


def test_pictures_kept_are_those_that_pages_show() -> None:
    """Each picture of the repository is shown in both themes by a page; there are six at most."""
    kept = {path.resolve() for path in (DOCS / "screenshots").iterdir()}
    shown = {(page.parent / link).resolve() for page in PAGES for link in links_of(page) if link.endswith(".png")}

    assert kept == shown
    assert len(kept) <= 6
