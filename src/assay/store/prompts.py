"""The prompt library: names with versions, labels that point at one version, a history, and the runs that used them.

A version's text never changes and no version is ever deleted; a name that is no longer wanted is archived.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Float, Row, case, cast, delete, func, insert, select, update

from assay.domain.contestant import Prompt
from assay.errors import DataError, NotFound
from assay.store.ledger import now_ms
from assay.store.tables import DATASET, PROMPT_EVENT, PROMPT_LABEL, RESULT, RUN, RUN_PROMPT, SAVED_PROMPT

EventKind = Literal["saved", "labelled", "unlabelled", "renamed", "archived", "restored"]


@dataclass(frozen=True, slots=True)
class PromptVersion:
    """One version of a name."""

    name: str
    version: int
    key: str
    """The content's key (domain/contestant.py)."""
    prompt: Prompt
    note: str
    created_ms: int
    archived: bool
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PromptSummary:
    """A line of the library: a name with its newest version."""

    newest: PromptVersion
    labels: tuple[tuple[str, int], ...]
    """(label, version) of the whole name."""
    runs: int
    """Runs that used any of its versions."""
    last_used_ms: int | None

    @property
    def name(self) -> str:
        """The name."""
        return self.newest.name


@dataclass(frozen=True, slots=True)
class PromptEventLine:
    """A line of a name's history."""

    at_ms: int
    kind: EventKind
    version: int | None
    detail: str
    """The label, the former name, or the note."""
    before: int | None
    """The version that a moved label pointed at."""


# -- reading ---------------------------------------------------------------------------------------------------


def _version(row: Row[Any], labels: Iterable[str] = ()) -> PromptVersion:
    prompt = Prompt.from_json(json.loads(row.prompt_json))
    return PromptVersion(
        row.name, row.version, row.prompt_key, prompt, row.note, row.created_ms, row.archived, tuple(labels)
    )


def labels_of(connection: Connection, names: Sequence[str]) -> dict[str, dict[str, int]]:
    """Name -> label -> version, labels in alphabetical order."""
    found: dict[str, dict[str, int]] = {name: {} for name in names}
    query = select(PROMPT_LABEL).where(PROMPT_LABEL.c.name.in_(names)).order_by(PROMPT_LABEL.c.label)
    for row in connection.execute(query):
        found[row.name][row.label] = row.version
    return found


def list_prompts(
    connection: Connection, *, limit: int = 50, offset: int = 0, search: str = "", archived: bool = False
) -> list[PromptSummary]:
    """Names with their newest version, the latest change first; search: text in a name, a prompt or a note."""
    newest = _newest(search, archived=archived).subquery()
    rows = connection.execute(
        select(SAVED_PROMPT)
        .join(newest, (newest.c.name == SAVED_PROMPT.c.name) & (newest.c.version == SAVED_PROMPT.c.version))
        .order_by(SAVED_PROMPT.c.created_ms.desc(), SAVED_PROMPT.c.id.desc())
        .limit(limit)
        .offset(offset)
    ).all()
    names = [row.name for row in rows]
    labels, used = labels_of(connection, names), _used(connection, names)
    return [
        PromptSummary(
            _version(row, (label for label, version in labels[row.name].items() if version == row.version)),
            tuple(labels[row.name].items()),
            *used.get(row.name, (0, None)),
        )
        for row in rows
    ]


def count_prompts(connection: Connection, *, search: str = "", archived: bool = False) -> int:
    """How many names `list_prompts` has in all."""
    return int(
        connection.execute(select(func.count()).select_from(_newest(search, archived=archived).subquery())).scalar_one()
    )


def _newest(search: str, *, archived: bool) -> Any:
    query = select(SAVED_PROMPT.c.name, func.max(SAVED_PROMPT.c.version).label("version"))
    query = query.where(SAVED_PROMPT.c.archived.is_(archived)).group_by(SAVED_PROMPT.c.name)
    if not search:
        return query
    # JSON text holds quotes and line breaks escaped: what is looked for must be written the same way.
    written = json.dumps(search, ensure_ascii=False)[1:-1]
    matching = select(SAVED_PROMPT.c.name).where(
        SAVED_PROMPT.c.name.icontains(search, autoescape=True)
        | SAVED_PROMPT.c.note.icontains(search, autoescape=True)
        | SAVED_PROMPT.c.prompt_json.icontains(written, autoescape=True)
    )
    return query.where(SAVED_PROMPT.c.name.in_(matching))


