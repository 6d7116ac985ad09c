"""The prompt library: save, find, label, compare, preview, and which runs used what.

A reference is how a version is named in one word: NAME (the newest), NAME@label, NAME:3.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from assay.domain.contestant import Prompt
from assay.domain.messages import Message
from assay.errors import DataError, NotFound, TemplateError
from assay.prompts.conversation import conversation
from assay.prompts.differences import SectionDiff, prompt_diff
from assay.prompts.template import render_prompt
from assay.stats.values import Comparison, ContestantRows
from assay.store import prompts as stored
from assay.store import results
from assay.store.datasets import get_dataset, rows_of
from assay.store.prompts import PromptEventLine, PromptSummary, PromptUse, PromptVersion

if TYPE_CHECKING:
    from assay.workbench.session import Session

__all__ = ["PromptEventLine", "PromptSummary", "PromptUse", "PromptVersion"]
USUAL_LABELS = ("production", "staging")
LONGEST_NAME, LONGEST_NOTE, LONGEST_PROMPT = 100, 500, 1_000_000
_LABEL = re.compile(r"[a-z][a-z0-9_.-]{0,39}")
_CONTROL = re.compile("[\x00-\x1f\x7f\u2028\u2029]")


# -- saving ----------------------------------------------------------------------------------------------------


class SaveOutcome(NamedTuple):
    """What saving gave: the version, and whether it is new or had this content already."""

    version: PromptVersion
    is_new: bool


def save_prompt(session: Session, name: str, prompt: Prompt, *, note: str = "") -> SaveOutcome:
    """Keeps a prompt under a name; other content than any of its versions becomes the next version.

    Raises DataError for an empty prompt, or a name or note that cannot be used.
    """
    name, note = checked_name(name), note.strip()
    if len(note) > LONGEST_NOTE:
        raise DataError(f"The note has {len(note):,} characters; {LONGEST_NOTE} is the most.", cure="Shorten it.")
    _check_prompt(prompt)
    return SaveOutcome(*session.store.writer.call(lambda c: stored.save_version(c, name, prompt, note=note)))


def checked_name(name: str) -> str:
    """The name without blanks around it. Raises DataError when it cannot be one."""
    name = name.strip()
    if not name:
        raise DataError("The prompt has no name.", cure="Give it one, such as ticket-triage.")
    if len(name) > LONGEST_NAME:
        raise DataError(f"The name has {len(name)} characters; {LONGEST_NAME} is the most.", cure="Shorten it.")
    if "@" in name or ":" in name or _CONTROL.search(name) or not _is_whole(name):
        raise DataError(
            f"{name!r} cannot be a prompt's name.",
            cure="Leave out @ and : (NAME@label and NAME:3 name a version) and line breaks.",
        )
    return name


def _check_prompt(prompt: Prompt) -> None:
    texts = [prompt.user, prompt.system, *(message.text for message in prompt.messages)]
    size = sum(map(len, texts))
    if not any(text.strip() for text in ([prompt.user] if not prompt.messages else texts)):
        raise DataError("The prompt is empty.", cure="Write what the models should answer.")
    if size > LONGEST_PROMPT:
        raise DataError(f"The prompt has {size:,} characters; {LONGEST_PROMPT:,} is the most.", cure="Shorten it.")
    if not all(map(_is_whole, texts)):
        raise DataError("The prompt holds half a character (a lone surrogate).", cure="Type that character anew.")


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_messages(text: str) -> tuple[Message, ...]:
    """The messages in a JSON list of role and content. Raises DataError."""
    found = conversation(text)
    if found is None:
        raise DataError(
            "The conversation is not a JSON list of messages with text.",
            cure='Write it as [{"role": "system", "content": "..."}, {"role": "user", "content": "{{question}}"}].',
        )
    return found


# -- finding ---------------------------------------------------------------------------------------------------


def list_prompts(
    session: Session, *, limit: int = 50, offset: int = 0, search: str = "", archived: bool = False
) -> list[PromptSummary]:
    """The library, the latest change first; search: text in a name, a prompt or a note."""
    with session.store.read() as connection:
        return stored.list_prompts(connection, limit=limit, offset=offset, search=search.strip(), archived=archived)


def count_prompts(session: Session, *, search: str = "", archived: bool = False) -> int:
    """How many names `list_prompts` has in all."""
    with session.store.read() as connection:
        return stored.count_prompts(connection, search=search.strip(), archived=archived)


def versions(session: Session, name: str) -> list[PromptVersion]:
    """All versions of a name, newest first. Raises NotFound."""
    with session.store.read() as connection:
        return stored.versions_of(connection, name)


def find_version(session: Session, reference: str) -> PromptVersion:
    """The version that a reference names. Raises NotFound."""
    name, label, version = _parted(reference)
    with session.store.read() as connection:
        return stored.get_version(connection, name, version=version, label=label)


def _parted(reference: str) -> tuple[str, str, int | None]:
    name, mark, rest = reference.strip().partition("@")
    if mark:
        return name.strip(), rest.strip(), None
    name, mark, rest = name.partition(":")
    rest = rest.strip().removeprefix("v")
    if mark and not (rest.isascii() and rest.isdigit() and len(rest) < 10):
        raise NotFound(f"{reference!r} names no version.", cure="Write NAME, NAME@label or NAME:3.")
    return name.strip(), "", int(rest) if mark else None


def run_prompt(version: PromptVersion) -> Prompt:
    """The prompt as a run takes it: named after the version, so that results say which one it was."""
    return replace(version.prompt, name=f"{version.name} v{version.version}")


class PromptReference(NamedTuple):
    """A reference that can be chosen, and the version that it names now."""

    text: str
    version: int
    label: str
    """Empty for a reference by number."""


def references(session: Session, *, limit: int = 500) -> list[PromptReference]:
    """References to the versions of the library, the latest first; before those of a name its labels."""
    with session.store.read() as connection:
        found = stored.numbers(connection, limit=limit)
        labels = stored.labels_of(connection, list(dict.fromkeys(name for name, _ in found)))
    texts = []
    for name, version in found:
        texts += [PromptReference(f"{name}@{label}", at, label) for label, at in labels.pop(name, {}).items()]
        texts.append(PromptReference(f"{name}:{version}", version, ""))
    return texts


# -- labels, names, history ------------------------------------------------------------------------------------


def set_label(session: Session, name: str, label: str, version: int | None) -> None:
    """Points a label at a version, away from any other of the name; None takes it off. Raises DataError, NotFound."""
    label = label.strip().lower()
    if not _LABEL.fullmatch(label):
        raise DataError(
            f"{label!r} cannot be a label.", cure="Use a letter, then up to 39 letters, digits, dots, dashes or _."
        )
    session.store.writer.call(lambda c: stored.set_label(c, name, label, version))


def is_taken(session: Session, name: str) -> bool:
    """Whether the library has a name, archived ones included."""
    with session.store.read() as connection:
        return stored.is_taken(connection, name)


def rename_prompt(session: Session, name: str, new: str) -> str:
    """Gives a name with all that belongs to it another name, and returns it. Raises DataError, NotFound."""
    new = checked_name(new)
    session.store.writer.call(lambda c: stored.rename(c, name, new))
    return new


def archive_prompt(session: Session, name: str, *, archived: bool = True) -> None:
    """Takes a name out of the lists, or back in; nothing is deleted. Raises NotFound."""
    session.store.writer.call(lambda c: stored.set_archived(c, name, archived=archived))


def history(session: Session, name: str, *, limit: int = 100) -> list[PromptEventLine]:
    """What happened to a name, newest first."""
    with session.store.read() as connection:
        return stored.events_of(connection, name, limit=limit)


# -- runs and comparison ---------------------------------------------------------------------------------------


def uses(session: Session, name: str, *, limit: int = 20, offset: int = 0) -> list[PromptUse]:
    """The runs that used any version, newest first, with the scores of each version there."""
    with session.store.read() as connection:
        return stored.uses_of(connection, name, limit=limit, offset=offset)


def count_runs(session: Session, name: str) -> int:
    """How many runs used any version of a name."""
    with session.store.read() as connection:
        return stored.count_runs(connection, name)


@dataclass(frozen=True, slots=True)
class VersionDuel:
    """Two versions in the same run, paired by row."""

    run_id: str
    run_name: str
    comparison: Comparison
    """The second version minus the first."""


def difference(before: PromptVersion, after: PromptVersion) -> tuple[SectionDiff, ...]:
    """What changed between two versions, message by message."""
    return prompt_diff(before.prompt, after.prompt)


def duels(session: Session, before: PromptVersion, after: PromptVersion, *, limit: int = 3) -> list[VersionDuel]:
    """The second version against the first in the runs that held both, newest first; none without common scores.

    A pair is the same row with the same contestant and sample, so that neither version gains by missing cells.
    """
    from assay.stats.decision import PairRows, compare  # with NumPy and SciPy, slow to import

    with session.store.read() as connection:
        found = []
        for run in stored.shared_runs(connection, before.key, after.key, limit=limit):
            cells = results.cell_rows(connection, run.id)
            found.append((run, _paired(cells, run.a, run.b)))
    duelled = []
    for run, (first, second) in found:
        (comparison,) = compare([PairRows(_version("after", second), _version("before", first))])
        if comparison is not None:
            duelled.append(VersionDuel(run.id, run.name, comparison))
    return duelled


def _version(key: str, scores: Mapping[int, float]) -> ContestantRows:
    return ContestantRows(key, key, scores)


def _paired(cells: Sequence[results.CellRow], first: int, second: int) -> tuple[dict[int, float], dict[int, float]]:
    values = {(c.prompt, c.row, c.contestant, c.sample): c.value for c in cells if c.value is not None}
    rows: tuple[dict[int, list[float]], dict[int, list[float]]] = defaultdict(list), defaultdict(list)
    for (prompt, row, contestant, sample), value in values.items():
        other = values.get((second, row, contestant, sample)) if prompt == first else None
        if other is not None:
            rows[0][row].append(value)
            rows[1][row].append(other)
    a, b = ({row: fmean(found) for row, found in side.items()} for side in rows)
    return a, b


# -- preview ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RowPreview:
    """A prompt with a row of a dataset."""

    messages: tuple[Message, ...]
    """Exactly as they will be sent; empty when a variable is undefined."""
    undefined: tuple[str, ...]
    """Variables that the row does not define."""
    columns: tuple[str, ...]


def preview(session: Session, prompt: Prompt, dataset_id: str, *, row: int = 0) -> RowPreview:
    """A row of a dataset (from 0) in a prompt. Raises NotFound."""
    with session.store.read() as connection:
        dataset = get_dataset(connection, dataset_id)
        found = rows_of(connection, dataset, start=row, count=1)
    if not found:
        raise NotFound(f"The dataset {dataset.name!r} has no row {row + 1}.", cure="Choose an earlier one.")
    try:
        return RowPreview(render_prompt(prompt, found[0].values), (), dataset.columns)
    except TemplateError as error:
        return RowPreview((), error.variables, dataset.columns)
