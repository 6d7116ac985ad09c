"""Commands for the prompt library: prompts, prompts show, save, diff, label."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assay.cli.options import AsJson
from assay.cli.terminal import UsageError, app, opened, out, out_lines, print_json, say

if TYPE_CHECKING:
    from assay.workbench.prompts import PromptVersion

library = typer.Typer(help="The prompt library: list, show, save, diff, label.", rich_markup_mode=None)
app.add_typer(library, name="prompts")

Reference = Annotated[str, typer.Argument(metavar="NAME[@LABEL|:VERSION]", help="The newest version when only NAME.")]


@library.callback(invoke_without_command=True)
def prompts(
    context: typer.Context,
    search: Annotated[str, typer.Option(help="Text in a name, a prompt or a note.")] = "",
    archived: Annotated[bool, typer.Option("--archived", help="The archived ones instead.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List the prompts of the library, the latest change first; or show, save, diff, label."""
    if context.invoked_subcommand is not None:
        return
    from assay.prompts.template import prompt_variables
    from assay.workbench import prompts as workbench

    with opened() as session:
        found = workbench.list_prompts(session, limit=limit, search=search, archived=archived)
    if as_json:
        print_json(
            [
                {
                    "name": p.name,
                    "version": p.newest.version,
                    "labels": dict(p.labels),
                    "runs": p.runs,
                    "variables": prompt_variables(p.newest.prompt),
                    "last_used_ms": p.last_used_ms,
                }
                for p in found
            ]
        )
        return
    for p in found:
        labels = "".join(f"  {label} -> {version}" for label, version in p.labels)
        uses = f"{p.runs:,} run{'' if p.runs == 1 else 's'}"
        out(f"{p.name}  version {p.newest.version}{labels}  {uses}  {', '.join(prompt_variables(p.newest.prompt))}")
    if not found:
        out("No prompt fits." if search or archived else "There are no prompts yet. `assay prompts save` keeps one.")


@library.command()
def show(reference: Reference, as_json: AsJson = False) -> None:
    """Show a version's text."""
    from assay.prompts.differences import sections_of
    from assay.workbench import prompts as workbench

    with opened() as session:
        found = workbench.find_version(session, reference)
    if as_json:
        print_json(as_object(found))
        return
    labels = f" ({', '.join(found.labels)})" if found.labels else ""
    say(f"{found.name} version {found.version}{labels}{f': {found.note}' if found.note else ''}")
    sections = sections_of(found.prompt)
    for section in sections:
        if len(sections) > 1:
            out(f"-- {section.role}")
        out_lines(section.text)


def as_object(found: PromptVersion) -> dict[str, Any]:
    """A version as JSON."""
    return {
        "name": found.name,
        "version": found.version,
        "labels": found.labels,
        "note": found.note,
        "key": found.key,
        **{k: v for k, v in found.prompt.as_json().items() if k != "name"},
    }


@library.command()
def save(
    name: str,
    user_file: Annotated[Path | None, typer.Option(help="File with the user text.")] = None,
    system_file: Annotated[Path | None, typer.Option(help="File with the system text.")] = None,
    messages_file: Annotated[Path | None, typer.Option(help="JSON file with a list of messages instead.")] = None,
    note: Annotated[str, typer.Option(help="Why this version exists.")] = "",
    label: Annotated[list[str], typer.Option("--label", help="Point this label at it; several.")] = [],  # noqa: B006
    as_json: AsJson = False,
) -> None:
    """Keep a prompt under NAME; other content than any of its versions becomes the next version."""
    from assay.domain.contestant import Prompt
    from assay.workbench import prompts as workbench

    if (user_file is None) == (messages_file is None) or (messages_file is not None and system_file is not None):
        raise UsageError("Give --user-file, with or without --system-file; or --messages-file alone.")
    if messages_file is not None:
        prompt = Prompt("", messages=workbench.read_messages(_content(messages_file)))
    else:
        prompt = Prompt(_content(user_file), _content(system_file))
    with opened() as session:
        found, is_new = workbench.save_prompt(session, name, prompt, note=note)
        for each in label:
            workbench.set_label(session, found.name, each, found.version)
        found = workbench.find_version(session, f"{found.name}:{found.version}")
    if as_json:
        print_json(as_object(found) | {"is_new": is_new})
    elif is_new:
        out(f"{found.name} version {found.version} is kept.")
    else:
        out(f"{found.name} has this content already: version {found.version}.")


def _content(path: Path | None) -> str:
    """A file's text without the line break at its end, which editors add and prompts do not mean."""
    if path is None:
        return ""
    try:
        return path.read_text("utf-8-sig").removesuffix("\n").removesuffix("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}.", cure="Check the path.") from error


@library.command()
def diff(before: Reference, after: Reference) -> None:
    """Print what changed between two versions; lines that went have -, lines that came have +."""
    from assay.workbench import prompts as workbench

    with opened() as session:
        old, new = workbench.find_version(session, before), workbench.find_version(session, after)
    if old.version == new.version and old.name == new.name:
        out(f"Both are {old.name} version {old.version}.")
        return
    out(f"--- {old.name}:{old.version}")
    out(f"+++ {new.name}:{new.version}")
    for section in workbench.difference(old, new):
        if section.changed:
            out(f"@@ {section.title} @@")
            for line in section.lines:
                out(f"{line.mark}{line.text}")


@library.command()
def label(
    reference: Reference,
    name: Annotated[str, typer.Argument(metavar="LABEL", help="Such as production.")],
    remove: Annotated[bool, typer.Option("--remove", help="Take it off instead.")] = False,
) -> None:
    """Point a label at a version, away from any other of that name."""
    from assay.workbench import prompts as workbench

    with opened() as session:
        found = workbench.find_version(session, reference)
        workbench.set_label(session, found.name, name, None if remove else found.version)
    out(f"{name} is off {found.name}." if remove else f"{name} points at {found.name} version {found.version}.")
