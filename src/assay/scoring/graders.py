"""The table of graders, building one from its specification, and grading with it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from assay.domain.score import GraderSpec, Score
from assay.errors import GraderError
from assay.scoring.assertions import COLUMN, ROW_ASSERTIONS
from assay.scoring.judge import JUDGE
from assay.scoring.kinds import NO_FACTS, Facts, GraderKind, Verdict, unscored
from assay.scoring.limits import guarded, in_bounds
from assay.scoring.numeric import NUMERIC
from assay.scoring.structured import JSON, JSON_SCHEMA, check_schema
from assay.scoring.text import CONTAINS, EQUALS, REGEX, check_regex

GRADERS: dict[str, GraderKind] = {
    k.kind: k for k in (EQUALS, CONTAINS, REGEX, NUMERIC, JSON, JSON_SCHEMA, ROW_ASSERTIONS, JUDGE)
}
_CHECKS: dict[str, Callable[[Mapping[str, Any]], None]] = {"regex": check_regex, "json_schema": check_schema}
QUICK = ("equals", "contains", "numeric", "json", "judge")
"""Graders whose time is that of reading answer and row; the judge's is its calls'."""
QUICK_LENGTH = 4_000
"""Characters of answer and row up to which they take no time worth a thread."""
COMMON = ("expected", "value", "negate")
"""Settings that every grader knows: the expected column, a fixed expected value, not."""


@dataclass(frozen=True, slots=True)
class Grader:
    """A grader ready to grade."""

    spec: GraderSpec
    kind: GraderKind

    @property
    def is_judge(self) -> bool:
        """Whether it makes calls."""
        return self.kind.grade is None and self.kind.grade_with_facts is None

    @property
    def needs_expected(self) -> bool:
        """Whether a row without an expected answer, or without a check of its own, gives it nothing to score by."""
        if self.kind.kind == "regex":
            return not self.spec.params.get("pattern") and not self.spec.params.get("value")
        return self.kind.expected_of is not None or (self.kind.needs_expected and not self.spec.params.get("value"))

    def expected_of(self, values: Mapping[str, str], column: str | None) -> str | None:
        """What is expected for a row: the fixed value, else the grader's own column, else the run's; None: nothing."""
        if self.kind.expected_of is not None:
            return self.kind.expected_of(values)
        if self.spec.params.get("value"):
            return str(self.spec.params["value"])
        name = self.spec.params.get("expected") or column
        return values.get(str(name)) if name else None

    def grade(self, output: str, expected: str | None, facts: Facts = NO_FACTS) -> Score:
        """The score of an answer, for graders that make no calls. Raises nothing: what cannot be graded is unscored."""
        return self.score(guarded(self.kind.kind, output, expected, lambda: self._verdict(output, expected, facts)))

    def grade_row(self, output: str, values: Mapping[str, str], column: str | None, facts: Facts = NO_FACTS) -> Score:
        """The score of an answer to a row. column: the run's expected one. Raises nothing."""
        expected = self.expected_of(values, column)
        return self.grade(output, expected, facts)

    def is_quick(self, output: str, values: Mapping[str, str]) -> bool:
        """Whether it grades this answer within a millisecond, whatever stands in answer and row."""
        return self.kind.kind in QUICK and len(output) + sum(map(len, values.values())) <= QUICK_LENGTH

    def _verdict(self, output: str, expected: str | None, facts: Facts) -> Verdict:
        if self.kind.grade_with_facts is not None:
            return self.kind.grade_with_facts(output, expected, self.spec.params, facts)
        if facts.no_text:
            return unscored(facts.no_text)
        if self.kind.grade is None:
            raise GraderError("A judge grades by a call.")
        return self.kind.grade(output, expected, self.spec.params)

    def score(self, verdict: Verdict) -> Score:
        """The score of a verdict: named, and turned round when the grader is negated."""
        value, passed, reason, left_out = verdict
        if self.spec.params.get("negate"):
            value = None if value is None else 1 - value
            passed = None if passed is None else not passed
            reason = reason if value is None else f"Not wanted: {reason}"
        return Score(self.spec.label, value, passed, in_bounds(reason), left_out)


