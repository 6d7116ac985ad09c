"""What all versions of a dataset share: its name, tags, made splits, data policy; and who uses them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from assay.domain.data_policy import strictest
from assay.errors import NotFound, RunError
from assay.store.datasets import FINISHED, StoredDataset, get_dataset, list_versions
from assay.store.ledger import now_ms
from assay.store.runs import LIVE
from assay.store.tables import DATASET, DATASET_NAME, DATASET_ROW, RUN


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """A data policy as it was set at a moment."""

    at_ms: int
    policy: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DatasetRecord:
    """A dataset: what its versions share, and the newest of them."""

    name: str
    newest: StoredDataset
    versions: int
    runs: int
    """Runs over any of its versions."""
    tags: tuple[str, ...] = ()
    splits: Mapping[str, int] = field(default_factory=dict)
    """Made split -> percent of the rows."""
    policy: Mapping[str, Any] = field(default_factory=dict)
    policy_log: tuple[PolicyChange, ...] = ()


def count_datasets(connection: Connection, *, search: str = "") -> int:
    """How many names there are."""
    query = select(func.count(func.distinct(DATASET.c.name)))
    return connection.execute(query.where(DATASET.c.name.icontains(search, autoescape=True), FINISHED)).scalar_one()


def count_versions(connection: Connection) -> int:
    """How many versions there are of all datasets."""
    return connection.execute(select(func.count()).select_from(DATASET).where(FINISHED)).scalar_one()


def dataset_records(
    connection: Connection, *, limit: int = 100, offset: int = 0, search: str = ""
) -> list[DatasetRecord]:
    """Datasets by name, the one with the newest version first."""
    query = (
        select(DATASET.c.name)
        .where(DATASET.c.name.icontains(search, autoescape=True), FINISHED)
        .group_by(DATASET.c.name)
        .order_by(func.max(DATASET.c.created_ms).desc(), DATASET.c.name)
    )
    names = connection.execute(query.limit(limit).offset(offset)).scalars()
    return [dataset_record(connection, name) for name in names.all()]


def dataset_record(connection: Connection, name: str) -> DatasetRecord:
    """A dataset by its name. Raises NotFound."""
    versions = list_versions(connection, name, limit=1)
    if not versions:
        raise NotFound(f"There is no dataset {name!r}.", cure="`assay datasets` lists them.")
    count = connection.execute(select(func.count()).where(DATASET.c.name == name)).scalar_one()
    runs = connection.execute(
        select(func.count())
        .select_from(RUN.join(DATASET, DATASET.c.id == RUN.c.dataset_id))
        .where(DATASET.c.name == name)
    ).scalar_one()
    shared = _shared(connection, name)
    if shared is None:
        return DatasetRecord(name, versions[0], count, runs)
    log = tuple(PolicyChange(entry["at_ms"], entry["policy"]) for entry in json.loads(shared.policy_log_json))
    return DatasetRecord(
        name,
        versions[0],
        count,
        runs,
        tuple(json.loads(shared.tags_json)),
        json.loads(shared.splits_json),
        json.loads(shared.policy_json),
        log,
    )


def _shared(connection: Connection, name: str) -> Row[Any] | None:
    return connection.execute(select(DATASET_NAME).where(DATASET_NAME.c.name == name)).one_or_none()


def _change(connection: Connection, name: str, **values: str) -> None:
    """Writes what the versions of a name share; a name that has nothing yet gets its row."""
    if _shared(connection, name) is None:
        empty = {"tags_json": "[]", "splits_json": "{}", "policy_json": "{}", "policy_log_json": "[]"}
        connection.execute(insert(DATASET_NAME).values(name=name, **{**empty, **values}))
        return
    connection.execute(update(DATASET_NAME).where(DATASET_NAME.c.name == name).values(**values))


def set_tags(connection: Connection, name: str, tags: Sequence[str]) -> None:
    """Replaces the tags of a dataset."""
    _change(connection, name, tags_json=json.dumps(list(tags), ensure_ascii=False))


def set_splits(connection: Connection, name: str, splits: Mapping[str, int]) -> None:
    """Replaces the made splits of a dataset: split -> percent."""
    _change(connection, name, splits_json=json.dumps(dict(splits), ensure_ascii=False))


def policy_of_name(connection: Connection, name: str) -> dict[str, Any]:
    """The data policy kept for a name; {}: none."""
    shared = _shared(connection, name)
    return dict(json.loads(shared.policy_json)) if shared is not None else {}


def set_policy(connection: Connection, name: str, policy: Mapping[str, Any]) -> list[str]:
    """Replaces the data policy of a dataset, and returns its runs at work: they began under the old one."""
    shared = _shared(connection, name)
    log = json.loads(shared.policy_log_json) if shared is not None else []
    log.append({"at_ms": now_ms(), "policy": dict(policy)})
    _change(
        connection,
        name,
        policy_json=json.dumps(dict(policy), ensure_ascii=False),
        policy_log_json=json.dumps(log, ensure_ascii=False),
    )
    return live_runs(connection, name)


def inherit_policy(connection: Connection, source: str, target: str) -> None:
    """Brings a dataset that was made out of another under its policy: the stricter of each."""
    policy, own = policy_of_name(connection, source), policy_of_name(connection, target)
    together = strictest(own, policy)
    if source != target and policy and together != own:
        set_policy(connection, target, together)


def live_runs(connection: Connection, name: str) -> list[str]:
    """Ids of the runs over any version of a dataset that are queued or at work."""
    joined = RUN.join(DATASET, DATASET.c.id == RUN.c.dataset_id)
    query = select(RUN.c.id).select_from(joined).where(DATASET.c.name == name, RUN.c.state.in_(LIVE))
    return list(connection.execute(query).scalars())


def rename(connection: Connection, name: str, new_name: str) -> None:
    """Gives all versions another name; tags, splits and policy go along. Raises NotFound, RunError when it is taken."""
    dataset_record(connection, name)
    if new_name == name:
        return
    if _shared(connection, new_name) is not None or list_versions(connection, new_name, limit=1):
        raise RunError(f"There is a dataset {new_name!r} already.", cure="Choose another name.")
    connection.execute(update(DATASET).where(DATASET.c.name == name).values(name=new_name))
    connection.execute(update(DATASET_NAME).where(DATASET_NAME.c.name == name).values(name=new_name))


def runs_of(connection: Connection, dataset_id: str, *, limit: int = 100) -> list[Row[Any]]:
    """Runs over a version, newest first."""
    query = select(RUN).where(RUN.c.dataset_id == dataset_id).order_by(RUN.c.created_ms.desc())
    return list(connection.execute(query.limit(limit)).all())


def runs_by_version(connection: Connection, name: str) -> dict[str, int]:
    """Dataset id -> how many runs use it, for the versions that any run uses."""
    joined = RUN.join(DATASET, DATASET.c.id == RUN.c.dataset_id)
    query = select(RUN.c.dataset_id, func.count()).select_from(joined).where(DATASET.c.name == name)
    return {row[0]: row[1] for row in connection.execute(query.group_by(RUN.c.dataset_id))}


def delete_version(connection: Connection, dataset_id: str) -> None:
    """Deletes a version and its rows. Raises NotFound, RunError when a run uses it.

    The name keeps its data policy: rows that come back under it come back under the policy.
    """
    dataset = get_dataset(connection, dataset_id)
    using = connection.execute(select(func.count()).where(RUN.c.dataset_id == dataset.id)).scalar_one()
    if using:
        some = "A run uses" if using == 1 else f"{using:,} runs use"
        raise RunError(
            f"{some} version {dataset.version} of {dataset.name!r}: without its rows their results could not be read.",
            cure="Keep it.",
        )
    connection.execute(delete(DATASET_ROW).where(DATASET_ROW.c.dataset_id == dataset.id))
    connection.execute(delete(DATASET).where(DATASET.c.id == dataset.id))
