"""Graders that compare text: equals, contains, regex."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from assay.errors import GraderError
from assay.scoring.kinds import Field, GraderKind, Verdict, alternatives, left_out, shown, verdict
from assay.scoring.patterns import Pattern, pattern_of

MARKS = 100
"""Accents on one letter: composing a run of them takes time with its square."""
TEXTS = 1_000
"""Texts that are looked for in one answer."""
_MARKS = re.compile(rb"[^\x00]{%d}" % (MARKS + 1))


def _composed(text: str) -> str:
    """The text in NFC. Raises GraderError past MARKS."""
    if text.isascii():
        return text
    if _MARKS.search(bytes(map(unicodedata.combining, text))):
        raise GraderError(f"More than {MARKS} accents stand on one letter.")
    return unicodedata.normalize("NFC", text)


def _normal(text: str, params: Mapping[str, Any]) -> str:
    text = _composed(text)
    if params.get("trim", True):
        text = " ".join(text.split())
    if params.get("ignore_case", True):
        text = text.casefold()
    return text.strip(" .!\"'`*") if params.get("ignore_punctuation", False) else text


def equals(output: str, expected: str | None, params: Mapping[str, Any]) -> Verdict:
    """Passes when the answer is the expected text, or one of several in a JSON list."""
    if expected is None or not expected.strip():
        return left_out("There is no expected text for this row.")
    given = _normal(output, params)
    same = any(given == _normal(text, params) for text in (expected, *alternatives(expected)))
    return verdict(same, f"The answer {shown(output)} {'is' if same else 'is not'} {shown(expected)}.")


def contains(output: str, expected: str | None, params: Mapping[str, Any]) -> Verdict:
    """Passes when the expected text stands in the answer; any or all of several, in a JSON list or separated by `|`."""
    if expected is None or not expected.strip():
        return left_out("There is no expected text for this row.")
    listed = [part for part in alternatives(expected) if part.strip()]
    wanted = listed or ([part for part in expected.split("|") if part.strip()] if "|" in expected else [expected])
    if len(wanted) > TEXTS:
        raise GraderError(f"There are {len(wanted):,} expected texts; at most {TEXTS:,} are looked for.")
    given = _normal(output, params)
    found = [part for part in wanted if _normal(part, params) in given]
    every = params.get("match", "any") == "all"
    passed = len(found) == len(wanted) if every else bool(found)
    return verdict(passed, f"Found {len(found)} of {len(wanted)} expected texts: {shown(expected)}.")


def _pattern(params: Mapping[str, Any], expected: str | None) -> Pattern | None:
    text = str(params.get("pattern") or expected or "")
    return pattern_of(text, ignore_case=bool(params.get("ignore_case", True))) if text else None


def regex(output: str, expected: str | None, params: Mapping[str, Any]) -> Verdict:
    """Passes when the pattern is found in the answer (its first 20,000 characters). Raises GraderError for none."""
    pattern = _pattern(params, expected)
    if pattern is None:
        return left_out("There is no pattern for this row.")
    found = pattern.search(output)
    where = "has no match" if found is None else f"matches {shown(found)}"
    return verdict(found is not None, f"The answer {where} for {shown(pattern.source)}.")


def check_regex(params: Mapping[str, Any]) -> None:
    """Raises GraderError for a pattern that cannot be used."""
    pattern = _pattern(params, None)
    if pattern is not None:
        pattern.search("")


_CASE = Field("ignore_case", "flag", "Upper and lower case are the same.", default=True)
_TRIM = Field("trim", "flag", "Runs of white space count as one space.", default=True)
EQUALS = GraderKind(
    "equals",
    "Equals",
    "The answer is exactly the expected text.",
    equals,
    (
        _CASE,
        _TRIM,
        Field("ignore_punctuation", "flag", "Leaves out dots, quotes and stars at the ends.", default=False),
    ),
)
CONTAINS = GraderKind(
    "contains",
    "Contains",
    "The expected text stands somewhere in the answer; several are separated by |.",
    contains,
    (_CASE, _TRIM, Field("match", "choice", "Of several texts: any or all.", default="any", choices=("any", "all"))),
)
REGEX = GraderKind(
    "regex",
    "Regular expression",
    "A pattern is found in the answer.",
    regex,
    (Field("pattern", "text", "The pattern; empty takes the expected column."), _CASE),
    needs_expected=False,
)
