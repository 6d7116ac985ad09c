"""What several commands take, and the draft that the options describe."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assay.cli.terminal import UsageError, say
from assay.domain.plan import RunMode
from assay.errors import GraderError, SettingsError

if TYPE_CHECKING:
    from assay.openrouter.parameters import ModernSettings
    from assay.workbench.running.runs import RunDraft
    from assay.workbench.session import Session

DatasetOrSuite = Annotated[
    str, typer.Argument(metavar="DATASET|SUITE.yaml", help="A file, a stored dataset, an example; or a suite file.")
]
PromptOption = Annotated[list[str], typer.Option("--prompt", help="Prompt text with {{variables}}, or @FILE; several.")]
PromptNameOption = Annotated[
    list[str],
    typer.Option("--prompt-name", metavar="NAME[@LABEL|:VERSION]", help="A version of the prompt library; several."),
]
SystemOption = Annotated[str, typer.Option("--system", help="System text, or @FILE.")]
ModelOption = Annotated[list[str], typer.Option("--model", help="A model id; several.")]
GraderOption = Annotated[list[str], typer.Option("--grader", help="KIND[:name=value,...]; several.")]
ParamOption = Annotated[list[str], typer.Option("--param", help="NAME=VALUE, for every model; several.")]
AllowUnknown = Annotated[
    bool, typer.Option("--allow-unknown", help="Send parameters and routing that nobody knows by name.")
]
Concurrency = Annotated[int | None, typer.Option(min=1, max=512, help="Calls in flight at most.")]
Budget = Annotated[str | None, typer.Option(help="USD that the run never passes.")]
Limit = Annotated[int | None, typer.Option(min=1, help="First rows only.")]
Mode = Annotated[
    RunMode | None,
    typer.Option(help="normal; floor: cheapest provider; flex: slower tier; batch: half price, within a day."),
]
Margin = Annotated[
    float | None,
    typer.Option(
        min=0.0001,
        max=0.9999,
        help="Points worse, as a share (0.05: five points), that still count as good enough.",
    ),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Exit 1 when a cell failed or a model was given up, though the run is done.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def text_or_file(given: str) -> str:
    """The text, or the content of @FILE."""
    if not given.startswith("@"):
        return given
    try:
        return Path(given[1:]).read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{given[1:]} cannot be read: {error}.", cure="Check the path.") from error


def make_draft(session: Session, dataset: str, options: dict[str, Any]) -> RunDraft:
    """The draft that the options describe. Raises UsageError, DataError, NotFound."""
    from assay.domain.contestant import Contestant, Prompt
    from assay.scoring.graders import parse_spec, suggested
    from assay.workbench.datasets.kept import open_dataset, warnings_of
    from assay.workbench.prompts import find_version, run_prompt
    from assay.workbench.running.runs import RunDraft

    try:
        settings = parse_params(options["param"], allow_unknown=options.get("allow_unknown", False))
        graders = tuple(parse_spec(text) for text in options["grader"])
    except (SettingsError, GraderError) as error:
        raise UsageError(str(error)) from error
    system = text_or_file(options["system"])
    texts = [text_or_file(text) for text in options["prompt"]]
    prompts = tuple(
        Prompt(user=text, system=system, name=f"prompt {n}" if len(texts) + len(options["prompt_name"]) > 1 else "")
        for n, text in enumerate(texts, 1)
    )
    prompts += tuple(run_prompt(find_version(session, given)) for given in options["prompt_name"])
    found = open_dataset(session, dataset)
    # What is in the store was told when it came there.
    for words in warnings_of(found) if Path(dataset).is_file() else ():
        say(f"{Path(dataset).name}: {words}")
    return RunDraft(
        dataset_id=found.id,
        prompts=prompts,
        contestants=tuple(Contestant(m, settings.params, settings.provider) for m in options["model"]),
        graders=graders or suggested(found.columns),
        samples=options["samples"],
        expected_column=found.roles.get("expected"),
        budget_usd=parse_budget(options["budget"]),
        concurrency=options["concurrency"],
        limit=options["limit"],
        name=options.get("name", ""),
        tags=tuple(options.get("tag", ())),
        mode=options.get("mode") or "normal",
        allow_unknown=options.get("allow_unknown", False),
        margin=options.get("margin"),
    )


def parse_params(given: Sequence[str], *, allow_unknown: bool = False) -> ModernSettings:
    """Parameters and routing (`provider.zdr=true`) as typed, in today's form; notes are said.

    Raises SettingsError for unknown names, unless they are allowed, and UsageError.
    """
    from assay.openrouter.parameters import checked_settings

    raw: dict[str, Any] = {}
    for text in given:
        name, mark, value = text.partition("=")
        if not mark:
            raise UsageError(f"--param {text!r} is not NAME=VALUE.")
        raw[name.strip()] = _typed(name.strip(), value)
    settings = checked_settings(raw, allow_unknown=allow_unknown)
    for message in settings.messages:
        say(f"Note: {message}")
    return settings


def _typed(name: str, text: str) -> Any:
    """The value of a parameter as typed; of a name that is not known, JSON or else the text itself."""
    from assay.openrouter.parameters import KNOWN_PARAMETERS, parse_parameter

    if name in KNOWN_PARAMETERS or name == "provider":
        return parse_parameter(name, text)
    try:
        return json.loads(text)
    except ValueError:
        return text


def parse_budget(text: str | None) -> Decimal | None:
    """The budget in USD; raises UsageError when it is no amount, or negative."""
    from assay.money import budget_usd

    try:
        return budget_usd(text) if text is not None else None
    except ValueError as error:
        raise UsageError(f"--budget {error}", cure="Give an amount in USD, such as 2.50.") from error
