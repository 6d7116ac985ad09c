"""Writes docs/reference/ from the code: commands, settings, failures, graders.

    python scripts/reference.py

`tests/test_docs.py` fails where a page is not what this would write.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
import types
import typing
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from assay.cli import app
from assay.config import EndpointSetting, Settings, TokenPrice
from assay.openrouter.failures import BY_LIMIT, BY_STATUS, BY_TYPE, TREATMENT
from assay.openrouter.parameters import KNOWN_PARAMETERS, PARAMETERS, ROUTING
from assay.sandbox.fault_kinds import FAULTS
from assay.scoring.assertions import CHECKS
from assay.scoring.graders import GRADERS
from assay.workbench.results.exports import KINDS

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "reference"
MADE = "<!-- Made from the code by scripts/reference.py: change the code, then run it. -->"


def cell(text: object) -> str:
    """A text within a table."""
    return " ".join(str(text).split()).replace("|", "\\|")


def code(text: object) -> str:
    """A text within a table as code."""
    return f"`{cell(text)}`"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table of cells that are Markdown already."""
    names = list(head)
    lines = [names, ["---"] * len(names), *(list(row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def page(title: str, *parts: str) -> str:
    """A page: its title, the note on its origin, its parts."""
    return "\n\n".join([MADE, f"# {title}", *(part for part in parts if part)]) + "\n"


# -- commands --------------------------------------------------------------------------------------------------


def commands() -> str:
    """Every command with its arguments and options, as its help has them."""
    root: Any = typer.main.get_command(app)
    return page(
        "Commands",
        "`assay COMMAND --help` prints the same. Options that every command takes may stand before or after it.",
        _options(root),
        "The exit code is 0 when done, 1 on an error, 2 on wrong usage, 100 when a gate of a suite is not met.",
        *(part for name, command in root.commands.items() for part in _command(f"assay {name}", command)),
        "## Parameters",
        "`--param NAME=VALUE` of `assay run`, `params:` of a suite, and Parameters on the pages take these.",
        table(("Parameter", "Value", "Meaning"), _parameters()),
        f"These are sent as they are: {', '.join(map(code, sorted(KNOWN_PARAMETERS - set(PARAMETERS))))}.",
        "## Routing",
        "`--param provider.NAME=VALUE` says which providers may answer, by the gateway's names: "
        f"{', '.join(map(code, ROUTING))}.",
        "## Export formats",
        "`assay export RUN --out FILE` and `--out` of `assay run` take the format from the end of the file's name.",
        table(("Ending", "What it is"), ((code(f".{kind.suffix}"), cell(kind.words)) for kind in KINDS.values())),
        "## Faults of the sandbox",
        "`assay sandbox --fault KIND[:RATE][@MODEL]`, and Faults on the Settings page.",
        table(("Kind", "What it is like"), ((code(kind), cell(like)) for kind, like in FAULTS.items())),
    )


def _command(name: str, command: Any) -> Iterator[str]:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    below = getattr(command, "commands", {})
    use = [name, *("[OPTIONS]" for _ in _shown(command)), *map(_usage, arguments)]
    yield f"## {name}"
    yield f"```text\n{' '.join(dict.fromkeys(use))}{' [COMMAND ...]' if below else ''}\n```"
    yield "\n\n".join(" ".join(part.split()) for part in inspect.cleandoc(command.help or "").split("\n\n"))
    if told := [p for p in arguments if p.help]:
        yield table(("Argument", "Meaning"), ((code(_name(p)), cell(p.help)) for p in told))
    yield _options(command)
    for inner, one in below.items():
        yield from _command(f"{name} {inner}", one)


def _shown(command: Any) -> list[Any]:
    return [p for p in command.params if p.param_type_name == "option" and not p.hidden]


def _name(argument: Any) -> str:
    return argument.metavar or argument.name.upper()


def _usage(argument: Any) -> str:
    name = _name(argument) + ("..." if argument.nargs != 1 else "")
    return name if argument.required else f"[{name}]"


def _options(command: Any) -> str:
    rows = []
    for option in _shown(command):
        names = " ".join(map(code, option.opts))
        default = "" if option.is_flag or option.default in (None, "", [], ()) else code(option.default)
        rows.append((names, _value(option), default, cell(option.help or "")))
    return table(("Option", "Value", "Default", "Meaning"), rows) if rows else ""


def _value(option: Any) -> str:
    if option.is_flag:
        return ""
    if option.metavar:
        return code(option.metavar)
    return f"{_type_words(option.type_descriptor.annotation)}{_bounds(option.min, option.max)}"


def _parameters() -> Iterator[tuple[str, str, str]]:
    for one in PARAMETERS.values():
        value = " ".join(map(code, one.choices)) if one.choices else f"{one.kind}{_bounds(one.low, one.high)}"
        yield code(one.name), value, cell(one.help)


# -- settings --------------------------------------------------------------------------------------------------


def settings() -> str:
    """Every setting with its type, default and meaning."""
    return page(
        "Settings",
        "A setting is read from the environment, then from `.env`, then from `.streamlit/secrets.toml`; the first that "
        "has it wins. Lists and objects are written as JSON in the environment and `.env`.",
        table(("Setting", "Value", "Default", "Meaning"), _fields(Settings, _variable)),
        "## An endpoint of ASSAY_ENDPOINTS",
        table(("Field", "Value", "Default", "Meaning"), _fields(EndpointSetting, lambda name, _: name)),
        "## A price of an endpoint",
        _docstring(TokenPrice),
        table(("Field", "Value", "Default", "Meaning"), _fields(TokenPrice, lambda name, _: name)),
    )


def _variable(name: str, field: FieldInfo) -> str:
    alias = field.validation_alias
    if alias is None:
        return f"ASSAY_{name.upper()}"
    return str(getattr(alias, "choices", [alias])[0])


def _fields(model: type[BaseModel], named: Callable[[str, FieldInfo], str]) -> Iterator[tuple[str, ...]]:
    meanings = _meanings(model)
    for name, field in model.model_fields.items():
        low = next((one.ge for one in field.metadata if hasattr(one, "ge")), None)
        high = next((one.le for one in field.metadata if hasattr(one, "le")), None)
        above = next((one.gt for one in field.metadata if hasattr(one, "gt")), None)
        words = _type_words(field.annotation) + (f", above {above:g}" if above is not None else _bounds(low, high))
        yield code(named(name, field)), words, _default(field), cell(meanings.get(name, ""))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None or value == [] or value == {}:
        return "none"
    return code(list(value) if isinstance(value, tuple) else value)


def _meanings(model: type[BaseModel]) -> dict[str, str]:
    """The texts under the fields of a class."""
    body = ast.parse(textwrap.dedent(inspect.getsource(model))).body[0]
    assert isinstance(body, ast.ClassDef)
    return {
        field.target.id: text.value.value
        for field, text in zip(body.body, body.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def _docstring(model: type) -> str:
    return inspect.cleandoc(model.__doc__ or "")


# -- words for types -------------------------------------------------------------------------------------------

WORDS = {
    "str": "text",
    "int": "number",
    "float": "number",
    "bool": "true or false",
    "Path": "path",
    "Decimal": "USD",
    "SecretStr": "secret",
    "dict": "object",
    "EndpointSetting": "endpoint",
}


def _type_words(annotation: Any) -> str:
    origin, inside = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return " ".join(map(code, inside))
    if origin is typing.Annotated:
        return _type_words(inside[0])
    if origin in (typing.Union, types.UnionType):
        return ", ".join(_type_words(one) for one in inside if one is not type(None))
    if origin in (list, tuple):
        return f"{_type_words(inside[0])}, several"
    return WORDS[(origin or annotation).__name__]


def _bounds(low: float | None, high: float | None) -> str:
    if low is None and high is None:
        return ""
    if high is None:
        return f", from {low:g}"
    return f", {low:g} to {high:g}" if low is not None else f", up to {high:g}"


# -- failures --------------------------------------------------------------------------------------------------

BILLED = {"no": "no", "yes": "yes", "unknown": "perhaps: it counts with its upper bound until it is known"}
STOPS = {"cell": "the cell", "contestant": "the contestant", "run": "the run pauses"}


def failures() -> str:
    """Every failure class with what Assay does and what you can do."""
    return page(
        "Failures",
        "What can go wrong with a call. The gateway's typed fields decide first (the limit that was hit, the error "
        "type), then the HTTP status. A failed cell is missing data: rates are computed on scored cells, with "
        "the coverage beside them.",
        table(
            ("Failure", "Known by", "Sent again", "Billed", "Ends", "What happened, and what you can do"),
            (
                (
                    code(kind),
                    _known_by(kind),
                    "yes" if retry else "no",
                    BILLED[billed],
                    STOPS[stop],
                    cell(f"{happened} {cure}"),
                )
                for kind, (retry, billed, stop, happened, cure) in TREATMENT.items()
            ),
        ),
    )


def _known_by(kind: str) -> str:
    marks = [str(status) for status, its in BY_STATUS.items() if its == kind]
    marks += [mark for known in (BY_TYPE, BY_LIMIT) for mark, its in known.items() if its == kind]
    return " ".join(map(code, dict.fromkeys(marks)))


# -- graders ---------------------------------------------------------------------------------------------------


def graders() -> str:
    """Every kind of grader with its parameters."""
    return page(
        "Graders",
        "A grader scores an answer from 0 to 1. On the command line it is `--grader KIND:name=value,...`, in a suite "
        "`kind:` with `params:`; `not-KIND` turns it round.",
        "Every grader takes `expected` (the column with the right answer; without it the run's own), `value` (one "
        "right answer for all rows) and `negate`. What a grader cannot score is unscored, which is not wrong: it "
        "lowers the coverage, not the score.",
        *(part for kind in GRADERS.values() for part in _grader(kind)),
        "## Checks of a row",
        "A cell of the column `__expected` (and `__expected1`, `__expected2` ...) is `type: value` or "
        "`type(threshold): value`, with `not-` before the type to turn it round. Any other text is the expected answer "
        "itself. The types are promptfoo's:",
        f"{', '.join(map(code, sorted(CHECKS)))}.",
    )


def _grader(kind: Any) -> Iterator[str]:
    yield f"## {kind.kind}"
    needs = " It needs an expected answer." if kind.needs_expected else ""
    yield f"**{kind.title}.** {kind.help}{needs}"
    if kind.fields:
        yield table(
            ("Parameter", "Value", "Default", "Meaning"),
            ((code(f.name), _grader_value(f), _grader_default(f), cell(f.help)) for f in kind.fields),
        )


def _grader_value(field: Any) -> str:
    if field.choices:
        return " ".join(map(code, field.choices))
    return {"flag": "true or false", "long_text": "text"}.get(field.type, field.type)


def _grader_default(field: Any) -> str:
    if field.type == "flag":
        return code(str(bool(field.default)).lower())
    return "" if field.default == "" else code(field.default)


def pages() -> dict[str, str]:
    """The pages by their file names."""
    return {
        "commands.md": commands(),
        "settings.md": settings(),
        "failures.md": failures(),
        "graders.md": graders(),
    }


def main() -> None:
    """Writes the pages."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, "utf-8")
        print(FOLDER / name)


if __name__ == "__main__":
    main()
