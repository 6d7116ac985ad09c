"""What a grader is: its kind, the fields a user fills in, and how it grades."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal, NamedTuple

FieldType = Literal["text", "long_text", "number", "flag", "choice"]


class Verdict(NamedTuple):
    """What a grader found; value None: it could not score."""

    value: float | None
    passed: bool | None
    reason: str
    left_out: bool = False
    """There was nothing to score by, so that the other graders decide; a grader that failed is not left out."""


class Facts(NamedTuple):
    """What is known of an answer beside its text; None: not known."""

    latency_ms: float | None = None
    cost_usd: Decimal | None = None
    finish_reason: str | None = None
    no_text: str = ""
    """Why the answer has no text, in words; empty where it has some."""


NO_FACTS = Facts()


@dataclass(frozen=True, slots=True)
class Field:
    """A setting of a grader."""

    name: str
    type: FieldType
    help: str
    default: Any = ""
    choices: tuple[str, ...] = ()


Grade = Callable[[str, str | None, Mapping[str, Any]], Verdict]
"""(output, expected, params) -> verdict."""
GradeWithFacts = Callable[[str, str | None, Mapping[str, Any], Facts], Verdict]
"""(output, expected, params, facts) -> verdict."""


@dataclass(frozen=True, slots=True)
class GraderKind:
    """A kind of grader, as the page and the command line offer it."""

    kind: str
    title: str
    help: str
    grade: Grade | None
    """None: it makes calls (a judge)."""
    fields: tuple[Field, ...] = field(default=())
    needs_expected: bool = True
    grade_with_facts: GradeWithFacts | None = None
    """Used instead of `grade`, for what the text alone does not say."""
    expected_of: Callable[[Mapping[str, str]], str | None] | None = None
    """What is expected for a row, where that is more than one column."""


def shown(text: str, limit: int = 60) -> str:
    """A text within a reason: one line, cut."""
    # As much as could be shown, however long the text is.
    flat = " ".join(text[: 8 * limit].split())
    flat = flat if len(text) <= 8 * limit or len(flat) > limit else f"{flat}…"
    return repr(flat if len(flat) <= limit else flat[: limit - 1] + "…")


def verdict(passed: bool, reason: str) -> Verdict:
    """A verdict of pass or fail."""
    return Verdict(1.0 if passed else 0.0, passed, reason)


def unscored(reason: str) -> Verdict:
    """A verdict that says why there is none: the grader should have scored and could not."""
    return Verdict(None, None, reason)


def left_out(reason: str) -> Verdict:
    """A verdict of a grader that a row gives nothing to score by."""
    return Verdict(None, None, reason, left_out=True)


def alternatives(expected: str) -> list[str]:
    """The texts of a JSON list of texts, each of which is a right answer; anything else: none."""
    if not expected.lstrip().startswith("["):
        return []
    try:
        value = json.loads(expected)
    except (ValueError, RecursionError):
        return []
    return value if isinstance(value, list) and all(isinstance(part, str) for part in value) else []
