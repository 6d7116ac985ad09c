"""Graders that compare text: equals, contains, regex."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from assay.errors import GraderError
from assay.scoring.kinds import Field, GraderKind, Verdict, alternatives, shown, unscored, verdict

REGEX_LIMIT = 20_000
"""Characters of an answer that a pattern is run over."""
_NESTED = re.compile(r"\((?:[^()\\]|\\.)*[+*}](?:[^()\\]|\\.)*\)[+*{]")


def _normal(text: str, params: Mapping[str, Any]) -> str:
    text = unicodedata.normalize("NFC", text)
    if params.get("trim", True):
        text = " ".join(text.split())
    if params.get("ignore_case", True):
        text = text.casefold()
    return text.strip(" .!\"'`*") if params.get("ignore_punctuation", False) else text


def equals(output: str, expected: str | None, params: Mapping[str, Any]) -> Verdict:
    """Passes when the answer is the expected text, or one of several in a JSON list."""
    if expected is None:
        return unscored("There is no expected text for this row.")
    given = _normal(output, params)
    same = any(given == _normal(text, params) for text in (expected, *alternatives(expected)))
    return verdict(same, f"The answer {shown(output)} {'is' if same else 'is not'} {shown(expected)}.")


def contains(output: str, expected: str | None, params: Mapping[str, Any]) -> Verdict:
    """Passes when the expected text stands in the answer; any or all of several, in a JSON list or separated by `|`."""
    if not expected:
        return unscored("There is no expected text for this row.")
    listed = [part for part in alternatives(expected) if part.strip()]
    wanted = listed or ([part for part in expected.split("|") if part.strip()] if "|" in expected else [expected])
    given = _normal(output, params)
    found = [part for part in wanted if _normal(part, params) in given]
    every = params.get("match", "any") == "all"
    passed = len(found) == len(wanted) if every else bool(found)
    return verdict(passed, f"Found {len(found)} of {len(wanted)} expected texts: {shown(expected)}.")


def refuse_endless(pattern: str) -> None:
    """Raises GraderError for a pattern that can run for ever."""
    if len(pattern) > 1000 or _NESTED.search(pattern):
        raise GraderError(
            f"The pattern {shown(pattern)} repeats within a repetition, which can run for ever.",
            cure="Write it without a nested + or *.",
        )


def _pattern(params: Mapping[str, Any], expected: str | None) -> re.Pattern[str] | None:
    text = str(params.get("pattern") or expected or "")
    if not text:
        return None
    refuse_endless(text)
    try:
        return re.compile(text, re.IGNORECASE if params.get("ignore_case", True) else 0)
    except re.error as error:
        raise GraderError(f"{shown(text)} is not a regular expression: {error}.", cure="Check its brackets.") from error


def regex(output: str, expected: str | None, params: Mapping[str, Any]) -> Verdict:
    """Passes when the pattern is found in the answer (its first 20,000 characters)."""
    pattern = _pattern(params, expected)
    if pattern is None:
        return unscored("There is no pattern.")
    found = pattern.search(output[:REGEX_LIMIT])
    where = f"matches {shown(found.group())}" if found else "has no match"
    return verdict(found is not None, f"The answer {where} for {shown(pattern.pattern)}.")


def check_regex(params: Mapping[str, Any]) -> None:
    """Raises GraderError for a pattern that cannot be used."""
    _pattern(params, None)


_CASE = Field("ignore_case", "flag", "Upper and lower case are the same.", default=True)
_TRIM = Field("trim", "flag", "Runs of white space count as one space.", default=True)
EQUALS = GraderKind(
    "equals", "Equals", "The answer is exactly the expected text.", equals,
    (_CASE, _TRIM, Field("ignore_punctuation", "flag", "Leaves out dots, quotes and stars at the ends.",
                         default=False)),
)  # fmt: skip
CONTAINS = GraderKind(
    "contains", "Contains", "The expected text stands somewhere in the answer; several are separated by |.", contains,
    (_CASE, _TRIM, Field("match", "choice", "Of several texts: any or all.", default="any", choices=("any", "all"))),
)  # fmt: skip
REGEX = GraderKind(
    "regex", "Regular expression", "A pattern is found in the answer.", regex,
    (Field("pattern", "text", "The pattern; empty takes the expected column."), _CASE), needs_expected=False,
)  # fmt: skip