def build(spec: GraderSpec) -> Grader:
    """The grader of a specification. Raises GraderError for an unknown kind or a setting that cannot be used."""
    kind = GRADERS.get(spec.kind)
    if kind is None:
        raise GraderError(f"There is no grader {spec.kind!r}.", cure=f"There are: {', '.join(GRADERS)}.")
    known = {field.name for field in kind.fields} | set(COMMON) | {"max_tokens"}
    unknown = [name for name in spec.params if name not in known]
    if unknown:
        raise GraderError(
            f"The grader {spec.kind} has no setting {unknown[0]!r}.", cure=f"It has: {', '.join(sorted(known))}."
        )
    for name in COMMON:
        _check_form(f"{name} of {spec.kind}", "flag" if name == "negate" else "text", spec.params.get(name))
    for field in kind.fields:
        value = spec.params.get(field.name)
        _check_form(f"{field.name} of {spec.kind}", field.type, value)
        if field.type == "number" and value not in (None, ""):
            _check_number(f"{field.name} of {spec.kind}", value)
        if field.choices and value and value not in field.choices:
            raise GraderError(f"{field.name} of {spec.kind} is {value!r}.", cure=f"Choose {', '.join(field.choices)}.")
    if spec.kind == "judge":
        if not spec.params.get("model"):
            raise GraderError("The judge has no model.", cure="Choose the model that grades.")
        _check_number("max_tokens of judge", spec.params.get("max_tokens") or 1)
    if check := _CHECKS.get(spec.kind):
        check(spec.params)
    return Grader(spec, kind)


def _check_form(name: str, form: str, value: Any) -> None:
    """Refuses a flag that is text, for every text would be yes, and a text that a file gave as yes or no."""
    if form == "flag" and value is not None and not isinstance(value, bool) and value not in ("", 0, 1):
        raise GraderError(f"{name} is {value!r}, which is neither true nor false.", cure="Write true or false.")
    if form in ("text", "long_text", "choice") and isinstance(value, bool):
        raise GraderError(f"{name} is {value}, not text.", cure="Put it in quotes.")


def _check_number(name: str, value: Any) -> None:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise GraderError(f"{name} is {value!r}, which is no number.") from error
    if not 0 <= number < math.inf:
        raise GraderError(f"{name} is {value!r}.", cure="Give a number from 0 up.")


def suggested(columns: Iterable[str]) -> tuple[GraderSpec, ...]:
    """The graders that a dataset's columns ask for by themselves: the checks of its rows; none: empty."""
    return (GraderSpec(ROW_ASSERTIONS.kind),) if any(name.startswith(COLUMN) for name in columns) else ()


def parse_spec(text: str) -> GraderSpec:
    """A grader as typed on the command line: KIND[:name=value,...]; `not-KIND` negates.

    A value may hold commas and colons when it is the last one. Raises GraderError.
    """
    head, _, rest = text.partition(":")
    kind = head.strip().lower().replace("-", "_")
    params: dict[str, Any] = {}
    if kind.startswith("not_"):
        kind, params["negate"] = kind.removeprefix("not_"), True
    for part in _settings(rest):
        name, mark, value = part.partition("=")
        if not mark:
            raise GraderError(f"{part!r} in the grader {text!r} is not name=value.", cure="Write equals:value=yes.")
        params[name.strip()] = {"true": True, "false": False}.get(value.strip().lower(), value)
    spec = GraderSpec(kind, params)
    build(spec)
    return spec


def _settings(text: str) -> list[str]:
    """The name=value parts; a comma that no name= follows belongs to the value before it."""
    parts: list[str] = []
    for piece in text.split(",") if text else []:
        name = piece.partition("=")[0].strip()
        if parts and not ("=" in piece and name.isidentifier()):
            parts[-1] += f",{piece}"
        else:
            parts.append(piece)
    return parts