def _used(connection: Connection, names: Sequence[str]) -> dict[str, tuple[int, int | None]]:
    found = connection.execute(
        select(SAVED_PROMPT.c.name, func.count(RUN_PROMPT.c.run_id.distinct()), func.max(RUN.c.created_ms))
        .join(RUN_PROMPT, RUN_PROMPT.c.prompt_key == SAVED_PROMPT.c.prompt_key)
        .join(RUN, RUN.c.id == RUN_PROMPT.c.run_id)
        .where(SAVED_PROMPT.c.name.in_(names))
        .group_by(SAVED_PROMPT.c.name)
    )
    return {name: (count, last) for name, count, last in found}


def versions_of(connection: Connection, name: str) -> list[PromptVersion]:
    """All versions of a name, newest first. Raises NotFound."""
    query = select(SAVED_PROMPT).where(SAVED_PROMPT.c.name == name).order_by(SAVED_PROMPT.c.version.desc())
    rows = connection.execute(query).all()
    if not rows:
        raise no_such_prompt(name)
    labels = labels_of(connection, [name])[name]
    return [_version(row, (label for label, version in labels.items() if version == row.version)) for row in rows]


def numbers(connection: Connection, *, limit: int = 500) -> list[tuple[str, int]]:
    """(name, version) of everything that is not archived, the latest first."""
    query = select(SAVED_PROMPT.c.name, SAVED_PROMPT.c.version).where(SAVED_PROMPT.c.archived.is_(False))
    return [
        (row.name, row.version) for row in connection.execute(query.order_by(SAVED_PROMPT.c.id.desc()).limit(limit))
    ]


def get_version(connection: Connection, name: str, *, version: int | None = None, label: str = "") -> PromptVersion:
    """One version of a name: by number, by label, else the newest. Raises NotFound."""
    found = versions_of(connection, name)
    if label:
        match = next((one for one in found if label in one.labels), None)
        have = ", ".join(sorted(label for one in found for label in one.labels)) or "none"
        wanted, cure = f"label {label!r}", f"Its labels are: {have}."
    else:
        match = next((one for one in found if version in (None, one.version)), None)
        wanted, cure = f"version {version}", f"Its newest version is {found[0].version}."
    if match is None:
        raise NotFound(f"The prompt {name!r} has no {wanted}.", cure=cure)
    return match


def no_such_prompt(name: str) -> NotFound:
    """The error for a name that the library does not have."""
    return NotFound(f"There is no prompt {name!r} in the library.", cure="`assay prompts` lists them.")


def events_of(connection: Connection, name: str, *, limit: int = 100) -> list[PromptEventLine]:
    """The history of a name, newest first."""
    query = select(PROMPT_EVENT).where(PROMPT_EVENT.c.name == name).order_by(PROMPT_EVENT.c.id.desc()).limit(limit)
    return [
        PromptEventLine(row.at_ms, row.kind, row.version, row.detail, row.before) for row in connection.execute(query)
    ]


# -- changing --------------------------------------------------------------------------------------------------


def save_version(connection: Connection, name: str, prompt: Prompt, *, note: str = "") -> tuple[PromptVersion, bool]:
    """The version of a name with this content, and whether it is new: the same content is the same version.

    An archived name comes back into the list.
    """
    rows = connection.execute(
        select(SAVED_PROMPT.c.version, SAVED_PROMPT.c.prompt_key, SAVED_PROMPT.c.archived)
        .where(SAVED_PROMPT.c.name == name)
        .order_by(SAVED_PROMPT.c.version)
    ).all()
    if rows and rows[0].archived:
        set_archived(connection, name, archived=False)
    same = next((row.version for row in rows if row.prompt_key == prompt.key), None)
    if same is not None:
        return get_version(connection, name, version=same), False
    version = rows[-1].version + 1 if rows else 1
    content = json.dumps(prompt.as_json() | {"name": ""}, ensure_ascii=False)
    connection.execute(
        insert(SAVED_PROMPT).values(
            name=name,
            version=version,
            prompt_key=prompt.key,
            prompt_json=content,
            note=note,
            archived=False,
            created_ms=now_ms(),
        )
    )
    _remember(connection, name, "saved", version=version, detail=note)
    return get_version(connection, name, version=version), True


