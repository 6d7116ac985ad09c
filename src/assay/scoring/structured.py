"""Graders for JSON: valid at all, and valid against a schema."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from assay.errors import GraderError
from assay.scoring.kinds import Field, GraderKind, Verdict, shown, verdict

_FENCE = re.compile(r"^\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*$", re.DOTALL | re.IGNORECASE)


def parse(output: str, params: Mapping[str, Any]) -> tuple[Any, str]:
    """(value, "") or (None, what is wrong)."""
    fenced = _FENCE.match(output) if params.get("allow_fence", True) else None
    try:
        return json.loads(fenced.group(1) if fenced else output, parse_constant=_no_constant), ""
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply"
        return None, f"The answer {shown(output)} is not JSON: {reason}."


def _no_constant(name: str) -> Any:
    # Python reads NaN and Infinity, which JSON does not have.
    raise ValueError(name)


def valid_json(output: str, expected: str | None, params: Mapping[str, Any]) -> Verdict:
    """Passes when the answer is valid JSON."""
    _, problem = parse(output, params)
    return verdict(not problem, problem or "The answer is valid JSON.")


def _schema(params: Mapping[str, Any]) -> Any:
    import jsonschema
    import referencing

    raw = params.get("schema") or ""
    try:
        schema = json.loads(raw) if isinstance(raw, str) else raw
        if not isinstance(schema, dict):
            raise GraderError("The schema is not a JSON object.", cure="Paste a JSON schema.")
        default = jsonschema.Draft7Validator if params.get("draft") == 7 else jsonschema.Draft202012Validator
        kind = jsonschema.validators.validator_for(schema, default=default)
        kind.check_schema(schema)
    except ValueError as error:
        raise GraderError(f"The schema is not JSON: {error}.", cure="Paste a JSON schema.") from error
    except jsonschema.SchemaError as error:
        raise GraderError(f"The schema is not valid: {error.message[:200]}.", cure="Correct the schema.") from error
    # An empty registry: a reference is never fetched from the network.
    formats = kind.FORMAT_CHECKER if params.get("formats") else None
    return kind(schema, registry=referencing.Registry(), format_checker=formats)


def json_schema(output: str, expected: str | None, params: Mapping[str, Any]) -> Verdict:
    """Passes when the answer is JSON that fits the schema."""
    value, problem = parse(output, params)
    return verdict(False, problem) if problem else fits_schema(value, params)


def fits_schema(value: Any, params: Mapping[str, Any]) -> Verdict:
    """Passes when a value fits the schema; `formats` binds its formats too, `draft` 7 is what it follows unsaid."""
    import referencing.exceptions

    try:
        error = next(iter(_schema(params).iter_errors(value)), None)
    except referencing.exceptions.Unresolvable as missing:
        cure = "Put the referenced schema into this one."
        raise GraderError(f"The schema refers to {missing.ref!r}, which is not in it.", cure=cure) from missing
    if error is None:
        return verdict(True, "The answer fits the schema.")
    place = "/".join(map(str, error.absolute_path)) or "the top"
    return verdict(False, f"At {place}: {error.message[:200]}.")


def check_schema(params: Mapping[str, Any]) -> None:
    """Raises GraderError for a schema that cannot be used."""
    _schema(params)


_ALLOW = Field("allow_fence", "flag", "A ```json fence around it is accepted.", default=True)
JSON = GraderKind("json", "Valid JSON", "The answer is valid JSON.", valid_json, (_ALLOW,), needs_expected=False)
JSON_SCHEMA = GraderKind(
    "json_schema", "JSON schema", "The answer is JSON that fits a schema.", json_schema,
    (Field("schema", "long_text", "The JSON schema."), _ALLOW), needs_expected=False,
)  # fmt: skip
