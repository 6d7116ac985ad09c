"""JSONL: one object per answer with everything that is kept about it; reads back to the same values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, asdict
from decimal import Decimal
from typing import Any, BinaryIO

from assay.domain.score import Score
from assay.exports.record import CallFact, CellFact, RunRecord, exact_usd, prompt_name
from assay.exports.streams import json_line, write_pieces
from assay.money import to_pico

PICO, USD = "_pico", "_usd"
TEXTS = ("output", "reasoning", "error", "row_key")


def cell_json(record: RunRecord, cell: CellFact) -> dict[str, Any]:
    """One answer as an object; money as exact text in USD, indices from 0."""
    contestant = record.plan.contestants[cell.contestant]
    found = _priced(asdict(cell))
    found["calls"] = [_priced(call) for call in found["calls"]]
    found["values"] = dict(zip(record.columns, cell.values, strict=True))
    for name in TEXTS:
        if name in record.hidden:
            del found[name]
    if "reason" in record.hidden:
        for score in found["scores"]:
            del score["reason"]
    about = {
        "run": record.id,
        "dataset": record.dataset_hash,
        "prompt_name": prompt_name(record.plan, cell.prompt),
        "model": contestant.model_id,
        "params": dict(contestant.params),
        "routing": dict(contestant.provider),
        "label": record.line_of[cell.prompt, cell.contestant].label,
    }
    return {**about, **found}


def _priced(found: dict[str, Any]) -> dict[str, Any]:
    return {
        (f"{name[: -len(PICO)]}_usd" if name.endswith(PICO) else name): (
            (None if value is None else exact_usd(value)) if name.endswith(PICO) else value
        )
        for name, value in found.items()
    }


def write(record: RunRecord, target: BinaryIO) -> None:
    """Writes one line per answer."""
    write_pieces(target, (json_line(cell_json(record, cell)) for cell in record.cells()))


def read(lines: Iterable[str | bytes]) -> Iterator[CellFact]:
    """The cells that `write` wrote; a text that was left out is empty."""
    for line in lines:
        if line.strip():
            yield _cell(json.loads(line))


def _cell(found: dict[str, Any]) -> CellFact:
    found = _in_pico(found)
    values = {
        name: found.get(name, "" if field.default is MISSING else field.default)
        for name, field in CellFact.__dataclass_fields__.items()
    }
    values["values"] = tuple(found["values"].values())
    values["scores"] = tuple(Score(**{"reason": "", **score}) for score in found["scores"])
    values["calls"] = tuple(_call(call) for call in found["calls"])
    return CellFact(**values)


def _call(found: dict[str, Any]) -> CallFact:
    return CallFact(**_in_pico(found))


def _in_pico(found: dict[str, Any]) -> dict[str, Any]:
    return {
        (f"{name[: -len(USD)]}_pico" if name.endswith(USD) else name): (
            (None if value is None else to_pico(Decimal(value))) if name.endswith(USD) else value
        )
        for name, value in found.items()
    }
