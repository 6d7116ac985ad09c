"""JSON schemas: built once, and applied so that neither schema nor value hangs anything.

A schema whose parts each look at a value once is applied at once; one that refers, branches or looks ahead takes a
process of its own. Patterns are JavaScript's (ECMA 262), as the standard has them. Nothing is fetched.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from assay.errors import GraderError
from assay.scoring import processes
from assay.scoring.patterns import Pattern, ecmascript_of

SCHEMA_LIMIT = 100_000
"""Characters of a schema."""
KEPT = 128
"""Schemas that are kept built."""
_BRANCHING = frozenset(
    {
        "$ref",
        "$dynamicRef",
        "$recursiveRef",
        "anyOf",
        "oneOf",
        "allOf",
        "not",
        "if",
        "dependentSchemas",
        "dependencies",
        "unevaluatedProperties",
        "unevaluatedItems",
    }
)
"""Keywords that hold a value against more than one schema, or against one that may come back to itself."""
_QUICK_FORMATS = frozenset({"date", "time", "date-time", "email", "ipv4", "ipv6", "uuid"})


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema ready to be applied."""

    text: str
    draft: int | None
    formats: bool
    validator: Any
    plain: bool
    """Whether its time grows with the value, whatever the value."""

    def problem(self, value: Any) -> str:
        """The first thing that is wrong with a value, with its place; empty: it fits.

        Raises GraderError where the schema cannot be applied, or takes too long.
        """
        if self.plain:
            return self.problem_here(value)
        try:
            found = processes.SCHEMAS.ask(self.text, [self.text, self.draft, self.formats, value])
        except GraderError as error:
            if error.cure:  # past its bounds
                raise GraderError(f"The schema cannot be applied. {error.message}", cure=error.cure) from error
            raise
        return str(found)

    def problem_here(self, value: Any) -> str:
        """The same, in this process and without bounds."""
        import referencing.exceptions

        try:
            error = next(iter(self.validator.iter_errors(value)), None)
        except referencing.exceptions.Unresolvable as missing:
            cure = "Put the referenced schema into this one."
            raise GraderError(f"The schema refers to {missing.ref!r}, which is not in it.", cure=cure) from missing
        if error is None:
            return ""
        place = "/".join(map(str, error.absolute_path))[:200] or "the top"
        return f"At {place}: {error.message[:200]}."


@lru_cache(KEPT)
def schema_of(text: str, *, draft: int | None = None, formats: bool = False) -> Schema:
    """The schema of a JSON text. draft 7: what it follows unsaid, else 2020-12. formats: they bind.

    Raises GraderError for a schema that cannot be used.
    """
    import jsonschema
    import referencing

    if len(text) > SCHEMA_LIMIT:
        message = f"The schema has {len(text):,} characters; at most {SCHEMA_LIMIT:,} are read."
        raise GraderError(message, cure="Give a shorter one.")
    try:
        schema = json.loads(text)
        if not isinstance(schema, dict):
            raise GraderError("The schema is not a JSON object.", cure="Paste a JSON schema.")
        default = jsonschema.Draft7Validator if draft == 7 else jsonschema.Draft202012Validator
        kind: Any = jsonschema.validators.validator_for(schema, default=default)
        # Its patterns are JavaScript's: whether they are any is seen below, not by Python's rules.
        kind.check_schema(schema, format_checker=jsonschema.FormatChecker(formats=()))
    except (ValueError, RecursionError) as error:
        raise GraderError(f"The schema is not JSON: {_said(error)}.", cure="Paste a JSON schema.") from error
    except jsonschema.SchemaError as error:
        raise GraderError(f"The schema is not valid: {error.message[:200]}.", cure="Correct the schema.") from error
    plain = _is_plain(schema, formats=formats)
    # An empty registry: a reference is never fetched from the network.
    validator = _safe(kind)(
        schema, registry=referencing.Registry(), format_checker=kind.FORMAT_CHECKER if formats else None
    )
    return Schema(text, draft, formats, validator, plain)


def _said(error: Exception) -> str:
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)[:200].rstrip(".")


def _is_plain(part: Any, *, formats: bool) -> bool:
    """Whether a schema looks at each part of a value once, with patterns whose time grows with the text.

    Raises GraderError for a pattern that is none.
    """
    if isinstance(part, list):
        return all([_is_plain(item, formats=formats) for item in part])
    if not isinstance(part, Mapping):
        return True
    plain = not _BRANCHING & part.keys()
    pattern, keys = part.get("pattern"), part.get("patternProperties")
    for source in (*([pattern] if isinstance(pattern, str) else []), *(keys if isinstance(keys, Mapping) else [])):
        plain = ecmascript_of(source).is_linear and plain
    if formats and isinstance(part.get("format"), str):
        plain = plain and part["format"] in _QUICK_FORMATS
    return all([_is_plain(value, formats=formats) for value in part.values()]) and plain


# -- keywords of our own ---------------------------------------------------------------------------------------

Keyword = Callable[[Any, Any, Any, Any], Iterator[Any]]


@lru_cache
def _safe(kind: Any) -> Any:
    """A class of validators with our own reading of the keywords that run patterns, or compare each with each."""
    import jsonschema

    ours: dict[str, Keyword] = {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional,
        "uniqueItems": _unique,
    }
    extend: Any = jsonschema.validators.extend
    return extend(kind, {name: ours[name] for name in ours if name in kind.VALIDATORS})


def _matches(source: str, text: str) -> bool:
    found: Pattern = ecmascript_of(source)
    return found.search(text) is not None


def _pattern(validator: Any, pattern: str, value: Any, schema: Any) -> Iterator[Any]:
    from jsonschema import ValidationError

    if validator.is_type(value, "string") and not _matches(pattern, value):
        yield ValidationError(f"{value[:100]!r} does not match {pattern!r}")


def _pattern_properties(validator: Any, patterns: Mapping[str, Any], value: Any, schema: Any) -> Iterator[Any]:
    if validator.is_type(value, "object"):
        for pattern, part in patterns.items():
            for name, item in value.items():
                if _matches(pattern, name):
                    yield from validator.descend(item, part, path=name, schema_path=pattern)


def _additional(validator: Any, allowed: Any, value: Any, schema: Any) -> Iterator[Any]:
    from jsonschema import ValidationError

    if not validator.is_type(value, "object"):
        return
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    extras = [name for name in value if name not in known and not any(_matches(each, name) for each in patterns)]
    if validator.is_type(allowed, "object"):
        for name in extras:
            yield from validator.descend(value[name], allowed, path=name)
    elif not allowed and extras:
        shown = ", ".join(repr(name[:40]) for name in extras[:5])
        yield ValidationError(f"Additional properties are not allowed ({shown}{', …' if len(extras) > 5 else ''})")


def _unique(validator: Any, wanted: bool, value: Any, schema: Any) -> Iterator[Any]:
    from jsonschema import ValidationError

    if wanted and validator.is_type(value, "array"):
        seen: set[str] = set()
        for item in value:
            same = _same(item)
            if same in seen:
                yield ValidationError(f"{str(item)[:100]!r} stands in it twice")
                return
            seen.add(same)


def _same(value: Any) -> str:
    """A text that equal values share, as JSON schema sees them: 1 is 1.0, and true is not 1."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, list):
        return f"[{','.join(map(_same, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{json.dumps(name)}:{_same(value[name])}' for name in sorted(value))}}}"
    return json.dumps(value)