def set_label(connection: Connection, name: str, label: str, version: int | None) -> None:
    """Points a label at a version, away from any other; None takes it off. Raises NotFound."""
    get_version(connection, name, version=version)
    before = labels_of(connection, [name])[name].get(label)
    if before == version:
        return
    here = (PROMPT_LABEL.c.name == name) & (PROMPT_LABEL.c.label == label)
    connection.execute(delete(PROMPT_LABEL).where(here))
    if version is not None:
        connection.execute(insert(PROMPT_LABEL).values(name=name, label=label, version=version))
    kind: EventKind = "unlabelled" if version is None else "labelled"
    _remember(connection, name, kind, version=version, detail=label, before=before)


def is_taken(connection: Connection, name: str) -> bool:
    """Whether there is a name, archived or not."""
    return connection.execute(select(SAVED_PROMPT.c.id).where(SAVED_PROMPT.c.name == name).limit(1)).first() is not None


def rename(connection: Connection, name: str, new: str) -> None:
    """Gives a name with its versions, labels and history another name. Raises NotFound, DataError when it is taken."""
    versions_of(connection, name)
    if new == name:
        return
    if is_taken(connection, new):
        raise DataError(
            f"There is already a prompt {new!r}.", cure="Choose another name; archived prompts keep theirs."
        )
    for table in (SAVED_PROMPT, PROMPT_LABEL, PROMPT_EVENT):
        connection.execute(update(table).where(table.c.name == name).values(name=new))
    _remember(connection, new, "renamed", detail=name)


def set_archived(connection: Connection, name: str, *, archived: bool) -> None:
    """Takes a name out of the lists, or back in; its versions, labels and runs stay. Raises NotFound."""
    if versions_of(connection, name)[0].archived == archived:
        return
    connection.execute(update(SAVED_PROMPT).where(SAVED_PROMPT.c.name == name).values(archived=archived))
    _remember(connection, name, "archived" if archived else "restored")


def _remember(
    connection: Connection,
    name: str,
    kind: EventKind,
    *,
    version: int | None = None,
    detail: str = "",
    before: int | None = None,
) -> None:
    connection.execute(
        insert(PROMPT_EVENT).values(name=name, at_ms=now_ms(), kind=kind, version=version, detail=detail, before=before)
    )


# -- runs ------------------------------------------------------------------------------------------------------


def link_prompts(connection: Connection, run_id: str, prompts: Sequence[Prompt], *, first: int = 0) -> None:
    """Notes the prompts of a run's plan; first: the position in the plan of the first one given."""
    if prompts:
        connection.execute(
            insert(RUN_PROMPT),
            [{"run_id": run_id, "position": first + n, "prompt_key": p.key} for n, p in enumerate(prompts)],
        )


@dataclass(frozen=True, slots=True)
class PromptUse:
    """A version in a run, with what it scored there over all its contestants."""

    run_id: str
    run_name: str
    state: str
    created_ms: int
    gateway: str
    dataset: str
    version: int
    position: int
    """Index into the plan's prompts."""
    answered: int = 0
    """Cells with an answer."""
    scored: int = 0
    """Cells with a value."""
    value: float | None = None
    """Mean over rows of the mean over their cells; None: nothing was scored."""
    pass_rate: float | None = None
    """The same of the verdicts; None: there is none."""


