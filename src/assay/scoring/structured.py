"""Graders for JSON: valid at all, and valid against a schema."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from assay.errors import GraderError
from assay.scoring.kinds import Field, GraderKind, Verdict, shown, verdict
from assay.scoring.schemas import Schema, schema_of

DIGITS = 4_000
"""Digits of an integer that is checked: Python turns no more than 4,300 into a number."""
_FENCE = "```"
_THINKING, _THOUGHT = "<think>", "</think>"


def parse(output: str, params: Mapping[str, Any], *, checked: bool = True) -> tuple[Any, str]:
    """(value, "") or (None, what is wrong). checked: numbers are turned into numbers, which the largest cannot be.

    Where `allow_fence` lets it, a fence around the JSON, words around the fence and thinking before it are read over.
    Raises GraderError for what is beyond this reader: a number that is too large, nesting that is too deep.
    """
    value, problem = _read(output, checked=checked)
    if problem and params.get("allow_fence", True) and (inside := fenced(output)) is not None:
        found = _read(inside, checked=checked)
        return (None, problem) if found[1] else found
    return value, problem


def _read(text: str, *, checked: bool) -> tuple[Any, str]:
    try:
        found = json.loads(
            text,
            parse_constant=_no_constant,
            parse_int=_integer if checked else str,
            parse_float=_large if checked else str,
        )
    except RecursionError as error:
        raise GraderError("The answer is nested too deeply to be read.") from error
    except ValueError as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else f"{str(error)[:40]} stands in it"
        return None, f"The answer {shown(text)} is not JSON: {reason}."
    return found, ""


def fenced(output: str) -> str | None:
    """What an answer holds within its code fence, or after its thinking; None: it has neither.

    Takes time with the length alone: the first fence and the last are looked for, and nothing is tried twice.
    """
    text = output.strip()
    thought = text.find(_THOUGHT) if text.startswith(_THINKING) else -1
    if thought >= 0:
        text = text[thought + len(_THOUGHT) :]
    start, end = text.find(_FENCE), text.rfind(_FENCE)
    if end < start + len(_FENCE):
        return text if thought >= 0 else None
    inside = text[start + len(_FENCE) : end]
    return inside[4:] if inside[:4].lower() == "json" else inside


def _no_constant(name: str) -> Any:
    # Python reads NaN and Infinity, which JSON does not have.
    raise ValueError(name)


def _large(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise GraderError(f"The number {shown(text, 20)} in the answer is too large to be checked.")
    return number


def _integer(text: str) -> int:
    if len(text) > DIGITS:
        raise GraderError(f"A number of {len(text):,} digits in the answer is too large to be checked.")
    return int(text)


def valid_json(output: str, expected: str | None, params: Mapping[str, Any]) -> Verdict:
    """Passes when the answer is valid JSON."""
    _, problem = parse(output, params, checked=False)
    return verdict(not problem, problem or "The answer is valid JSON.")


def json_schema(output: str, expected: str | None, params: Mapping[str, Any]) -> Verdict:
    """Passes when the answer is JSON that fits the schema."""
    value, problem = parse(output, params)
    return verdict(False, problem) if problem else fits_schema(value, params)


def fits_schema(value: Any, params: Mapping[str, Any]) -> Verdict:
    """Passes when a value fits the schema; `formats` binds its formats too, `draft` 7 is what it follows unsaid.

    Raises GraderError where the schema cannot be used or applied.
    """
    problem = _schema(params).problem(value)
    return verdict(not problem, problem or "The answer fits the schema.")


def _schema(params: Mapping[str, Any]) -> Schema:
    raw = params.get("schema") or ""
    text = raw if isinstance(raw, str) else json.dumps(raw, sort_keys=True, default=str)
    return schema_of(text, draft=params.get("draft"), formats=bool(params.get("formats")))


def check_schema(params: Mapping[str, Any]) -> None:
    """Raises GraderError for a schema that cannot be used."""
    _schema(params)


_ALLOW = Field("allow_fence", "flag", "A ```json fence around it is accepted.", default=True)
JSON = GraderKind("json", "Valid JSON", "The answer is valid JSON.", valid_json, (_ALLOW,), needs_expected=False)
JSON_SCHEMA = GraderKind(
    "json_schema",
    "JSON schema",
    "The answer is JSON that fits a schema.",
    json_schema,
    (Field("schema", "long_text", "The JSON schema."), _ALLOW),
    needs_expected=False,
)
