"""What an archive of a run holds: the fields of each object, and the check that lets nothing else into the store."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple, get_args

from sqlalchemy import Boolean, Column, Float, Integer, Table

from assay.datasets.identity import content_hash
from assay.domain.completion import UNBILLED, Provenance
from assay.domain.plan import RunMode, RunPlan
from assay.errors import ImportRefused
from assay.store.books import counted_pico, month_of
from assay.store.tables import CALL, DATASET, GATEWAY_BATCH, RESULT, RESULT_TEXT, RUN, SCORE

Record = dict[str, Any]
RUN_FIELDS = (
    "id",
    "name",
    "created_ms",
    "started_ms",
    "finished_ms",
    "worked_ms",
    "state",
    "reason",
    "gateway",
    "budget_pico",
)
DATASET_FIELDS = ("id", "name", "version", "content_hash", "source", "created_ms")
RESULT_FIELDS = (
    "cell",
    "status",
    "error_kind",
    "call_id",
    "cached",
    "value",
    "passed",
    "cut",
    "first_token_ms",
    "total_ms",
    "prompt_tokens",
    "completion_tokens",
    "finished_ms",
)
TEXT_FIELDS = ("output", "reasoning", "error", "note")
SCORE_FIELDS = ("grader", "value", "passed", "reason", "call_id")
CALL_FIELDS = tuple(
    c.name for c in CALL.c if c.name not in ("run_id", "cell", "comparison_id", "owner", "prompt_chars", "tags_json")
)
BATCH_FIELDS = tuple(c.name for c in GATEWAY_BATCH.c if c.name != "run_id")

_ID = re.compile(r"[A-Za-z0-9_-]{6,64}")
_WORDS: Mapping[str, frozenset[str | None]] = {
    "run.state": frozenset({"paused", "stopped", "done"}),
    "result.status": frozenset({"ok", "failed"}),
    "call.state": frozenset({"settled", "orphan"}),
    "call.outcome": frozenset({None, "ok", "failed", "cancelled"}),
    "call.purpose": frozenset({"run", "judge"}),
    "call.provenance": frozenset(get_args(Provenance)),
    "batch.state": frozenset({"ended"}),
}
"""Fields that hold one of a few words."""
_LARGEST = 2**63


class _Field(NamedTuple):
    type: type
    nullable: bool


def _fields(table: Table, names: Iterable[str]) -> dict[str, _Field]:
    kinds = {Boolean: bool, Integer: int, Float: float}

    def kind_of(column: Column[Any]) -> type:
        return next((kind for sql, kind in kinds.items() if isinstance(column.type, sql)), str)

    return {name: _Field(kind_of(table.c[name]), bool(table.c[name].nullable)) for name in names}


_LIST, _OBJECT, _STRING = _Field(list, False), _Field(dict, False), _Field(str, False)
_SHAPES: Mapping[str, Mapping[str, _Field]] = {
    "run": _fields(RUN, RUN_FIELDS) | {"tags": _LIST},
    "dataset": _fields(DATASET, DATASET_FIELDS)
    | {"columns": _LIST, "roles": _OBJECT, "findings": _LIST, "policy": _OBJECT},
    "row": {"key": _STRING, "values": _LIST},
    "result": _fields(RESULT, RESULT_FIELDS) | _fields(RESULT_TEXT, TEXT_FIELDS) | {"scores": _LIST, "calls": _LIST},
    "score": _fields(SCORE, SCORE_FIELDS),
    "call": _fields(CALL, CALL_FIELDS) | {"tags": _LIST},
    "batch": _fields(GATEWAY_BATCH, BATCH_FIELDS),
    "change": {"at_ms": _Field(int, False), "change": _STRING, "detail": _OBJECT},
}


_LATER: Mapping[str, Mapping[str, Any]] = {
    "result": {"cut": False, "note": ""},
    "call": {"is_byok": None, "upstream_pico": None, "cost_details_json": None, "failed_providers_json": None},
}
"""Fields that older archives do not hold, with what they were then."""
_EARLIER: Mapping[str, frozenset[str]] = {"result": frozenset({"cost_pico"})}
"""Fields that older archives hold and nobody believes: they follow from the rest."""

_REFUSED = ("failed", 0, "estimated")
"""Outcome, cost and provenance of what surely cost nothing, as older archives have it."""


def of_today(shape: str, found: Record) -> Record:
    """An object of an archive with the fields of today."""
    now = {**_LATER.get(shape, {}), **without(found, *_EARLIER.get(shape, ()))}
    if shape == "call" and (now.get("outcome"), now.get("cost_pico"), now.get("provenance")) == _REFUSED:
        now["provenance"] = UNBILLED.provenance
    return now


def _refused(what: str) -> ImportRefused:
    return ImportRefused(f"The archive holds {what}.", cure="Take one that Assay wrote.")


def _checked(shape: str, found: object) -> Record:
    """An object with exactly the fields of its shape, each of its type. Raises ImportRefused."""
    fields = _SHAPES[shape]
    if isinstance(found, dict):
        found = of_today(shape, found)
    if not isinstance(found, dict) or found.keys() != fields.keys():
        raise _refused(f"a {shape} with other fields than a {shape} has")
    for name, (kind, nullable) in fields.items():
        value = found[name]
        if value is None and nullable:
            continue
        if kind is float and type(value) is int:
            value = found[name] = float(value)
        right = type(value) is kind
        if right and kind is int:
            right = -_LARGEST <= value < _LARGEST
        elif right and kind is float:
            right = math.isfinite(value)
        words = _WORDS.get(f"{shape}.{name}")
        if not right or (words is not None and value not in words):
            raise _refused(f"a {shape} whose {name} is {str(value)[:40]!r}")
    return found


def _texts(values: object, what: str) -> list[str]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise _refused(f"{what} that are no texts")
    return values


@dataclass(slots=True)
class Archive:
    """What an archive holds, once all of it has been checked."""

    run: Record
    plan: RunPlan
    estimate: Record
    dataset: Record
    rows: int = 0
    results: int = 0
    failed: int = 0
    calls: int = 0
    spent: Counter[str] = field(default_factory=Counter)
    """Month -> pico-dollars that count in budgets; a call of unknown cost counts with its bound."""
    known_pico: int = 0
    """The sum of the known costs."""
    unknown_calls: int = 0


def check_archive(records: Iterable[Record]) -> Archive:
    """Reads an archive to its end and says what it holds. Raises ImportRefused for what Assay does not write."""
    source = iter(records)
    found = _head(next(source, {}))
    columns = found.dataset["columns"]
    following: list[Record] = []

    def rows() -> Iterator[list[str]]:
        for record in source:
            if record["kind"] != "row":
                following.append(record)
                return
            values = _row(record)["values"]
            if len(values) != len(columns):
                raise _refused("a row that is longer or shorter than its dataset's columns")
            found.rows += 1
            yield values

    if content_hash(columns, rows()) != found.dataset["content_hash"]:
        raise _refused("rows that are not those of its dataset")
    if found.rows < found.plan.row_count:
        raise _refused("fewer rows than the run asked")
    _check_rest(found, chain(following, source))
    return found


def _head(record: Record) -> Archive:
    parts = {name: record.get(name) for name in ("run", "plan", "estimate", "dataset")}
    run, dataset = _checked("run", parts["run"]), _checked("dataset", parts["dataset"])
    _texts(run["tags"], "tags")
    _texts(dataset["columns"], "columns")
    _texts(list(dataset["roles"].values()), "roles")
    if not _ID.fullmatch(run["id"]) or dataset["id"] != dataset["content_hash"][:16]:
        raise _refused("an id that is none")
    try:
        plan = RunPlan.from_json(parts["plan"])  # type: ignore[arg-type]
        right = _is_sound(plan) and plan.dataset_id == dataset["id"] and plan.gateway == run["gateway"]
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise _refused("a plan that cannot be read") from error
    if not right or not _is_estimate(parts["estimate"]):
        raise _refused("a plan that is not the run's")
    if not _is_policy(dataset["policy"]):
        raise _refused("a data policy that is none")
    return Archive(run, plan, parts["estimate"] or {}, dataset)


def _is_sound(plan: RunPlan) -> bool:
    """Whether every part of a plan is of its type: what pages and the engine read without asking."""
    texts = [plan.dataset_id, plan.gateway, *plan.mapping, *plan.mapping.values()]
    texts += [text for p in plan.prompts for text in (p.user, p.system, p.name, *(m.role for m in p.messages))]
    texts += [text for c in plan.contestants for text in (c.model, c.variant, c.label)]
    texts += [text for g in plan.graders for text in (g.kind, g.name)]
    objects = [
        plan.data_policy,
        plan.gates,
        *(c.params for c in plan.contestants),
        *(c.provider for c in plan.contestants),
    ]
    objects += [g.params for g in plan.graders]
    numbers = [n for n in (plan.budget_pico, plan.concurrency) if n is not None]
    return (
        all(isinstance(text, str) for text in texts)
        and all(isinstance(found, dict) for found in objects)
        and all(type(number) is int for number in (plan.row_count, plan.samples, *numbers))
        and all(isinstance(m.content, str | tuple | None) for p in plan.prompts for m in p.messages)
        and (plan.expected_column is None or isinstance(plan.expected_column, str))
        and isinstance(plan.cache, bool)
        and plan.mode in get_args(RunMode)
        and 1 <= plan.samples <= 100
        and type(plan.margin) is float
        and 0 < plan.margin < 1
        and 1 <= plan.cell_count < _LARGEST
    )


def _is_policy(found: Record) -> bool:
    only = found.get("only", [])
    return (
        found.keys() <= {"zdr", "data_collection", "only"}
        and isinstance(found.get("zdr", True), bool)
        and found.get("data_collection", "deny") in ("deny", "allow")
        and isinstance(only, list)
        and all(isinstance(slug, str) for slug in only)
    )


def _is_estimate(found: object) -> bool:
    cost = found.get("cost") if isinstance(found, dict) else ()
    if not isinstance(cost, dict):
        return cost is None
    words = cost.get("unbounded", [])
    amounts = without(cost, "unbounded", "guessed", "dearest_of").values()
    return (
        type(cost.get("guessed", False)) is bool
        and isinstance(cost.get("dearest_of", ""), str)
        and all(value is None or type(value) is int for value in amounts)
        and isinstance(words, list)
        and all(isinstance(word, str) for word in words)
    )


def _row(record: Record) -> Record:
    row = _checked("row", without(record, "kind"))
    _texts(row["values"], "values")
    return row


def without(record: Record, *names: str) -> Record:
    """An object without some of its fields."""
    return {name: value for name, value in record.items() if name not in names}


def _check_rest(found: Archive, records: Iterable[Record]) -> None:
    last = -1
    for record in records:
        kind = record["kind"]
        if kind == "result":
            result = _checked("result", without(record, "kind"))
            if not last < result["cell"] < found.plan.cell_count:
                raise _refused(f"the cell {result['cell']} twice, or outside of its grid")
            last = result["cell"]
            found.results += 1
            found.failed += result["status"] == "failed"
            _check_scores(found.plan, result["scores"])
            for call in result["calls"]:
                _count(found, call)
        elif kind == "call":
            cell = record.get("cell")
            if cell is not None and (type(cell) is not int or not 0 <= cell < found.plan.cell_count):
                raise _refused("a call outside of its grid")
            _count(found, without(record, "kind", "cell"))
        elif kind == "batch":
            _checked("batch", without(record, "kind"))
        elif kind == "change":
            _check_change(_checked("change", without(record, "kind"))["detail"])
        else:
            raise _refused(f"a line of the kind {kind[:40]!r} where none belongs")


def _check_change(detail: Record) -> None:
    """Raises ImportRefused for a change whose detail is not what `workbench/growth.py` keeps."""
    pairs = [detail.get("samples"), detail.get("rows")]
    texts = [detail.get("contestants"), detail.get("prompts")]
    dataset = detail.get("dataset")
    try:
        sound = _is_sound(RunPlan.from_json(detail["before"]))
    except (TypeError, ValueError, KeyError, AttributeError):
        sound = False
    right = (
        sound
        and all(isinstance(pair, list) and [type(n) for n in pair] == [int, int] for pair in pairs)
        and all(isinstance(names, list) and all(isinstance(name, str) for name in names) for names in texts)
        and isinstance(dataset, dict)
        and isinstance(detail.get("changed_rows"), list)
        and isinstance(detail.get("new_version"), bool)
        and isinstance(detail.get("estimate"), dict)
        and type(dataset.get("version")) is int
        and isinstance(dataset.get("name"), str)
    )
    if not right:
        raise _refused("a change that is none")


def _check_scores(plan: RunPlan, scores: Sequence[object]) -> None:
    places = [_checked("score", score)["grader"] for score in scores]
    if len(set(places)) < len(places) or not all(0 <= place < len(plan.graders) for place in places):
        raise _refused("a score of a grader that the run does not have")


def _count(found: Archive, record: object) -> None:
    call = _checked("call", record)
    _texts(call["tags"], "tags")
    counts = counted_pico(call["cost_pico"], call["provenance"], call["bound_pico"])
    own = call["upstream_pico"] or 0
    if counts < 0 or own < 0 or own > (call["cost_pico"] or 0) or not 0 <= call["created_ms"] < 10**14:
        raise _refused("a call with a cost or a time that cannot be")
    found.calls += 1
    found.known_pico += call["cost_pico"] or 0
    found.unknown_calls += call["cost_pico"] is None
    found.spent[month_of(call["created_ms"])] += counts