def uses_of(connection: Connection, name: str, *, limit: int = 20, offset: int = 0) -> list[PromptUse]:
    """The runs that used any version of a name, newest first, with the scores of each version there."""
    wanted = (
        select(RUN.c.id, RUN.c.name, RUN.c.state, RUN.c.created_ms, RUN.c.gateway, RUN.c.dataset_id)
        .where(RUN.c.id.in_(_runs_of(name)))
        .order_by(RUN.c.created_ms.desc(), RUN.c.id.desc())
        .limit(limit)
        .offset(offset)
        .subquery()
    )
    rows = connection.execute(
        select(wanted, SAVED_PROMPT.c.version, RUN_PROMPT.c.position, DATASET.c.name.label("dataset"))
        .join(RUN_PROMPT, RUN_PROMPT.c.run_id == wanted.c.id)
        .join(SAVED_PROMPT, SAVED_PROMPT.c.prompt_key == RUN_PROMPT.c.prompt_key)
        .outerjoin(DATASET, DATASET.c.id == wanted.c.dataset_id)
        .where(SAVED_PROMPT.c.name == name)
        .order_by(wanted.c.created_ms.desc(), wanted.c.id.desc(), SAVED_PROMPT.c.version.desc())
    ).all()
    scores = _scores(connection, [row.id for row in rows])
    return [
        PromptUse(
            row.id,
            row.name,
            row.state,
            row.created_ms,
            row.gateway,
            row.dataset or "",
            row.version,
            row.position,
            *scores.get((row.id, row.position), ()),
        )
        for row in rows
    ]


def count_runs(connection: Connection, name: str) -> int:
    """How many runs used any version of a name."""
    return int(connection.execute(select(func.count()).select_from(_runs_of(name).subquery())).scalar_one())


def _runs_of(name: str) -> Any:
    return (
        select(RUN_PROMPT.c.run_id)
        .join(SAVED_PROMPT, SAVED_PROMPT.c.prompt_key == RUN_PROMPT.c.prompt_key)
        .where(SAVED_PROMPT.c.name == name)
        .distinct()
    )


def _scores(connection: Connection, run_ids: Sequence[str]) -> dict[tuple[str, int], tuple[Any, ...]]:
    """(run, position) -> answered, scored, value, pass rate; rows are the independent units, as on the scoreboard."""
    verdict = case((RESULT.c.passed.is_(True), 1.0), (RESULT.c.passed.is_(False), 0.0))
    by_row = (
        select(
            RESULT.c.run_id,
            RESULT.c.prompt,
            RESULT.c.row,
            func.sum(case((RESULT.c.status == "ok", 1), else_=0)).label("answered"),
            func.count(RESULT.c.value).label("scored"),
            func.avg(RESULT.c.value).label("value"),
            func.avg(verdict).label("passed"),
        )
        .where(RESULT.c.run_id.in_(sorted(set(run_ids))))
        .group_by(RESULT.c.run_id, RESULT.c.prompt, RESULT.c.row)
        .subquery()
    )
    found = connection.execute(
        select(
            by_row.c.run_id,
            by_row.c.prompt,
            func.sum(by_row.c.answered),
            func.sum(by_row.c.scored),
            cast(func.avg(by_row.c.value), Float),
            cast(func.avg(by_row.c.passed), Float),
        ).group_by(by_row.c.run_id, by_row.c.prompt)
    )
    return {(row[0], row[1]): (int(row[2]), int(row[3]), row[4], row[5]) for row in found}


def shared_runs(connection: Connection, first_key: str, second_key: str, *, limit: int = 3) -> list[Row[Any]]:
    """Runs in which both prompts stood, newest first: id, name, created_ms, first and second position."""
    first, second = RUN_PROMPT.alias("first"), RUN_PROMPT.alias("second")
    query = (
        select(RUN.c.id, RUN.c.name, RUN.c.created_ms, first.c.position.label("a"), second.c.position.label("b"))
        .join(first, first.c.run_id == RUN.c.id)
        .join(second, second.c.run_id == RUN.c.id)
        .where(first.c.prompt_key == first_key, second.c.prompt_key == second_key)
        .order_by(RUN.c.created_ms.desc())
        .limit(limit)
    )
    return list(connection.execute(query))
